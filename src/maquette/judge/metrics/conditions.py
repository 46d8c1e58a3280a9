"""Whether images show what was asked for, seen by simple predictors that are fitted on the real images.

A predictor is not perfect on real images either: the figure beside it, of held-out images, is what can be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import ConditionSpec
from maquette.features.neighbours import nearest
from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife, resample
from maquette.judge.metric import Part, Rows, Sides, Unmeasured, metric

LEARN_FROM = 10_000
FEWEST = 50


def _spec(sides: Sides, kind: str) -> ConditionSpec:
    for spec in sides.specs:
        if spec.kind == kind and spec.name in sides.made.conditions and spec.name in sides.real.conditions:
            return spec
    raise Unmeasured(f"the images were not made from a {kind}")


def _known(part: Part, spec: ConditionSpec) -> Part:
    """Those images whose condition is known."""
    known = [spec.describe(value) is not None for value in part.conditions[spec.name]]
    return part.take(np.flatnonzero(np.asarray(known, bool)))


class Sorter:
    """Which label an image has: nearest mean, with the spread within labels taken into account."""

    def __init__(self, rows: Rows, labels: NDArray[np.int64]) -> None:
        self.labels = np.unique(labels)
        means = np.stack([rows[labels == label].mean(0) for label in self.labels])
        around = rows - means[np.searchsorted(self.labels, labels)]
        within = around.T @ around / max(1, len(rows) - len(self.labels))
        within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
        self.weights = np.linalg.solve(within, means.T)
        share = np.array([(labels == label).mean() for label in self.labels])
        self.offset = np.log(share) - 0.5 * (means * self.weights.T).sum(1)

    def __call__(self, rows: Rows) -> NDArray[np.int64]:
        """The most probable label of every row."""
        return np.asarray(self.labels[(rows @ self.weights + self.offset).argmax(1)])


@metric(title="label agreement", better="higher")
def label_agreement(sides: Sides) -> Estimate:
    """Which share of the images looks like the label that was asked for."""
    spec = _spec(sides, "label")
    real, made = _known(sides.real, spec).some(LEARN_FROM), _known(sides.made, spec)
    asked, known = made.conditions[spec.name].reshape(-1), real.conditions[spec.name].reshape(-1)
    if len(np.unique(known)) < 2 or min(len(made), len(real)) < FEWEST:
        raise Unmeasured("there are too few labelled images")

    def share(one: NDArray[np.int64], two: NDArray[np.int64]) -> float:
        return float((Sorter(real.rows[one], known[one])(made.rows[two]) == asked[two]).mean())

    return resample(share, len(real), len(made), value_only=sides.value_only).within(0, 1)


@metric(title="use for learning", better="higher", anchors=False)
def use_for_learning(sides: Sides) -> Estimate:
    """How well labels of held-out real images are recognised by what was learned from made images alone, as a share of
    what is recognised after learning from as many real ones."""
    spec = _spec(sides, "label")
    if sides.held is None:
        raise Unmeasured("the dataset holds no images out")
    made, held = _known(sides.made, spec), _known(sides.held, spec)
    real = _known(sides.real, spec).some(len(made))
    if len(held) < FEWEST or len(made) < FEWEST:
        raise Unmeasured("there are too few labelled images")
    labels = {id(part): part.conditions[spec.name].reshape(-1) for part in (made, real, held)}
    groups, of_held = groups_of(len(made), 1), groups_of(len(held), 2)
    of_real = groups_of(len(real), 3)

    def ratio(group: int) -> float:
        test = of_held != group
        scores = []
        for part, own in ((made, groups), (real, of_real)):
            sorter = Sorter(part.rows[own != group], labels[id(part)][own != group])
            scores.append(float((sorter(held.rows[test]) == labels[id(held)][test]).mean()))
        return scores[0] / max(scores[1], 1e-9)

    without = np.array([ratio(group) for group in range(GROUPS)])
    return jackknife(ratio(-1), without).within(0, np.inf)


@metric(title="number agreement", better="higher")
def number_agreement(sides: Sides) -> Estimate:
    """How closely the number that an image shows follows the number that was asked for (correlation with what is
    predicted from the image)."""
    spec = _spec(sides, "number")
    real, made = _known(sides.real, spec).some(LEARN_FROM), _known(sides.made, spec)
    asked, known = (part.conditions[spec.name].reshape(len(part)).astype(np.float64) for part in (made, real))
    if min(len(made), len(real)) < FEWEST or asked.std() < 1e-9 or known.std() < 1e-9:
        raise Unmeasured("there are too few different numbers")

    def correlation(one: NDArray[np.int64], two: NDArray[np.int64]) -> float:
        shown = _predict(real.rows[one], known[one], made.rows[two])
        return float(np.corrcoef(shown, asked[two])[0, 1]) if shown.std() > 1e-12 else 0.0

    return resample(correlation, len(real), len(made), value_only=sides.value_only).within(-1, 1)


def _predict(rows: Rows, values: NDArray[np.float64], other: Rows) -> NDArray[np.float64]:
    """Ridge regression with squares of the rows too."""
    x = _wide(rows)
    weights = np.linalg.solve(x.T @ x + 1e-2 * len(x) * np.eye(x.shape[1]), x.T @ values)
    return np.asarray(_wide(other) @ weights)


def _wide(rows: Rows) -> Rows:
    """A column of ones, the rows, and their squares."""
    return np.asarray(np.concatenate([np.ones((len(rows), 1)), rows, rows**2], axis=1))


@metric(title="text agreement", better="higher")
def text_agreement(sides: Sides) -> Estimate:
    """How like the text that was asked for the texts of the five most like real images are, of 1; texts are compared
    by their rarer words, and chance is taken off."""
    spec = _spec(sides, "text")
    real, made = _known(sides.real, spec).some(LEARN_FROM), _known(sides.made, spec)
    if min(len(made), len(real)) < FEWEST:
        raise Unmeasured("there are too few images with texts")
    asked, known = ([str(spec.describe(value)) for value in part.conditions[spec.name]] for part in (made, real))
    one, two = _words(known, asked)
    _, near = nearest(made.rows, real.rows, 5)
    shown = np.asarray((two[:, None] * one[near]).sum(2).max(1))
    chance = (two @ one.T).mean(1)
    values = (shown - chance) / np.maximum(1 - chance, 1e-9)
    groups = groups_of(len(made), 2)
    without = np.array([values[groups != g].mean() for g in range(GROUPS)])
    return jackknife(float(values.mean()), without)


def _split(text: str) -> list[str]:
    return text.lower().replace(",", " ").split()


def _words(known: Sequence[str], asked: Sequence[str]) -> tuple[Rows, Rows]:
    """Texts as unit vectors of words weighed by how rare they are among the known texts."""
    often = Counter(word for text in known for word in set(_split(text)))
    words = {word: place for place, (word, _) in enumerate(often.most_common(4000))}
    weight = np.array([np.log(1 + len(known) / often[word]) for word in words])

    def vectors(texts: Sequence[Any]) -> Rows:
        rows = np.zeros((len(texts), len(words)))
        for row, text in enumerate(texts):
            for word in _split(text):
                if word in words:
                    rows[row, words[word]] = 1.0
        rows *= weight
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, 1e-9))

    return vectors(known), vectors(asked)
