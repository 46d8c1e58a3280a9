"""The verb `edit-apply`: images moved along directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result
from maquette.core.settings import setting
from maquette.core.words import plural
from maquette.operations._edits import Editing, bench, points_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Apply(Editing):
    """Which images or seeds, and how far along which directions."""

    direction: tuple[str, ...] = setting(
        (), "how far along a direction of the run: 1 can be seen, -1 is the other way", repeat=True, form="NAME=AMOUNT"
    )
    hold: bool = setting(True, "leave images as they are where the two sides of a direction do not differ")


@operation
def edit_apply(request: Apply, workspace: Workspace) -> Iterator[Event]:
    """Move images, or seeds, along directions that the run knows.

    For example: maquette edit apply first photo.png --direction smile=1.5 --to out --refine 200.
    """
    import numpy as np

    from maquette.core.image import sheet
    from maquette.engine.latent.directions import held, moved, named, read
    from maquette.operations.sample import Pictures

    verb = "edit-apply"
    if not request.direction:
        raise UsageError("nothing says where to", do="give --direction NAME=AMOUNT; see maquette edit directions RUN")
    on = yield from bench(request, workspace, verb, images=bool(request.source))
    amounts = amounts_of(request.direction)
    known = read(on.run, on.latents.width)
    directions = [named(known, name) for name in amounts]
    points = yield from points_of(request, on, verb)
    found = type(points[0].found).together([point.found for point in points])
    before = on.latents.images(found)
    given = np.stack([before[row] if (image := point.image) is None else image for row, point in enumerate(points)])
    further = moved(found, directions, list(amounts.values()))
    made = held(on.latents, further, given, directions) if request.hold else on.latents.images(further)
    for row, point in enumerate(points):
        step = {"op": verb, "directions": dict(amounts), "refined": request.refine, "held": request.hold}
        on.edited(point.name, made[row], [point], step)
        yield on.progress(verb, row + 1, len(points))
    if request.sheet:
        count = min(12, len(points))
        scale = max(1, 96 // max(made[0].shape))
        picture = sheet([*given[:count], *made[:count]], columns=count, scale=scale, names=["before", "after"])
        on.press.sheet(on.to / "sheet.png", picture, {"model": on.model_digest})
        yield Made(path=str(on.to / "sheet.png"), what="sheet")
    yield from on.finish(workspace)
    change = float(np.abs(made.astype(np.float64) - before).mean())
    facts = {"images": [str(path) for path in on.written], "to": str(on.to), "directions": amounts, "change": change}
    summary = f"{plural(len(points), 'image')} in {on.to}."
    yield Result(verb=verb, facts=facts, value=Pictures(on.written), summary=summary)


def amounts_of(pairs: tuple[str, ...]) -> dict[str, float]:
    """How far along each direction: of words such as `smile=1.5,older=-1`."""
    return {name: _amount(name, word) for name, word in _words(pairs)}


def _words(pairs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        for word in pair.split(","):
            name, sign, amount = word.partition("=")
            yield name.strip(), amount.strip() if sign else "1"


def _amount(name: str, word: str) -> float:
    try:
        amount = float(word)
    except ValueError:
        raise UsageError(f"{name} = {word!r} is no amount", do="give a number, such as 1.5 or -1") from None
    if not -100 <= amount <= 100:
        raise UsageError(f"{name} = {word} is too far", do="give an amount between -100 and 100")
    return amount
