"""Patches in a dictionary: how like each of a few hundred typical patches the parts of an image are.

The dictionary is fitted on images of the dataset by k-means over whitened patches, at up to three levels of a pyramid;
an image's numbers are how much nearer than usual each entry was, added up by quarter of the image.

Coates, Lee and Ng, "An analysis of single-layer networks in unsupervised feature learning", 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.errors import DataError
from maquette.features.extractor import Extractor, Features, halve, planes
from maquette.store.digest import tensors_digest

ENTRIES = 256
SIDE = 6
"""Patches are 6 x 6 pixels, taken every 2 pixels."""
STRIDE = 2
LEVELS = 3
SMALLEST = 16
"""Levels go down to images of this many pixels."""
LEARNED_FROM = 60_000
IMAGES = 4_000
ROUNDS = 8
FAINT = 10 / 255
"""Contrast below which a patch is not stretched to unit contrast."""


_FITTED = ("mean", "whiten", "entries")


@dataclass(frozen=True)
class Level:
    """The dictionary of one level: mean of the patches, whitening, entries (in whitened patches)."""

    mean: Tensor
    whiten: Tensor
    entries: Tensor


@dataclass(frozen=True)
class Patches:
    """The extractor, with what was fitted."""

    levels: tuple[Level, ...]
    name: str = field(default="patches")
    resize: str = field(default="none")

    @property
    def digest(self) -> str:
        """Of everything that was fitted."""
        return tensors_digest(self.arrays())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that was fitted."""
        return {
            f"{name} {number}": getattr(level, name).numpy()
            for number, level in enumerate(self.levels)
            for name in _FITTED
        }

    def __call__(self, images: NDArray[Any]) -> Features:
        """N H W C -> N levels * 4 * entries."""
        rows = []
        with torch.inference_mode():
            x = planes(images)
            for number, level in enumerate(self.levels):
                x = halve(x) if number else x
                rows.append(_likeness(x, level).flatten(1))
            return np.asarray(torch.cat(rows, dim=1).numpy(), dtype=np.float32)


def make(images: NDArray[Any]) -> Extractor:
    """Fit the dictionary on up to 4,000 of these images; always the same for the same images."""
    if len(images) < 20:
        raise DataError(f"{len(images)} images are too few for a dictionary of patches", do="give at least 20")
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        x = planes(images[:IMAGES])
        levels = [_fit(x, generator)]
        while len(levels) < LEVELS and min(x.shape[2:]) // 2 >= SMALLEST:
            x = halve(x)
            levels.append(_fit(x, generator))
    return Patches(tuple(levels))


def restore(arrays: Mapping[str, NDArray[Any]]) -> Extractor:
    """The extractor somewhere else, from what was fitted."""
    rows = [
        [torch.from_numpy(np.array(arrays[f"{name} {number}"])) for name in _FITTED]
        for number in range(len(arrays) // len(_FITTED))
    ]
    return Patches(tuple(Level(*row) for row in rows))


def _cut(x: Tensor, stride: int) -> Tensor:
    """N C H W -> N places C * 36, every patch with zero mean and, if it has any contrast, unit contrast."""
    patches = F.unfold(x, min(SIDE, *x.shape[2:]), stride=stride).transpose(1, 2)
    patches = patches - patches.mean(2, keepdim=True)
    return patches / (patches.square().mean(2, keepdim=True) + FAINT**2).sqrt()


def _fit(x: Tensor, generator: torch.Generator) -> Level:
    patches = _cut(x, 3).flatten(0, 1)
    patches = patches[torch.randperm(len(patches), generator=generator)[:LEARNED_FROM]]
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    whiten = vectors @ torch.diag((values + 0.1 * values.mean() + 1e-9).rsqrt()) @ vectors.T
    white = (patches - mean) @ whiten
    entries = white[torch.randperm(len(white), generator=generator)[:ENTRIES]].clone()
    for _ in range(ROUNDS):
        nearest = _squared(white, entries).argmin(1)
        count = torch.bincount(nearest, minlength=len(entries))
        sums = torch.zeros_like(entries).index_add_(0, nearest, white)
        entries = torch.where(count[:, None] > 0, sums / count.clamp_min(1)[:, None], entries)
    return Level(mean, whiten, entries)


def _squared(white: Tensor, entries: Tensor) -> Tensor:
    """Squared distances of every patch to every entry."""
    return white.square().sum(1, keepdim=True) - 2 * white @ entries.T + entries.square().sum(1)


def _likeness(x: Tensor, level: Level) -> Tensor:
    """N C H W -> N entries 2 2."""
    side = min(SIDE, *x.shape[2:])
    rows, columns = ((length - side) // STRIDE + 1 for length in x.shape[2:])
    white = (_cut(x, STRIDE).flatten(0, 1) - level.mean) @ level.whiten
    distance = _squared(white, level.entries).clamp_min(0).sqrt()
    nearer = F.relu(distance.mean(1, keepdim=True) - distance)
    return F.adaptive_avg_pool2d(nearer.reshape(len(x), rows, columns, -1).permute(0, 3, 1, 2), 2)
