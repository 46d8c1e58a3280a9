"""All measures of one set of made images beside the anchors, and what they say in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import ConditionSpec
from maquette.judge.evidence import Reference
from maquette.judge.interval import Estimate
from maquette.judge.metric import Better, Metric, Part, Sides, Unmeasured, all_metrics
from maquette.judge.metrics.fidelity import kernel_distance

HEADLINE = "distance"
FLOOR = "held-out"
FEWEST_ALIKE = 100
"""Measures that depend on how many images there are compare equal numbers, but not fewer than this."""
MOST_ANCHORS = 10_000
LABELS = 40
"""Labels that are judged one by one, at most: those with the most images."""


@dataclass(frozen=True)
class Measure:
    """One measure taken: the estimate, and what it is for the anchors."""

    name: str
    title: str
    says: str
    better: Better
    estimate: Estimate
    anchors: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain facts."""
        estimate = self.estimate
        return {
            "value": estimate.value, "low": estimate.low, "high": estimate.high, "error": estimate.error,
            "better": self.better, "anchors": self.anchors,
        }  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """What was measured, and what could not be, with the reason."""

    measures: dict[str, Measure]
    unmeasured: dict[str, str]
    labels: dict[str, Estimate] = field(default_factory=dict)
    """The kernel distance label by label."""

    @property
    def headline(self) -> str:
        """The measure that stands for the whole; with few images the one that is honest for few."""
        return HEADLINE if HEADLINE in self.measures else "kernel-distance"


def judge(reference: Reference, made: Part, names: tuple[str, ...] = ()) -> Iterator[str | Judgement]:
    """Take all measures (or those named); yields the name of each before it is taken, and the judgement last."""
    specs = tuple(spec for spec in reference.dataset.spec.conditions if spec.name in made.conditions)
    whole = reference.space.is_whole
    sides = Sides(reference.train, made, reference.held, specs, whole=whole)
    anchors = reference.anchors
    alike = max(FEWEST_ALIKE, min([len(made), *(len(part) for part in anchors.values())]))
    beside = {
        name: Sides(reference.train, part.some(MOST_ANCHORS), reference.held, specs, True)
        for name, part in anchors.items()
    }
    few, few_beside = (
        _some(sides, alike), {name: _some(anchor, alike) for name, anchor in beside.items()}
    )  # fmt: skip
    measures: dict[str, Measure] = {}
    unmeasured: dict[str, str] = {}
    for name, metric in all_metrics().items():
        if names and name not in names:
            continue
        yield name
        try:
            estimate = metric(few if metric.counts else sides)
        except Unmeasured as reason:
            unmeasured[name] = reason.what
            continue
        others = few_beside if metric.counts else beside
        values = {anchor: _value(metric, other) for anchor, other in others.items()}
        known = {anchor: value for anchor, value in values.items() if value is not None}
        measures[name] = Measure(name, metric.title, metric.says, metric.better, estimate, known)
    yield Judgement(measures, unmeasured, by_label(reference.train, made, specs))


def _some(sides: Sides, count: int) -> Sides:
    """With at most so many made images; the same sides, with all that is known of them, where there are no more."""
    return sides if len(sides.made) <= count else replace(sides, made=sides.made.some(count), memo={})


def _value(metric: Metric, sides: Sides) -> float | None:
    if not metric.anchors:
        return None
    try:
        return metric(sides).value
    except Unmeasured:
        return None


def by_label(real: Part, made: Part, specs: tuple[ConditionSpec, ...]) -> dict[str, Estimate]:
    """The kernel distance of each label's images, for labels with at least 40 on each side."""
    found: dict[str, Estimate] = {}
    for spec in specs:
        if spec.kind != "label":
            continue
        own, other = made.conditions[spec.name].reshape(-1), real.conditions[spec.name].reshape(-1)
        counts = {label: int((own == label).sum()) for label in range(len(spec.classes))}
        for label in sorted(counts, key=lambda label: -counts[label])[:LABELS]:
            one, two = np.flatnonzero(other == label), np.flatnonzero(own == label)
            if min(len(one), len(two)) >= 40:
                found[spec.classes[label]] = kernel_distance(Sides(real.take(one), made.take(two)))
        break
    return found


GRADES = (
    (0.05, "very good", "as a whole hardly to be told from real images"),
    (0.25, "good", "near the real images, with a difference that can be measured"),
    (0.8, "fair", "plainly related to the real images and plainly different"),
    (2.5, "weak", "some of what makes the real images is there"),
    (np.inf, "poor", "little of what makes the real images is there"),
)
"""Grades by the distance beyond held-out images, in units of what blurring or a tenth of noise does to real ones."""
UNIT = ("blurred", "noised")


@dataclass(frozen=True)
class Grade:
    """The judgement in words."""

    word: str
    sentence: str
    reasons: tuple[str, ...]


def grade(judgement: Judgement) -> Grade:
    """The distance beside what blur and noise do to real images, in words; then what stands out."""
    measures = judgement.measures
    headline = measures.get(judgement.headline)
    reasons = list(_reasons(judgement))
    if headline is None:
        return Grade("not graded", "there are too few images for an honest grade", tuple(reasons))
    floor = max(0.0, headline.anchors.get(FLOOR, 0.0))
    spoilt = [headline.anchors[name] for name in UNIT if name in headline.anchors]
    unit = sum(spoilt) / len(spoilt) - floor if spoilt else 0.0
    if unit <= 0:
        return Grade("not graded", "there is nothing to compare the distance with", tuple(reasons))
    place = max(0.0, headline.estimate.value - floor) / unit
    word, sentence = next((word, sentence) for limit, word, sentence in GRADES if place <= limit)
    times = f"{place:.2f}" if place < 0.995 else f"{place:.1f}"
    return Grade(
        word, f"{sentence}: {times} times as far from them as blurred or noised real images are", tuple(reasons)
    )


def _reasons(judgement: Judgement) -> Iterator[str]:
    measures = judgement.measures

    def get(name: str) -> Estimate | None:
        return measures[name].estimate if name in measures else None

    def beside(name: str) -> float | None:
        return measures[name].anchors.get(FLOOR) if name in measures else None

    sharp, cover, exact = get("sharpness"), get("coverage"), get("precision")
    if sharp and sharp.high < 0.92:
        yield f"softer than the real images: sharpness {sharp.value:.2f} of theirs"
    if sharp and sharp.low > 1.08:
        yield f"harder or noisier than the real images: sharpness {sharp.value:.2f} of theirs"
    if cover and (real := beside("coverage")) and cover.high < 0.85 * real:
        yield f"less varied: {cover.value:.0%} of the real images have a made one near (real images: {real:.0%})"
    if exact and (real := beside("precision")) and exact.high < 0.85 * real:
        yield f"{1 - exact.value:.0%} of the made images lie where no real image does (real images: {1 - real:.0%})"
    if (grid := get("checkerboard")) and grid.low > 0.5:
        yield f"a fine grid shows: {grid.value:.1f} doublings more than in real images"
    if (bright := get("brightness")) and (bright.high < 0.93 or bright.low > 1.07):
        word = "darker" if bright.value < 1 else "brighter"
        yield f"{word} than the real images: {bright.value:.2f} of their brightness"
    if (vivid := get("saturation")) and (vivid.high < 0.9 or vivid.low > 1.1):
        word = "paler" if vivid.value < 1 else "more colourful"
        yield f"{word} than the real images: {vivid.value:.2f} of their colour"
    if (agree := get("label-agreement")) and (real := beside("label-agreement")) and agree.high < 0.8 * real:
        yield f"{agree.value:.0%} look like the label asked for (real images: {real:.0%})"


def realism(train: Part, made: Part) -> NDArray[np.float64]:
    """How surely each made image lies among real ones: the largest ratio of a real image's reach to its distance."""
    from maquette.features.neighbours import nearest, squared_distances

    real = train.some(5_000).rows
    reach = nearest(real, real, 5, not_itself=True)[0]
    radius = reach[:, -1]
    kept = radius <= np.median(radius)  # outliers' large balls would make everything look real
    scores = []
    for start in range(0, len(made), 1024):
        apart = np.sqrt(np.maximum(squared_distances(made.rows[start : start + 1024], real[kept]), 1e-12))
        scores.append((radius[kept] / apart).max(1))
    return np.concatenate(scores) if scores else np.zeros(0)
