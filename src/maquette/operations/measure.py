"""The verb `measure`: the connected parts of what a mask finds in images, as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result, Table
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.engine.files.measure import Measured
    from maquette.store.workspace import Workspace

SHOWN = 12
"""Rows of the table for people; the file and the result hold all of them."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Which images, which mask, and where the numbers go."""

    source: tuple[str, ...] = argument("images, folders of images, or patterns such as 'cells/*.tif'", many=True)
    mask: str = setting("foreground", "what is measured: a mask as recipes have it, such as `otsu and not sky`")
    to: str = setting("", "a CSV file for the numbers, one line a part", form="FILE.csv")
    smallest: int = setting(1, "leave out parts of fewer pixels", ge=1, le=10**9)


@operation
def measure(request: Measure, workspace: Workspace) -> Iterator[Event]:
    """Measure the connected parts of a mask: area, place, axes, outline, roundness, holes and mean colour.

    For example: maquette measure cells --mask "otsu" --smallest 20 --to cells.csv.
    """
    from maquette.core.files import write_new
    from maquette.engine.files.measure import Measured
    from maquette.engine.files.measure import measure as work
    from maquette.operations.refine import models
    from maquette.refining.measure import to_csv
    from maquette.refining.text import parse_mask

    if not request.mask.strip():
        raise UsageError("measure needs a mask", do='give one, such as --mask "otsu"')
    mask = parse_mask(request.mask)
    found = Measured([], [], [])
    for event in work(request.source, mask, smallest=request.smallest, hand=models(workspace)):
        if isinstance(event, Measured):
            found = event
        else:
            yield event
    if request.to:
        path = Path(request.to).expanduser()
        write_new(path, to_csv(found.rows).encode())
        yield Made(path=str(path), what="table")
    else:
        yield _table(found)
    yield _result(request, found)


def _table(found: Measured) -> Table:
    """The first rows, for people."""
    columns = ("image", "number", "area", "x", "y", "length", "breadth", "angle", "roundness", "holes")
    rows = []
    for name, part in found.rows[:SHOWN]:
        facts = {"image": name, **asdict(part)}
        rows.append([f"{facts[key]:.1f}" if isinstance(facts[key], float) else str(facts[key]) for key in columns])
    return Table(title="Parts, the largest first", columns=columns, rows=rows)


def _result(request: Measure, found: Measured) -> Result:
    counts = Counter(name for name, _ in found.rows)
    more = len(found.rows) - SHOWN
    rest = "" if request.to or more <= 0 else f"; {more:,} more are in the file that --to names"
    aside = f"; set aside: {len(found.aside):,}" if found.aside else ""
    return Result(
        verb="measure",
        facts={
            "parts": [{"image": name, **asdict(part)} for name, part in found.rows],
            "counts": {name: counts[name] for name in found.images}, "file": request.to or None,
            "set_aside": [{"path": path, "reason": reason} for path, reason in found.aside],
        },
        value=[(name, part) for name, part in found.rows],
        summary=f"{len(found.rows):,} parts in {len(found.images):,} images{rest}{aside}.",
    )  # fmt: skip
