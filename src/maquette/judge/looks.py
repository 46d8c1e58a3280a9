"""What can be read off the pixels of each image: brightness, contrast, colour, sharpness, spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import depth, mode_of

Values = NDArray[np.float64]
LOOKS = ("brightness", "contrast", "saturation", "sharpness", "slope", "checkerboard", "colours")
VERSION = "looks 1"
_FAINT = 1e-7


def looks(images: NDArray[Any]) -> Mapping[str, Values]:
    """N H W C -> by name N numbers, in units of the full range; `colours` is N x 6."""
    mode = mode_of(images[0])
    pixels = images.astype(np.float32) / depth(mode)
    if mode == "rgba":  # What nobody sees does not count: premultiplied.
        pixels = pixels[..., :3] * pixels[..., 3:]
    grey: NDArray[np.float32] = pixels.mean(3, dtype=np.float32)
    power = _power(grey)
    means, spreads = pixels.mean((1, 2)), pixels.std((1, 2))
    return {
        "brightness": grey.mean((1, 2)).astype(np.float64),
        "contrast": grey.std((1, 2)).astype(np.float64),
        "saturation": (pixels.max(3) - pixels.min(3)).mean((1, 2)).astype(np.float64),
        "sharpness": _sharpness(grey),
        "slope": _slope(power, grey.shape[1:]),
        "checkerboard": _checkerboard(power),
        "colours": np.concatenate([means, spreads], axis=1).astype(np.float64),
    }


def _sharpness(grey: NDArray[np.float32]) -> Values:
    """The root mean square step between neighbouring pixels."""
    down, across = np.diff(grey, axis=1), np.diff(grey, axis=2)
    return np.asarray(np.sqrt((down**2).mean((1, 2)) + (across**2).mean((1, 2))), np.float64)


def _power(grey: NDArray[np.float32]) -> Values:
    """N H (W / 2 + 1): the power spectrum under a window, so that the borders do not count as edges."""
    height, width = grey.shape[1:]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    centred = grey - grey.mean((1, 2), keepdims=True)
    return np.asarray(np.abs(np.fft.rfft2(centred * window)) ** 2, np.float64)


def _frequencies(height: int, width: int) -> Values:
    """Cycles a pixel, H (W / 2 + 1)."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]))


def _slope(power: Values, size: tuple[int, ...]) -> Values:
    """How fast power falls with frequency: the exponent; photographs are near -2, noise is 0."""
    radius = _frequencies(size[0], size[1])
    edges = np.geomspace(1.5 / min(size), 0.5, 9)
    ring = np.digitize(radius, edges)
    rings = [number for number in range(1, len(edges)) if (ring == number).any()]
    heights = np.stack([np.log(power[:, ring == number].mean(1) + _FAINT) for number in rings], axis=1)
    places = np.array([np.log(radius[ring == number].mean()) for number in rings])
    centred = places - places.mean()
    return np.asarray(heights @ centred / (centred**2).sum())


def _checkerboard(power: Values) -> Values:
    """How far the finest frequencies stand out from those beside them (log 2): steps of a network's enlargements."""
    height, half = power.shape[1] // 2, power.shape[2] - 1
    last = power[:, height, : half + 1].mean(1) + power[:, :, half].mean(1)
    beside = power[:, height - 2, : half + 1].mean(1) + power[:, :, max(half - 2, 0)].mean(1)
    return np.asarray(np.log2((last + _FAINT) / (beside + _FAINT)))
