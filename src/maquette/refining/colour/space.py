"""Depths and colour spaces: levels as numbers, sRGB as linear light, linear light as OKLab, and back.

Everything works on height x width x 3 arrays, in strips of rows that stay in the processor's cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.pixels import to_depth
from maquette.refining.threads import at_once, bands

Floats: TypeAlias = NDArray[Any]
"""Of float32."""
_STRIP = 1 << 15
"""Pixels a strip: three float32 planes of it and their copies fit into a second-level cache."""

# Björn Ottosson's OKLab (2020): linear sRGB -> cone responses, and their cube roots -> lightness and two opponents.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
TO_CONES /= TO_CONES.sum(axis=1, keepdims=True)  # Neutral light answers with exactly equal cones,
TO_LAB[1:] -= TO_LAB[1:].mean(axis=1, keepdims=True)  # and equal cones have exactly no colour.
TO_LAB[0] /= TO_LAB[0].sum()
FROM_CONES, FROM_LAB = np.linalg.inv(TO_CONES), np.linalg.inv(TO_LAB)

REC709 = np.array([0.2126, 0.7152, 0.0722])
"""What each of linear red, green and blue adds to luminance."""
REC601 = np.array([0.299, 0.587, 0.114])
"""The weights of luma that Pillow and OpenCV use for grey."""


def top(dtype: np.dtype[Any]) -> int:
    """The largest level of the type; 1 for floats."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def decoded(values: Any) -> Any:
    """Linear light of sRGB numbers (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4)


def encoded(light: Any) -> Any:
    """The sRGB numbers of linear light."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


@functools.cache
def _decode_table(name: str) -> Floats:
    count = top(np.dtype(name)) + 1
    table: Floats = decoded(np.arange(count) / (count - 1)).astype(np.float32)
    return table


@functools.cache
def _encode_table() -> NDArray[np.uint8]:
    """65,536 steps of linear light as 8 bits: a step is at most a twentieth of a level, in the shadows."""
    return np.asarray(np.floor(encoded(np.arange(65536) / 65535) * 255 + 0.5), np.uint8)


def look_up(image: Image, table: NDArray[Any]) -> Image:
    """Each level replaced by its entry in the table: (levels,) for all channels or (levels, channels)."""
    if image.dtype == np.uint8:
        image = np.ascontiguousarray(image)
        result = np.empty(image.shape, table.dtype)
        if table.ndim == 1:
            parts = bands(len(image), image.size)
            at_once([partial(cv2.LUT, image[top_:end], table, result[top_:end]) for top_, end in parts], image.size)
            return result
        columns = [np.ascontiguousarray(column) for column in table.T]
        rows = max(1, (1 << 19) // image[0].size)
        starts = range(0, len(image), rows)
        at_once([partial(_each, image[at : at + rows], columns, result[at : at + rows]) for at in starts], image.size)
        return result
    if table.ndim == 1:
        return np.take(table, image)
    return np.stack([np.take(table[:, channel], image[..., channel]) for channel in range(image.shape[2])], axis=2)


def _each(image: Image, tables: list[NDArray[Any]], into: NDArray[Any]) -> None:
    """Each channel through its own table: one by one, which is quicker than OpenCV's way with several at once."""
    cv2.merge([cv2.LUT(plane, table) for plane, table in zip(cv2.split(image), tables, strict=True)], into)


def tabulate(image: Image, function: Callable[[NDArray[np.float64]], Any]) -> Image:
    """The image with `function` (from numbers in [0, 1] to the same) applied to every level of every channel.

    Whole numbers go through a table, so the function is called on 256 or 65,536 levels only. It may return an array of
    shape (levels,), or (levels, channels) when it is given levels of shape (levels, 1).
    """
    if image.dtype.kind == "f":
        return to_depth(function(image), image.dtype)
    levels = np.arange(top(image.dtype) + 1, dtype=np.float64) / top(image.dtype)
    values = np.clip(function(levels), 0, 1)
    return look_up(image, np.floor(values * top(image.dtype) + 0.5).astype(image.dtype))


def tabulate_each(image: Image, function: Callable[[NDArray[np.float64]], Any]) -> Image:
    """As `tabulate`, with a function that treats channels apart: numbers of shape (..., channels) to the same."""
    if image.dtype.kind == "f":
        return to_depth(function(image), image.dtype)
    levels = np.arange(top(image.dtype) + 1, dtype=np.float64) / top(image.dtype)
    values = np.clip(function(np.repeat(levels[:, None], image.shape[2], axis=1)), 0, 1)
    return look_up(image, np.floor(values * top(image.dtype) + 0.5).astype(image.dtype))


def to_light(image: Image) -> Floats:
    """Linear light of the image, 0 to 1."""
    if image.dtype.kind == "f":
        return np.asarray(decoded(image), np.float32)
    return look_up(image, _decode_table(image.dtype.name))


def from_light(light: Floats, dtype: np.dtype[Any]) -> Image:
    """The image of linear light; what lies outside 0 to 1 is clipped."""
    if dtype != np.uint8:
        return to_depth(encoded(np.clip(light, 0, 1)), dtype)
    steps = np.multiply(light, np.float32(65535), dtype=np.float32)
    steps += np.float32(0.5)
    return np.take(_encode_table(), np.clip(steps, 0, 65535, out=steps).astype(np.uint16))


def transform(values: Floats, matrix: NDArray[np.float64]) -> Floats:
    """Each pixel times the matrix."""
    return cv2.transform(values, matrix.astype(np.float32))


def to_lab(light: Floats) -> Floats:
    """OKLab of linear light: lightness 0 to 1, and two opponent axes of about -0.4 to 0.4."""
    return transform(np.cbrt(transform(light, TO_CONES)), TO_LAB)


def from_lab(lab: Floats) -> Floats:
    """Linear light of OKLab; may lie outside 0 to 1."""
    cones = transform(lab, FROM_LAB)
    return transform(cones * cones * cones, FROM_CONES)


def in_strips(image: Image, work: Callable[[Image], Image]) -> Image:
    """`work` done on strips of rows: the same pixels as at once, in the processor's cache. Only for pointwise work."""
    rows = max(1, _STRIP // max(1, image.shape[1]))
    if image.shape[0] <= rows:
        return work(image)
    jobs = [partial(work, image[begin : begin + rows]) for begin in range(0, image.shape[0], rows)]
    return np.concatenate(at_once(jobs, image.size))


def in_light(image: Image, change: Callable[[Floats], Floats]) -> Image:
    """The image with `change` applied to its linear light."""
    return in_strips(image, lambda part: from_light(change(to_light(part)), image.dtype))


def luminance(image: Image) -> Floats:
    """The luminance of each pixel, height x width, 0 to 1."""
    light = to_light(image)
    if image.shape[2] == 1:
        return light[..., 0]
    return cv2.transform(light, REC709[None].astype(np.float32)).reshape(image.shape[:2])
