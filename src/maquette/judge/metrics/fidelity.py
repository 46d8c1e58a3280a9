"""How far the made images are from the real ones as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.features.neighbours import nearest
from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife
from maquette.judge.metric import Part, Rows, Sides, Unmeasured, metric

FEWEST = 200
"""Images on each side below which a Frechet distance says more about their number than about them."""
KERNEL_LIMIT = 5_000
NEIGHBOUR_LIMIT = 2_500


def frechet(mean: Rows, covariance: Rows, other_mean: Rows, other_covariance: Rows) -> float:
    """Frechet distance (squared) of two normal distributions; symmetric square roots, so nothing turns complex."""
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    between = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    apart = float(((mean - other_mean) ** 2).sum())
    return float(apart + np.trace(covariance) + np.trace(other_covariance) - 2 * between)


class _Moments:
    """Mean and covariance of all rows but one group's; memory holds one matrix, however wide the rows are."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self.centre = rows.mean(0)  # far from it, squares would lose the digits that matter
        self.rows, self.groups = rows - self.centre, groups_of(len(rows), seed)
        self.squares = self.rows.T @ self.rows

    def without(self, group: int | None) -> tuple[Rows, Rows]:
        """Mean and covariance without this group, or of all."""
        out = self.rows[self.groups == group] if group is not None else self.rows[:0]
        count = len(self.rows) - len(out)
        mean = (self.rows.sum(0) - out.sum(0)) / count
        return self.centre + mean, (self.squares - out.T @ out - count * np.outer(mean, mean)) / (count - 1)


@metric(title="distance", better="lower")
def distance(sides: Sides) -> Estimate:
    """How far the made images are from the real ones as a whole: 0 is the same, and what their number adds is taken
    off (Frechet distance in the space of likeness, its bias extrapolated)."""
    sides.need(max(FEWEST, 3 * sides.real.rows.shape[1]))
    whole, without = distances(sides.real.rows, sides.made.rows)
    return jackknife(whole, without, bias=True)


def distances(real: Rows, made: Rows) -> tuple[float, Rows]:
    """The Frechet distance of everything, and without each group of images."""
    one, two = _Moments(real, 1), _Moments(made, 2)
    values = [frechet(*one.without(group), *two.without(group)) for group in (None, *range(GROUPS))]
    return values[0], np.array(values[1:])


@metric(title="published distance", better="lower", anchors=False)
def published_distance(sides: Sides) -> Estimate:
    """The Frechet distance as it is usually published (FID, where the network is Inception): what the number of images
    adds is in it, so that it compares with figures for as many images only."""
    if not sides.whole:
        raise Unmeasured("it is taken in a network's own numbers only (--features inception=FILE)")
    sides.need(FEWEST)
    return jackknife(*distances(sides.real.rows, sides.made.rows)).within(0, np.inf)


def kernel(one: Rows, other: Rows) -> Rows:
    """The cubic kernel that kernel distances are reported with."""
    base = one @ other.T
    base /= one.shape[1]
    base += 1
    return np.asarray(base * base * base)  # ** 3 is worked out by logarithms, which takes longer than all the rest


def kernel_distance_of(real: Rows, made: Rows) -> float:
    """Squared maximum mean discrepancy, unbiased (KID)."""
    first, second = len(real), len(made)
    within = kernel(real, real)
    among = kernel(made, made)
    one = (within.sum() - np.trace(within)) / (first * (first - 1))
    two = (among.sum() - np.trace(among)) / (second * (second - 1))
    return float(one + two - 2 * kernel(real, made).mean())


@metric(title="kernel distance", better="lower")
def kernel_distance(sides: Sides) -> Estimate:
    """The same question asked by pairs of images, which stays honest for few of them (unbiased kernel distance, KID,
    of at most 5,000 images)."""
    sides.need(GROUPS)
    return jackknife(*kernel_distances(sides.real, sides.made))


@dataclass(frozen=True)
class _Within:
    """Sums of the kernel among images of one side, by pair of groups, and what images add with themselves."""

    groups: NDArray[np.int64]
    sums: Rows
    own: Rows
    counts: NDArray[np.int64]


def _within(part: Part, seed: int) -> _Within:
    def work() -> _Within:
        rows, groups = part.some(KERNEL_LIMIT).rows, groups_of(min(KERNEL_LIMIT, len(part)), seed)
        own = np.bincount(groups, ((rows**2).sum(1) / rows.shape[1] + 1) ** 3, GROUPS)
        counts = np.bincount(groups, minlength=GROUPS)
        return _Within(groups, _sums(rows, rows, groups, groups), own.astype(np.float64), counts)

    return part.once(f"kernel within, groups {seed}", work)


def kernel_distances(real: Part, made: Part) -> tuple[float, Rows]:
    """The unbiased kernel distance of everything (of at most 5,000 images a side), and without each group of images."""
    one, two = _within(real, 1), _within(made, 2)
    between = _sums(real.some(KERNEL_LIMIT).rows, made.some(KERNEL_LIMIT).rows, one.groups, two.groups)

    def mean_within(side: _Within, keep: NDArray[np.bool_]) -> float:
        count = side.counts[keep].sum()
        return float((side.sums[np.ix_(keep, keep)].sum() - side.own[keep].sum()) / (count * (count - 1)))

    def value(keep: NDArray[np.bool_]) -> float:
        pairs = one.counts[keep].sum() * two.counts[keep].sum()
        return mean_within(one, keep) + mean_within(two, keep) - 2 * float(between[np.ix_(keep, keep)].sum() / pairs)

    without = np.array([value(np.arange(GROUPS) != group) for group in range(GROUPS)])
    return value(np.ones(GROUPS, bool)), without


def _sums(one: Rows, other: Rows, groups: NDArray[np.int64], others: NDArray[np.int64]) -> Rows:
    """Sums of the kernel by pair of groups."""
    columns = np.eye(GROUPS)[others]
    sums = np.zeros((GROUPS, GROUPS))
    for start in range(0, len(one), 1024):
        block = kernel(one[start : start + 1024], other) @ columns
        np.add.at(sums, groups[start : start + 1024], block)
    return sums


@metric(title="told apart", better="like real")
def told_apart(sides: Sides) -> Estimate:
    """How often the nearest other image tells whether an image is real or made: .5 is guessing, 1 is always (a
    one-nearest-neighbour test on equal numbers of both)."""
    sides.need(50)
    count = min(len(sides.real), len(sides.made), NEIGHBOUR_LIMIT)
    both = np.concatenate([sides.real.some(count).rows, sides.made.some(count).rows])
    is_made = np.arange(2 * count) >= count
    _, indices = nearest(both, both, not_itself=True)
    right = (is_made[indices[:, 0]] == is_made).astype(np.float64)
    if not np.isfinite(right).all():
        raise Unmeasured("the images have no place in the space of likeness")
    groups = np.concatenate([groups_of(count, 1), groups_of(count, 2)])
    without = np.array([right[groups != group].mean() for group in range(GROUPS)])
    return jackknife(float(right.mean()), without).within(0, 1)
