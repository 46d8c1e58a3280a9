"""What brushes and pencils follow: the direction of edges, smoothing along it, and flat dabs of paint."""

from __future__ import annotations

import math

import cv2
import numpy as np

from maquette.refining.neighbourhood import MIRROR, Floats, gaussian_reach, luma, soft
from maquette.refining.threads import in_strips


def tangents(plane: Floats, sigma: float) -> Floats:
    """A unit vector along the edges at each pixel (right, down), from the smoothed structure tensor."""
    right = cv2.Scharr(plane, cv2.CV_32F, 1, 0, borderType=MIRROR)
    down = cv2.Scharr(plane, cv2.CV_32F, 0, 1, borderType=MIRROR)
    tensor = soft(np.stack([right * right, down * down, right * down], axis=2), sigma)
    across = np.float32(0.5) * np.arctan2(2 * tensor[..., 2], tensor[..., 0] - tensor[..., 1] + np.float32(1e-12))
    return np.stack([-np.sin(across), np.cos(across)], axis=2)


def along(image: Floats, field: Floats, length: float) -> Floats:
    """The mean of the image along the field's lines, `length` pixels to each side, farther pixels counting less."""
    if image.ndim == 2:
        return along(image[..., None], field, length)[..., 0]
    both = np.concatenate([image, field], axis=2)
    return in_strips(
        both, lambda part: _along(np.ascontiguousarray(part[..., :-2]), np.ascontiguousarray(part[..., -2:]), length),
        math.ceil(length) + 2, 96, image.shape[2],
    )  # fmt: skip


def _along(image: Floats, field: Floats, length: float) -> Floats:
    steps = min(10, max(1, math.ceil(length / 1.5)))
    stride = np.float32(length / steps)
    height, width = field.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    total: Floats = image.copy()
    weights = 1.0
    for side in (stride, -stride):
        heading: Floats = field * side
        across, down = x + heading[..., 0], y + heading[..., 1]
        for step in range(1, steps + 1):
            weight = math.exp(-2.0 * (step / steps) ** 2)
            seen = cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=MIRROR)
            cv2.scaleAdd(seen.reshape(image.shape), weight, total, dst=total)
            weights += weight
            if step < steps:
                ahead = cv2.remap(field, across, down, cv2.INTER_NEAREST, borderMode=MIRROR)
                product = ahead[..., 0] * heading[..., 0] + ahead[..., 1] * heading[..., 1]
                heading = ahead * np.copysign(stride, product)[..., None]  # a direction has no sign: keep going on
                across += heading[..., 0]
                down += heading[..., 1]
    total *= np.float32(1 / weights)
    return total


def dabs(image: Floats, radius: float, sharpness: float = 4.0) -> Floats:
    """Flat dabs with crisp borders: of eight soft windows around a pixel those count that vary least.

    A generalised Kuwahara filter (Papari 2007) with displaced Gaussians as sectors, so that one blur serves all eight.
    """
    sigma = 0.45 * radius
    if sigma >= 16:  # such a blur is computed on a smaller image, which strips would not share
        return _dabs(image, radius, sigma, sharpness)
    halo = math.ceil(radius) + 1 + gaussian_reach(sigma)
    return in_strips(image, lambda part: _dabs(part, radius, sigma, sharpness), halo, max(96, 2 * halo))


def _dabs(image: Floats, radius: float, sigma: float, sharpness: float) -> Floats:
    plane = luma(image)
    features = np.concatenate([image, (plane * plane)[..., None], plane[..., None]], axis=2)
    means = np.concatenate([soft(part, sigma) for part in np.split(features, [image.shape[2]], axis=2)], axis=2)
    variance = np.maximum(means[..., -2] - means[..., -1] ** 2, 0)
    calm = (np.float32(1) / (np.float32(2e-5) + variance)) ** np.float32(sharpness / 2)
    colour = means[..., : image.shape[2]] * calm[..., None]
    pad = math.ceil(radius) + 1
    padded = cv2.copyMakeBorder(
        np.concatenate([colour, calm[..., None]], axis=2), pad, pad, pad, pad, MIRROR
    )  # the weights travel with the means
    height, width = plane.shape
    total = np.zeros((height, width, image.shape[2] + 1), np.float32)
    for sector in range(8):
        angle = math.pi / 4 * sector
        y, x = round(0.6 * radius * math.sin(angle)), round(0.6 * radius * math.cos(angle))
        total += padded[pad + y : pad + y + height, pad + x : pad + x + width]
    return np.asarray(total[..., :-1] / total[..., -1:])


def painted_along(image: Floats, noise: Floats, field: Floats, length: float) -> tuple[Floats, Floats]:
    """The image drawn out along the field, and the traces of a brush: noise drawn out with it, of deviation 1."""
    drawn = along(np.concatenate([image, noise[..., None]], axis=2), field, length)
    traces = drawn[..., -1] - drawn[..., -1].mean()
    return np.ascontiguousarray(drawn[..., :-1]), np.asarray(traces / np.float32(traces.std() or 1))


def relief(height_map: Floats, depth: float) -> Floats:
    """How a surface lit from the upper left shines: 1 where it is flat."""
    right = cv2.Sobel(height_map, cv2.CV_32F, 1, 0, scale=0.125, borderType=MIRROR)
    down = cv2.Sobel(height_map, cv2.CV_32F, 0, 1, scale=0.125, borderType=MIRROR)
    return np.asarray(1 + np.float32(depth) * (right + down))
