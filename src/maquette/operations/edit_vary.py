"""The verb `edit-vary`: other images like one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.event import Event, Made, Result
from maquette.core.settings import setting
from maquette.core.words import plural
from maquette.operations._edits import Editing, bench, points_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.store.workspace import Workspace

FIRST = 1 << 41
"""Seeds of what variations differ by: far from the seeds of people."""


@dataclass(frozen=True, kw_only=True)
class Vary(Editing):
    """Of what, how many, and how far they stray."""

    count: int = setting(8, "how many variations of each", ge=1, le=1000)
    amount: float = setting(0.3, "how far they stray: 0 not at all, 1 as far as another image", ge=0, le=1)
    seed: int = setting(0, "other seeds give other variations", ge=0, le=2**32)


@operation
def edit_vary(request: Vary, workspace: Workspace) -> Iterator[Event]:
    """Make variations of an image or of a seed: a little of something else is mixed in, each time of another seed.

    For example: maquette edit vary first --seeds 7 --to out --amount 0.4. Those of seeds are made by the model alone,
    say all their seeds and weights, and can be made again by replay.
    """
    import dataclasses

    import numpy as np

    from maquette.core.image import sheet
    from maquette.core.noise import Mix
    from maquette.engine.latent.latents import slerp
    from maquette.engine.sample import vouched
    from maquette.operations.sample import Pictures

    verb = "edit-vary"
    on = yield from bench(request, workspace, verb, images=bool(request.source))
    points = yield from points_of(request, on, verb)
    others = range(FIRST + request.seed * 1000, FIRST + request.seed * 1000 + request.count)
    turn = request.amount * math.pi / 2
    lines: list[list[NDArray[Any]]] = []
    for point in points:
        first = on.latents.images(point.found)[0] if point.image is None else point.image
        if point.seed is not None:
            mixes = [Mix((point.seed, other), (math.cos(turn), math.sin(turn))) for other in others]
            rows = {name: np.repeat(value, len(mixes), 0) for name, value in on.rows_of([point.seed]).items()}
            pictures: list[NDArray[Any]] = []
            for batch in vouched(on.latents.model, on.model_digest, mixes, rows, on.latents.options):
                for made in batch:
                    on.generated(f"{point.name}-{len(pictures):03d}", made, rows, len(pictures))
                    pictures.append(made.picture)
        else:
            rows = {name: np.repeat(value, len(others), 0) for name, value in point.found.rows.items()}
            strange = on.latents.of_seeds(others, rows)
            moved = np.stack([slerp(point.found.latents[0], row, request.amount) for row in strange.latents])
            pictures = list(on.latents.images(dataclasses.replace(strange, latents=moved)))
            for k, picture in enumerate(pictures):
                step = {"op": verb, "amount": request.amount, "seed": others[k], "refined": request.refine}
                on.edited(f"{point.name}-{k:03d}", picture, [point], step)
        lines.append([first, *pictures])
        yield on.progress(verb, len(lines), len(points), "images varied")
    if request.sheet:
        shown = [line[:9] for line in lines[:12]]
        scale = max(1, 96 // max(shown[0][0].shape))
        names = [point.name for point in points[: len(shown)]]
        picture = sheet([tile for line in shown for tile in line], columns=len(shown[0]), scale=scale, names=names)
        on.press.sheet(on.to / "sheet.png", picture, {"model": on.model_digest})
        yield Made(path=str(on.to / "sheet.png"), what="sheet")
    yield from on.finish(workspace)
    facts = {"images": [str(path) for path in on.written], "to": str(on.to), "amount": request.amount}
    summary = f"{plural(len(on.written), 'variation')} of {plural(len(points), 'image')} in {on.to}."
    yield Result(verb=verb, facts=facts, value=Pictures(on.written), summary=summary)
