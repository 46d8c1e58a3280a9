"""Masks: height x width x 1 in float32, 0 where nothing is done and 1 where all is; found, read, joined, edged."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.choices import Tile
from maquette.core.errors import DataError, UsageError
from maquette.core.image import Image
from maquette.refining import pixels, registry
from maquette.refining.op import Context
from maquette.refining.recipe import Mask

Weights = NDArray[np.float32]


def find(mask: Mask, image: Image, context: Context) -> Weights:
    """Where the mask is, on this image."""
    return _edged(_bare(mask, image, context), mask, context.tile)


def _bare(mask: Mask, image: Image, context: Context) -> Weights:
    if mask.kind == "select":
        found = registry.get(mask.name)(image, context, **mask.dials)
        return _weights(found, image, mask.name)
    if mask.kind == "file":
        return _weights(context.image(mask.name), image, mask.name)
    if mask.kind == "given":
        if mask.name not in context.masks:
            raise UsageError(f"the mask {mask.name!r} was not handed over")
        return _weights(pixels.checked(context.masks[mask.name]), image, mask.name)
    parts = [find(part, image, context) for part in mask.parts]
    if mask.kind == "not":
        return np.asarray(1 - parts[0], np.float32)
    join: Callable[..., Weights] = np.minimum if mask.kind == "and" else np.maximum
    joined = parts[0]
    for part in parts[1:]:
        joined = join(joined, part)
    return joined


def _weights(found: Image, image: Image, name: str) -> Weights:
    """A mask from an image: its alpha where it has one that hides anything, else its grey."""
    if found.shape[:2] != image.shape[:2]:
        sizes = [f"{side.shape[1]}x{side.shape[0]}" for side in (found, image)]
        raise DataError(
            f"the mask {name} has {sizes[0]} pixels and the image {sizes[1]}", do="give a mask of the image's size"
        )
    if found.shape[2] == 4 and not pixels.is_opaque(found):
        return pixels.to_float(found[..., 3:])
    return pixels.to_float(pixels.luminance(found))


def _edged(weights: Weights, mask: Mask, tile: Tile) -> Weights:
    if mask.grow:
        weights = grown(weights, mask.grow, tile)
    return feathered(weights, mask.feather, tile) if mask.feather else weights


def grown(weights: Weights, by: float, tile: Tile = "") -> Weights:
    """The mask grown by so many pixels in all directions, or shrunk where `by` is negative; soft edges stay soft."""
    radius = min(abs(by), 2.0 * max(weights.shape))
    work, margin = _wrapped(weights, math.ceil(radius), tile)
    change = cv2.dilate if by > 0 else cv2.erode
    outside = 0.0 if by > 0 else 1.0
    # A large disc is grown in small ones: the cost is that of the radius, not of its square.
    steps = max(1, math.ceil(radius / 6))
    for _ in range(steps):
        disc = _disc(radius / steps)
        work = np.asarray(change(work, disc, borderType=cv2.BORDER_CONSTANT, borderValue=outside), np.float32)
    return _unwrapped(work, margin)


def _disc(radius: float) -> NDArray[np.uint8]:
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(np.hypot(rows, columns) <= radius + 0.25, np.uint8)


def feathered(weights: Weights, by: float, tile: Tile = "") -> Weights:
    """The mask with edges that pass over about so many pixels to both sides."""
    work, margin = _wrapped(weights, math.ceil(2 * by), tile)
    soft = cv2.GaussianBlur(work, (0, 0), by / 2, borderType=cv2.BORDER_REPLICATE)
    return _unwrapped(np.asarray(soft, np.float32), margin)


def _wrapped(weights: Weights, by: int, tile: Tile) -> tuple[Weights, tuple[int, int]]:
    margin = (by if "y" in tile else 0, by if "x" in tile else 0)
    if not any(margin):
        return weights, margin
    return np.pad(weights, ((margin[0],) * 2, (margin[1],) * 2, (0, 0)), mode="wrap"), margin


def _unwrapped(work: NDArray[np.float32], margin: tuple[int, int]) -> Weights:
    height, width = work.shape[:2]
    inner = work.reshape(height, width, 1)[margin[0] : height - margin[0], margin[1] : width - margin[1]]
    return np.ascontiguousarray(inner)
