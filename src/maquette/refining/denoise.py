"""What denoisers compute, on float images of one or three channels."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.refining.neighbourhood import MIRROR, Floats
from maquette.refining.threads import in_strips, threads

_STARLET = (0.8908, 0.2007, 0.0856, 0.0413, 0.0205)
"""What is left of white noise of deviation 1 in each scale of the B3-spline wavelet."""


def measured_noise(image: Floats) -> float:
    """The deviation of the noise: from the median size of the finest diagonal differences (Donoho's estimate).

    Pixels at black or white are left out, since there noise is cut off; the result is the mean over the channels.
    """
    found = []
    for channel in range(image.shape[2]):
        plane = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2, channel]
        if plane.size < 16:
            return 0.0
        a, b, c, d = plane[::2, ::2], plane[::2, 1::2], plane[1::2, ::2], plane[1::2, 1::2]
        inside = (np.minimum(np.minimum(a, b), np.minimum(c, d)) > 0) & (
            np.maximum(np.maximum(a, b), np.maximum(c, d)) < 1
        )
        details = np.abs((a - b - c + d)[inside]) / 2
        found.append(float(np.median(details)) / 0.6745 if details.size > 16 else 0.0)
    return sum(found) / len(found)


def non_local_means(image: Floats, noise: float, width: float, patch: int, search: int) -> Floats:
    """Each pixel as the mean of those in the search window, weighted by how alike their patches are (Buades 2005).

    The weight is exp(-max(distance - 2 noise^2, 0) / width^2), the distance the mean square over patch and channels.
    """
    reach = patch + search
    padded = cv2.copyMakeBorder(image, reach, reach, reach, reach, MIRROR).reshape(
        image.shape[0] + 2 * reach, image.shape[1] + 2 * reach, image.shape[2]
    )
    rows = max(8, 2**16 // padded.shape[1])
    done = in_strips(padded, lambda part: _means_of(part, noise, width, patch, search), reach, rows)
    return done[reach:-reach, reach:-reach]


def _means_of(part: Floats, noise: float, width: float, patch: int, search: int) -> Floats:
    """One strip; what is farther out than the halo is not right and is cut off by the caller.

    A shift and its opposite share their distances, so half of the window is walked through. A weight below exp(-5)
    counts as none, as in scikit-image: many patches that are a little alike would blur.
    """
    planes = [np.ascontiguousarray(part[..., channel]) for channel in range(part.shape[2])]
    scaled = [plane * np.float32(1 / (width * math.sqrt(len(planes)))) for plane in planes]
    tall, wide = planes[0].shape
    total = np.ones((tall, wide), np.float32)
    sums = [plane.copy() for plane in planes]
    free, least = np.float32(2 * noise * noise / (width * width)), math.exp(-5)
    side = (2 * patch + 1, 2 * patch + 1)
    for dy in range(search + 1):
        for dx in range(-search if dy else 1, search + 1):
            here = (slice(0, tall - dy), slice(max(0, -dx), wide - max(0, dx)))
            there = (slice(dy, tall), slice(max(0, dx), wide - max(0, -dx)))
            distance = np.zeros((tall - dy, wide - abs(dx)), np.float32)
            for plane in scaled:
                cv2.accumulateSquare(cv2.subtract(plane[here], plane[there]), distance)
            weight = cv2.blur(distance, side, dst=distance, borderType=MIRROR)
            np.subtract(free, weight, out=weight)
            np.minimum(weight, 0, out=weight)
            cv2.exp(weight, dst=weight)
            cv2.threshold(weight, least, 0, cv2.THRESH_TOZERO, dst=weight)
            for first, second in ((here, there), (there, here)):
                total[first] += weight
                for plane, accumulated in zip(planes, sums, strict=True):
                    cv2.accumulateProduct(plane[second], weight, accumulated[first])
    return np.stack([accumulated / total for accumulated in sums], axis=2)


def _opponents(channels: int) -> NDArray[np.float64]:
    """An orthonormal turn of colours into lightness and two differences: white noise stays white, and as strong."""
    if channels == 1:
        return np.eye(1)
    return np.array([[1, 1, 1], [1.5**0.5, 0, -(1.5**0.5)], [-(0.5**0.5), 2**0.5, -(0.5**0.5)]]) / 3**0.5


def wavelet_shrunk(image: Floats, lightness: float, colour: float) -> Floats:
    """The image without what its wavelet coefficients cannot tell from noise of these deviations."""
    turn = _opponents(image.shape[2])
    turned = cv2.transform(image, turn.astype(np.float32)).reshape(image.shape)
    planes = [np.ascontiguousarray(turned[..., channel]) for channel in range(image.shape[2])]
    noises = [lightness] + [colour] * (image.shape[2] - 1)
    if len(planes) == 1:
        return _shrunk(planes[0], lightness)[..., None]
    with ThreadPoolExecutor(threads()) as pool:
        done = list(pool.map(_shrunk, planes, noises))
    return np.asarray(cv2.transform(np.stack(done, axis=2), turn.T.astype(np.float32)))


def _shrunk(plane: Floats, noise: float) -> Floats:
    """One plane: at each scale, local Wiener shrinkage by the energy around each coefficient."""
    if noise <= 0:
        return plane
    smooth, result = plane, np.zeros_like(plane)
    for scale, share in enumerate(_STARLET):
        step = 2**scale
        if 2 * step >= min(plane.shape):
            break
        smoother = _spline(_spline(smooth, step).T, step).T
        detail = smooth - smoother
        side = 2 * max(2, step) + 1
        energy = cv2.blur(cv2.multiply(detail, detail), (side, side), borderType=MIRROR)
        kept = np.maximum(energy - np.float32((noise * share) ** 2), 0)
        kept /= energy + np.float32(1e-12)
        cv2.accumulateProduct(detail, kept, result)
        smooth = smoother
    return result + smooth


def _spline(plane: Floats, step: int) -> Floats:
    """The B3 spline (1 4 6 4 1) / 16 down the columns, with holes of this step; the result is laid out by rows."""
    plane = np.ascontiguousarray(plane)
    padded = cv2.copyMakeBorder(plane, 2 * step, 2 * step, 0, 0, MIRROR)
    tall = plane.shape[0]
    result = cv2.addWeighted(padded[:tall], 1 / 16, padded[4 * step :], 1 / 16, 0)
    near = cv2.add(padded[step : step + tall], padded[3 * step : 3 * step + tall])
    cv2.addWeighted(near, 4 / 16, result, 1, 0, dst=result)
    return np.asarray(cv2.addWeighted(plane, 6 / 16, result, 1, 0, dst=result))


def total_variation(image: Floats, weight: float, iterations: int) -> Floats:
    """The image u that makes |u - image|^2 / 2 + weight * (total variation of u) least; each channel by itself.

    The dual problem by the fast gradient projection of Beck and Teboulle (2009). An iteration looks one pixel further,
    so strips with a halo of as many rows as there are iterations give what the whole would.
    """

    def work(part: Floats) -> Floats:
        planes = [np.ascontiguousarray(part[..., channel]) for channel in range(part.shape[2])]
        return np.stack([_least_variation(plane, weight, iterations) for plane in planes], axis=2)

    return in_strips(image, work, iterations, max(64, 5 * iterations))


def _least_variation(plane: Floats, weight: float, iterations: int) -> Floats:
    tall, wide = plane.shape
    # The dual field (down, right), extrapolated and as it was; each with a row or column of zeros before the first.
    fields = [np.zeros((2, tall + 1, wide + 1), np.float32) for _ in range(3)]
    ahead, old, new = fields
    found, slope, size = (np.zeros_like(plane) for _ in range(3))
    step, momentum = 1 / (8 * weight), 1.0

    def settle(field: Floats) -> None:
        """found = plane + weight * divergence of the field"""
        down, right = field
        cv2.add(down[1:, 1:], right[1:, 1:], dst=found)
        cv2.subtract(found, down[:-1, 1:], dst=found)
        cv2.subtract(found, right[1:, :-1], dst=found)
        cv2.scaleAdd(found, weight, plane, dst=found)

    for _ in range(iterations):
        settle(ahead)
        slope[-1] = 0
        np.subtract(found[1:], found[:-1], out=slope[:-1])
        cv2.scaleAdd(slope, step, ahead[0, 1:, 1:], dst=new[0, 1:, 1:])
        slope[:, -1] = 0
        np.subtract(found[:, 1:], found[:, :-1], out=slope[:, :-1])
        cv2.scaleAdd(slope, step, ahead[1, 1:, 1:], dst=new[1, 1:, 1:])
        cv2.multiply(new[0, 1:, 1:], new[0, 1:, 1:], dst=size)  # cv2.magnitude gives other last bits where memory
        cv2.accumulateSquare(new[1, 1:, 1:], size)  # is aligned otherwise
        np.maximum(cv2.sqrt(size, dst=size), 1, out=size)
        following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        push = (momentum - 1) / following
        for axis in range(2):
            inner = new[axis, 1:, 1:]
            cv2.divide(inner, size, dst=inner)
            cv2.addWeighted(inner, 1 + push, old[axis, 1:, 1:], -push, 0, dst=ahead[axis, 1:, 1:])
        old, new, momentum = new, old, following
    settle(old)
    return found
