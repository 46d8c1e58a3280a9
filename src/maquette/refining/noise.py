"""Noise as fields that repeat without a seam, the same for a seed wherever they are made."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.kernels import line_kernel
from maquette.refining.neighbourhood import Floats, gaussian_reach


def generator(seed: int, stream: int = 0) -> np.random.Generator:
    """Random numbers of a seed; every stream of it is another sequence."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, stream, 0x6E015E])))


def wrapped(plane: Floats, sigma: float) -> Floats:
    """A plane through a Gaussian that goes on at the opposite side."""
    if sigma <= 0.2:
        return plane
    reach = gaussian_reach(sigma)
    padded = np.pad(plane, reach, mode="wrap")
    side = 2 * reach + 1
    return np.asarray(cv2.GaussianBlur(padded, (side, side), sigma)[reach:-reach, reach:-reach])


KEPT = 1 << 20
"""Pixels of the largest field of noise that is kept."""


def soft_noise(height: int, width: int, size: float, seed: int, stream: int = 0) -> Floats:
    """Gaussian noise of deviation 1, as coarse as `size` pixels, that wraps around.

    The last fields of moderate size are kept, since drawing them is most of the work, and a slider that is moved, or
    the next image of the same size, asks for the same again.
    """
    make = _kept if height * width <= KEPT else _soft_noise
    return make(height, width, size, seed, stream)


def _soft_noise(height: int, width: int, size: float, seed: int, stream: int) -> Floats:
    sigma = 0.5 * size
    factor = max(1, int(sigma / 4))  # coarse noise is made small: a coarse field has few degrees of freedom
    tall, wide = max(4, round(height / factor)), max(4, round(width / factor))
    white = generator(seed, stream).standard_normal((tall, wide), dtype=np.float32)
    field = wrapped(white, sigma / factor)
    if (tall, wide) != (height, width):
        pad = 4
        field = np.pad(field, pad, mode="wrap")
        across, down = width / wide, height / tall
        matrix = np.array([[across, 0, (0.5 - pad) * across - 0.5], [0, down, (0.5 - pad) * down - 0.5]])
        field = cv2.warpAffine(field, matrix, (width, height), flags=cv2.INTER_CUBIC)  # small pixels' centres to ours
    field -= field.mean()
    deviation = float(field.std())
    found = np.asarray(field / np.float32(deviation or 1))
    found.setflags(write=False)  # whoever asks next is given it too
    return found


_kept = functools.lru_cache(maxsize=8)(_soft_noise)


def film_noise(height: int, width: int, size: float, seed: int) -> Floats:
    """The noise of film: fine grains, and clumps of them."""
    fine = soft_noise(height, width, size, seed, 0)
    clumps = soft_noise(height, width, 3 * size, seed, 1)
    return np.asarray((np.float32(0.9) * fine + np.float32(0.45) * clumps) * np.float32(1 / math.hypot(0.9, 0.45)))


class Fields:
    """Noise for an image with a wrapped border: made for the tile itself, then wrapped with it."""

    def __init__(self, image: Image, tile: Tile, reach: int, seed: int) -> None:
        self.height, self.width = image.shape[:2]
        self.pads = tuple((reach, reach) if axis in tile else (0, 0) for axis in "yx")
        self.seed = seed

    def soft(self, size: float, stream: int) -> Floats:
        """Gaussian noise as coarse as `size` pixels, of deviation 1."""
        return self.laid(soft_noise(self.height, self.width, size, self.seed, stream))

    def white(self, coarse: float, stream: int) -> Floats:
        """White noise, softened."""
        noise = generator(self.seed, stream).standard_normal((self.height, self.width), dtype=np.float32)
        return self.laid(wrapped(noise, coarse))

    def streaks(self, size: float, angle: float, stream: int) -> Floats:
        """Strokes of a pencil in one direction, as thresholds spread evenly over 0 to 1."""
        white = generator(self.seed, stream).standard_normal((self.height, self.width), dtype=np.float32)
        kernel = line_kernel(max(3.0, 14 * size), angle)
        reach = max(kernel.shape) // 2
        padded = np.pad(wrapped(white, 0.45 * size), reach, mode="wrap")
        drawn = cv2.filter2D(padded, -1, kernel)[reach : reach + self.height, reach : reach + self.width]
        deviation = float(drawn.std()) or 1.0
        # The normal distribution, for which a logistic curve stands in.
        return self.laid(np.asarray(1 / (1 + np.exp(np.float32(-1.702 / deviation) * (drawn - drawn.mean())))))

    def laid(self, field: Floats) -> Floats:
        """The field with the wrapped border."""
        return np.pad(field, self.pads, mode="wrap") if any(map(any, self.pads)) else field
