"""Blocks of 8 x 8 pixels, as JPEG makes them: how far an image shows them, and an image without them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from maquette.refining.neighbourhood import MIRROR, Floats
from maquette.refining.threads import in_strips

_SHIFTS = tuple((y, x) for y in range(0, 8, 2) for x in range(y // 2 % 2, 8, 2))
"""Sixteen of the 64 places where a grid of blocks can lie, evenly spread."""


def _cosines() -> Floats:
    rows, columns = np.mgrid[0:8, 0:8]
    matrix = np.cos(np.pi * (2 * columns + 1) * rows / 16) * 0.5
    matrix[0] = 1 / math.sqrt(8)
    return np.asarray(matrix, np.float32)


_COSINES = _cosines()


def blockiness(plane: Floats) -> float:
    """How much larger steps are across the borders of blocks than elsewhere: 0 where there are none.

    The grid's place is found: of the eight offsets the one with the largest steps. Compared are curvatures, so that
    slopes do not count; medians keep real edges out.
    """
    found = []
    for values in (plane, plane.T):
        if values.shape[1] < 24:
            return 0.0
        bend = np.abs(values[:, 3:] - 3 * values[:, 2:-1] + 3 * values[:, 1:-2] - values[:, :-3]) / 3
        strongest = np.array([float(np.mean(np.minimum(bend[:, offset::8], 0.08))) for offset in range(8)])
        found.append(max(0.0, float(strongest.max() - np.median(strongest))))
    return sum(found) / 2


def without_blocks(plane: Floats, threshold: float) -> Floats:
    """The mean over shifted grids of the image with small coefficients taken away (Nosratinia 2001).

    What belongs to one grid alone, as the borders of JPEG's blocks do, is small in all others.
    """
    height, width = plane.shape
    right, below = 16 + -width % 8, 16 + -height % 8
    padded = cv2.copyMakeBorder(plane, 8, below, 8, right, MIRROR)[..., None]
    done = in_strips(padded, lambda part: _averaged(part[..., 0], threshold)[..., None], 16, 128)
    return done[8 : 8 + height, 8 : 8 + width, 0]


def _averaged(part: Floats, threshold: float) -> Floats:
    total, count = np.zeros_like(part), np.zeros((part.shape[0], 1), np.float32)
    columns = (part.shape[1] - 8) // 8 * 8
    for y, x in _SHIFTS:
        rows = (part.shape[0] - y) // 8 * 8
        piece = part[y : y + rows, x : x + columns].reshape(rows // 8, 8, columns)
        turned = np.matmul(_COSINES, piece).reshape(-1, 8) @ _COSINES.T
        blocks = turned.reshape(rows // 8, 8, columns // 8, 8)
        means = blocks[:, 0, :, 0].copy()
        size = np.abs(turned)
        # Between a soft and a hard threshold: nothing below it, all of what is twice as large.
        turned *= np.clip(size * np.float32(1 / threshold) - 1, 0, 1)
        blocks[:, 0, :, 0] = means
        back = np.matmul(_COSINES.T, (turned @ _COSINES).reshape(rows // 8, 8, columns))
        total[y : y + rows, x : x + columns] += back.reshape(rows, columns)
        count[y : y + rows] += 1
    return np.asarray(total / np.maximum(count, 1))
