"""A held-out judgement while a model learns: is it getting better, has it lost its variety, which average is best?

At a few points of the run a few hundred images are drawn from the averaged model and held against images that it never
learns from, in the features of `maquette.features`; none of these is ever a training loss. The kernel distance is used,
which is honest for few images. What is judged decides which weights become the model, and sends a
run that lost its variety back to its best state; both decisions are written down in the run.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import FLAT
from maquette.core.errors import MaquetteError
from maquette.core.files import write_bytes
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.table import condition_table
from maquette.families.family import Family, Samples
from maquette.features import REGISTRY
from maquette.features.extractor import Features, Pictures, extract, stack
from maquette.features.space import Rows
from maquette.judge.evidence import ANCHOR_CHANGES, Changed, Chosen, pick, steady
from maquette.judge.interval import Estimate, jackknife
from maquette.judge.judgement import UNIT
from maquette.judge.metric import Part
from maquette.judge.metrics.fidelity import kernel_distances
from maquette.judge.metrics.variety import usual_distance, vendi
from maquette.store.run import Run

FILE = "judged.jsonl"
COUNT = 256
"""Images drawn at each point."""
CHOICE = 512
"""Images drawn of each candidate when the model is chosen at the end."""
REAL, VIEWED, SPOILT = 2_000, 500, 200
FEWEST = 100
"""Fewer images than this, held out and learned from, judge nothing."""
SEED = 2_000_000
COLLAPSED = 0.5
"""Variety of the images, as a share of the best seen, below which it is lost."""
WORSE = 1.25
"""How many times the best distance a later one must be, beyond what chance does, to be warned of."""
SETTLED = 3
"""So many judgements without a sure improvement mean that learning has settled."""


@dataclass(frozen=True)
class Point:
    """One judgement: after how many images, kernel distance with interval, and variety beside real images'."""

    images: int
    value: float
    low: float
    high: float
    error: float
    variety: float

    def to_json(self) -> dict[str, Any]:
        """Plain facts."""
        return dict(vars(self))


class Watch:
    """Judges a run's model by its dataset; keeps its judgements in the run's folder."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        self.run = run
        held, train = dataset.indices("held-out"), dataset.indices("train")
        self.part = "held-out" if len(held) >= FEWEST else "training"
        by = pick(held if len(held) >= FEWEST else train, REAL, seed=6)
        extractor = REGISTRY.get("scattering")(dataset.images(by[:1]))
        self.extractor = extractor
        learned = pick(train, REAL, seed=7)
        self.space, rows = steady(extractor, dataset, learned, VIEWED)
        self.real = Part(self.space(self._extract(Chosen(dataset, by))))
        few = self.real.some(COUNT).rows
        self._reach = usual_distance(few) / 2
        self._variety = vendi(few, self._reach) / len(few)
        self._spoilt = Chosen(dataset, learned[:SPOILT])
        self._learned = Part(self.space(rows)).some(COUNT)
        self.points = [_point(record) for record in _read(run.path / FILE)]
        self.lost = False
        """Whether the last judgement found that the images have lost their variety."""
        self.pace = 0.0
        """Seconds an image takes to draw and to look at, as last measured."""

    @cached_property
    def floor(self) -> float:
        """The distance of training images: what is as near to held-out ones as they are is no worse than real."""
        return 0.0 if self.part == "training" else max(0.0, kernel_distances(self.real, self._learned)[0])

    @cached_property
    def unit(self) -> float:
        """What blurring them, or a tenth of noise in them, adds to that: grades are counted in it."""
        spoilt = [Part(self.space(self._extract(Changed(self._spoilt, ANCHOR_CHANGES[name])))) for name in UNIT]
        beside = sum(kernel_distances(self.real, rows)[0] for rows in spoilt) / len(spoilt)
        return max(1e-9, beside - self.floor)

    def _extract(self, pictures: Pictures) -> Features:
        return stack(list(extract(self.extractor, pictures)))

    @classmethod
    def of(cls, run: Run, dataset: Dataset, model: Family) -> Watch | None:
        """A watch, or None where nothing can be judged: models that draw no images from seeds alone, few images."""
        flat = all(condition.kind in FLAT for condition in model.made(model.Options()).conditions)
        if not isinstance(model, Samples) or not flat or len(dataset.indices("train")) < FEWEST:
            return None
        try:
            return cls(run, dataset)
        except MaquetteError:
            return None  # all images alike: there is no space of likeness

    def rewind(self, images: int) -> None:
        """Forget what was judged after this place: it will be judged again."""
        if any(point.images > images for point in self.points):
            self.points = [point for point in self.points if point.images <= images]
            self._write()

    def judge(self, model: Family, images: int) -> tuple[Point, list[str]]:
        """Judge the model as it is after so many images; what the person should know comes with it."""
        rows = self._draw(model, COUNT)
        whole, without = kernel_distances(self.real, Part(rows))
        estimate = jackknife(whole, without)
        point = Point(images, estimate.value, estimate.low, estimate.high, estimate.error, self._varied(rows))
        warned = self._warnings(point)
        self.rewind(images - 1)
        self.points.append(point)
        self._write()
        return point, warned

    def is_best(self, point: Point) -> bool:
        """Whether no earlier point is better, and this last one has not lost its variety: a few images are soon nearer
        than the noise that training begins with, and a run would go back to what it should leave."""
        return not self.lost and all(point.value <= other.value for other in self.points)

    @property
    def settled(self) -> bool:
        """Whether the last judgements bring no improvement that is sure."""
        if len(self.points) <= SETTLED + 1:
            return False
        before = min(self.points[:-SETTLED], key=lambda point: point.value)
        recent = min(self.points[-SETTLED:], key=lambda point: point.value)
        return recent.value > before.value - math.hypot(before.error, recent.error)

    def _warnings(self, point: Point) -> list[str]:
        best = min(self.points, key=lambda other: other.value, default=None)
        self.lost = False
        if best is None:
            return []
        widest = min(1.0, max(other.variety for other in self.points))  # noise is varied beyond real images
        worse = point.low > best.high and point.value > WORSE * best.value
        self.lost = point.variety < COLLAPSED * widest and (worse or point.variety < COLLAPSED**2 * widest)
        if self.lost:
            return [
                f"the images have lost their variety after {point.images:,} images seen: they have {point.variety:.0%} "
                f"of the real images' (it was {widest:.0%}); the best model so far is kept"
            ]
        if worse and len(self.points) >= 2:
            return [
                f"after {point.images:,} images seen the distance to {self.part} images is {point.value:.3g}, and it "
                f"was {best.value:.3g} after {best.images:,}; the best model so far is kept"
            ]
        return []

    def choose(self, candidates: Mapping[str, Family], seconds: float = math.inf) -> tuple[str, dict[str, Estimate]]:
        """Which of the candidates is the best: the first one, unless another is surely better than it.

        As many images are drawn as fit into the seconds; where that is too few, nothing is compared: then the first one
        alone is judged, if there is time for that.
        """
        first = next(iter(candidates))
        count = CHOICE if not self.pace else int(min(CHOICE, seconds / self.pace / len(candidates)))
        if count < FEWEST and len(candidates) > 1:
            return self.choose({first: candidates[first]}, seconds)
        if count < FEWEST:
            return first, {}
        values = {
            name: kernel_distances(self.real, Part(self._draw(model, count))) for name, model in candidates.items()
        }
        best = first
        for name in list(candidates)[1:]:
            gain = jackknife(values[best][0] - values[name][0], np.asarray(values[best][1] - values[name][1]))
            if gain.low > 0:
                best = name
        return best, {name: jackknife(*value) for name, value in values.items()}

    def _draw(self, model: Family, count: int) -> Rows:
        began = time.perf_counter()
        drawn: NDArray[Any] | None = None
        for step in draw_many(model, condition_table(self.run, model.spec), count, SEED):
            if isinstance(step, Drawn):
                drawn = step.pictures
        assert drawn is not None
        rows = self.space(self._extract(drawn))
        self.pace = (time.perf_counter() - began) / count
        return rows

    def _varied(self, rows: Rows) -> float:
        """As how many unlike images these count, as a share of what real ones count."""
        return vendi(rows, self._reach) / len(rows) / self._variety

    def _write(self) -> None:
        lines = [json.dumps(point.to_json()) for point in self.points]
        write_bytes(self.run.path / FILE, ("\n".join(lines) + "\n").encode() if lines else b"")


def read_points(path: Path) -> list[dict[str, Any]]:
    """What was judged while a run learned; lines that are damaged are left out."""
    return [point.to_json() for point in (_point(record) for record in _read(path / FILE))]


def _read(path: Path) -> list[dict[str, float]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    records = []
    for line in lines[:10_000]:
        try:
            record = json.loads(line)
            records.append({name: float(record[name]) for name in Point.__dataclass_fields__})
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return [record for record in records if all(map(math.isfinite, record.values()))]


def _point(record: Mapping[str, float]) -> Point:
    return Point(images=int(record["images"]), **{name: record[name] for name in record if name != "images"})
