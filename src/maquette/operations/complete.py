"""The verb `complete`: go on where an image ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Made, Progress, Result
from maquette.core.settings import argument, dials, required, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.store.workspace import Workspace

SIDES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Complete:
    """With which model, of which image, what of it stays, and where to."""

    run: str = argument("the run of a recurrent network")
    source: str = argument("the image to complete")
    to: str = required("the folder for the images", form="FOLDER")
    keep: str = setting("top", "the part that stays", choices=SIDES)
    share: float = setting(0.5, "how much of the image that part is", gt=0, lt=1)
    mask: str = setting("", "an image instead, white where something is to be made anew", form="FILE")
    count: int = setting(8, "how many ways to go on", ge=1, le=10_000)
    seed: int = setting(0, "the seed of the first image; image k depends on its seed alone", ge=0)
    label: str | None = setting(None, "the label to make, of those the model knows (or NAME=LABEL)")
    text: str | None = setting(None, "what the images are to show, in words")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")
    format: str = setting("png", "the kind of file", choices=("png", "jpeg", "webp", "avif", "tiff"))
    sheet: bool = setting(True, "also write a sheet: what was given, then the images")
    sign: str = setting("on", "whether images are signed as made of the given one", choices=("on", "off"))
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")
    dials: Mapping[str, str] = dials("the family's own dials, such as --temperature 0.8")


@operation
def complete(request: Complete, workspace: Workspace) -> Iterator[Event]:
    """Go on where an image ends: keep its top half, or what a mask leaves, and make the rest anew in several ways.

    For example: maquette complete first photo.png --to out --keep left --share 0.3 --count 4. The image is brought to
    the model's size first. What is kept keeps its pixels.
    """
    import hashlib

    import numpy as np

    from maquette.core.image import FORMATS, sheet
    from maquette.core.noise import SEED_LIMIT
    from maquette.core.settings import from_json, to_json
    from maquette.engine.complete import completed
    from maquette.engine.edited import Edits
    from maquette.engine.fitted import fitted
    from maquette.engine.load import load
    from maquette.engine.sample import wishes
    from maquette.engine.table import condition_table
    from maquette.operations._inputs import flat
    from maquette.operations.sample import Pictures
    from maquette.store.run import Run
    from maquette.trust.press import Press, source_of

    run = Run.open(workspace.run_path(request.run))
    model = load(run)
    spec = model.spec
    options: Any = from_json(model.Options, request.dials, what=f"the dials of {run.facts.get('family')}")
    seeds = range(request.seed, request.seed + request.count)
    if seeds[-1] >= SEED_LIMIT:
        raise UsageError(f"the last seed would be {seeds[-1]}", do=f"the largest is {SEED_LIMIT - 1}")
    path, to = Path(request.source).expanduser(), Path(request.to).expanduser()
    image = fitted(path, spec)
    given = _given(request, spec)
    rows = wishes(spec.conditions, condition_table(run, spec), flat(request, spec), seeds, image.shape[:2])
    press = Press(workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker)
    share = round(float(given.mean()), 4)
    edits = Edits(press, {"op": "complete", "model": str(run.facts["model"]), "kept": share})
    source, digest = source_of(path), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    began = time.perf_counter()
    paths: list[Path] = []
    shown: list[NDArray[Any]] = [np.where(given[..., None], image, np.full_like(image, np.iinfo(image.dtype).max // 2))]
    for made, seed in zip(completed(model, image, given, seeds, rows, options), seeds, strict=True):
        paths.append(to / f"seed-{seed:08d}{FORMATS[request.format][1]}")
        edits.write(paths[-1], made, digest, source, {**to_json(options), "seed": seed})
        if len(shown) < 64:
            shown.append(made)
        spent = time.perf_counter() - began
        yield Progress(
            verb="complete", done=len(paths), total=len(seeds), unit="images", seconds=round(spent, 2),
            eta=round(spent / len(paths) * (len(seeds) - len(paths)), 1),
        )  # fmt: skip
    if request.sheet:
        scale = max(1, 96 // max(image.shape))
        press.sheet(to / "sheet.png", sheet(shown, columns=min(8, len(shown)), scale=scale), {})
        yield Made(path=str(to / "sheet.png"), what="sheet")
    facts = {"images": [str(path) for path in paths], "seeds": list(seeds), "to": str(to), "kept": share}
    summary = f"{len(paths):,} images in {to}; {share:.0%} of each is as it was."
    yield Result(verb="complete", facts=facts, value=Pictures(paths), summary=summary)


def _given(request: Complete, spec: DataSpec) -> NDArray[np.bool_]:
    """Height x width: what stays."""
    from maquette.engine.complete import side

    if not request.mask:
        return side(request.keep, request.share, spec.height, spec.width)
    from dataclasses import replace

    from maquette.engine.fitted import fitted

    mask = fitted(Path(request.mask).expanduser(), replace(spec, mode="grey"))[..., 0]
    given = mask <= 127
    if given.all() or not given.any():
        what = "white nowhere, so nothing is to be made" if given.all() else "white everywhere, so nothing is kept"
        raise DataError(f"the mask is {what}", where=request.mask, do="paint white what is to be made anew")
    return given
