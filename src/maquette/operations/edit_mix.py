"""The verb `edit-mix`: one image of several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result
from maquette.core.settings import setting
from maquette.core.words import plural
from maquette.operations._edits import Editing, bench, points_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Mixing(Editing):
    """Of what, and how much of each."""

    weights: tuple[float, ...] = setting(
        (), "how much each counts, in their order (images first, then seeds); alike when left out", form="W,W"
    )
    between: int = setting(
        0, "of two: also so many images on the way from the first to the second", ge=0, le=1000, form="N"
    )


@operation
def edit_mix(request: Mixing, workspace: Workspace) -> Iterator[Event]:
    """Mix images, or seeds, into one image that has something of each.

    For example: maquette edit mix first --seeds 3,8 --weights 0.7,0.3 --to out; or your photograph with a seed:
    maquette edit mix first photo.png --seeds 8 --between 5 --to out.
    """
    import dataclasses

    import numpy as np

    from maquette.core.image import sheet
    from maquette.core.noise import Mix
    from maquette.engine.latent.latents import blended
    from maquette.engine.sample import vouched
    from maquette.operations.sample import Pictures

    verb = "edit-mix"
    on = yield from bench(request, workspace, verb, images=bool(request.source))
    points = yield from points_of(request, on, verb)
    if len(points) < 2:
        raise UsageError("a mix needs two images or seeds", do="give another one, for example with --seeds 1,5")
    weights = request.weights or (1.0,) * len(points)
    if len(weights) != len(points):
        raise UsageError(f"{len(weights)} weights do not fit {len(points)} images and seeds", do="give one for each")
    if request.between and len(points) > 2:
        raise UsageError(f"there are {len(points)} images and seeds", do="give two of them for --between")
    plans: list[tuple[str, tuple[float, ...]]] = [("mix", tuple(weights))]
    for k in range(request.between):
        place = (k + 1) / (request.between + 1)
        plans.append((f"between-{k + 1:03d}", Mix.between(0, 1, place).weights))
    total = sum(abs(weight) for weight in weights)
    leader = int(np.argmax(np.abs(weights)))
    rows = {name: value for name, value in points[leader].found.rows.items()}
    seeds = tuple(point.seed for point in points if point.seed is not None)
    if len(seeds) == len(points):
        mixes = [Mix(seeds, plan) for _, plan in plans]
        rows = {name: np.repeat(value, len(mixes), 0) for name, value in rows.items()}
        pictures: list[NDArray[Any]] = []
        for batch in vouched(on.latents.model, on.model_digest, mixes, rows, on.latents.options):
            for made in batch:
                on.generated(plans[len(pictures)][0], made, rows, len(pictures))
                pictures.append(made.picture)
    else:
        if total == 0:
            raise UsageError("weights of 0 mix nothing", do="give numbers of which one is not 0")
        latents = np.stack([blended([point.found.latents[0] for point in points], plan) for _, plan in plans])
        repeated = {name: np.repeat(value, len(plans), 0) for name, value in rows.items()}
        pictures = list(on.latents.images(dataclasses.replace(points[0].found, latents=latents, rows=repeated)))
        for (name, plan), picture in zip(plans, pictures, strict=True):
            on.edited(name, picture, points, {"op": verb, "weights": list(plan), "refined": request.refine})
    yield on.progress(verb, len(pictures), len(pictures))
    if request.sheet:
        ends = [on.latents.images(point.found)[0] if point.image is None else point.image for point in points[:8]]
        shown = [ends[0], *pictures[1:], ends[1]] if request.between else [*ends, pictures[0]]
        scale = max(1, 96 // max(shown[0].shape))
        on.press.sheet(on.to / "sheet.png", sheet(shown, columns=len(shown), scale=scale), {"model": on.model_digest})
        yield Made(path=str(on.to / "sheet.png"), what="sheet")
    yield from on.finish(workspace)
    facts = {"images": [str(path) for path in on.written], "to": str(on.to), "weights": list(weights)}
    what = f"{len(points)} images and seeds"
    summary = f"{plural(len(on.written), 'image')} made of {what} in {on.to}."
    yield Result(verb=verb, facts=facts, value=Pictures(on.written), summary=summary)
