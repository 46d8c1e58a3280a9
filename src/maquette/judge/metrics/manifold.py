"""Whether made images lie among the real ones, and whether they reach all of them.

Precision and recall: Kynkaanniemi and others, 2019; density and coverage: Naeem and others, 2020. An image's ball
reaches to its fifth neighbour of its own kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.features.neighbours import nearest, squared_distances
from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife
from maquette.judge.metric import Part, Rows, Sides, metric

NEIGHBOURS = 5
LIMIT = 5_000


@dataclass(frozen=True)
class Manifold:
    """Who lies in whose ball, summed by groups, so that any group can be left out."""

    real_groups: NDArray[np.int64]
    made_groups: NDArray[np.int64]
    in_real: Rows
    """Made x groups: in how many balls of real images of that group it lies."""
    in_made: Rows
    """Real x groups: in how many balls of made images of that group it lies."""
    reached: Rows
    """Real x groups: how many made images of that group lie in its ball."""


def manifold(sides: Sides) -> Manifold:
    """Worked out once for all four measures."""
    if "manifold" not in sides.memo:
        sides.need(4 * NEIGHBOURS)
        sides.memo["manifold"] = _manifold(sides.real, sides.made)
    found: Manifold = sides.memo["manifold"]
    return found


def _reach(part: Part) -> Rows:
    """The radius of each image's ball, squared; of the real images it is needed beside every anchor."""

    def reach() -> Rows:
        rows = part.some(LIMIT).rows
        return np.asarray(nearest(rows, rows, NEIGHBOURS, not_itself=True)[0][:, -1] ** 2)

    return part.once("reach", reach)


def _manifold(of_real: Part, of_made: Part) -> Manifold:
    real, made, real_reach, made_reach = (
        of_real.some(LIMIT).rows,
        of_made.some(LIMIT).rows,
        _reach(of_real),
        _reach(of_made),
    )
    one, two = groups_of(len(real), 1), groups_of(len(made), 2)
    counts = [np.zeros((len(part), GROUPS)) for part in (made, real, real)]
    in_real, in_made, reached = counts
    by_real, by_made = (np.eye(GROUPS, dtype=np.float32)[groups] for groups in (one, two))  # counts stay exact
    for start in range(0, len(made), 1024):
        stop = start + 1024
        apart = squared_distances(made[start:stop], real)  # made x real
        in_ball = (apart <= real_reach[None, :]).astype(np.float32)
        in_real[start:stop] = in_ball @ by_real
        reached += in_ball.T @ by_made[start:stop]
        in_made += (apart <= made_reach[start:stop, None]).astype(np.float32).T @ by_made[start:stop]
    return Manifold(one, two, in_real, in_made, reached)


def _share(counts: Rows, own: NDArray[np.int64]) -> Estimate:
    """The share of rows with anything in any group, and without each group on both sides."""
    total = counts.sum(1)
    without = [float((total - counts[:, g] > 0.5)[own != g].mean()) for g in range(GROUPS)]
    return jackknife(float((total > 0.5).mean()), np.array(without)).within(0, 1)


@metric(title="precision", better="higher")
def precision(sides: Sides) -> Estimate:
    """Which share of the made images could be real: they lie among real ones."""
    found = manifold(sides)
    return _share(found.in_real, found.made_groups)


@metric(title="recall", better="higher", counts=True)
def recall(sides: Sides) -> Estimate:
    """Which share of the real images could have been made: they lie among made ones."""
    found = manifold(sides)
    return _share(found.in_made, found.real_groups)


@metric(title="density", better="higher")
def density(sides: Sides) -> Estimate:
    """In how many real images' neighbourhoods a made one lies, of the number that a real one would: about 1 is like
    real, less is off the mark, more is playing safe."""
    found = manifold(sides)
    total = found.in_real.sum(1)
    share = np.array([
        (total - found.in_real[:, g])[found.made_groups != g].mean()
        * len(found.real_groups) / (found.real_groups != g).sum()
        for g in range(GROUPS)
    ])  # fmt: skip
    return jackknife(float(total.mean()) / NEIGHBOURS, share / NEIGHBOURS).within(0, np.inf)


@metric(title="coverage", better="higher", counts=True)
def coverage(sides: Sides) -> Estimate:
    """Which share of the real images has a made one in its neighbourhood: how much of the variety is there."""
    found = manifold(sides)
    return _share(found.reached, found.real_groups)
