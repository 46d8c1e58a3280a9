"""How varied the made images are among themselves, beside as many real ones."""

from __future__ import annotations

import numpy as np

from maquette.features.neighbours import squared_distances
from maquette.judge.interval import Estimate, resample
from maquette.judge.metric import Rows, Sides, metric

LIMIT = 500
SPREAD_LIMIT = 2_500


def vendi(rows: Rows, reach: float) -> float:
    """The Vendi score: as how many wholly unlike images these count. Likeness falls with distance over `reach`."""
    likeness = np.exp(-squared_distances(rows, rows) / (2 * reach**2)) / len(rows)
    values = np.linalg.eigvalsh(likeness)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def usual_distance(rows: Rows) -> float:
    """The median distance between two of the images."""
    apart = squared_distances(rows, rows)
    return float(np.sqrt(np.median(apart[np.triu_indices(len(rows), 1)])))


@metric(title="variety", better="higher", counts=True)
def variety(sides: Sides) -> Estimate:
    """As how many wholly unlike images the made ones count, as a share of what as many real ones count (Vendi
    scores)."""
    sides.need(50)
    count = min(len(sides.real), len(sides.made), LIMIT)
    real, made = sides.real.some(count).rows, sides.made.some(count).rows
    reach = usual_distance(real) / 2

    def ratio(one: np.ndarray, two: np.ndarray) -> float:
        return vendi(made[two], reach) / vendi(real[one], reach)

    return resample(ratio, count, count, value_only=sides.value_only).within(0, np.inf)


@metric(title="spread", better="like real")
def spread(sides: Sides) -> Estimate:
    """How far two made images are apart on average, as a share of how far two real ones are."""
    sides.need(20)
    real, made = sides.real.some(SPREAD_LIMIT).rows, sides.made.some(SPREAD_LIMIT).rows

    def ratio(one: np.ndarray, two: np.ndarray) -> float:
        # The mean squared distance of two rows is twice the sum of the variances.
        return float(np.sqrt(made[two].var(0, ddof=1).sum() / real[one].var(0, ddof=1).sum()))

    return resample(ratio, len(real), len(made), value_only=sides.value_only)
