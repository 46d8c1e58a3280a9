"""From a hard outline to a soft edge, and from mixed colours at the edge to the subject's own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


def box(values: Map, radius: int) -> Map:
    """The mean of the square of so many pixels to each side."""
    side = 2 * radius + 1
    return np.asarray(cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def follow(guide: Map, values: Map, radius: int, smooth: float) -> tuple[Map, Map]:
    """The guided filter's coefficients: `values` as slope (H W 3) times guide (H W 3, in [0, 1]) plus base (H W).

    He, Sun and Tang, Guided image filtering, 2013, equations 19 and 20; `smooth` is their epsilon. The coefficients are
    smooth, so they can be found on a small image and used on a large one.
    """
    mean = box(guide, radius)
    mean_values = box(values, radius)
    together = box(guide * values[..., None], radius) - mean * mean_values[..., None]
    red, green, blue = (guide[..., k] for k in range(3))
    products = box(np.ascontiguousarray(np.stack([red * green, red * blue, green * blue], axis=2)), radius)
    squares = box(guide * guide, radius) - mean * mean + np.float32(smooth)
    rg, rb, gb = (products[..., k] - mean[..., i] * mean[..., j] for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))))
    rr, gg, bb = (squares[..., k] for k in range(3))
    # the inverse of a symmetric 3 x 3 matrix, by its cofactors
    first, second, third = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    size = first * rr + second * rg + third * rb
    cofactors = (
        (first, second, third),
        (second, rr * bb - rb * rb, rb * rg - rr * gb),
        (third, rb * rg - rr * gb, rr * gg - rg * rg),
    )
    slope = np.stack([sum(cofactors[i][k] * together[..., k] for k in range(3)) / size for i in range(3)], axis=2)
    base = mean_values - (slope * mean).sum(axis=2)
    return box(np.asarray(slope, np.float32), radius), box(np.asarray(base, np.float32), radius)


def soft_edge(guide: Map, small: Map, mask: Map, radius: int, smooth: float = 1e-4) -> Map:
    """The matte H W of a large guide H W 3 from a mask that was found on a small one.

    Away from the outline the matte is exactly 0 or 1.
    """
    slope, base = follow(small, mask, radius, smooth)
    height, width = guide.shape[:2]
    if guide.shape[:2] != small.shape[:2]:
        slope = np.asarray(cv2.resize(slope, (width, height), interpolation=cv2.INTER_LINEAR))
        base = np.asarray(cv2.resize(base, (width, height), interpolation=cv2.INTER_LINEAR))
    matte = np.einsum("hwc,hwc->hw", slope, guide) + base
    matte = np.clip((matte - 0.06) / 0.88, 0, 1)  # the filter leaves a haze of a few hundredths on textures
    near = cv2.GaussianBlur(mask, (0, 0), radius)
    if near.shape != matte.shape:
        near = cv2.resize(near, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(near < 0.02, 0, np.where(near > 0.98, 1, matte)), np.float32)


def explained(guide: Map, found: Map, small: Map, small_found: Map, radius: int) -> Map:
    """A better matte H W of the guide: the mixture of the subject's and the background's colours nearby that explains
    each pixel at the edge, as far as the two differ and do explain it.

    The colours are taken from the small image, from where its matte is sure, so that no mixture is among them.
    """
    square = np.ones((3, 3), np.uint8)
    sure = cv2.erode((small_found > 0.97).astype(np.uint8), square).astype(np.float32)
    sure_not = cv2.erode((small_found < 0.03).astype(np.uint8), square).astype(np.float32)
    open_ = np.asarray((box(sure, 1) < 1) & (box(sure_not, 1) < 1), np.uint8)
    if not sure.any() or not sure_not.any() or not open_.any():
        return found
    height, width = guide.shape[:2]
    size = (width, height)
    rows, columns = np.nonzero(cv2.resize(open_, size, interpolation=cv2.INTER_NEAREST))
    one, other = (
        cv2.resize(_spread(small, weight, radius), size, interpolation=cv2.INTER_LINEAR)[rows, columns]
        for weight in (sure, sure_not)
    )
    apart, here, before = one - other, guide[rows, columns] - other, found[rows, columns]
    distance = np.square(apart).sum(axis=1)
    share = np.clip((here * apart).sum(axis=1) / (distance + 1e-4), 0, 1)
    left = np.square(here - share[:, None] * apart).sum(axis=1)
    trust = distance / (distance + 0.2**2) * np.exp(-left / (2 * 0.1**2))
    better = found.copy()
    better[rows, columns] = trust * share + (1 - trust) * before
    return better


def _spread(image: Map, weight: Map, radius: int) -> Map:
    """The colours where `weight` is, carried on to everywhere: from near by where there are some, else from afar."""
    total = np.zeros(weight.shape, np.float32)
    colours = np.zeros_like(image)
    for reach in (max(1, radius // 4), max(1, radius // 2), radius, 2 * radius, 6 * radius):
        there = box(weight, reach)
        mean = box(image * weight[..., None], reach) / np.maximum(there, 1e-6)[..., None]
        share = (1 - total) * np.clip(4 * there, 0, 1)
        colours += share[..., None] * mean
        total += share
    middle = (image * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
    return np.asarray(colours + (1 - total)[..., None] * middle, np.float32)


def own_colours(image: Map, matte: Map, radius: int) -> Map:
    """The subject's own colours H W 3 where the image H W 3 mixes them with the background's.

    Forte, Approximate fast foreground colour estimation, 2021: colours of subject and background are blurred, each
    weighed by the matte, and corrected by what is left to explain; first widely, then closely.
    """
    subject = background = image
    for reach in (radius, max(1, radius // 8)):
        weight = box(matte, reach)
        wide = box(subject * matte[..., None], reach) / (weight[..., None] + 1e-5)
        rest = box(background * (1 - matte)[..., None], reach) / ((1 - weight)[..., None] + 1e-5)
        left = image - matte[..., None] * wide - (1 - matte)[..., None] * rest
        subject = np.clip(wide + matte[..., None] * left, 0, 1)
        background = np.clip(rest, 0, 1)
    return np.asarray(np.where((matte >= 1)[..., None], image, subject), np.float32)
