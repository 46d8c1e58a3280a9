"""What `sample --best K --of N` does before images are made: it draws N, and says which K seeds are made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress
from maquette.engine.best import Likeness, chosen, critic_of
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.latent.encoder import dataset_of
from maquette.families.family import Family, Samples
from maquette.judge.evidence import Looking
from maquette.store.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.operations._inputs import Inputs
    from maquette.operations.sample import Sample

TIMES = 4
"""How many are drawn for one that is kept, when nothing is said."""
BLOCK = 256


@dataclass(frozen=True)
class Choice:
    """The seeds to make, the best first, and from how many they were chosen."""

    seeds: list[int]
    of: int


def wanted(request: Sample) -> tuple[int, int]:
    """How many are kept, and how many are drawn for that."""
    if request.best is None:
        raise UsageError("--of says from how many the best are chosen", do="give --best too, such as --best 64")
    if request.count is not None:
        raise UsageError("--best says how many images are made", do="leave out --count")
    of = request.of or TIMES * request.best
    if of < request.best:
        raise UsageError(f"the best {request.best:,} of {of:,} images cannot be had", do="give a larger --of")
    return request.best, of


def choose(
    request: Sample, run: Run, model: Family, options: Any, table: Mapping[str, NDArray[Any]], inputs: Inputs
) -> Iterator[Event | Choice]:
    """Draw, judge, and yield the choice last."""
    best, of = wanted(request)
    form, spec = model.made(options), model.spec
    if inputs.files or inputs.before.values:
        raise UsageError("the best are chosen among images of words, numbers and seeds alone", do="leave out --best")
    if not isinstance(model, Samples) or form.shape != spec.shape:
        raise UsageError(
            "images of another size than the training images' cannot be compared with them", do="leave out --best"
        )
    dataset = dataset_of(run)
    if dataset is None:
        raise DataError(
            "the dataset that it learned from is not there to choose by",
            where=run.path,
            do="put it back, or leave out --best",
        )
    likeness = Likeness(dataset, inputs.common)
    critic, began, what = None, time.perf_counter(), ""
    for step in critic_of(run, model, table, dataset):
        if isinstance(step, Looking):
            began, what = (began, what) if step.what == what else (time.perf_counter(), step.what)
            yield Progress.since(began, "sample", step.done, step.total, step.what)
        else:
            critic = step
    assert critic is not None
    began, pictures = time.perf_counter(), None
    for drawn in draw_many(model, table, of, request.seed, options, inputs.common):
        if isinstance(drawn, Drawn):
            pictures = drawn.pictures
        else:
            yield Progress.since(began, "sample", drawn, of, "images to choose from")
    assert pictures is not None
    odds = np.concatenate([critic.judge(pictures[at : at + BLOCK], spec.mode) for at in range(0, of, BLOCK)])
    rows = likeness(pictures)
    order = chosen(rows, likeness.rows, odds, best)
    yield Note(
        text=f"{best:,} of {of:,} images stay: those that a critic most readily takes for real, chosen so that "
        "together they are as varied as real ones"
    )
    yield Choice([request.seed + k for k in order], of)
