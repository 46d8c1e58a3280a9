"""Small pictures resized by Lanczos: Pillow's very pixels in half of its time. Runs inside a decoding worker.

Pillow's weights are whole numbers of 22 bits. Their products with pixels, and the sums of those, are whole numbers too,
and such numbers are exact in float64 in whatever order they are added up. So products of matrices give on every
machine what Pillow's loops give, and a dataset's digest stays what it is.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_LARGEST = 256 * 256
"""Pixels up to which it is used, of what there is and of what becomes of it."""
_REACH = 3.0
"""Lanczos looks at so many pixels of the coarser grid each way."""
_GAP = 3.0
"""A picture so many times larger than what it becomes, twice over, Pillow makes smaller by whole steps first."""
_WHOLE = float(1 << 22)
"""What all weights of a pixel come to."""
_ROWS = 8
"""Rows of the result that are computed at once: most weights of more of them would be zeros."""
_USUAL = 4
"""How often a size must have come before it is worth working out its weights: they cost as much as two pictures."""
_HALF = 2.0**-24
"""Halves are rounded up; what is added for that is less than the smallest difference of two sums."""

Block = tuple[slice, slice, NDArray[np.float64]]


def resized(
    pixels: NDArray[np.uint8], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[np.uint8] | None:
    """The box (left, top, right, bottom) of H W C at the size (width, height); None where it is for Pillow to do."""
    height, width, channels = pixels.shape
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    if max(across, down) >= 2 * _GAP or max(height * width, size[0] * size[1], height * size[0]) > _LARGEST:
        return None
    if next(_asked(width, height, size, box)) < _USUAL:
        return None
    wide = size[0] != width or bool(box[0]) or box[2] != width
    high = size[1] != height or bool(box[1]) or box[3] != height
    # As Pillow does: upright first where that takes away much more.
    if high and size[1] < height and height - size[1] > 2 * (width - size[0]):
        pixels, high = _first(pixels, size[1], box[1], box[3]), False
    if wide:
        # Lying, so that what is resized comes first: its rows are then long.
        lying = np.asarray(cv2.transpose(pixels), np.uint8).reshape(width, len(pixels), channels)
        lying = _first(lying, size[0], box[0], box[2])
        pixels = np.asarray(cv2.transpose(lying), np.uint8).reshape(len(pixels), size[0], channels)
    return _first(pixels, size[1], box[1], box[3]) if high else pixels


@functools.lru_cache(maxsize=1024)
def _asked(width: int, height: int, size: tuple[int, int], box: tuple[float, float, float, float]) -> Iterator[int]:
    """Counts how often this was asked for."""
    return itertools.count()


def _first(pixels: NDArray[np.uint8], count: int, begin: float, end: float) -> NDArray[np.uint8]:
    """The first axis from begin to end as so many rows."""
    inputs, *rest = pixels.shape
    given = pixels.reshape(inputs, -1).astype(np.float64)
    found = np.empty((count, given.shape[1]))
    for to, rows, weights in _weights(inputs, count, begin, end):
        np.matmul(weights, given[rows], out=found[to])
    whole = cv2.addWeighted(found, 1.0, found, 0.0, _HALF, dtype=cv2.CV_8U)  # rounds, and keeps to 0 to 255
    return np.asarray(whole.reshape(count, *rest), np.uint8)


@functools.lru_cache(maxsize=64)
def _weights(inputs: int, count: int, begin: float, end: float) -> tuple[Block, ...]:
    """For some rows of the result at a time: which they are, from which they come, and how much of each."""
    start = float(np.float32(begin))  # as Pillow takes it
    step = float(np.float32(end) - np.float32(begin)) / count
    scale = max(1.0, step)
    centres = start + (np.arange(count) + 0.5) * step
    first = np.maximum(0, (centres - _REACH * scale + 0.5).astype(np.int64))
    last = np.minimum(inputs, (centres + _REACH * scale + 0.5).astype(np.int64))
    places = first[:, None] + np.arange(int((last - first).max()))
    x = (places - centres[:, None] + 0.5) * (1.0 / scale)
    weights = np.where((x >= -_REACH) & (x < _REACH) & (places < last[:, None]), _sinc(x) * _sinc(x / _REACH), 0.0)
    weights /= np.add.accumulate(weights, axis=1)[:, -1:]
    whole = np.trunc(weights * _WHOLE + np.copysign(0.5, weights)) / _WHOLE
    blocks = []
    for at in range(0, count, _ROWS):
        rows = slice(at, min(count, at + _ROWS))
        low, high = int(first[rows].min()), int(last[rows].max())
        dense = np.zeros((rows.stop - at, high + places.shape[1] - low))
        np.put_along_axis(dense, places[rows] - low, whole[rows], axis=1)
        blocks.append((rows, slice(low, high), np.ascontiguousarray(dense[:, : high - low])))
    return tuple(blocks)


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the sine of the C library, as Pillow has it: NumPy has one of its own, which may differ in the last bit."""
    turned = (x * math.pi).ravel()
    sines = np.fromiter(map(math.sin, turned.tolist()), np.float64, len(turned))
    return np.divide(sines, turned, out=np.ones_like(turned), where=turned != 0).reshape(x.shape)
