"""Giving colours another lightness, and finding the large forms of light and dark that local tone works on."""

from __future__ import annotations

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.space import Floats
from maquette.refining.pixels import to_depth, to_float


def relit(colour: Image, before: Image, after: Image) -> Image:
    """Colours with a new luma, height x width x 1: hues stay, and what would leave the range turns paler instead."""

    def change(at: slice) -> Image:
        part, old, new = (to_float(image[at]) for image in (colour, before, after))
        ratio = new / np.maximum(old, np.float32(1 / 1024))
        # Between keeping the differences of channels (ratio^0, dull) and their quotients (ratio^1, noisy colours).
        root = np.sqrt(ratio)
        away = (part - old) * (root * np.sqrt(root))
        red, green, blue = away[..., 0], away[..., 1], away[..., 2]
        high = np.maximum(np.maximum(red, green), blue)
        low = np.minimum(np.minimum(red, green), blue)
        new = new[..., 0]
        room = np.minimum((1 - new) / np.maximum(high, np.float32(1e-6)), new / np.maximum(-low, np.float32(1e-6)))
        away *= np.minimum(room, 1)[..., None]
        away += new[..., None]
        return to_depth(away, colour.dtype)

    rows = max(1, (1 << 15) // colour.shape[1])
    return np.concatenate([change(slice(at, at + rows)) for at in range(0, colour.shape[0], rows)])


def luma(image: Image) -> Floats:
    """The luma of the image as numbers, height x width x 1."""
    values = to_float(image)
    return values if image.shape[2] == 1 else np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2GRAY))[..., None]


def forms(plane: Floats, radius: float, edge: float = 0.08) -> Floats:
    """The plane without its details, and without blurring its edges (guided by itself: He, Sun and Tang, 2010).

    Steps larger than `edge` count as edges.
    """
    side = 2 * round(radius) + 1

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT))

    flat = np.ascontiguousarray(plane[..., 0])
    middle = mean(flat)
    spread = np.maximum(mean(flat * flat) - middle * middle, 0)
    slope = spread / (spread + np.float32(edge * edge))
    return np.asarray(mean(slope) * flat + mean((1 - slope) * middle))[..., None]
