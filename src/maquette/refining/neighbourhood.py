"""What filters are made of: means over neighbourhoods, in any depth, as exact as the depth and as fast as it allows.

Borders are mirrored without repeating the last pixel (OpenCV's BORDER_REFLECT_101, SciPy's "mirror").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.pixels import bounded, to_depth, to_float

Floats: TypeAlias = NDArray[Any]
"""Arrays of float32. OpenCV's annotations know no more than that they are numbers."""
MIRROR = cv2.BORDER_REFLECT_101


def like(result: Any, image: Image) -> Image:
    """What OpenCV returned, with the last axis that it drops where there is one channel."""
    return np.asarray(result).reshape(image.shape)


def gaussian_reach(sigma: float) -> int:
    """Pixels on each side beyond which a Gaussian of this deviation adds less than a level of 16 bits."""
    return math.ceil(4 * sigma)


def gaussian(image: Image, sigma: float) -> Image:
    """The image convolved with a Gaussian, in its own depth.

    Wide ones are computed on a smaller image: the mean over blocks, blurred and enlarged linearly, is what the Gaussian
    would see, once the deviation that both steps add is taken off. Against the exact convolution that costs at most
    0.6 of 255 in 8 bits (OpenCV's own 8-bit kernel: up to 1.3) and 0.15 of 255 in the other depths.
    """
    if sigma <= 0:
        return image
    finest = 4.0 if image.dtype == np.uint8 else 8.0
    factor = int(sigma / finest)
    if factor < 2:
        reach = gaussian_reach(sigma)
        return like(cv2.GaussianBlur(image, (2 * reach + 1, 2 * reach + 1), sigma, borderType=MIRROR), image)
    return _wide_gaussian(image, sigma, factor)


def _wide_gaussian(image: Image, sigma: float, factor: int) -> Image:
    height, width, _ = image.shape
    reach = gaussian_reach(sigma)
    left, top = reach + (-(width + 2 * reach) % factor) // 2, reach + (-(height + 2 * reach) % factor) // 2
    right, bottom = reach + -(width + left + reach) % factor, reach + -(height + top + reach) % factor
    padded = cv2.copyMakeBorder(image, top, bottom, left, right, MIRROR)
    inner = (padded.shape[1] // factor, padded.shape[0] // factor)
    small: Floats = cv2.resize(padded, inner, interpolation=cv2.INTER_AREA).astype(np.float32)
    added = (factor**2 - 1) / 12 + factor**2 / 6  # the variances of a block's mean and of linear enlargement
    deviation = math.sqrt(sigma**2 - added) / factor
    kernel = 2 * gaussian_reach(deviation) + 1
    small = cv2.GaussianBlur(small, (kernel, kernel), deviation, borderType=MIRROR)
    whole = cv2.resize(small, (padded.shape[1], padded.shape[0]), interpolation=cv2.INTER_LINEAR)
    whole = whole[top : top + height, left : left + width].reshape(image.shape)
    if image.dtype == np.float32:
        return np.ascontiguousarray(whole)
    return np.rint(whole).astype(image.dtype)  # means of levels are levels: nothing to clip


def soft(image: Floats, sigma: float) -> Floats:
    """A float image through a Gaussian; the same as `gaussian`, for planes too (height x width)."""
    if image.ndim == 2:
        return gaussian(image[..., None], sigma)[..., 0]
    return gaussian(image, sigma)


def mean(image: Any, radius: int) -> Any:
    """The mean over a square of 2 * radius + 1 pixels, for planes and images of any depth."""
    side = 2 * radius + 1
    return np.asarray(cv2.blur(image, (side, side), borderType=MIRROR)).reshape(image.shape)


def median(image: Image, radius: int) -> Image:
    """The median over a square, each channel by itself, exact in 8 and 16 bits (floats are taken at 16 bits)."""
    side = 2 * radius + 1
    if radius <= 2 or image.dtype == np.uint8:
        return like(cv2.medianBlur(np.ascontiguousarray(image), side), image)
    if image.dtype == np.float32:
        return to_float(median(to_depth(image, np.uint16), radius))
    find = _median16_narrow if radius <= 32 else _median16_wide
    planes = [find(np.ascontiguousarray(image[..., channel]), radius) for channel in range(image.shape[2])]
    return np.stack(planes, axis=2)


def _median16_narrow(plane: NDArray[np.uint16], radius: int) -> NDArray[np.uint16]:
    """The median of 16 bits by partial sorting of every window: the time grows with the square of the radius."""
    side = 2 * radius + 1
    padded = cv2.copyMakeBorder(plane, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    result = np.empty_like(plane)
    rows = max(1, 2**20 // (plane.shape[1] * side * side))  # windows of a few MB stay in the cache
    for y in range(0, plane.shape[0], rows):
        windows = np.lib.stride_tricks.sliding_window_view(padded[y : y + rows + 2 * radius], (side, side))
        flat = windows.reshape(*windows.shape[:2], side * side)
        result[y : y + rows] = np.partition(flat, side * side // 2, axis=-1)[..., side * side // 2]
    return result


def _median16_wide(plane: NDArray[np.uint16], radius: int, tile: int = 128) -> NDArray[np.uint16]:
    """The median of 16 bits from medians of 8 bits, which take the same time for every radius.

    Order survives every map that never decreases: the median's high byte is the median of the high bytes. Where it is
    known to be h, the low byte is the median of the levels clipped to h * 256 ... h * 256 + 255, which fits 8 bits.
    Within a tile not all high bytes occur.
    """
    side = 2 * radius + 1
    padded: NDArray[np.uint16] = np.pad(plane, radius, mode="edge")
    high = cv2.medianBlur((padded >> 8).astype(np.uint8), side)[radius:-radius, radius:-radius]
    result = np.empty_like(plane)
    for y in range(0, plane.shape[0], tile):
        for x in range(0, plane.shape[1], tile):
            here = high[y : y + tile, x : x + tile]
            window = padded[y : y + here.shape[0] + 2 * radius, x : x + here.shape[1] + 2 * radius]
            for value in np.unique(here):
                base = np.uint16(value) << 8
                low = (np.clip(window, base, base + np.uint16(255)) - base).astype(np.uint8)
                found = cv2.medianBlur(low, side)[radius:-radius, radius:-radius]
                np.copyto(result[y : y + tile, x : x + tile], base + found.astype(np.uint16), where=here == value)
    return result


def luma(image: Floats) -> Floats:
    """The lightness plane that filters steer by: Rec. 709 weights on encoded values."""
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[..., 0])
    weights = np.array([[0.2126, 0.7152, 0.0722] + [0.0] * (image.shape[2] - 3)], np.float32)
    return np.asarray(cv2.transform(image, weights)).reshape(image.shape[:2])


def guided(guide: Floats, target: Floats, radius: int, epsilon: float) -> Floats:
    """The target as locally linear functions of the guide plane (He 2013): smooth, with the guide's edges.

    Wide ones are fitted on a smaller image; the fitted coefficients are what is enlarged, so edges stay sharp.
    """
    factor = max(1, radius // 4)
    size = guide.shape[::-1]
    if factor > 1:
        shrunk = (max(1, size[0] // factor), max(1, size[1] // factor))
        fit_guide = cv2.resize(guide, shrunk, interpolation=cv2.INTER_AREA)
        fit_target = cv2.resize(target, shrunk, interpolation=cv2.INTER_AREA)
        fit_target = fit_target.reshape(*fit_guide.shape, target.shape[2])
        radius = max(1, round(radius / factor))
    else:
        fit_guide, fit_target = guide, target
    centre = mean(fit_guide, radius)
    spread = mean(fit_guide * fit_guide, radius) - centre * centre
    result = np.empty_like(target)
    for channel in range(target.shape[2]):
        plane = np.ascontiguousarray(fit_target[..., channel])
        level = mean(plane, radius)
        slope = (mean(plane * fit_guide, radius) - level * centre) / (spread + np.float32(epsilon))
        offset = mean(level - slope * centre, radius)
        slope = mean(slope, radius)
        if factor > 1:
            slope = cv2.resize(slope, size, interpolation=cv2.INTER_LINEAR)
            offset = cv2.resize(offset, size, interpolation=cv2.INTER_LINEAR)
        result[..., channel] = slope * guide + offset
    return result


def filled(image: Image) -> Image:
    """The colours of an RGBA image, with what is invisible filled by the visible colours around it.

    So that filters which compare or sort colours meet no black fringe. A pyramid of weighted means, coarse to fine.
    """
    alpha = to_float(image[..., 3:])
    known = np.concatenate([to_float(image[..., :3]) * alpha, alpha], axis=2)
    levels = [known]
    while min(levels[-1].shape[:2]) > 1:
        size = ((levels[-1].shape[1] + 1) // 2, (levels[-1].shape[0] + 1) // 2)
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    below = levels[-1]
    for level in levels[-2::-1]:
        wide: Floats = cv2.resize(below, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        wide /= np.maximum(wide[..., 3:], np.float32(1e-6))
        below = level + wide * (1 - level[..., 3:])
    colour = to_depth(below[..., :3] / np.maximum(below[..., 3:], np.float32(1e-6)), image.dtype)
    return np.where(image[..., 3:] > 0, image[..., :3], colour)


def on_colour(image: Image, work: Callable[[Image], Image]) -> Image:
    """`work` done on the colours alone; alpha stays, and invisible colours do not take part."""
    if image.shape[2] < 4:
        return work(np.ascontiguousarray(image))
    alpha = image[..., 3:]
    return np.concatenate([work(filled(image)), alpha], axis=2)


def wrapped_border(image: Image, tile: Tile, reach: int) -> tuple[Image, tuple[slice, slice]]:
    """A tile with what lies beyond its borders, and where in that it is: for ops that wrap by themselves."""
    rows, columns = ((reach if axis in tile else 0) for axis in "yx")
    bounded(image.shape[1] + 2 * columns, image.shape[0] + 2 * rows)
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0))[: image.ndim], mode="wrap") if tile else image
    return padded, (slice(rows, rows + image.shape[0]), slice(columns, columns + image.shape[1]))
