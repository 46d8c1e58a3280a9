"""The same picture as it might also have been taken: what a measure of likeness should hardly notice.

Each image is turned, zoomed and moved a little, its light and colour change, and half of the images become somewhat
softer or grainier. Which change an image gets depends on its number alone. `Space.fit` learns from such views which
directions of the features say what an image shows, and which say how it was taken.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import depth, mode_of

TURNED = math.radians(7)
ZOOMED = 0.25
"""Up to this share of the side is cut off."""
MOVED = 0.09
"""Of the side."""
LIGHT = 0.3
"""How much brightness, contrast and colour change, up and down."""
SOFT = (0.3, 0.9)
"""Blur in pixels, for half of the images."""
GRAIN = (0.004, 0.1)
"""Noise as a share of the full range, for half of the images."""
VERSION = "views 1"


def view(images: NDArray[Any], start: int = 0, which: int = 0) -> NDArray[Any]:
    """N H W C -> the same images changed; `start` is the number of the first one, `which` another view of them all."""
    mode = mode_of(images[0])
    most = float(depth(mode))
    out = np.empty_like(images)
    for row, image in enumerate(images):
        generator = np.random.default_rng([13, which, start + row])
        pixels = image.astype(np.float32) / most
        if mode == "rgba":
            pixels[..., :3] *= pixels[..., 3:]
        pixels = _moved(pixels, generator)
        colour = _lit(pixels[..., :3] if pixels.shape[2] > 1 else pixels, generator)
        if generator.random() < 0.5:
            soft = cv2.GaussianBlur(colour, (0, 0), generator.uniform(*SOFT))
            colour = np.asarray(soft.reshape(colour.shape), np.float32)
        if generator.random() < 0.5:
            noise = generator.standard_normal(colour.shape, np.float32)
            colour = colour + np.float32(generator.uniform(*GRAIN)) * noise
        if mode == "rgba":
            alpha = np.clip(pixels[..., 3:], 0, 1)
            colour = np.concatenate([colour / np.maximum(alpha, 1 / most), alpha], axis=2)
        out[row] = np.rint(np.clip(colour, 0, 1) * most).astype(images.dtype)
    return out


def _moved(pixels: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    height, width = pixels.shape[:2]
    zoom, angle = generator.uniform(1 - ZOOMED, 1), generator.uniform(-TURNED, TURNED)
    matrix = zoom * np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = generator.uniform(-MOVED, MOVED, 2) * min(height, width)
    matrix[:, 2] = middle + moved - matrix[:, :2] @ middle
    changed = cv2.warpAffine(
        pixels, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    return np.asarray(changed.reshape(pixels.shape), np.float32)


def _lit(colour: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    pale, bright, flat = generator.uniform(1 - LIGHT, 1 + LIGHT, 3).astype(np.float32)
    grey = colour.mean(2, keepdims=True)
    colour = grey + (colour - grey) * pale
    middle = colour.mean()
    return np.asarray(middle * bright + (colour - middle) * flat, np.float32)
