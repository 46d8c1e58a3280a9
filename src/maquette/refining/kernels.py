"""Shapes of blurs as kernels: symmetric, of sum 1."""

from __future__ import annotations

import math

import numpy as np

from maquette.refining.neighbourhood import Floats


def line_kernel(distance: float, angle: float) -> Floats:
    """The trace of a point that moves evenly: how much of a line one pixel wide lies in each pixel."""
    direction = np.deg2rad(angle)
    step = (np.cos(direction), -np.sin(direction))
    count = max(2, math.ceil(distance * 8) + 1)
    along = (np.arange(count) + 0.5) / count * distance - distance / 2
    reach = math.ceil(distance / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    x, y = along * step[0] + reach, along * step[1] + reach
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, below in ((0, 0), (0, 1), (1, 0), (1, 1)):  # each point is shared by the four pixels around it
        share = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
        np.add.at(kernel, (np.minimum(top + below, 2 * reach), np.minimum(left + right, 2 * reach)), share)
    kernel[kernel < 1e-9 * kernel.max()] = 0
    rows, columns = np.flatnonzero(kernel.any(axis=1)), np.flatnonzero(kernel.any(axis=0))
    tall, wide = (max(reach - used[0], used[-1] - reach) for used in (rows, columns))
    kernel = kernel[reach - tall : reach + tall + 1, reach - wide : reach + wide + 1]
    return np.asarray((kernel + kernel[::-1, ::-1]) / (2 * kernel.sum()), np.float32)


def disc_kernel(radius: float, blades: int = 0, rotation: float = 0.0) -> Floats:
    """The image of a point out of focus: a disc or a polygon of the same area, with a soft edge of one pixel."""
    reach = math.ceil(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    if blades >= 3:
        side = 2 * np.pi / blades
        # The polygon as a distance: the farthest of its sides' lines; of the same area as the disc.
        inner = radius * math.sqrt(np.pi / (blades * math.tan(np.pi / blades)))
        angles = np.deg2rad(rotation) + side * np.arange(blades)
        far = np.max([x * np.cos(a) + y * np.sin(a) for a in angles], axis=0) - inner
    else:
        far = np.hypot(x, y) - radius
    kernel = np.clip(0.5 - far, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
