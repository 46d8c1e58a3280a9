"""The verb `encode`: images into a small file of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError
from maquette.core.event import Event, Made, Result
from maquette.core.settings import argument, required
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Encode:
    """With which model, which images, and where to."""

    run: str = argument("the run of an autoencoder")
    source: tuple[str, ...] = argument("images, folders of images, or patterns such as 'shots/*.jpg'", many=True)
    to: str = required("the file of tokens to write", form="FILE.tokens")


@operation
def encode(request: Encode, workspace: Workspace) -> Iterator[Event]:
    """Make images small: all of them become one file of tokens, which `decode` turns back with the same model.

    What comes back is alike, not the same. Images of another size are scaled, and cropped in the middle.
    """
    import numpy as np

    from maquette.core.files import write_new
    from maquette.engine.likely import to_tokens, tokenizer
    from maquette.engine.load import load
    from maquette.operations._reading import Reading
    from maquette.store.run import Run
    from maquette.store.tokens import MOST, TokenFile, pack

    run = Run.open(workspace.run_path(request.run))
    model = load(run)
    counts = tokenizer(model)
    files = Reading(request.source, model.spec)
    each = counts.grid[0] * counts.grid[1]
    if len(files) * each > MOST:
        raise DataError(f"one file holds at most {MOST // each:,} images of this form", do="encode them in parts")
    parts: list[NDArray[np.int32]] = []
    raw = 0

    def take(images: Sequence[NDArray[Any]]) -> None:
        nonlocal raw
        parts.append(to_tokens(model, images))
        raw += sum(image.nbytes for image in images)

    yield from files.through(take, "encode")
    names = files.names
    content = pack(TokenFile(str(run.facts["model"]), counts.levels, tuple(names), np.concatenate(parts)))
    to = Path(request.to).expanduser()
    write_new(to, content)
    yield Made(path=str(to), what="tokens")
    facts = {
        "file": str(to), "images": names, "bytes": len(content), "bytes_per_image": round(len(content) / len(names), 1),
        "pixels_bytes": raw, "model": run.facts["model"],
        "set_aside": files.set_aside,
    }  # fmt: skip
    left = f"; set aside: {len(files.set_aside):,}" if files.set_aside else ""
    yield Result(
        verb="encode", facts=facts,
        summary=f"{plural(len(names), 'image')} in {len(content):,} bytes, {raw / len(content):,.0f} times smaller "
        f"than their pixels, in {to}{left}.",
        next=(f"maquette decode {request.run} {to} --to decoded",),
    )  # fmt: skip
