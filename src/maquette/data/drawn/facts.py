"""Drawn shapes read back from pixels: colour, number, shape and place. For measuring models by their images."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.data.drawn.drawings import COLOURS, PLACES, SHAPES, Canvas
from maquette.data.drawn.drawings import shape as draw_shape

SIDE = 48
"""Pixels to which every image is brought before it is compared."""
FAINTEST = 0.008
"""The least share of the image that is something drawn and not a fleck."""
Cover = NDArray[np.floating[Any]]
"""Height x width: how much of each pixel is drawn on."""


@dataclass(frozen=True)
class Facts:
    """What an image shows; None where nothing can be said."""

    shape: str | None
    colour: str | None
    count: int
    place: str | None
    fit: float = 0.0
    """How well what is drawn is covered by such shapes, from 0 to 1: low where it is a smear."""


def read_shapes(image: NDArray[Any]) -> Facts:
    """The facts of an image H W 3 or 4 of 8 bits, as `drawings.shapes` draws them on a light or a clear ground.

    Shape and number are those whose drawing, at its best turn and size, covers most of what is there.
    """
    colour, cover = _apart(image)
    if cover.mean() < FAINTEST:
        return Facts(None, None, 0, None)
    centre = _centre(cover)
    place = min(PLACES, key=lambda known: math.dist(centre, PLACES[known]))
    mine = _centred(cover, centre)
    known = _known()
    fits = [float(np.minimum(mine, other).sum() / np.maximum(mine, other).sum()) for _, _, other in known]
    best = int(np.argmax(fits))
    shape, count, _ = known[best]
    return Facts(shape, colour, count, place, fits[best])


def _apart(image: NDArray[Any]) -> tuple[str, Cover]:
    """The name of the colour that is drawn with, and where."""
    pixels = image[..., :3].astype(np.float32)
    if image.shape[2] == 4:
        cover = image[..., 3].astype(np.float32) / 255
        full = cover >= 0.9 * cover.max()
    else:
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        far = np.sqrt(np.square(pixels - np.median(border, axis=0)).sum(axis=2))
        full = far >= 0.75 * np.partition(far.ravel(), -max(4, far.size // 100))[-max(4, far.size // 100)]
        reach = float(np.median(far[full]))
        cover = np.clip((far - 12) / max(reach - 12, 1.0), 0, 1) if reach > 40 else np.zeros_like(far)
    middle = np.median(pixels[full], axis=0)
    name = min(COLOURS, key=lambda known: float(np.square(middle - np.array(COLOURS[known])).sum()))
    return name, np.asarray(cover, np.float32)


def _centre(cover: Cover) -> tuple[float, float]:
    """The middle of what is drawn, as shares of width and height."""
    rows, columns = np.indices(cover.shape)
    total = float(cover.sum())
    x, y = ((cover * (at + 0.5)).sum() / total for at in (columns, rows))
    return float(x / cover.shape[1]), float(y / cover.shape[0])


def _centred(cover: Cover, centre: tuple[float, float]) -> Cover:
    """SIDE x SIDE of the shorter side's scale, with what is drawn in the middle."""
    scale = SIDE / min(cover.shape)
    across, down = (
        SIDE / 2 - scale * (share * size - 0.5) - 0.5 for share, size in zip(centre, cover.shape[::-1], strict=True)
    )
    turn = np.array([[scale, 0, across], [0, scale, down]], np.float32)
    return np.asarray(cv2.warpAffine(cover, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.float32)


_SIZES = ((1, (0.18, 0.2, 0.22, 0.24), 1), (2, (0.1, 0.115, 0.13), 16), (3, (0.105, 0.12), 12))
"""How many, at which radii, at how many turns."""


@functools.cache
def _known() -> list[tuple[str, int, Cover]]:
    """Every shape once, twice and three times, at a few sizes and turns."""
    found = []
    for shape in SHAPES:
        for count, radii, turns in _SIZES:
            for radius in radii:
                for turn in range(turns):
                    found.append((shape, count, _drawn(shape, count, radius, 2 * math.pi / count * turn / turns)))
    return found


def _drawn(shape: str, count: int, radius: float, turn: float) -> Cover:
    canvas = Canvas(SIDE, SIDE, "L", (0,))
    for index in range(count):
        angle, far = turn + 2 * math.pi * index / count, 0.0 if count == 1 else 0.15
        place = (0.5 + far * math.cos(angle), 0.5 + far * math.sin(angle))
        draw_shape(canvas, shape, place, radius * canvas.unit, (255,), (0,))
    cover = canvas.finish()[..., 0].astype(np.float32) / 255
    return _centred(cover, _centre(cover))
