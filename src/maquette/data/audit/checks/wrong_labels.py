"""Labels that the images themselves contradict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.check import Finding, check
from maquette.data.audit.surveyed import Survey

_FOLDS = 5
_FEWEST = 8
"""Images of a label below which nothing can be said about it."""
_NEIGHBOURS = 3


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where doubt begins."""

    margin: float = setting(
        0.5, "doubtful: another label is likelier by this much (0 to 1) than the one that is given", ge=0, le=1
    )
    trust: float = setting(
        0.6, "nothing is said unless labels can be told from the images: the least share that is predicted right",
        ge=0, le=1,
    )  # fmt: skip


@check(
    Settings,
    title="Probably wrong labels",
    severity="doubtful",
    needs=("features",),
    effect="A wrong label teaches two things wrongly: what its label looks like, and what the true one does not.",
    advice="Look at each beside its neighbours; correct it with maquette label.",
)
def wrong_labels(survey: Survey, settings: Settings) -> Finding:
    """By a classifier that has not seen the image (five folds), in a space of textures and layout.

    As in confident learning (Northcutt and others, 2021), each label has its own bar: how sure the classifier usually
    is of it.
    """
    labels = [condition for condition in survey.data.spec.conditions if condition.kind == "label"]
    if not labels:
        return Finding(skipped="there are no labels")
    given = survey.condition(labels[0].name).astype(np.int64)
    classes = labels[0].classes
    counts = np.bincount(given[given >= 0], minlength=len(classes))
    usable = np.flatnonzero((given >= 0) & (counts[np.maximum(given, 0)] >= _FEWEST))
    if len(usable) < 50 or len(np.unique(given[usable])) < 2:
        return Finding(skipped="there are too few images with labels")
    rows = survey.features[usable].astype(np.float64)
    names, target = np.unique(given[usable], return_inverse=True)
    chances = held_out_chances(rows, target, len(names))
    right = float((chances.argmax(1) == target).mean())
    text = f"labels are told from the images with {right:.0%} accuracy"
    if right < settings.trust:
        return Finding(skipped=f"{text}, too little to doubt any of them")
    own = chances[np.arange(len(target)), target]
    # How sure the classifier is of a label where it stands: the bar that another label must reach to be believed.
    bar = np.array([chances[target == k, k].mean() for k in range(len(names))])
    other = chances.copy()
    other[np.arange(len(target)), target] = 0
    best = other.argmax(1)
    sure = other[np.arange(len(target)), best]
    wrong = np.flatnonzero((sure >= bar[best]) & (sure - own >= settings.margin))
    wrong = wrong[np.argsort(own[wrong] - sure[wrong], kind="stable")]
    why = {
        int(usable[k]): f"{classes[names[target[k]]]}, looks like {classes[names[best[k]]]} ({sure[k]:.0%})"
        for k in wrong
    }
    beside = _neighbours(rows, wrong, target, best, usable)
    found = f"{len(wrong):,} labels look wrong ({text})" if len(wrong) else ""
    return Finding(items=usable[wrong], why=why, beside=beside, text=found)


def held_out_chances(rows: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """The chance of every label for every image, from regressions on the other four fifths: n x count.

    Ridge regression on random Fourier features of the rows: closed form, and curved enough for clusters.
    """
    rng = np.random.Generator(np.random.Philox(2))
    width = min(1024, max(64, len(rows) // 4))
    scale = np.sqrt(np.median(np.einsum("nk,nk->n", rows - rows.mean(0), rows - rows.mean(0)))) or 1.0
    waves = rng.standard_normal((rows.shape[1], width)) / (0.7 * scale)
    lifted = np.cos(rows @ waves + rng.uniform(0, 2 * np.pi, width)).astype(np.float32)
    lifted = np.concatenate([lifted, (rows / scale).astype(np.float32), np.ones((len(rows), 1), np.float32)], axis=1)
    wanted = np.zeros((len(rows), count), np.float32)
    wanted[np.arange(len(rows)), target] = 1
    fold = rng.permutation(len(rows)) % _FOLDS
    whole, aim = lifted.T @ lifted, lifted.T @ wanted
    scores = np.empty((len(rows), count))
    weight = 1e-2 * len(rows) / _FOLDS
    for k in range(_FOLDS):
        out = fold == k
        gram = whole - lifted[out].T @ lifted[out] + weight * np.eye(len(whole), dtype=np.float32)
        scores[out] = lifted[out] @ np.linalg.solve(gram, aim - lifted[out].T @ wanted[out])
    return _calibrated(scores, target)


def _calibrated(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Scores as chances: the steepness of the softmax that makes the given labels likeliest."""
    best, chosen = -np.inf, scores
    for steep in (2.0, 4.0, 6.0, 9.0, 13.0, 20.0):
        power = np.exp(steep * (scores - scores.max(1, keepdims=True)))
        chances = power / power.sum(1, keepdims=True)
        likely = float(np.log(np.maximum(chances[np.arange(len(target)), target], 1e-4)).mean())
        if likely > best:
            best, chosen = likely, chances
    return chosen


def _neighbours(
    rows: np.ndarray, wrong: np.ndarray, target: np.ndarray, best: np.ndarray, usable: np.ndarray
) -> dict[int, list[int]]:
    """For each doubtful image the nearest ones of the label that it looks like."""
    from maquette.features.neighbours import nearest

    found: dict[int, list[int]] = {}
    for label in np.unique(best[wrong]):
        asked = wrong[best[wrong] == label]
        known = np.flatnonzero(target == label)
        _, near = nearest(rows[asked], rows[known], _NEIGHBOURS)
        found |= {int(usable[k]): [int(usable[known[j]]) for j in row] for k, row in zip(asked, near, strict=True)}
    return found
