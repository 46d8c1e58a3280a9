"""Whether the made images look like the real ones in what can be read off the pixels."""

from __future__ import annotations

import numpy as np

from maquette.judge.interval import Estimate, resample
from maquette.judge.metric import Sides, Unmeasured, metric
from maquette.judge.metrics.fidelity import frechet


def _values(sides: Sides, name: str) -> tuple[np.ndarray, np.ndarray]:
    sides.need(20)
    if name not in sides.real.looks or name not in sides.made.looks:
        raise Unmeasured("the pixels were not looked at")
    return sides.real.looks[name], sides.made.looks[name]


def _ratio(sides: Sides, name: str) -> Estimate:
    real, made = _values(sides, name)
    if real.mean() < 1e-4:
        raise Unmeasured(f"the real images have no {name} to compare with")
    return resample(
        lambda one, two: float(made[two].mean() / real[one].mean()), len(real), len(made), value_only=sides.value_only
    )


def _difference(sides: Sides, name: str) -> Estimate:
    real, made = _values(sides, name)
    return resample(
        lambda one, two: float(made[two].mean() - real[one].mean()), len(real), len(made), value_only=sides.value_only
    )


@metric(title="sharpness", better="like real")
def sharpness(sides: Sides) -> Estimate:
    """How strong the steps between neighbouring pixels are, as a share of the real images': less is blurred, more is
    noisy."""
    return _ratio(sides, "sharpness")


@metric(title="contrast", better="like real")
def contrast(sides: Sides) -> Estimate:
    """The contrast within an image as a share of the real images'."""
    return _ratio(sides, "contrast")


@metric(title="brightness", better="like real")
def brightness(sides: Sides) -> Estimate:
    """The brightness as a share of the real images'."""
    return _ratio(sides, "brightness")


@metric(title="saturation", better="like real")
def saturation(sides: Sides) -> Estimate:
    """The strength of colours as a share of the real images'."""
    return _ratio(sides, "saturation")


@metric(title="spectrum slope", better="like real")
def spectrum_slope(sides: Sides) -> Estimate:
    """How much faster (below 0) or slower (above) fine detail fades than in the real images: the difference of the
    power spectra's exponents."""
    return _difference(sides, "slope")


@metric(title="checkerboard", better="like real")
def checkerboard(sides: Sides) -> Estimate:
    """How much more than in the real images the very finest steps stand out, in doublings: above 0 a grid left by the
    network shows."""
    return _difference(sides, "checkerboard")


@metric(title="colour distance", better="lower")
def colour_distance(sides: Sides) -> Estimate:
    """How far the colours of the made images are from the real ones', in levels of 255 (Frechet distance of the means
    and spreads of the channels, its bias extrapolated)."""
    real, made = _values(sides, "colours")
    sides.need(60)

    def apart(one: np.ndarray, two: np.ndarray) -> float:
        first, second = real[one], made[two]
        return frechet(first.mean(0), np.cov(first.T), second.mean(0), np.cov(second.T)) * 255**2

    return resample(apart, len(real), len(made), bias=True, value_only=sides.value_only)
