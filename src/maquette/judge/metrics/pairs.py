"""How like a restored or predicted image is to the one that it should be: pairs of images, one number a pair.

These are plain functions and not measures of sets: whoever has pairs (an autoencoder and its originals, a forecast and
what came) calls them, and `interval.mean_of` says how sure the mean is.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004;
Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError

Values = NDArray[np.float64]
WINDOW, BELL = 11, 1.5
"""Structure is compared within a bell of this many pixels and this deviation."""
STEADY = (0.01**2, 0.03**2)
"""Keep the two ratios from dividing by nothing, for a range of 1."""
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, finest first; where an image is too small for all, the others share what is missing."""
BEST = 100.0
"""Decibels that are given to a pair without any difference."""


def unit(images: NDArray[Any]) -> Values:
    """Images of any kind as numbers from 0 to 1; colour that cannot be seen does not count (premultiplied by alpha)."""
    if images.dtype == np.uint8 or images.dtype == np.uint16:
        values = images.astype(np.float64) / np.iinfo(images.dtype).max
    elif np.issubdtype(images.dtype, np.floating):
        values = images.astype(np.float64)
    else:
        raise UsageError(f"images of type {images.dtype} cannot be compared", do="give uint8, uint16 or floats")
    return (
        np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=-1)
        if values.shape[-1] == 4
        else values
    )


def psnr(made: NDArray[Any], real: NDArray[Any]) -> Values:
    """N ... H W C twice -> the peak signal to noise ratio of each pair in decibels, at most 100."""
    error = _both_error(made, real)
    return np.asarray(np.minimum(BEST, -10 * np.log10(np.maximum(error, 1e-300))))


def _both_error(made: NDArray[Any], real: NDArray[Any]) -> Values:
    one, two = _pair(made, real)
    return np.asarray(((one - two) ** 2).mean(tuple(range(1, one.ndim))))


def _pair(made: NDArray[Any], real: NDArray[Any]) -> tuple[Values, Values]:
    if made.shape != real.shape or made.ndim < 4:
        raise UsageError(
            f"pairs need equal shapes, and {made.shape} is not {real.shape}",
            do="give N x height x width x channels twice",
        )
    return unit(made), unit(real)


def ssim(made: NDArray[Any], real: NDArray[Any]) -> Values:
    """N H W C twice -> the structural similarity of each pair: 1 is equal."""
    one, two = _pair(made, real)
    return np.array([_structure(a, b)[0] for a, b in zip(one, two, strict=True)])


def multi_scale_ssim(made: NDArray[Any], real: NDArray[Any]) -> Values:
    """N H W C twice -> structural similarity over up to five scales: as many as leave 11 pixels a side."""
    one, two = _pair(made, real)
    return np.array([_scales(a, b) for a, b in zip(one, two, strict=True)])


def scales(height: int, width: int) -> int:
    """How many scales an image of this size is compared at."""
    return next((count for count in range(len(WEIGHTS), 1, -1) if min(height, width) >> (count - 1) >= WINDOW), 1)


def _scales(one: Values, two: Values) -> float:
    count = scales(*one.shape[:2])
    weights = np.array(WEIGHTS[:count]) / sum(WEIGHTS[:count])
    score = 1.0
    for level, weight in enumerate(weights):
        whole, structure = _structure(one, two)
        # What is opposite rather than like counts as not alike: a root of it would not be a number.
        score *= max(0.0, whole if level == count - 1 else structure) ** float(weight)
        if level < count - 1:
            one, two = _halve(one), _halve(two)
    return score


def _halve(image: Values) -> Values:
    height, width = (length // 2 * 2 for length in image.shape[:2])
    return np.asarray(image[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).mean((1, 3)))


def _structure(one: Values, two: Values) -> tuple[float, float]:
    """The whole similarity and its part without brightness, over the places where the window fits."""
    side = min(WINDOW, *(length if length % 2 else length - 1 for length in one.shape[:2]))
    edge = side // 2

    def around(values: Values) -> Values:
        soft = cv2.GaussianBlur(values, (side, side), BELL, borderType=cv2.BORDER_REFLECT).reshape(values.shape)
        return np.asarray(soft[edge : values.shape[0] - edge, edge : values.shape[1] - edge], np.float64)

    first, second = around(one), around(two)
    spread, other = around(one * one) - first**2, around(two * two) - second**2
    both = around(one * two) - first * second
    light = (2 * first * second + STEADY[0]) / (first**2 + second**2 + STEADY[0])
    structure = (2 * both + STEADY[1]) / (spread + other + STEADY[1])
    return float((light * structure).mean()), float(structure.mean())
