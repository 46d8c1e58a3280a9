"""How colourful a colour can be on a screen, and bringing colours in without changing what they are."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.space import (
    FROM_CONES,
    FROM_LAB,
    Floats,
    from_lab,
    from_light,
    in_strips,
    to_lab,
    to_light,
    transform,
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


def largest_chroma(lightness: Floats, hue: Floats) -> Floats:
    """The largest chroma that sRGB has at this lightness and hue (radians)."""
    across = ((hue + np.float32(np.pi)) % np.float32(2 * np.pi)) * np.float32(_HUES / (2 * np.pi))
    down = lightness * np.float32(_LIGHTNESSES - 1)
    return cv2.remap(
        _table(), across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def chroma_and_hue(lab: Floats) -> tuple[Floats, Floats]:
    """Chroma and hue (radians) of OKLab."""
    chroma, hue = cv2.cartToPolar(lab[..., 1], lab[..., 2])
    return chroma, hue


def with_chroma(lab: Floats, chroma: Floats, wanted: Floats) -> Floats:
    """The colours with another chroma; those that have none stay neutral."""
    return _scaled(lab, (wanted / np.maximum(chroma, np.float32(1e-6))).astype(np.float32))


def fitted_light(lab: Floats) -> Floats:
    """Linear light of the colours, each with its chroma lowered to what sRGB has: lightness and hue stay.

    Colours that fit are not touched. For the others the ratio is found by halving: along the way to grey each of red,
    green and blue is a cubic, light(t) = matrix (lightness + t slope)^3.
    """
    lab[..., 0] = np.clip(lab[..., 0], 0, 1)
    cones = transform(lab, FROM_LAB)
    light = transform(cones * cones * cones, FROM_CONES)
    outside = cv2.inRange(light, (-_NEAR,) * 3, (1 + _NEAR,) * 3) == 0
    if not outside.any():
        return light
    grey = lab[outside][:, :1]
    slope = cones[outside] - grey
    matrix = FROM_CONES.T.astype(np.float32)
    first, second, third = (3 * grey**2 * slope) @ matrix, (3 * grey * slope**2) @ matrix, slope**3 @ matrix
    grey = grey**3
    low, high = np.zeros_like(grey), np.ones_like(grey)
    for _ in range(10):
        middle = (low + high) / 2
        tried = ((third * middle + second) * middle + first) * middle + grey
        inside = (np.abs(tried - np.float32(0.5)) <= np.float32(0.5 + _NEAR)).all(axis=1, keepdims=True)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    light[outside] = ((third * low + second) * low + first) * low + grey
    return light


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
