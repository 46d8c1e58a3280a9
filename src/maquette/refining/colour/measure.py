"""What the ops measure in an image: its colours without its alpha, and histograms in which visible pixels count."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.colour.space import Floats, top
from maquette.refining.threads import at_once, bands

Weights = Floats | None
"""How much each pixel counts, height x width, by its alpha; None where all count alike."""


def apart(image: Image) -> tuple[Image, Weights, Image | None]:
    """Colours, how much each counts, and alpha."""
    if image.shape[2] < 4:
        return image, None, None
    colour, alpha = np.ascontiguousarray(image[..., :3]), image[..., 3:]
    if (alpha == top(image.dtype)).all() or not alpha.any():
        return colour, None, alpha
    return colour, np.multiply(alpha[..., 0], np.float32(1 / top(image.dtype)), dtype=np.float32), alpha


def together(colour: Image, alpha: Image | None) -> Image:
    """Colours with their alpha again."""
    return colour if alpha is None else np.concatenate([colour, alpha], axis=2)


def histogram(plane: NDArray[Any], weights: Weights = None) -> NDArray[np.float64]:
    """How many pixels have each level: 256 counts, or 65,536 for deeper images."""
    if plane.dtype.kind == "f":
        plane = np.rint(plane * np.float32(65535)).astype(np.uint16)
    count = top(plane.dtype) + 1
    if weights is None and count == 256:
        import cv2

        return np.asarray(cv2.calcHist([plane], [0], None, [256], [0, 256]), np.float64).ravel()
    flat = None if weights is None else weights.ravel()
    return np.bincount(plane.ravel(), flat, minlength=count).astype(np.float64)


def histograms(colour: Image, weights: Weights = None) -> list[NDArray[np.float64]]:
    """The histogram of each channel."""
    if weights is not None or colour.dtype != np.uint8:
        return [histogram(colour[..., at], weights) for at in range(colour.shape[2])]
    import cv2

    image, channels = np.ascontiguousarray(colour), colour.shape[2]
    parts = [image[begin:end] for begin, end in bands(len(image), image.size)]
    jobs = [partial(cv2.calcHist, [part], [at], None, [256], [0, 256]) for part in parts for at in range(channels)]
    counts = np.asarray(at_once(jobs, image.size), np.float64).reshape(len(parts), channels, 256)
    return list(counts.sum(axis=0))


def quantile(counts: NDArray[np.float64], share: float) -> float:
    """The level below which this share of the pixels lies, as a number from 0 to 1."""
    total = np.cumsum(counts)
    return float(np.searchsorted(total, share * total[-1], side="left") / (len(counts) - 1))


def sample(image: Image, weights: Weights, count: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Pixels at even distances, about `count` of them, as (n, channels), and how much each counts."""
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / count)))
    # A shifted start in every other row, so that a pattern of the same period does not fool the sample.
    rows = np.arange(step // 2, image.shape[0], step)
    columns = np.arange(0, image.shape[1], step)
    across = (columns[None] + (np.arange(len(rows)) * 7919 % step)[:, None]).clip(max=image.shape[1] - 1)
    pixels = image[rows[:, None], across].reshape(-1, image.shape[2])
    if weights is None:
        return pixels, np.ones(len(pixels), np.float32)
    return pixels, weights[rows[:, None], across].ravel()
