"""From a picture of a material to the maps that renderers take: height and normals, as seamless as the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image

Floats = NDArray[np.float32]
FORMS, GRAIN = 0.7, 0.3
"""How much of the height is forms (some pixels wide) and how much is grain (single pixels)."""


def _wrapped_blur(image: Floats, radius: float) -> Floats:
    """A Gaussian blur that goes on over the edges, as the tile does."""
    by = min(max(image.shape), int(3 * radius) + 1)
    wide = np.pad(image, by, mode="wrap")
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), radius)[by:-by, by:-by], np.float32)


def height_of(albedo: Image) -> NDArray[np.uint16]:
    """Height x width x 1, 16 bit: what is lighter than what surrounds it stands higher.

    A guess, as every height from a single picture is: it takes light stones on dark earth for what they are, and a dark
    stone for a hole.
    """
    weights = np.array([0.2126, 0.7152, 0.0722], np.float32) / np.float32(255)
    light = np.asarray(albedo[..., :3].astype(np.float32) @ weights, np.float32)
    side = min(light.shape)
    even = light - _wrapped_blur(light, max(2.0, side / 8))  # the slow change is light, not height
    soft = _wrapped_blur(even, max(0.8, side / 170))
    height = FORMS * soft + GRAIN * even
    low, high = np.percentile(height, [0.5, 99.5])
    scaled = np.clip((height - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(np.rint(scaled * 65535)[..., None], np.uint16)


def normals_of(height: NDArray[np.uint16], strength: float) -> NDArray[np.uint8]:
    """The directions of the surface as colours (red right, green up, blue towards the eye), of a tile.

    `strength`: how high the highest place is, as a share of the tile's shorter side.
    """
    level = height[..., 0].astype(np.float32) / 65535 * strength * min(height.shape[:2])
    across = (np.roll(level, -1, 1) - np.roll(level, 1, 1)) / 2
    down = (np.roll(level, -1, 0) - np.roll(level, 1, 0)) / 2
    normal = np.dstack([-across, down, np.ones_like(level)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return np.rint((normal * 0.5 + 0.5) * 255).astype(np.uint8)


def seam(tile: Image, axes: str = "xy") -> float:
    """The step across the edges of a tile as a multiple of the usual step inside it: about 1 is no seam."""
    pixels = tile.astype(np.float64)
    found = []
    for axis, name in ((1, "x"), (0, "y")):
        if name in axes:
            first, last = np.take(pixels, 0, axis), np.take(pixels, -1, axis)
            inside = np.abs(np.diff(pixels, axis=axis)).mean()
            found.append(float(np.abs(first - last).mean() / max(inside, 1e-9)))
    return max(found)
