"""A mask on many files: the connected parts of what it finds in each, one image in memory at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError, MaquetteError
from maquette.core.event import Event, Progress, Warning
from maquette.data.decoding.shape import WHOLE
from maquette.data.ingest.decode import Decoder, Task
from maquette.engine.files.batch import Batch, plan
from maquette.engine.files.refine import LIMITS, read
from maquette.refining import masks
from maquette.refining.measure import Part, parts
from maquette.refining.op import Context
from maquette.refining.recipe import Mask, Recipe


@dataclass(frozen=True)
class Measured:
    """What was found: parts by the name of their image, and the images that could not be measured, with reasons."""

    rows: list[tuple[str, Part]]
    images: list[str]
    aside: list[tuple[str, str]]


def measure(
    words: Sequence[str], mask: Mask, *, smallest: int = 1, hand: Callable[[str], Callable[..., Any]] | None = None
) -> Iterator[Event | Measured]:
    """Measure the parts of the mask in all files that the words name; what is yielded last is `Measured`."""
    made = plan(words, Batch(recipe=Recipe(items=()), to=Path("."), writes=False, hand=hand))
    found = Measured([], [], list(made.troubles))
    began, total = time.perf_counter(), len(made.outputs)
    with Decoder(1, LIMITS) as decoder:
        for done, work in enumerate(made.work(), 1):
            try:
                (outcome,) = decoder.decode([Task(content=work.content, form=WHOLE)])
                if outcome.image is None:
                    raise DataError(outcome.reason, do="give an image file")
                name = work.to.relative_to(made.batch.to).with_suffix("").as_posix()
                context = Context(read=read, hand=hand, name=name)
                weights = masks.find(mask, outcome.image, context)
                found.rows.extend((work.name, part) for part in parts(weights, outcome.image, smallest=smallest))
                found.images.append(work.name)
            except MaquetteError as error:
                found.aside.append((work.name, str(error).rstrip(".")))
                yield Warning(text=f"{work.name}: {found.aside[-1][1]}")
            yield Progress.since(began, "measure", done, total, parts=len(found.rows))
    if not found.images:
        raise DataError(found.aside[0][1], where=found.aside[0][0])
    yield found
