"""Which kinds of real images are missing from the made ones, and which there are too many of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.features.neighbours import squared_distances
from maquette.judge.metric import Rows

ROUNDS = 12
SURE = 3.0
"""Standard errors beyond which a difference of shares is not chance, with some forty clusters looked at."""


@dataclass(frozen=True)
class Cluster:
    """Images that are alike: their share among real and made images, and which they are."""

    real_share: float
    made_share: float
    real: NDArray[np.int64]
    """Indices of its real images, the most typical first."""
    made: NDArray[np.int64]
    surprise: float
    """The difference of shares in standard errors; below zero too few are made."""

    @property
    def is_missing(self) -> bool:
        """Less than half of what should be there, and not by chance."""
        return self.surprise < -SURE and self.made_share < 0.5 * self.real_share

    @property
    def is_overdone(self) -> bool:
        """More than twice of what should be there, and not by chance."""
        return self.surprise > SURE and self.made_share > 2 * self.real_share


def clusters(real: Rows, made: Rows, count: int | None = None) -> list[Cluster]:
    """Real images sorted into some dozens of kinds (k-means), and the made ones beside them; most missing first."""
    count = count or int(min(48, max(4, math.sqrt(len(real)) / 2)))
    centres = _centres(real, count)
    of_real, of_made = (squared_distances(rows, centres).argmin(1) for rows in (real, made))
    found = []
    for cluster in range(len(centres)):
        mine, others = np.flatnonzero(of_real == cluster), np.flatnonzero(of_made == cluster)
        if not len(mine):
            continue
        p, q = len(mine) / len(real), len(others) / len(made)
        pooled = (len(mine) + len(others)) / (len(real) + len(made))
        error = math.sqrt(pooled * (1 - pooled) * (1 / len(real) + 1 / len(made))) or 1.0
        order = ((real[mine] - centres[cluster]) ** 2).sum(1).argsort()
        other_order = ((made[others] - centres[cluster]) ** 2).sum(1).argsort()
        found.append(Cluster(p, q, mine[order], others[other_order], (q - p) / error))
    return sorted(found, key=lambda cluster: cluster.surprise)


def _centres(rows: Rows, count: int) -> Rows:
    """k-means from centres that are far apart (k-means++), always the same."""
    generator = np.random.default_rng(0)
    sample = rows[generator.permutation(len(rows))[:5000]]
    centres = sample[:1]
    while len(centres) < min(count, len(sample)):
        apart = squared_distances(sample, centres).min(1)
        if apart.sum() <= 0:
            break
        centres = np.concatenate([centres, sample[[generator.choice(len(sample), p=apart / apart.sum())]]])
    for _ in range(ROUNDS):
        nearest = squared_distances(sample, centres).argmin(1)
        centres = np.stack([
            sample[nearest == c].mean(0) if (nearest == c).any() else centres[c] for c in range(len(centres))
        ])  # fmt: skip
    return centres


def layout(rows: Rows, *, neighbours: float = 30.0, rounds: int = 350) -> NDArray[np.float64]:
    """Images placed on a plane so that those that are alike lie together (t-SNE, exact), N x 2 within [0, 1].

    Van der Maaten and Hinton, 2008. For at most some 1,500 images; always the same for the same rows.
    """
    count = len(rows)
    neighbours = min(neighbours, max(2.0, (count - 1) / 3))
    likeness = _affinities(squared_distances(rows, rows), neighbours)
    centred = rows - rows.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    place = (centred @ directions[:2].T).astype(np.float32)
    place = place / max(float(place.std()), 1e-9) * 1e-2
    if place.shape[1] < 2:
        place = np.concatenate([place, np.zeros_like(place)], axis=1)
    speed, gain = np.zeros_like(place), np.ones_like(place)
    rate = max(count / 12, 50.0)
    for step in range(rounds):
        weight = 1 / (1 + squared_distances(place, place))
        np.fill_diagonal(weight, 0)
        pull = (12.0 if step < rounds // 4 else 1.0) * likeness
        force = (pull - weight / weight.sum()) * weight
        slope = 4 * (force.sum(1)[:, None] * place - force @ place)
        gain = np.maximum(np.where(np.sign(slope) != np.sign(speed), gain + 0.2, gain * 0.8), 0.01)
        speed = (0.5 if step < rounds // 4 else 0.8) * speed - rate * gain * slope
        place = place + speed
        place = place - place.mean(0)
    low, high = place.min(0), place.max(0)
    return np.asarray((place - low) / np.maximum(high - low, 1e-9), np.float64)


def _affinities(apart: Rows, neighbours: float) -> NDArray[np.float32]:
    """Symmetric probabilities; every image's reach is such that it has about that many neighbours."""
    count = len(apart)
    apart = apart - np.where(np.eye(count, dtype=bool), np.inf, apart).min(1, keepdims=True)
    low, high = np.full(count, -20.0), np.full(count, 20.0)
    for _ in range(40):
        middle = (low + high) / 2
        rows = np.exp(np.clip(-apart * np.exp(middle)[:, None], -700, 0))
        np.fill_diagonal(rows, 0)
        total = np.maximum(rows.sum(1), 1e-300)
        rows /= total[:, None]
        entropy = -(rows * np.log(np.maximum(rows, 1e-300))).sum(1)
        wide = entropy > np.log(neighbours)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    joint = (rows + rows.T) / (2 * count)
    return np.asarray(np.maximum(joint, 1e-12), np.float32)
