"""Arithmetic of pixels in any depth: uint8, uint16, or float32 in [0, 1]; 1, 3 or 4 channels, alpha straight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, UsageError
from maquette.core.image import Image

REC709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
MOST_PIXELS = 100_000_000
"""The largest image that is worked on, as for files (a float image of it with four channels has 1.6 GB)."""
_LONGEST = 2**15 - 1
"""OpenCV warps no longer sides."""


def largest(image: Image) -> float:
    """The value of white: 255, 65535 or 1."""
    return {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[image.dtype.name]


def to_float(image: Image) -> NDArray[np.float32]:
    """The image in float32, in [0, 1]. A float image is handed on as it is: do not write into it."""
    if image.dtype == np.float32:
        return image
    return np.asarray(np.multiply(image, np.float32(1 / largest(image)), dtype=np.float32))


def to_depth(image: NDArray[Any], dtype: Any) -> Image:
    """A float image in [0, 1] in another depth, rounded and kept in range."""
    dtype = np.dtype(dtype)
    if dtype == np.float32:
        return np.asarray(np.clip(image, 0.0, 1.0), np.float32)
    white = 255.0 if dtype == np.uint8 else 65535.0
    scaled = np.multiply(image, np.float32(white), dtype=np.float32)
    scaled += np.float32(0.5)
    np.clip(scaled, 0.0, white + 0.25, out=scaled)
    return np.asarray(scaled.astype(dtype))


def luminance(image: Image) -> Image:
    """The grey of the first three channels (Rec. 709), height x width x 1, in the same depth."""
    if image.shape[2] == 1:
        return image
    grey = image[..., :3].astype(np.float32) @ REC709
    if image.dtype != np.float32:
        grey = np.rint(grey)
    return np.asarray(grey[..., None].astype(image.dtype))


def premultiplied(image: Image) -> NDArray[np.float32]:
    """Colour times alpha, and alpha, in float32: exact enough that nothing is lost where alpha is small."""
    whole = to_float(image)
    return np.concatenate([whole[..., :3] * whole[..., 3:], whole[..., 3:]], axis=2)


def straight(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `premultiplied`; what is invisible becomes black."""
    alpha = image[..., 3:]
    colour = np.divide(image[..., :3], alpha, out=np.zeros_like(image[..., :3]), where=alpha > 1e-6)
    return np.concatenate([np.clip(colour, 0, 1), np.clip(alpha, 0, 1)], axis=2)


def is_opaque(image: Image) -> bool:
    """Whether the alpha channel, if there is one, hides nothing."""
    return image.shape[2] < 4 or bool((image[..., 3] == largest(image)).all())


def with_channels(image: Image, channels: int) -> Image:
    """The image with more channels: grey as equal colours, no alpha as full alpha."""
    have = image.shape[2]
    if have == channels:
        return image
    colour = np.repeat(image, 3, axis=2) if have == 1 else image
    if channels == 4 and colour.shape[2] == 3:
        return np.concatenate([colour, np.full_like(colour[..., :1], largest(image))], axis=2)
    return colour


def without_fringe(image: Image, work: Callable[[Image], Image]) -> Image:
    """What `work` makes of an image: premultiplied where it can be seen through, else its colours in their own depth.

    For ops that change the size and take alpha as their own affair.
    """
    if image.shape[2] < 4:
        return work(image)
    if is_opaque(image):
        return with_channels(work(np.ascontiguousarray(image[..., :3])), 4)
    return to_depth(straight(work(premultiplied(image))), image.dtype)


def blend(before: Image, after: Image, weight: float | NDArray[np.float32]) -> Image:
    """`after` laid over `before`: by one number, or by a map of weights (height x width x 1), in [0, 1].

    With alpha the mixture is that of premultiplied colours, so that invisible colours never show.
    """
    if isinstance(weight, (int, float)) and weight in (0, 1):
        return after if weight else before
    channels = max(before.shape[2], after.shape[2])
    before, after = with_channels(before, channels), with_channels(after, channels)
    if before.shape != after.shape:
        raise UsageError("an op that changes the size cannot be laid over the image in part", do="leave out strength")
    dtype = after.dtype
    if channels == 4 and not (is_opaque(before) and is_opaque(after)):
        first, second = premultiplied(before), premultiplied(after)
        mixed = straight(first + (second - first) * np.float32(1) * weight)
        result = to_depth(mixed, dtype)
        if not isinstance(weight, (int, float)):  # what the mask leaves alone keeps its exact, also invisible, values
            result = np.where(weight == 0, before, np.where(weight == 1, after, result))
        return np.asarray(result)
    first = before.astype(np.float32)
    mixed = after.astype(np.float32)
    mixed -= first
    mixed *= weight
    mixed += first
    return np.asarray(mixed if dtype == np.float32 else np.rint(mixed, out=mixed).astype(dtype))


def dither(image: NDArray[np.float32], seed: int) -> Image:
    """A float image in 8 bits, with noise of one step (triangular) before rounding, so that slow gradients do not band.

    Values that 8 bits hold exactly stay as they are; alpha is rounded, not dithered.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, 0xD17E5], np.uint64)))
    scaled = np.clip(image, 0, 1) * np.float32(255)
    height, width, channels = image.shape
    noise = generator.random((2, height, width, min(channels, 3)), dtype=np.float32)
    shake = noise[0] - noise[1]
    exact = np.abs(scaled - np.rint(scaled)) < 1e-3
    scaled[..., : shake.shape[2]] += np.where(exact[..., : shake.shape[2]], 0, shake)
    return np.asarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def checked(image: Any) -> Image:
    """The array as an image that ops take, or a sentence why it is none."""
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise DataError(
            f"an array of shape {np.asarray(image).shape} is not an image", do="give height x width x 1, 3 or 4"
        )
    bounded(array.shape[1], array.shape[0])
    if array.dtype in (np.float64, np.float16):
        array = array.astype(np.float32)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype.name not in ("uint8", "uint16", "float32"):
        raise DataError(f"pixels of the type {array.dtype} are not known", do="give uint8, uint16 or float in [0, 1]")
    if array.dtype == np.float32:
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError("the image holds values that are not numbers (NaN or infinity)", do="repair it first")
        if low < -1e-3 or high > 1 + 1e-3:
            raise DataError(
                f"the image holds values from {low:g} to {high:g}", do="scale them: float images lie in [0, 1]"
            )
        if low < 0 or high > 1:
            array = np.clip(array, 0, 1)
    return array


def bounded(width: float, height: float) -> None:
    """Refuse a size that would not fit into memory, before anything is allocated."""
    if not (width >= 1 and height >= 1):
        raise UsageError(f"an image of {width:g} x {height:g} pixels is not possible", do="choose a larger size")
    if width * height > MOST_PIXELS or max(width, height) > _LONGEST:
        raise UsageError(
            f"an image of {width:.0f} x {height:.0f} pixels is not worked on",
            do=f"at most {MOST_PIXELS / 1e6:g} million pixels and {_LONGEST} a side are; cut it into pieces",
        )


def rgb_of(colour: str) -> NDArray[np.float32]:
    """A colour such as `#ff8800` as three numbers in [0, 1]."""
    return np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)], np.float32)
