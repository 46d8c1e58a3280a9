"""How colourful a colour can be on a screen, and bringing colours in without changing what they are."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.space import (
    Floats,
    from_lab,
    from_light,
    in_strips,
    to_lab,
    to_light,
)

_LIGHTNESSES, _HUES = 193, 512
_NEAR = 1e-4
"""How far outside 0 to 1 linear light may lie: a hundredth of an 8-bit level, or less where it is dark."""


@functools.cache
def _table() -> Floats:
    """The largest chroma in sRGB for (lightness, hue), found by halving; the first hue stands at the end again."""
    lightness = np.linspace(0, 1, _LIGHTNESSES, dtype=np.float32)[:, None]
    hue = np.linspace(-np.pi, np.pi, _HUES + 1, dtype=np.float32)[None]
    low = np.zeros((_LIGHTNESSES, _HUES + 1), np.float32)
    high = np.full_like(low, 0.4)
    for _ in range(16):
        middle = (low + high) / 2
        lab = np.stack([np.broadcast_to(lightness, middle.shape), middle * np.cos(hue), middle * np.sin(hue)], axis=2)
        light = from_lab(np.ascontiguousarray(lab, np.float32))
        inside = (light.min(axis=2) >= -_NEAR) & (light.max(axis=2) <= 1 + _NEAR)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


@functools.cache
def _generous() -> Floats:
    """The table with each value that of the largest neighbour: read between its points, it is never too low."""
    return np.asarray(cv2.dilate(_table(), np.ones((3, 3), np.uint8)))


def largest_chroma(lightness: Floats, hue: Floats) -> Floats:
    """The largest chroma that sRGB has at this lightness and hue (radians)."""
    return _read(_table(), lightness, hue)


def _read(table: Floats, lightness: Floats, hue: Floats) -> Floats:
    across = ((hue.ravel() + np.float32(np.pi)) % np.float32(2 * np.pi)) * np.float32(_HUES / (2 * np.pi))
    down = lightness.ravel() * np.float32(_LIGHTNESSES - 1)
    # As rows of 256: OpenCV's pictures have at most 32,767 columns.
    more = -len(across) % 256
    right, below = (np.pad(values, (0, more)).reshape(-1, 256).astype(np.float32) for values in (across, down))
    found = np.asarray(cv2.remap(table, right, below, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return found.ravel()[: len(across)].reshape(hue.shape)


def chroma_and_hue(lab: Floats) -> tuple[Floats, Floats]:
    """Chroma and hue (radians) of OKLab."""
    chroma, hue = cv2.cartToPolar(lab[..., 1], lab[..., 2])
    return chroma, hue


def with_chroma(lab: Floats, chroma: Floats, wanted: Floats) -> Floats:
    """The colours with another chroma; those that have none stay neutral."""
    return _scaled(lab, (wanted / np.maximum(chroma, np.float32(1e-6))).astype(np.float32))


def fitted_light(lab: Floats) -> Floats:
    """Linear light of the colours, each with its chroma lowered to what sRGB has: lightness and hue stay.

    Colours that fit are not touched.
    """
    lab[..., 0] = np.clip(lab[..., 0], 0, 1)
    light = from_lab(lab)
    # Places as numbers: few of the pixels are outside, and to index by a mask would read all of them again.
    outside = np.flatnonzero(cv2.inRange(light, (-_NEAR,) * 3, (1 + _NEAR,) * 3) == 0)
    if not len(outside):
        return light
    colours = lab.reshape(-1, 3).take(outside, axis=0)[None]
    chroma, hue = chroma_and_hue(colours)
    limit = np.minimum(chroma, _read(_generous(), colours[..., 0], hue))
    light.reshape(-1, 3)[outside] = from_lab(with_chroma(colours, chroma, limit))[0]
    return np.clip(light, 0, 1, out=light)


def _scaled(lab: Floats, ratio: Floats) -> Floats:
    return np.dstack([lab[..., 0], lab[..., 1] * ratio, lab[..., 2] * ratio])


def grown(chroma: Floats, factor: Floats | float, most: Floats) -> Floats:
    """Chroma times a factor of at least 1, bending so that nothing passes `most`; factor 1 changes nothing.

    With x = chroma / most: f x / (1 + (f^4 - 1) x^4)^(1/4), which has slope f at 0 and reaches 1 at 1.
    """
    x = np.minimum(chroma / np.maximum(most, np.float32(1e-6)), np.float32(1))
    square = x * x
    f = np.asarray(factor, np.float32)
    bend = np.sqrt(np.sqrt(1 + (f * f * f * f - 1) * square * square))
    # The table is read between its points: where it is a little low, colours must not lose what they had.
    return np.maximum(chroma, (f * x / bend * most).astype(np.float32))  # type: ignore[no-any-return]


def in_lab(image: Image, change: Callable[[Floats], Floats]) -> Image:
    """The image with `change` applied to its OKLab values; what then lies outside sRGB is brought in."""
    return in_strips(image, lambda part: from_light(fitted_light(change(to_lab(to_light(part)))), image.dtype))
