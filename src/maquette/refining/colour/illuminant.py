"""What colour the light in an image has: classic estimates, and one that weighs them against each other.

An estimate is three numbers, linear red, green and blue of what should be grey, of length 1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.colour.measure import Weights
from maquette.refining.colour.space import REC709, Floats, to_light

Illuminant = NDArray[np.float64]
NEUTRAL: Illuminant = np.full(3, 3**-0.5)
_SIDE = 192
"""Estimates are made on the image at this size: what is smaller says little about the light, and noise is gone."""
_CLIPPED, _DARK = 0.98, 0.012
"""Linear light above and below which a pixel's colour is not to be believed."""


def small(image: Image, weights: Weights) -> tuple[Floats, Floats]:
    """Linear light at a small size, and how much each pixel counts: by alpha, and 0 where it is clipped or black."""
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    light = to_light(np.ascontiguousarray(shrunk.reshape(size[1], size[0], 3)))
    counts: Floats = np.ones(light.shape[:2], np.float32)
    if weights is not None:
        counts = cv2.resize(weights, size, interpolation=cv2.INTER_AREA) if scale < 1 else weights.copy()
    brightest, darkest = light.max(axis=2), light.max(axis=2)
    usable = (brightest < _CLIPPED) & (darkest > _DARK)
    if counts[usable].sum() > 0.02 * counts.sum():
        counts = counts * usable
    return light, counts


def unit(values: Any) -> Illuminant:
    """The estimate of length 1; neutral where there is nothing to go by."""
    values = np.maximum(np.asarray(values, np.float64), 0)
    length = float(np.linalg.norm(values))
    if not np.isfinite(length) or length < 1e-9 or values.min() < 1e-6 * length:
        return NEUTRAL
    return np.asarray(values / length)


def minkowski(light: Floats, counts: Floats, power: float) -> Illuminant:
    """Shades of grey (Finlayson and Trezzi, 2004): power 1 is grey world, a large power nears the brightest."""
    total = max(float(counts.sum()), 1e-9)
    means = [(float((light[..., at] ** power * counts).sum()) / total) ** (1 / power) for at in range(3)]
    return unit(means)


def grey_world(light: Floats, counts: Floats) -> Illuminant:
    """The mean of the image is grey."""
    return minkowski(light, counts, 1)


def shades_of_grey(light: Floats, counts: Floats) -> Illuminant:
    """A mean in which bright parts count more is grey."""
    return minkowski(light, counts, 6)


def white_patch(light: Floats, counts: Floats) -> Illuminant:
    """The brightest parts are white: the mean of the hundredth of the pixels that have the most light."""
    bright = (light @ REC709.astype(np.float32)) * (counts > 0)
    limit = np.quantile(bright[counts > 0], 0.99) if (counts > 0).any() else 0
    return minkowski(light, counts * (bright >= limit), 1)


def grey_edge(light: Floats, counts: Floats, power: float = 5) -> Illuminant:
    """The differences between neighbours are grey (Van de Weijer, Gevers and Gijsenij, 2007)."""
    smooth = cv2.GaussianBlur(light, (0, 0), 1.0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, 1 - axis, axis, ksize=3) for axis in (0, 1))
    # A pixel whose neighbour does not count says nothing about an edge.
    whole = cv2.erode((counts > 0).astype(np.float32), np.ones((3, 3), np.uint8)) * counts
    return minkowski(np.hypot(across, down), whole if whole.any() else counts, power)


METHODS = {
    "grey-world": grey_world, "shades-of-grey": shades_of_grey, "white-patch": white_patch, "grey-edge": grey_edge,
}  # fmt: skip


def degrees_between(first: Any, second: Any) -> float:
    """The angle between two colours of light."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    cosine = float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def auto(light: Floats, counts: Floats) -> Illuminant:
    """Several estimates weighed by how far they agree."""
    return together([shades_of_grey(light, counts), white_patch(light, counts), grey_edge(light, counts)])


def together(estimates: list[Illuminant]) -> Illuminant:
    """The estimates' mean in log chroma; those far from the others count less."""
    logs = np.log(np.stack(estimates))
    logs -= logs.mean(axis=1, keepdims=True)
    centre = np.median(logs, axis=0)
    weights = 1 / (0.05 + np.linalg.norm(logs - centre, axis=1)) ** 2
    return unit(np.exp((weights[:, None] * logs).sum(axis=0) / weights.sum()))


METHODS["auto"] = auto
