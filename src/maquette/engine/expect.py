"""What a training may be expected to reach: read off how other trainings of the family went, in the judge's grades.

A held-out judgement in units of what blur and noise do to the same real images (its place) means about the same for
any set of images, so that trainings of one set say something about those of another. Those of this workspace are
asked, those of the same images first; the ones that came with Maquette stand in for them as long as there are few.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from maquette.core.errors import MaquetteError
from maquette.core.spec import DataSpec
from maquette.engine.watch import read_points
from maquette.judge.judgement import GRADES
from maquette.store.run import Run

MOST = 200
"""Runs of the workspace that are asked, the newest first."""
BEYOND = 4.0
"""Times the images of a training for which it still says something."""
SLOPES = (-1.0, 0.0)
"""How places may go on beyond the last judgement: powers of the number of images."""
SIZES = 2.5
"""Times as many pixels, or as few, that images of another training may have."""
SAME, OTHER = 1.6, 2.5
"""Times a place that is said is taken to be off by, in either direction: where the same images were learned from, and
where others were. Wide on purpose; `benchmarks/growth.py --check` counts how often it holds."""
LEAST = 1e-3


@dataclass(frozen=True)
class Curve:
    """How one training went: images seen, and how far from real images its own then were (place)."""

    name: str
    points: tuple[tuple[int, float], ...]
    dataset: str = ""
    path: Path | None = None

    def at(self, images: int) -> float | None:
        """The place after so many images; None where this training says nothing about it."""
        points = [(math.log(seen), math.log(max(place, LEAST))) for seen, place in self.points if seen > 0]
        if not points or images > BEYOND * self.points[-1][0] or images < self.points[0][0]:
            return None
        x = math.log(images)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if x <= x1:
                return math.exp(y0 + (y1 - y0) * (x - x0) / max(x1 - x0, 1e-9))
        slope = 0.0
        if len(points) > 1:
            (x0, y0), (x1, y1) = points[-2:]
            slope = min(max((y1 - y0) / max(x1 - x0, 1e-9), SLOPES[0]), SLOPES[1])
        return math.exp(points[-1][1] + slope * (x - points[-1][0]))

    def sheet(self, images: int) -> str:
        """The sheet of this training that was drawn nearest to that many images."""
        if self.path is None:
            return ""
        known = [path for path in (self.path / "samples").glob("*.png") if path.stem.isdecimal()]
        nearest = min(known, key=lambda path: abs(math.log((int(path.stem) + 1) / images)), default=None)
        return "" if nearest is None else str(nearest)


@dataclass(frozen=True)
class Expectation:
    """The place that is expected, with an interval, and what it rests on."""

    value: float
    low: float
    high: float
    basis: str
    sheet: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        looks = f"; that looked like {self.sheet}" if self.sheet else ""
        return (
            f"expected at the end: {word_of(self.value)}, about {number(self.value)} "
            f"({number(self.low)} to {number(self.high)}) times as far from real images as blurred or noised ones "
            f"are, by {self.basis}{looks}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain facts."""
        return {**vars(self), "word": word_of(self.value), "sentence": self.sentence}


def expectation(family: str, spec: DataSpec, images: int, dataset: str, runs: Iterable[Path]) -> Expectation | None:
    """What a training of so many images may reach; None where nothing is known of such trainings."""
    own = list(itertools.islice(_curves(family, spec, runs), MOST))
    same = [curve for curve in own if curve.dataset == dataset]
    shipped = [] if same or len(own) >= 3 else _shipped(family, spec)
    asked = [(curve, place) for curve in same or [*own, *shipped] if (place := curve.at(images)) is not None]
    if not asked:
        return None
    places = sorted(place for _, place in asked)
    value, off = math.exp(statistics.fmean(math.log(place) for place in places)), SAME if same else OTHER
    return Expectation(
        value, min(places[0], value / off), max(places[-1], value * off),
        _basis([curve for curve, _ in asked], dataset),
        next((sheet for curve, _ in asked if (sheet := curve.sheet(images))), ""),
    )  # fmt: skip


def reached(run: Run, images: int) -> dict[str, Any] | None:
    """Where the run's model came to, in the same words, from the last judgement of it."""
    scale = _scale(run)
    chosen = run.facts.get("chosen")
    values = chosen.get("values") if isinstance(chosen, Mapping) else None
    value = values.get(chosen.get("which")) if isinstance(values, Mapping) and isinstance(chosen, Mapping) else None
    if not isinstance(value, (int, float)):
        points = read_points(run.path)
        if not points or points[-1]["images"] < 0.8 * images:
            return None
        value = points[-1]["value"]
    if scale is None:
        return None
    place = _place(value, *scale)
    return {
        "images": images, "value": place, "word": word_of(place),
        "sentence": f"{word_of(place)}: {number(place)} times as far from real images as blurred or noised ones are",
    }  # fmt: skip


def _scale(run: Run) -> tuple[float, float] | None:
    """The distance of real images, and what is counted from there on; None in runs that were not judged."""
    floor, unit = run.facts.get("floor"), run.facts.get("unit")
    known = isinstance(floor, (int, float)) and isinstance(unit, (int, float)) and unit > 0
    return (float(floor), float(unit)) if known else None  # type: ignore[arg-type]


def _place(value: float, floor: float, unit: float) -> float:
    return max(0.0, value - floor) / unit


def word_of(place: float) -> str:
    """The grade of a place."""
    return next(word for limit, word, _ in GRADES if place <= limit)


def number(place: float) -> str:
    """Two digits that count."""
    return f"{place:.2f}" if place < 0.995 else f"{place:.1f}" if place < 9.95 else f"{place:,.0f}"


def curve_of(run: Run) -> Curve | None:
    """How a run's training went, if it was judged."""
    scale, dataset = _scale(run), run.facts.get("dataset")
    if scale is None:
        return None
    points = [(int(point["images"]), _place(point["value"], *scale)) for point in read_points(run.path)]
    end = run.facts.get("reached")
    if isinstance(end, Mapping) and isinstance(end.get("value"), (int, float)) and type(end.get("images")) is int:
        points = [(seen, place) for seen, place in points if seen < end["images"]] + [(end["images"], end["value"])]
    if not points:
        return None
    digest = str(dataset.get("digest")) if isinstance(dataset, Mapping) else ""
    return Curve(run.path.name, tuple(points), digest, run.path)


def _curves(family: str, spec: DataSpec, runs: Iterable[Path]) -> Iterator[Curve]:
    for path in runs:
        try:
            run = Run.open(path)
            known = run.facts["recipe"]["spec"]
            form = (int(known["width"]), int(known["height"]), str(known["mode"]))
        except (MaquetteError, KeyError, TypeError, ValueError):
            continue  # a run that is not whole says nothing
        if run.facts.get("family") == family and _alike(form, spec) and (curve := curve_of(run)) is not None:
            yield curve


def _alike(form: tuple[int, int, str], spec: DataSpec) -> bool:
    return form[2] == spec.mode and 1 / SIZES < form[0] * form[1] / (spec.width * spec.height) < SIZES


def _shipped(family: str, spec: DataSpec) -> list[Curve]:
    """The trainings that came with Maquette: `benchmarks/growth.py` made them."""
    known = json.loads(resources.files("maquette.engine").joinpath("growth.json").read_text("utf-8"))
    return [
        Curve(record["name"], tuple((int(seen), float(place)) for seen, place in record["points"]))
        for record in known
        if record["family"] == family and _alike((record["width"], record["height"], record["mode"]), spec)
    ]


def _basis(curves: Sequence[Curve], dataset: str) -> str:
    mine = [curve for curve in curves if curve.path is not None]
    if not mine:
        return f"trainings of other images that came with Maquette ({', '.join(curve.name for curve in curves)})"
    of = "these images" if any(curve.dataset == dataset for curve in mine) else "other images"
    many = f"{len(mine)} trainings of {of} here" if len(mine) > 1 else f"a training of {of} here ({mine[0].name})"
    return many + (" and those that came with Maquette" if len(curves) > len(mine) else "")
