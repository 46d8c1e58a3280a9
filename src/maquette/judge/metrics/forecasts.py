"""How good forecasts are: their error, their sharpness, and whether they are as sure of themselves as they may be.

A forecast is one image or several possible ones; what came is one image. Shapes are N ... H W C for what came and for
single forecasts, and K N ... H W C for K possible ones (N cases; whatever stands between, such as the time ahead,
belongs to the case). Every function gives one number a case, which `interval.mean_of` turns into a mean with its
interval; cases must be independent for that (one place and time each, not the frames of one film).

Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007; Ferro, "Fair scores for
ensemble forecasts", 2014; Fortin and others, "Why should ensemble spread match the RMSE of the ensemble mean?", 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife
from maquette.judge.metrics.pairs import Values, unit

LEAST = 1e-12


def absolute_error(forecast: NDArray[Any], came: NDArray[Any]) -> Values:
    """The mean absolute error of each case, as a share of the full range."""
    one, two = _single(forecast, came)
    return np.asarray(np.abs(one - two).mean(_inside(one)))


def squared_error(forecast: NDArray[Any], came: NDArray[Any]) -> Values:
    """The mean squared error of each case; its root is taken of the mean over cases, not before."""
    one, two = _single(forecast, came)
    return np.asarray(((one - two) ** 2).mean(_inside(one)))


def skill(forecast: NDArray[Any], baseline: NDArray[Any], came: NDArray[Any]) -> Estimate:
    """How much of the squared error of a baseline (such as: it stays as it was) the forecast takes away: 1 is all of
    it, 0 nothing, below 0 it makes it worse."""
    own, other = squared_error(forecast, came), squared_error(baseline, came)
    return _ratio(own, other, lambda mean, beside: 1 - mean / beside)


def sharpness(forecast: NDArray[Any], came: NDArray[Any]) -> Values:
    """The fine detail of each forecast (root mean square step between neighbouring pixels) as a share of that of what
    came: below 1 is blurred, which a small error can hide."""
    one, two = _single(forecast, came)
    return np.asarray(_steps(one) / np.maximum(_steps(two), LEAST))


def crps(possible: NDArray[Any], came: NDArray[Any]) -> Values:
    """The continuous ranked probability score of each case, fair to few members: the error of one member, less half of
    what two members differ by. With one member it is the absolute error; lower is better."""
    members, truth = _several(possible, came)
    count = len(members)
    error = np.zeros(truth.shape)
    for member in members:
        error += np.abs(member - truth) / count
    if count > 1:
        # Sorted, the sum of all differences is a weighted sum.
        order = np.sort(members, axis=0)
        for place, values in enumerate(order):
            error -= (2 * place - count + 1) * values / (count * (count - 1))
    return np.asarray(error.mean(_inside(truth)))


def spread(possible: NDArray[Any]) -> Values:
    """How far the members of each case lie apart: their variance (unbiased), averaged over pixels."""
    members = unit(possible)
    if len(members) < 2:
        raise UsageError("one possible image has no spread", do="give at least two")
    return np.asarray(members.var(0, ddof=1).mean(tuple(range(1, members.ndim - 1))))


def spread_for_error(possible: NDArray[Any], came: NDArray[Any]) -> Estimate:
    """The spread of the members over the error of their mean: 1 is as sure as it may be, below 1 too sure of itself,
    above 1 too careful."""
    members, truth = _several(possible, came)
    count = len(members)
    error = squared_error(members.mean(0), truth)
    # A mean of few members errs by their chance too: this is what makes 1 the honest value for any number of them.
    return _ratio(spread(members) * (count + 1) / count, error, lambda mean, beside: float(np.sqrt(mean / beside)))


def ranks(possible: NDArray[Any], came: NDArray[Any]) -> Values:
    """N (K + 1): in which share of each case's pixels what came lies below all members, above one of them, above two,
    and so on. In a calibrated forecast all are equal; ties are shared out."""
    members, truth = _several(possible, came)
    count = len(members)
    below, equal = np.zeros(truth.shape, np.int64), np.zeros(truth.shape, np.int64)
    for member in members:
        below += np.less(member, truth)
        equal += np.equal(member, truth)
    shares = np.zeros((len(truth), count + 1))
    for rank in range(count + 1):
        within = (below <= rank) & (rank <= below + equal)
        shares[:, rank] = (within / (equal + 1)).mean(_inside(truth))
    return shares


def miscalibration(possible: NDArray[Any], came: NDArray[Any]) -> Estimate:
    """How far the ranks are from equal, over all cases: 0 is calibrated, 1 is what came always beyond all members on
    one side."""
    shares = ranks(possible, came)

    def distance(of: Values) -> float:
        count = shares.shape[1]
        return float(np.abs(of.mean(0) - 1 / count).sum() / (2 * (1 - 1 / count)))

    groups = groups_of(len(shares))
    if len(shares) < GROUPS:
        raise UsageError(f"{len(shares)} cases are too few for an interval", do=f"give at least {GROUPS}")
    return jackknife(distance(shares), np.array([distance(shares[groups != g]) for g in range(GROUPS)])).within(0, 1)


def _steps(images: Values) -> Values:
    down, across = np.diff(images, axis=-3), np.diff(images, axis=-2)
    inside = _inside(images)
    return np.asarray(np.sqrt((down**2).mean(inside) + (across**2).mean(inside)))


def _inside(images: Values) -> tuple[int, ...]:
    return tuple(range(1, images.ndim))


def _single(forecast: NDArray[Any], came: NDArray[Any]) -> tuple[Values, Values]:
    if forecast.shape != came.shape or came.ndim < 4:
        raise UsageError(
            f"a forecast of shape {forecast.shape} does not belong to {came.shape}",
            do="give N x height x width x channels twice",
        )
    return unit(forecast), unit(came)


def _several(possible: NDArray[Any], came: NDArray[Any]) -> tuple[Values, Values]:
    if possible.shape[1:] != came.shape or came.ndim < 4 or not len(possible):
        raise UsageError(
            f"possible images of shape {possible.shape} do not belong to {came.shape}",
            do="give K x N x height x width x channels and N x height x width x channels",
        )
    return unit(possible), unit(came)


def _ratio(one: Values, other: Values, combine: Callable[[float, float], float]) -> Estimate:
    """Of two means over the same cases, with its interval."""
    if len(one) < GROUPS:
        raise UsageError(f"{len(one)} cases are too few for an interval", do=f"give at least {GROUPS}")
    groups = groups_of(len(one))

    def value(keep: NDArray[np.bool_]) -> float:
        return combine(float(one[keep].mean()), max(float(other[keep].mean()), LEAST))

    without = np.array([value(groups != g) for g in range(GROUPS)])
    return jackknife(value(np.ones(len(one), bool)), without)
