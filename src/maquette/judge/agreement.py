"""Whether images keep to the map they were made from: the map that is read back from them, beside the one given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife


@dataclass(frozen=True)
class Agreement:
    """Intersection over union of maps that were read back with those that were given."""

    mean: Estimate
    """Over the classes that are there; pixels of all images count together."""
    classes: tuple[float, ...]
    """Of each class; not a number where neither map has it."""


def agreement(seen: NDArray[Any], given: NDArray[Any], count: int) -> Agreement:
    """Compare maps N H W of whole numbers from 0 to `count` - 1."""
    if seen.shape != given.shape or not len(given):
        raise ValueError(f"maps of {seen.shape} do not go with maps of {given.shape}")
    both = np.stack([_counts(one, other, count) for one, other in zip(seen, given, strict=True)])  # N 2 classes
    each = _share(both.sum(0))
    whole = float(np.nanmean(each))
    if len(given) < GROUPS:
        return Agreement(Estimate(whole, math.nan, math.nan, math.nan), tuple(each.tolist()))
    groups = groups_of(len(given))
    without = np.array([float(np.nanmean(_share(both[groups != group].sum(0)))) for group in range(GROUPS)])
    return Agreement(jackknife(whole, without).within(0, 1), tuple(each.tolist()))


def _counts(seen: NDArray[Any], given: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Pixels of each class in both maps, and in either: 2 classes."""
    shared = np.bincount(given[seen == given].ravel(), minlength=count)[:count]
    either = sum(np.bincount(one.ravel(), minlength=count)[:count] for one in (seen, given)) - shared
    return np.stack([shared, either]).astype(np.int64)


def _share(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(counts[1] > 0, counts[0] / np.maximum(counts[1], 1), np.nan)
