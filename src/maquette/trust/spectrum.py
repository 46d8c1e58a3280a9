"""What of an image can hold a mark: its luminance, evened out in space and in frequency, sampled at any waves.

Evened out in space: the mean around each pixel is taken away, and what is left is divided by how busy the place is.
Evened out in frequency: each wave is divided by how strong its neighbours are. Then any wave is one interpolation in
a Fourier transform, whatever the scale or the turn of the mark, and looking for a mark costs little an attempt.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Luminance as JPEG and WebP know it: what they keep best."""
BLUENESS = np.array([0.0, -0.344136, 1.772], np.float32)
"""What one step of blueness (Cb) is in red, green and blue; luminance stays as it is."""
FADING = 0.3
"""How much weaker than their neighbours the mark's waves are where the image is strong: `level` to minus half that."""
_MEAN, _BUSY, _LEAST = 4.0, 6.0, 2.0  # pixels, pixels, levels of 255
_NEIGHBOURS = 0.03  # waves a pixel
_TAPS = 4  # points of the transform that one wave is interpolated from, along each side
_BETA = 2.34 * _TAPS  # Kaiser-Bessel for a transform of twice the size
_TABLE = 4096

Plane = NDArray[np.float32]
Real = NDArray[np.floating]


def luminance(image: NDArray[np.generic]) -> Plane:
    """Height x width, from 0 to 255; what is transparent is laid on white."""
    if image.dtype == np.uint16:
        return np.asarray(image[..., 0], np.float32) / np.float32(257)
    if image.shape[2] == 1:
        return np.asarray(image[..., 0], np.float32)
    plane = np.asarray(image[..., :3], np.float32) @ WEIGHTS
    if image.shape[2] == 4:
        alpha = np.asarray(image[..., 3], np.float32) / np.float32(255)
        plane = plane * alpha + 255 * (1 - alpha)
    return np.asarray(plane)


def blueness(image: NDArray[np.generic]) -> Plane | None:
    """How blue rather than yellow each pixel is (Cb, 0 for greys); None for images without colours."""
    if image.shape[2] == 1:
        return None
    colours = np.asarray(image[..., :3], np.float32)
    plane = (colours[..., 2] - colours @ WEIGHTS) / np.float32(1.772)
    if image.shape[2] == 4:
        plane = plane * (np.asarray(image[..., 3], np.float32) / np.float32(255))
    return np.asarray(plane)


def activity(plane: Plane, reach: float) -> tuple[Plane, Plane]:
    """The plane without its slow changes, and how much it changes around each pixel, squared."""
    fine = plane - cv2.GaussianBlur(plane, (0, 0), _MEAN, borderType=cv2.BORDER_REFLECT)
    return np.asarray(fine), np.asarray(cv2.GaussianBlur(fine * fine, (0, 0), reach, borderType=cv2.BORDER_REFLECT))


def evened(plane: Plane) -> Plane:
    """The plane without its slow changes, divided by how much it changes around each pixel."""
    fine, busy = activity(plane, _BUSY)
    return np.asarray(np.clip(fine / np.sqrt(busy + np.float32(_LEAST**2)), -3, 3))


@dataclass(frozen=True)
class Spectrum:
    """A plane's Fourier transform, ready to be sampled between its points. Phases are counted from the middle."""

    grid: NDArray[np.complex64]
    level: Plane
    """How strong the waves around each point are, squared; 1 on average."""
    shape: tuple[int, int]

    def at(self, frequencies: Real) -> NDArray[np.complex64]:
        """The plane's transform at waves a pixel (..., 2), along y and x."""
        side = np.array(self.grid.shape)
        place = frequencies * side
        points = np.floor(place).astype(np.int64)[..., None] + np.arange(1 - _TAPS // 2, _TAPS // 2 + 1)
        weight = _kernel(points - place[..., None])  # ..., y or x, taps
        points %= side[:, None]
        flat = self.grid.reshape(-1)
        rows = points[..., 0, :] * side[1]
        total = np.zeros(frequencies.shape[:-1], np.complex64)
        for a in range(_TAPS):
            row = flat[rows[..., a, None] + points[..., 1, :]]
            total += np.einsum("...t,...t->...", row, weight[..., 1, :]) * weight[..., 0, a]
        return total

    def level_at(self, frequencies: Real) -> Plane:
        """How strong the image is around waves a pixel (..., 2), squared."""
        side = np.array(self.level.shape)
        points = np.rint(frequencies * side).astype(np.int64) % side
        return np.asarray(self.level[points[..., 0], points[..., 1]])


def spectrum(plane: Plane) -> Spectrum:
    """The transform of a plane, evened out in space and in frequency."""
    height, width = plane.shape
    tall, wide = (int(scipy.fft.next_fast_len(2 * side, real=True)) for side in plane.shape)
    padded = np.zeros((tall, wide), np.float32)
    padded[:height, :width] = evened(plane) * np.outer(_correction(height, tall), _correction(width, wide))
    transform = np.asarray(scipy.fft.fft2(padded))
    transform *= _centred(height, tall)[:, None]
    transform *= _centred(width, wide)
    power = transform.real**2 + transform.imag**2
    reach = [max(3, 2 * round(_NEIGHBOURS * side) + 1) for side in (tall, wide)]
    around = cv2.copyMakeBorder(power, reach[0], reach[0], reach[1], reach[1], cv2.BORDER_WRAP)
    level = cv2.blur(around, (reach[1], reach[0]))[reach[0] : -reach[0], reach[1] : -reach[1]]
    level = level / max(float(level.mean()), 1e-9) + np.float32(1e-3)
    # The mark is weaker where the image is strong, and what is weaker counts for less.
    transform /= level ** np.float32((1 + FADING) / 2)
    return Spectrum(np.asarray(transform), np.asarray(level), (height, width))


@functools.lru_cache(maxsize=32)
def _centred(count: int, side: int) -> NDArray[np.complex64]:
    """Phases that make the middle of `count` pixels the origin of a transform of `side` points."""
    return np.asarray(np.exp(1j * np.pi * scipy.fft.fftfreq(side) * (count - 1)), np.complex64)


@functools.lru_cache(maxsize=32)
def _correction(count: int, side: int) -> Plane:
    """What interpolating with the kernel does to each pixel, undone beforehand."""
    place = (np.arange(count) - (count - 1) / 2) / side
    root = np.sqrt((_BETA**2 - (np.pi * _TAPS * place) ** 2).astype(complex))
    return np.asarray(1 / np.real(np.sinh(root) / root), np.float32)


def _kernel(distance: Real) -> Plane:
    """Kaiser-Bessel, from a table: computing it would take most of the time."""
    step = np.abs(distance) * (_TABLE / (_TAPS / 2)) + 0.5
    return np.asarray(_kernel_table()[np.minimum(step.astype(np.intp), _TABLE + 1)])


@functools.lru_cache(maxsize=1)
def _kernel_table() -> Plane:
    inside = np.clip(1 - np.linspace(0, 1, _TABLE + 1) ** 2, 0, None)
    return np.append(np.i0(_BETA * np.sqrt(inside)) / _TAPS, 0).astype(np.float32)
