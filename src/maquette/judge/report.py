"""The judgement as a page: a grade in words, pictures before numbers, and every number beside what it compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image, Mode, convert, mode_of
from maquette.core.page import Page, Picture, Section, Tone
from maquette.core.plot import Line, lines
from maquette.features.extractor import Pictures
from maquette.judge.clusters import Cluster, clusters, layout
from maquette.judge.copies import RARE
from maquette.judge.evidence import Reference
from maquette.judge.interval import Estimate
from maquette.judge.judgement import Grade, Judgement, Measure, realism
from maquette.judge.metric import Part
from maquette.judge.originality import Originality

TONES: dict[str, Tone] = {"very good": "good", "good": "good", "fair": "fair", "weak": "poor", "poor": "poor"}
SHOWN = 14
FEW = 10
PAIR = 190
"""Width of a pair on the page."""
MAP = 404
"""Width of a map on the page: two stand side by side."""
MAPPED = 500
"""Images of each kind on the map."""


@dataclass(frozen=True)
class Found:
    """Everything that was found out about one set of made images."""

    title: str
    reference: Reference
    pictures: Pictures
    made: Part
    judgement: Judgement
    grade: Grade
    originality: Originality
    facts: dict[str, str] = field(default_factory=dict)
    """What the judgement rests on: counts, digests, settings."""
    curve: Sequence[dict[str, Any]] = ()
    """Judgements while training: images, value, low, high."""
    names: Sequence[str] = ()
    """A name for every picture: its seed or file."""


def page(found: Found) -> Page:
    """The whole report."""
    spec = found.reference.dataset.spec
    lead = (
        f"{len(found.made):,} images of {spec.width}x{spec.height} {spec.mode}, against {found.reference.dataset.name}"
    )
    report = Page(found.title, lead=lead)
    report.verdict(
        found.grade.word.capitalize(), [found.grade.sentence, *found.grade.reasons],
        tone=TONES.get(found.grade.word, "info"),
    )  # fmt: skip
    _look(report.section("Look first"), found)
    _copied(report, found)
    kinds = clusters(found.reference.train.rows, found.made.rows)
    _missing(report, found, kinds)
    _map(report.section("The map"), found)
    _numbers(report.section("The numbers"), found)
    if found.curve:
        _curve(report.section("While it learned"), found.curve)
    _labels(report, found)
    _basis(report.section("What this rests on"), found)
    return report


def _look(section: Section, found: Found) -> None:
    scores = realism(found.reference.train, found.made)
    order = np.argsort(-scores, kind="stable")
    middle = len(order) // 2 - SHOWN // 2
    real = found.reference.held_indices if found.reference.held is not None else found.reference.train_indices
    beside = real[np.linspace(0, len(real) - 1, min(SHOWN, len(real))).astype(int)]
    name = "held-out" if found.reference.held is not None else "training"
    section.text(f"Real images first ({name} ones); then made ones, sorted by how surely they lie among real images.")
    section.pictures([Picture(image) for image in found.reference.dataset.images(beside)], title="Real")
    for title, rows in (
        ("Typical", order[max(0, middle) : middle + SHOWN]), ("Best", order[:SHOWN]), ("Worst", order[::-1][:SHOWN]),
    ):  # fmt: skip
        section.pictures([Picture(_at(found, row), _name(found, row)) for row in rows], title=title)


def _at(found: Found, row: int) -> Image:
    return np.asarray(found.pictures[int(row) : int(row) + 1][0])


def _name(found: Found, row: int) -> str:
    return str(found.names[int(row)]) if len(found.names) else str(int(row))


def _copied(report: Page, found: Found) -> None:
    original = found.originality
    copies = original.copies
    if copies is None or original.train is None or original.held is None:
        report.section("Copies").text(f"Nothing can be said about copies: {original.why_not}.")
        return
    section = report.section("Copies", tone="good" if original.passes else "poor", count=int(copies.flagged.sum()))
    section.text(
        f"{int(copies.flagged.sum()):,} of {len(copies.flagged):,} made images "
        f"({_percent(copies.share)}) are more like one training image than {1 - RARE:.1%} of real new images are, "
        f"wherever the image is moved to, mirrored or recoloured. Of held-out real images it is {copies.expected:.1%}.",
        "This compares structure. It finds images that are too like one training image; it cannot prove that the "
        "others are new, and it does not see copies that were turned, zoomed or put together from several images.",
    )
    order = np.argsort(-copies.nearest.likeness, kind="stable")[:SHOWN]
    pairs: list[Picture] = []
    for row in order:
        real = found.reference.dataset.images(np.array([original.train[copies.nearest.index[row]]]))[0]
        mirrored = ", mirrored" if copies.nearest.mirrored[row] else ""
        said = f"{_name(found, row)}: likeness {copies.nearest.likeness[row]:.2f}{mirrored}"
        pairs.append(Picture(_beside(_at(found, row), real), said, "poor" if copies.flagged[row] else ""))
    title = "The most like a training image: on the left what was made, on the right that image"
    section.pictures(pairs, title=title, side=PAIR)
    order = np.argsort(-copies.held.likeness, kind="stable")[: SHOWN // 2]
    if len(order):
        pairs = []
        for row in order:
            both = np.array([original.held[row], original.train[copies.held.index[row]]])
            images = found.reference.dataset.images(both)
            pairs.append(Picture(_beside(images[0], images[1]), f"likeness {copies.held.likeness[row]:.2f}"))
        section.more("For comparison: held-out images and the training images nearest to them", _pairs(pairs))
    if original.duplicates is not None:
        section.text(f"Made images with a twin among the made images: {_percent(original.duplicates)}.")
    if original.membership is not None:
        section.text(
            "Somebody who has the made images and guesses which of two images was trained on is right in "
            f"{_percent(original.membership)} of cases (50 % is guessing). A simple attack that fails does not show "
            "that every attack fails."
        )


def _pairs(pairs: Sequence[Picture]) -> Section:
    from maquette.core.page import part

    return part().pictures(pairs, side=PAIR)


def _beside(one: Image, other: Image) -> Image:
    """Two images of the same size as one, with a little between them, so that no line's end parts them."""
    modes = mode_of(one), mode_of(other)
    mode: Mode = modes[0] if modes[0] == modes[1] else "rgb"
    one, other = convert(one, mode), convert(other, mode)
    gap = np.full((one.shape[0], max(1, one.shape[1] // 24), one.shape[2]), np.iinfo(one.dtype).max, one.dtype)
    return np.concatenate([one, gap, other], axis=1)


def _missing(report: Page, found: Found, kinds: Sequence[Cluster]) -> None:
    missing = [kind for kind in kinds if kind.is_missing]
    overdone = [kind for kind in reversed(kinds) if kind.is_overdone]
    section = report.section("Missing and overdone", tone="fair" if missing or overdone else "good", count=len(missing))
    if not missing and not overdone:
        section.text(f"Of {len(kinds)} kinds of real images none is missing, and none is made too often.")
        return
    section.text(f"Real images sorted into {len(kinds)} kinds by likeness, and how often each kind was made.")
    for kind in missing[:5]:
        images = found.reference.dataset.images(found.reference.train_indices[kind.real[:FEW]])
        title = f"Too rare: {kind.made_share:.1%} of the made images, {kind.real_share:.1%} of the real ones (shown)"
        section.pictures([Picture(image) for image in images], title=title, side=64)
    for kind in overdone[:5]:
        title = f"Too often: {kind.made_share:.1%} of the made images (shown), {kind.real_share:.1%} of the real ones"
        section.pictures([Picture(_at(found, row)) for row in kind.made[:FEW]], title=title, side=64)


def _map(section: Section, found: Found) -> None:
    real, made = found.reference.train, found.made
    count = min(MAPPED, len(real), len(made))
    chosen, drawn = (np.linspace(0, len(part) - 1, count).astype(int) for part in (real, made))
    places = layout(np.concatenate([real.rows[chosen], made.rows[drawn]]))
    section.text(
        f"{count} real (left) and {count} made images (right) on one map: images that are alike lie together. A region "
        "that is full on the left and empty on the right is not made."
    )
    left = found.reference.dataset.images(found.reference.train_indices[chosen])
    right = np.stack([_at(found, row) for row in drawn])
    section.pictures(
        [Picture(_scatter(left, places[:count]), "real"), Picture(_scatter(right, places[count:]), "made")], side=MAP
    )


def _scatter(images: NDArray[Any], places: NDArray[np.float64], side: int = 920, tile: int = 26) -> Image:
    """Small images at their places; where several would overlap, the first one stays."""
    import cv2

    ground = np.full((side, side, 3), 236, np.uint8)
    taken = np.zeros((side // tile + 1, side // tile + 1), bool)
    for image, (x, y) in zip(images, places, strict=True):
        cell = int(y * (side - tile)) // tile, int(x * (side - tile)) // tile
        if taken[cell]:
            continue
        taken[cell] = True
        small = cv2.resize(convert(image, "rgb"), (tile, tile), interpolation=cv2.INTER_AREA)
        ground[cell[0] * tile : (cell[0] + 1) * tile, cell[1] * tile : (cell[1] + 1) * tile] = small
    return ground


def _numbers(section: Section, found: Found) -> None:
    anchors = ["held-out", "blurred", "noised", "noise"]
    columns = ["measure", "made images", "90 % interval", "held-out real", "blurred real", "noised real", "noise"]
    rows = [
        [
            measure.title, number(measure.estimate.value), interval(measure.estimate),
            *(number(measure.anchors[a]) if a in measure.anchors else "" for a in anchors),
        ]
        for measure in _sorted(found.judgement)
    ]  # fmt: skip
    section.table(columns, rows)
    section.points(f"{measure.title}: {measure.says} {_good(measure)}" for measure in _sorted(found.judgement))
    if found.judgement.unmeasured:
        reasons: dict[str, list[str]] = {}
        for name, reason in found.judgement.unmeasured.items():
            reasons.setdefault(reason, []).append(name.replace("-", " "))
        section.note(
            "Not measured: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items()) + "."
        )


def _sorted(judgement: Judgement) -> list[Measure]:
    first = [
        "distance",
        "published-distance",
        "kernel-distance",
        "precision",
        "density",
        "coverage",
        "recall",
        "variety",
        "spread",
    ]
    place = {name: index for index, name in enumerate(first)}
    return sorted(judgement.measures.values(), key=lambda measure: place.get(measure.name, len(first)))


def _good(measure: Measure) -> str:
    return {"lower": "Lower is better.", "higher": "Higher is better.", "like real": "Best where real images are."}[
        measure.better
    ]


def _curve(section: Section, curve: Sequence[dict[str, Any]]) -> None:
    line = Line(
        x=[float(point["images"]) for point in curve], y=[float(point["value"]) for point in curve],
        low=[float(point["low"]) for point in curve], high=[float(point["high"]) for point in curve],
    )  # fmt: skip
    section.text("The kernel distance to held-out images as training went on, with its 90 % interval; lower is better.")
    section.plot(lines({"kernel distance": line}, across_label="images seen", from_zero=True))


def _labels(report: Page, found: Found) -> None:
    if not found.judgement.labels:
        return
    worst_first = sorted(found.judgement.labels.items(), key=lambda item: -item[1].value)
    section = report.section("Label by label")
    section.text("The kernel distance of each label's images to the real ones of that label; the worst first.")
    section.table(["label", "kernel distance", "90 % interval"], [
        [label, number(estimate.value), interval(estimate)] for label, estimate in worst_first
    ])  # fmt: skip


def _basis(section: Section, found: Found) -> None:
    section.table(["what", "which"], [[name, value] for name, value in found.facts.items()])
    section.text(
        "Intervals hold the truth nine times in ten; they come from leaving out one twentieth of the images at a time. "
        "Measures of likeness depend on the features they are taken in: compare only figures with the same digests.",
        soft=True,
    )


def number(value: float) -> str:
    """A figure in as few digits as say enough."""
    if not np.isfinite(value):
        return ""
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def interval(estimate: Estimate) -> str:
    """The interval of an estimate."""
    return f"{number(estimate.low)} to {number(estimate.high)}" if np.isfinite(estimate.error) else ""


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%} to {estimate.high:.1%}]"
