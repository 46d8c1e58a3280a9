"""The verb `decode`: a file of tokens back into images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from maquette.core.errors import DataError
from maquette.core.event import Event, Progress, Result
from maquette.core.settings import argument, required, setting
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Decode:
    """With which model, which file, and where to."""

    run: str = argument("the run that encoded the images")
    file: str = argument("the file of tokens")
    to: str = required("the folder for the images", form="FOLDER")
    format: str = setting("png", "the kind of file", choices=("png", "jpeg", "webp", "avif", "tiff"))
    sign: str = setting("on", "whether images are signed as made from the file", choices=("on", "off"))
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")


@operation
def decode(request: Decode, workspace: Workspace) -> Iterator[Event]:
    """Turn a file of tokens, as `encode` writes it, back into images."""
    from maquette.core.image import FORMATS
    from maquette.engine.latent.edited import Edits
    from maquette.engine.likely import from_tokens, tokenizer
    from maquette.engine.load import load
    from maquette.operations.sample import Pictures
    from maquette.store.digest import content_name
    from maquette.store.run import Run
    from maquette.store.tokens import read
    from maquette.trust.press import Press

    path = Path(request.file).expanduser()
    content = read(path)
    run = Run.open(workspace.run_path(request.run))
    model = load(run)
    counts = tokenizer(model)
    if content.model != run.facts["model"]:
        raise DataError(
            f"another model made these tokens ({content.model[:12]}...)", where=path,
            do=f"give the run whose model that is; {run.path.name} is {str(run.facts['model'])[:12]}...",
        )  # fmt: skip
    if content.levels != counts.levels or content.tokens.shape[1:] != counts.grid:
        raise DataError("its tokens do not have the form that the model makes", where=path, do="encode again")
    to = Path(request.to).expanduser()
    press = Press(workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker)
    edits = Edits(press, {"op": "decode", "model": content.model})
    source = content_name(path.read_bytes())
    places = [to / (_safe(name, at) + FORMATS[request.format][1]) for at, name in enumerate(content.names)]
    if len(set(places)) < len(places):
        raise DataError("two of its images have one name", where=path, do="encode again")
    began = time.perf_counter()
    for done, (place, image) in enumerate(zip(places, from_tokens(model, content.tokens), strict=True), 1):
        edits.write(place, image, source)
        yield Progress.since(began, "decode", done, len(places))
    workspace.index.add_images(places, [{"run": str(run.path)}] * len(places))
    facts = {"images": [str(place) for place in places], "to": str(to)}
    yield Result(verb="decode", facts=facts, value=Pictures(places), summary=f"{plural(len(places), 'image')} in {to}.")


def _safe(name: str, at: int) -> str:
    """A name from the file as a path below the folder: nothing that leads out of it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    kept = ["".join(c if c.isalnum() or c in "-_. ()" else "_" for c in part)[:120] for part in parts[:8]]
    return "/".join(part.strip(". ") or "_" for part in kept) or f"image-{at:06d}"
