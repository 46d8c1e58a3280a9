"""What colour the light in an image has: classic estimates, and one that weighs them against each other.

An estimate is three numbers, linear red, green and blue of what should be grey, of length 1.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.colour.measure import Weights
from maquette.refining.colour.space import REC709, Floats, to_light

Illuminant = NDArray[np.float64]
NEUTRAL: Illuminant = np.full(3, 3**-0.5)
_SIDE = 128
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
    strength, inside = _edges(light, counts)
    return minkowski(strength, inside, power)


def _edges(light: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """How strong the edge at each pixel is, by channel, and how much it counts: not beside what does not count."""
    smooth = cv2.GaussianBlur(light, (0, 0), 1.0) if min(light.shape[:2]) > 64 else light
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, 1 - axis, axis, ksize=3) for axis in (0, 1))
    inside = cv2.erode((counts > 0).astype(np.float32), np.ones((3, 3), np.uint8)) * counts
    return np.hypot(across, down), inside if inside.any() else counts


# The automatic estimate: which light makes what is seen most likely?
#
# Edges and bright parts of photographs in daylight have colours that crowd around neutral, with tails towards warm and
# cool. For every light in a grid of log chroma, the colours that the image would have under it are judged by these
# densities, and by how likely such a light is. The numbers were fitted to 1,500 small photographs and checked on others
# (docs/log.md, 2026-11-21).

_BINS, _STEP = 128, 1 / 32
"""The grid of log red/green and log blue/green: about half a degree a step, casts of up to e^2."""
_AXIS = (np.arange(_BINS) - _BINS // 2) * _STEP
# (share, (centre, spread) from cool to warm, (centre, spread) from green to magenta) in units of log chroma
_OF_EDGES = (
    (0.35, (0.015, 0.10), (0.0, 0.07)),
    (0.48, (0.13, 0.30), (-0.065, 0.20)),
    (0.17, (0.34, 0.72), (-0.30, 0.72)),
)
_OF_BRIGHT = (
    (0.40, (0.01, 0.08), (0.0, 0.057)),
    (0.47, (0.10, 0.28), (-0.065, 0.16)),
    (0.13, (0.45, 0.61), (-0.45, 0.54)),
)
_OF_LIGHTS = (0.4, 0.2)
_RARE = 1e-4
"""What any colour has, however odd, in a cell of the grid."""
_EDGE_WEIGHT, _BRIGHT_WEIGHT = 6.0, 2.0
"""How many independent edges and bright places an image counts for."""


@functools.cache
def _judges() -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """Spectra of both log densities, ready for correlation, and the log density of lights."""
    red, blue = np.meshgrid(_AXIS, _AXIS, indexing="ij")
    warm, magenta = (red - blue) / np.sqrt(2), (red + blue) / np.sqrt(2)

    def spectrum(parts: Any) -> NDArray[np.complex128]:
        density = np.full(warm.shape, _RARE)
        for share, (centre, spread), (other, width) in parts:
            bell = np.exp(-(((warm - centre) / spread) ** 2 + ((magenta - other) / width) ** 2) / 2)
            density += share * bell * _STEP**2 / (2 * np.pi * spread * width)
        return np.asarray(np.conj(np.fft.rfft2(np.fft.ifftshift(np.log(density)))))

    lights = -((warm / _OF_LIGHTS[0]) ** 2 + (magenta / _OF_LIGHTS[1]) ** 2) / 2
    return spectrum(_OF_EDGES), spectrum(_OF_BRIGHT), lights


def auto(light: Floats, counts: Floats) -> Illuminant:
    """The light under which edges and bright parts are most likely what photographs show."""
    edges, bright, score = _judges()
    strength, inside = _edges(light, counts)
    for values, weight, judge, power in (
        (strength, _EDGE_WEIGHT * inside, edges, 1.5), (light, _BRIGHT_WEIGHT * counts, bright, 8),
    ):  # fmt: skip
        seen = _chromas(values, weight, power)
        if seen is not None:
            score = score + np.fft.irfft2(np.fft.rfft2(seen) * judge, s=(_BINS, _BINS))
    at = np.unravel_index(int(score.argmax()), score.shape)
    near = tuple(slice(max(0, int(place) - 8), int(place) + 9) for place in at)
    likely = np.exp(score[near] - score[at])
    likely /= likely.sum()
    red, blue = (likely.sum(axis=1) @ _AXIS[near[0]], likely.sum(axis=0) @ _AXIS[near[1]])
    return unit([np.exp(red), 1, np.exp(blue)])


def _chromas(values: Floats, weight: Floats, power: float) -> NDArray[np.float64] | None:
    """How often each log chroma occurs, each pixel by a power of its luminance; adds up to the mean weight."""
    bright = values @ REC709.astype(np.float32)
    most = float((bright * (weight > 0)).max(initial=0))
    if most < 1e-6:
        return None
    share = weight * (bright / most) ** power
    logs = np.log(np.maximum(values, np.float32(1e-5)))
    cells = [
        np.clip(np.rint((logs[..., at] - logs[..., 1]) / _STEP) + _BINS // 2, 0, _BINS - 1).astype(np.intp)
        for at in (0, 2)
    ]
    found = np.bincount((cells[0] * _BINS + cells[1]).ravel(), share.ravel(), minlength=_BINS**2)
    return np.asarray(found * (weight.max() / found.sum())).reshape(_BINS, _BINS)


METHODS = {
    "auto": auto, "grey-world": grey_world, "shades-of-grey": shades_of_grey, "white-patch": white_patch,
    "grey-edge": grey_edge,
}  # fmt: skip


def degrees_between(first: Any, second: Any) -> float:
    """The angle between two colours of light."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    cosine = float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
