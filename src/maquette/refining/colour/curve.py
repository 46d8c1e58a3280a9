"""Tone curves: through points without overshoot, and S-curves that keep black and white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError


@dataclass(frozen=True)
class Curve:
    """A smooth curve through points that rises, falls or stays wherever the points do (Fritsch and Carlson, 1980)."""

    at: NDArray[np.float64]
    to: NDArray[np.float64]

    @classmethod
    def of(cls, numbers: Sequence[float], name: str = "points") -> Curve:
        """The curve through the pairs (in, out) that the numbers are."""
        if len(numbers) < 4 or len(numbers) % 2:
            raise UsageError(
                f"{name}: a curve needs at least two points, each two numbers, not {len(numbers)} numbers",
                do="write for example 0:0:0.25:0.2:0.75:0.8:1:1",
            )
        pairs = np.asarray(numbers, np.float64).reshape(-1, 2)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        if (np.diff(pairs[:, 0]) < 1e-4).any():
            raise UsageError(f"{name}: two points of the curve lie at the same level", do="give each level once")
        return cls(pairs[:, 0], pairs[:, 1])

    @property
    def is_straight(self) -> bool:
        """Whether the curve changes nothing."""
        return bool(np.array_equal(self.at, self.to) and self.at[0] == 0 and self.at[-1] == 1)

    def __call__(self, values: Any) -> Any:
        """The curve at these levels; before its first and after its last point it is level."""
        from scipy.interpolate import PchipInterpolator

        inside = np.clip(values, self.at[0], self.at[-1])
        return np.clip(PchipInterpolator(self.at, self.to)(inside), 0, 1)


def s_curve(values: Any, amount: float, pivot: float = 0.5) -> Any:
    """More contrast (amount up to 1) or less (down to -1): 0 to 0, pivot to pivot, 1 to 1; the inverse is -amount.

    A piece of the logistic curve, so that its slope changes smoothly and shadows and highlights keep some. The slope
    at the pivot grows by about 1.2 times the amount.
    """
    if amount == 0:
        return values
    steep = np.sqrt(3.6 * abs(amount))  # tanh(k u) / tanh(k) with u from -1 to 1 has the slope k / tanh(k) ~ 1 + k^2/3
    values = np.clip(values, 0, 1)
    # x (1 - p) / (x (1 - p) + (1 - x) p) keeps 0 and 1 and moves p to the middle; with 1 - p it moves back.
    centred = 2 * values * (1 - pivot) / (values * (1 - pivot) + (1 - values) * pivot) - 1
    most = np.tanh(steep)
    bent = np.tanh(steep * centred) / most if amount > 0 else np.arctanh(centred * most) / steep
    bent = (bent + 1) / 2
    return bent * pivot / (bent * pivot + (1 - bent) * (1 - pivot))
