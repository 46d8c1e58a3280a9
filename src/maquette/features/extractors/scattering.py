"""Wavelet scattering: how much of which direction and size stands where, and how that is itself arranged.

Nothing is learned or fitted. Every level of a pyramid is filtered in four directions; the strength of the answer is
kept as an average, by quarter of the image, and with its spread; the strength itself is filtered again at coarser
levels (second order), which sees textures that a spectrum alone cannot tell apart. Logarithms, because strengths vary
by factors.

Mallat, "Group invariant scattering", 2012; Bruna and Mallat, "Invariant scattering convolution networks", 2013.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette.features.extractor import Extractor, Features, halve, planes
from maquette.store.digest import bytes_digest

DIRECTIONS = 4
RADIUS = 3
"""Filters are 7 pixels wide."""
SMALLEST = 8
"""Levels go down to images of this many pixels."""
LEVELS = 5
FAINT = 3e-3
"""Added to a strength before its logarithm: about one step of an 8-bit image."""
VERSION = "scattering 2"


@dataclass(frozen=True)
class Scattering:
    """The extractor; it has no state."""

    name: str = "scattering"
    resize: str = "none"

    @property
    def digest(self) -> str:
        """The version of this code stands for its numbers."""
        return bytes_digest(VERSION.encode())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was fitted: nothing."""
        return {}

    def __call__(self, images: NDArray[Any]) -> Features:
        """N H W C -> N width (279 for 32 x 32 RGB)."""
        with torch.inference_mode():
            return np.asarray(_scatter(planes(images)).numpy(), dtype=np.float32)


def make(images: NDArray[Any]) -> Extractor:
    """The extractor; there is nothing to fit."""
    return Scattering()


def restore(arrays: Mapping[str, NDArray[Any]]) -> Extractor:
    """The extractor somewhere else."""
    return Scattering()


def _scatter(x: Tensor) -> Tensor:
    """N C H W in [0, 1] -> N features."""
    layout = F.adaptive_avg_pool2d(x, 4)
    rows = [layout.flatten(1), (x.var((2, 3)) + 1e-8).sqrt()]
    side = min(x.shape[2:])
    levels = min(LEVELS, max(1, int(math.log2(max(side, SMALLEST) / SMALLEST)) + 1))
    for level in range(levels):
        strength = _strength(x)  # N C directions H W
        every = strength.flatten(1, 2)
        rows.append(torch.log(FAINT + F.adaptive_avg_pool2d(every, 2)).flatten(1))
        rows.append(torch.log(FAINT + _spread(every)))
        first = strength[:, 0]  # of the brightness only
        for _ in range(level + 1, levels):
            first = halve(first)
            rows.append(torch.log(FAINT + _strength(first).mean((3, 4))).flatten(1))
        if level + 1 < levels:
            x = halve(x)
    return torch.cat(rows, dim=1)


def _strength(x: Tensor) -> Tensor:
    """N C H W -> N C directions H W: the length of the answer of a pair of filters a quarter wave apart."""
    count, channels, height, width = x.shape
    flat = F.pad(x.reshape(count * channels, 1, height, width), (RADIUS,) * 4, mode="reflect")
    even, odd = F.conv2d(flat, _filters()).chunk(2, dim=1)
    squared = torch.addcmul(torch.addcmul(_TINY, even, even), odd, odd)
    return squared.sqrt_().reshape(count, channels, DIRECTIONS, height, width)


_TINY = torch.tensor(1e-12)


def _spread(x: Tensor) -> Tensor:
    """N C H W -> N C: the standard deviation. (torch.var goes through the numbers one by one: three times as slow.)"""
    pixels = x.shape[2] * x.shape[3]
    length: Tensor = torch.linalg.vector_norm(x - x.mean((2, 3), keepdim=True), dim=(2, 3))
    return length / math.sqrt(max(1, pixels - 1))


@cache
def _filters() -> Tensor:
    """2 * directions x 1 x 7 x 7: cosine waves under a bell, then sine waves (Morlet), of zero mean and unit length."""
    y, x = torch.meshgrid(*[torch.arange(-RADIUS, RADIUS + 1.0)] * 2, indexing="ij")
    wave, bell_width, flatness = 0.675 * math.pi, 1.3, 0.6
    filters: list[tuple[Tensor, Tensor]] = []
    for direction in range(DIRECTIONS):
        angle = math.pi * direction / DIRECTIONS
        along = x * math.cos(angle) + y * math.sin(angle)
        across = -x * math.sin(angle) + y * math.cos(angle)
        bell = torch.exp(-(along**2 + (across * flatness) ** 2) / (2 * bell_width**2))
        even, odd = bell * torch.cos(wave * along), bell * torch.sin(wave * along)
        even = even - bell * (even.sum() / bell.sum())
        length = (even.square() + odd.square()).sum().sqrt()
        filters.append((even / length, odd / length))
    return torch.stack([torch.stack(part) for part in zip(*filters, strict=True)]).flatten(0, 1)[:, None]
