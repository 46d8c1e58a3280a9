"""The verb `complete`: go on where an image ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Made, Note, Progress, Result
from maquette.core.settings import argument, dials, required, setting
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.engine.world import World
    from maquette.store.workspace import Workspace

SIDES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Complete:
    """With which model, of which image, what of it stays, and where to."""

    run: str = argument("the run of a flow, a gan or a recurrent network")
    source: str = argument("the image to complete")
    to: str = required("the folder for the images", form="FOLDER")
    keep: str = setting("top", "the part that stays", choices=SIDES)
    share: float = setting(0.5, "how much of the image that part is", gt=0, lt=1)
    mask: str = setting("", "an image instead, white where something is to be made anew", form="FILE")
    extend: tuple[str, ...] = setting(
        (), "go on beyond a side of the whole image by so many pixels (top, bottom, left, right)", repeat=True,
        form="SIDE=PIXELS",
    )  # fmt: skip
    reach: float = setting(
        3.0, "over how many pixels what is made is brought to what is given; 0 leaves a seam", ge=0, le=64
    )
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

    For example: maquette complete first photo.png --to out --keep left --share 0.3 --count 4; or beyond its right side:
    --extend right=32. The image is brought to the model's size first. What is kept keeps its pixels; the ways are
    ranked by how near they come to the images that the model learned from.
    """

    import numpy as np

    from maquette.core.image import FORMATS, sheet
    from maquette.core.noise import SEED_LIMIT
    from maquette.core.settings import from_json, to_json
    from maquette.engine.files.fitted import fitted
    from maquette.engine.latent.complete import completed, extended
    from maquette.engine.latent.edited import Edits
    from maquette.engine.latent.encoder import dataset_of
    from maquette.engine.latent.latents import Latents
    from maquette.engine.load import load
    from maquette.engine.sample import wishes
    from maquette.engine.table import condition_table
    from maquette.engine.world import world_of
    from maquette.families.family import Inverts
    from maquette.operations._inputs import flat
    from maquette.operations.sample import Pictures
    from maquette.store.digest import content_name
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
    more = _more(request)
    given = np.ones(image.shape[:2], bool) if more else _given(request, spec)
    rows = wishes(spec.conditions, condition_table(run, spec), flat(request, spec), seeds, image.shape[:2])
    if spec.conditions and isinstance(model, Inverts):  # as what the image seems to show
        seen = np.where(given[..., None], image, image[given].mean(axis=0).astype(image.dtype))
        likely = Latents(model).likely(seen[None], condition_table(run, spec), flat(request, spec))
        rows = {name: np.repeat(value, len(seeds), axis=0) for name, value in likely.items()}
    press = Press(workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker)
    share = round(1.0 if more else float(given.mean()), 4)
    step = {"op": "complete", "model": str(run.facts["model"]), "kept": share}
    edits = Edits(press, {**step, "extended": dict(more)} if more else step)
    source, digest = source_of(path), content_name(path.read_bytes())
    began = time.perf_counter()
    paths: list[Path] = []
    pictures: list[NDArray[Any]] = []
    made_all: Iterator[NDArray[Any]]
    if more:
        canvas: Any = None
        for news in extended(model, image, more, seeds, rows, options, reach=request.reach):
            if isinstance(news, tuple):
                yield Progress.since(began, "complete", *news, "windows")
            else:
                canvas = news
        made_all = iter(canvas)
    else:
        made_all = completed(model, image, given, seeds, rows, options, reach=request.reach)
    for made, seed in zip(made_all, seeds, strict=True):
        paths.append(to / f"seed-{seed:08d}{FORMATS[request.format][1]}")
        edits.write(paths[-1], made, digest, source, {**to_json(options), "seed": seed})
        pictures.append(made)
        yield Progress.since(began, "complete", len(paths), len(seeds))
    # Without its seed: that alone does not make such an image again.
    workspace.index.add_images(paths, [{"run": str(run.path)}] * len(paths))
    world = world_of(run, dataset_of(run))
    order, times = list(range(len(pictures))), None
    if isinstance(world, str):
        yield Note(text=f"the ways are not ranked: {world}")
    else:
        times = [_far(world, picture, image.shape[:2]) for picture in pictures]
        order = sorted(order, key=times.__getitem__)
    if request.sheet:
        first = _laid(image, given, pictures[0].shape, more)
        shown = [first, *(pictures[row] for row in order[:63])]
        scale = max(1, 96 // max(image.shape))
        press.sheet(to / "sheet.png", sheet(shown, columns=min(8, len(shown)), scale=scale), {})
        yield Made(path=str(to / "sheet.png"), what="sheet")
    facts: dict[str, Any] = {"images": [str(path) for path in paths], "seeds": list(seeds), "to": str(to)}
    facts["kept"] = share
    if times is not None:
        facts["ranking"] = [{"file": paths[row].name, "times": round(times[row], 3)} for row in order]
    best = f" {paths[order[0]].name} fits best." if times is not None and len(paths) > 1 else ""
    summary = f"{plural(len(paths), 'image')} in {to}; {share:.0%} of the image is as it was.{best}"
    yield Result(verb="complete", facts=facts, value=Pictures(paths), summary=summary)


def _more(request: Complete) -> dict[str, int]:
    """How many pixels are made beyond each side."""
    from maquette.core.settings import parse_pairs

    found: dict[str, int] = {}
    for side, word in parse_pairs(request.extend).items():
        if side not in SIDES:
            raise UsageError(f"{side!r} is no side of an image", do=f"there are: {', '.join(SIDES)}")
        if not word.isdecimal() or not 0 < int(word) <= 8192:
            raise UsageError(f"{side} = {word!r} is no number of pixels", do="give 1 to 8192")
        found[side] = int(word)
    if found and request.mask:
        raise UsageError("an image is extended or filled, not both at once", do="leave out --mask or --extend")
    return found


def _far(world: World, picture: NDArray[Any], size: tuple[int, int]) -> float:
    """How far an image is from the model's world; of a larger one, on average over the parts of the model's size."""
    import numpy as np

    parts = [
        picture[y : y + size[0], x : x + size[1]]
        for y in _starts(picture.shape[0], size[0])
        for x in _starts(picture.shape[1], size[1])
    ]
    return float(np.mean([far.times for far in world(np.stack(parts))]))


def _starts(whole: int, size: int) -> list[int]:
    return sorted({*range(0, whole - size + 1, max(1, size // 2)), whole - size})


def _laid(
    image: NDArray[Any], given: NDArray[np.bool_], shape: tuple[int, ...], more: Mapping[str, int]
) -> NDArray[Any]:
    """What was given, on grey."""
    import numpy as np

    ground = np.full(shape, np.iinfo(image.dtype).max // 2, image.dtype)
    top, left = more.get("top", 0), more.get("left", 0)
    part = (slice(top, top + image.shape[0]), slice(left, left + image.shape[1]))
    ground[part] = np.where(given[..., None], image, ground[part])
    return ground


def _given(request: Complete, spec: DataSpec) -> NDArray[np.bool_]:
    """Height x width: what stays."""
    from maquette.engine.latent.complete import side

    if not request.mask:
        return side(request.keep, request.share, spec.height, spec.width)
    from dataclasses import replace

    from maquette.engine.files.fitted import fitted

    mask = fitted(Path(request.mask).expanduser(), replace(spec, mode="grey"))[..., 0]
    given = mask <= 127
    if given.all() or not given.any():
        what = "white nowhere, so nothing is to be made" if given.all() else "white everywhere, so nothing is kept"
        raise DataError(f"the mask is {what}", where=request.mask, do="paint white what is to be made anew")
    return given
