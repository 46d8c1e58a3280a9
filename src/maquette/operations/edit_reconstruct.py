"""The verb `edit-reconstruct`: images as a model would make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.words import plural
from maquette.operations._edits import Editing, bench, points_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

SHOWN = 16
"""Images on the sheet."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(Editing):
    """With which model, of which images, and where to."""


@operation
def edit_reconstruct(request: Reconstruct, workspace: Workspace) -> Iterator[Event]:
    """Bring images of your own into a model: as it would make them, how much is kept, and how far they are from it.

    For example: maquette edit reconstruct first photo.png --to out --refine 200. The first time, a run of the family
    gan gets an encoder, which is kept with it.
    """
    import numpy as np

    from maquette.core.image import sheet
    from maquette.engine.latent.latents import decibels, errors
    from maquette.engine.world import world_of
    from maquette.operations.sample import Pictures

    verb = "edit-reconstruct"
    on = yield from bench(request, workspace, verb, images=True)
    points = yield from points_of(request, on, verb)
    found = type(points[0].found).together([point.found for point in points])
    made = on.latents.images(found)
    given = np.stack([image if point.image is None else point.image for point, image in zip(points, made, strict=True)])
    kept = decibels(errors(made, given))
    world = world_of(on.run, on.dataset)
    far = None if isinstance(world, str) else world(given)
    if isinstance(world, str):
        yield Note(text=world)
    rows = []
    for row, point in enumerate(points):
        path = on.edited(point.name, made[row], [point], {"op": "edit-reconstruct", "refined": request.refine})
        said = {"file": path.name, "psnr": round(float(kept[row]), 2)}
        if far is not None:
            said |= {
                "times": round(far[row].times, 2), "farther": round(far[row].farther, 4), "world": far[row].sentence
            }  # fmt: skip
        rows.append(said)
        yield on.progress(verb, row + 1, len(points))
    on.record(rows)
    names = [[str(row["file"]), f"{row['psnr']:.1f}", str(row.get("world", ""))] for row in rows[:SHOWN]]
    yield Table(title="What is kept", columns=("image", "decibels", "where it lies"), rows=names)
    if request.sheet:
        count = min(SHOWN, len(points))
        tiles = [*given[:count], *made[:count]]
        scale = max(1, 96 // max(given[0].shape))
        picture = sheet(tiles, columns=count, scale=scale, names=["given", "model"])
        on.press.sheet(on.to / "sheet.png", picture, {"model": on.model_digest})
        yield Made(path=str(on.to / "sheet.png"), what="sheet")
    if not request.refine and float(np.median(kept)) < 30:
        yield Note(text="more of the images comes back with --refine 200")
    yield from on.finish(workspace)
    facts = {"images": [str(path) for path in on.written], "found": rows, "to": str(on.to)}
    summary = f"{plural(len(points), 'image')} in {on.to}; {float(np.mean(kept)):.1f} decibels are kept on average."
    yield Result(verb=verb, facts=facts, value=Pictures(on.written), summary=summary)
