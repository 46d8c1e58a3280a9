"""How sure a number is: leaving out one group of images at a time.

The common bootstrap draws images with repetition. Repeated images are their own nearest neighbours, and they make a
Frechet distance larger, so its intervals lie beside the truth for just those measures that are used here. Leaving out
groups (the delete-a-group jackknife) repeats nothing, and it shows how a measure's bias falls with the number of
images, so that the bias can be taken off. `benchmarks/intervals.py` counts how often the intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError

GROUPS = 20
_QUANTILE = 1.7291
"""Of Student's distribution with 19 degrees of freedom, 95 %: both sides together leave out 10 %."""
Kept = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error, and the interval that holds the truth nine times in ten."""

    value: float
    error: float
    low: float
    high: float

    def within(self, lowest: float, highest: float) -> Estimate:
        """The same, cut to values that are possible."""
        value, low, high = (float(np.clip(number, lowest, highest)) for number in (self.value, self.low, self.high))
        return Estimate(value, self.error, low, high)


def groups_of(count: int, seed: int = 0) -> NDArray[np.int64]:
    """A group, 0 to 19, for each of `count` images; groups are as equal as can be and drawn at random."""
    return np.random.default_rng(seed).permutation(np.arange(count) % GROUPS)


def jackknife(whole: float, without: NDArray[np.float64], *, bias: bool = False) -> Estimate:
    """The estimate from the value of everything and the 20 values without one group each.

    With `bias`, what a measure's error in proportion to 1 / count adds is taken off.
    """
    mean = float(without.mean())
    error = math.sqrt((GROUPS - 1) / GROUPS * float(((without - mean) ** 2).sum()))
    value = GROUPS * whole - (GROUPS - 1) * mean if bias else whole
    return Estimate(value, error, value - _QUANTILE * error, value + _QUANTILE * error)


def mean_of(values: NDArray[np.floating]) -> Estimate:
    """The mean of one number a case (image, pair, forecast); cases must be independent of each other."""
    if len(values) < GROUPS:
        raise UsageError(f"{len(values)} values are too few for an interval", do=f"give at least {GROUPS}")
    groups = groups_of(len(values))
    return jackknife(float(values.mean()), np.array([values[groups != g].mean() for g in range(GROUPS)]))


def resample(
    measure: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    first: int,
    second: int,
    *,
    bias: bool = False,
    value_only: bool = False,
) -> Estimate:
    """The estimate of a measure of two sets of images; `measure` is given the rows of each to use.

    With `value_only` the error is not worked out (for anchors, which are shown without one).
    """
    one, two = groups_of(first, seed=1), groups_of(second, seed=2)
    everything = measure(np.arange(first), np.arange(second))
    if value_only and not bias:
        return Estimate(everything, math.nan, math.nan, math.nan)
    without = np.array([measure(np.flatnonzero(one != g), np.flatnonzero(two != g)) for g in range(GROUPS)])
    return jackknife(everything, without, bias=bias)


STUDENT = {2: 6.314, 3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895}
"""Of Student's distribution: both sides together leave out 10 %, by how many differences there are."""


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one difference a seed, with the interval of Student's t: 2 to 8 pairs of runs, each pair of one
    seed."""
    count = len(values)
    if count not in STUDENT:
        raise UsageError(f"{count} pairs of runs are not possible", do=f"give 2 to {max(STUDENT)}")
    mean = sum(values) / count
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1) / count)
    return Estimate(mean, error, mean - STUDENT[count] * error, mean + STUDENT[count] * error)
