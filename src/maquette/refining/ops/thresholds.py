"""Thresholds: masks of what is bright, and images in few levels. As steps they make black and white images."""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.colour.space import look_up
from maquette.refining.op import op
from maquette.refining.schema import Dial

LEVELS = 256
"""Levels that several thresholds are chosen among."""


@op(kind="select")
def threshold(
    image: Image, *, level: Annotated[float, Dial("the brightness from which on pixels are chosen", ge=0, le=1)] = 0.5
) -> Image:
    """Choose what is brighter than a level."""
    return _chosen(pixels.to_float(pixels.luminance(image)) > level, image)


@op(kind="select")
def otsu(image: Image) -> Image:
    """Choose what is bright, by the level that divides the image best in two (Otsu)."""
    grey = _sixteen(image)
    return _chosen(grey[..., None] > otsu_level(grey[_seen(image)]), image)


@op(kind="segment")
def multi_otsu(image: Image, *, classes: Annotated[int, Dial("how many levels are left", ge=2, le=16)] = 3) -> Image:
    """Reduce the image to few levels of grey, divided where that explains it best (multi-Otsu)."""
    grey = _sixteen(image)
    eight = (grey >> 8).astype(np.uint8)
    levels = multi_otsu_levels(eight[_seen(image)], classes)
    shares = np.searchsorted(levels, np.arange(LEVELS), side="left") / np.float32(classes - 1)
    result = look_up(eight[..., None], pixels.to_depth(shares.astype(np.float32), image.dtype))
    return np.concatenate([np.repeat(result, 3, axis=2), image[..., 3:]], axis=2) if image.shape[2] == 4 else result


@op(kind="select", reach=lambda dials: 2 * dials["window"] if dials["method"] == "gaussian" else dials["window"])
def adaptive_threshold(
    image: Image,
    *,
    window: Annotated[
        int, Dial("how wide the surroundings are, in pixels; taken to be odd", ge=3, le=999, pixels=True)
    ] = 31,
    offset: Annotated[float, Dial("how much brighter than that a pixel must be", ge=-1, le=1, pixels=True)] = 0.0,
    method: Annotated[
        Literal["mean", "gaussian", "sauvola"], Dial("what pixels are compared with; sauvola is for print on paper")
    ] = "mean",
) -> Image:
    """Choose what is brighter than its surroundings: uneven light does not matter."""
    grey = pixels.to_float(pixels.luminance(image))[..., 0]
    side = window | 1
    border = cv2.BORDER_REFLECT_101
    if method == "gaussian":
        level = cv2.GaussianBlur(grey, (0, 0), (side - 1) / 6, borderType=border)
    else:
        level = cv2.boxFilter(grey, cv2.CV_64F, (side, side), borderType=border)
    if method == "sauvola":  # Sauvola and Pietikäinen, 2000: where there is little contrast, only the dark is ink
        square = cv2.sqrBoxFilter(grey, cv2.CV_64F, (side, side), borderType=border)
        level = level * (1 + 0.2 * (np.sqrt(np.maximum(square - np.square(level), 0)) / 0.5 - 1))
    return _chosen((grey > level + offset)[..., None], image)


def otsu_level(values: NDArray[np.unsignedinteger]) -> int:
    """Otsu's level of whole numbers: what is larger belongs to the bright part."""
    counts = np.bincount(values.ravel()).astype(np.float64)
    if np.count_nonzero(counts) < 2:
        return int(values.max(initial=0))
    below, sums = np.cumsum(counts), np.cumsum(counts * np.arange(len(counts)))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.square(sums / below - (sums[-1] - sums) / above) * below * above
    return int(np.nanargmax(apart[:-1]))


def multi_otsu_levels(values: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """The levels (classes - 1 of them) that leave the least variance within the classes; exact, by dynamic programming.

    What is larger than the first level belongs to the second class, and so on.
    """
    counts = np.bincount(values.ravel(), minlength=LEVELS).astype(np.float64)
    there = np.flatnonzero(counts)
    if len(there) <= classes:  # every value is a class of its own, and the rest are empty
        return np.pad(there[:-1], (0, classes - max(1, len(there))), constant_values=LEVELS)
    weights, means = counts[there], there.astype(np.float64)
    total = np.concatenate([[0], np.cumsum(weights)])
    sums = np.concatenate([[0], np.cumsum(weights * means)])
    with np.errstate(divide="ignore", invalid="ignore"):
        # explained[i, j]: what a class of the values i to j - 1 explains
        explained = np.square(sums[None] - sums[:, None]) / (total[None] - total[:, None])
    explained[np.tril_indices(len(total))] = -np.inf
    best, cuts = explained[0], []
    for _ in range(classes - 1):
        choices = best[:, None] + explained
        cuts.append(choices.argmax(axis=0))
        best = choices.max(axis=0)
    place, found = len(there), []
    for cut in reversed(cuts):
        place = int(cut[place])
        found.append(int(there[place - 1]))
    return np.array(found[::-1])


def _sixteen(image: Image) -> NDArray[np.uint16]:
    """The grey in 16 bits: what 8 bits hold keeps its order exactly."""
    return np.asarray(pixels.to_depth(pixels.to_float(pixels.luminance(image)), np.uint16)[..., 0])


def _seen(image: Image) -> NDArray[np.bool_]:
    """What is not wholly transparent; all where nothing is left."""
    seen = image[..., 3] > 0 if image.shape[2] == 4 else np.ones(image.shape[:2], bool)
    return seen if seen.any() else ~seen


def _chosen(mask: NDArray[np.bool_], image: Image) -> Image:
    return np.asarray(mask.astype(image.dtype) * image.dtype.type(pixels.largest(image)))
