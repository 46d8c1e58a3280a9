"""Tiles: from a photograph of a material to one that can be laid side by side."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.op import op
from maquette.refining.schema import Dial

Floats = NDArray[np.float32]


@op(kind="geometry", depth="float")
def make_tileable(
    image: Image,
    *,
    along: Annotated[Tile, Dial("the axes along which it is to be laid: x, y or xy", choices=("x", "y", "xy"))] = "xy",
    overlap: Annotated[float, Dial("the share of a side that is given up for the seam", ge=0.02, le=0.45)] = 0.2,
    level: Annotated[bool, Dial("whether uneven light is taken out first")] = True,
    feather: Annotated[float, Dial("how soft the seam is, in pixels", ge=0, le=50, pixels=True)] = 3.0,
    tile: Tile = "",
) -> Image:
    """Make a texture seamless; it becomes a little smaller.

    Opposite edges are laid over each other, and the seam runs where they differ least. Along axes that are seamless
    already nothing is done.
    """
    for axis in "xy":
        if axis not in along or axis in tile:
            continue
        work = image if axis == "x" else np.ascontiguousarray(image.transpose(1, 0, 2))
        width = min(round(work.shape[1] * overlap), work.shape[1] // 2)
        if width >= 1:
            other = "y" if axis == "x" else "x"
            closed = other in tile or (axis == "y" and "x" in along)
            work = _joined(_levelled(work, closed) if level else work, width, feather, closed)
        image = work if axis == "x" else np.ascontiguousarray(work.transpose(1, 0, 2))
    return np.clip(image, 0, 1)


def _levelled(image: Floats, closed: bool) -> Floats:
    """The image without the slow change of light from left to right; what is local stays.

    The smooth part of the periodic plus smooth decomposition (Moisan 2011), along one axis: the smoothest image that
    has the jump between the edges. Only its slow share is taken, row by row averaged, so that no texture is smeared.
    """
    height, width = image.shape[:2]
    if width < 8:
        return image
    band = max(1, width // 8)
    jump = image[:, :band].mean(axis=1) - image[:, -band:].mean(axis=1)  # height x channels
    jump = np.pad(jump, ((height, height), (0, 0)), mode="wrap" if closed else "symmetric")[:, None]
    soft = np.asarray(cv2.GaussianBlur(jump, (0, 0), sigmaX=1e-3, sigmaY=max(1.0, height / 6)), np.float32)
    ramp = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    return image + ramp[None, :, None] * soft.reshape(3 * height, 1, -1)[height:-height]


def _joined(image: Floats, width: int, feather: float, closed: bool) -> Floats:
    """The image with its right edge laid over its left one, cut where they differ least (Efros and Freeman 2001)."""
    left, right = image[:, :width], image[:, -width:]
    cost = np.square(left - right).sum(axis=2)
    cost = np.asarray(cv2.GaussianBlur(cost, (0, 0), 1.0), np.float32)
    path = _path(cost, closed)
    # From the right edge's pixels (which go on from the last column) to the left edge's, softly, across the path.
    distance = np.arange(width, dtype=np.float32)[None, :] - path[:, None]
    reach = np.minimum(np.float32(max(feather, 0.5)), np.minimum(path, width - 1 - path) + 0.5)[:, None]
    weight = np.clip(0.5 + distance / (2 * reach), 0, 1)[..., None]
    seam = right + (left - right) * weight
    return np.concatenate([seam, image[:, width:-width]], axis=1)


def _path(cost: Floats, closed: bool) -> Floats:
    """For every row the column at which to cut: neighbours differ by at most one, and the sum of costs is least.

    `closed`: the last row is next to the first one.
    """
    if not closed:
        return _least(cost, None)
    start = int(_least(np.concatenate([cost, cost]), None)[len(cost)])
    return _least(cost, start)


def _least(cost: Floats, start: int | None) -> Floats:
    """The least path from the first row to the last; with a start, from it and back to it."""
    rows, columns = cost.shape
    total = cost.astype(np.float64)
    far = np.inf
    if start is not None:
        total[0, np.arange(columns) != start] = far
    for row in range(1, rows):
        before = np.pad(total[row - 1], 1, constant_values=far)
        total[row] += np.minimum(np.minimum(before[:-2], before[1:-1]), before[2:])
    if start is not None:
        total[-1, np.abs(np.arange(columns) - start) > 1] = far
    path = np.empty(rows, np.float32)
    at = int(np.argmin(total[-1])) if np.isfinite(total[-1]).any() else int(start or 0)
    for row in range(rows - 1, -1, -1):
        path[row] = at
        if row:
            low = max(0, at - 1)
            at = low + int(np.argmin(total[row - 1, low : at + 2]))
    return path
