"""The contract of extractors: images in, one row of numbers for each image out.

An extractor is one file in `extractors/` (or an entry point of the group `maquette.features.extractors`) with a
function `make(images)` that fits it on some images of a dataset, or ignores them when there is nothing to fit. With a
method `arrays()` and a function `restore(arrays)` that makes the same one again, workers look at images too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.image import depth, mode_of
from maquette.core.registry import Registry

Features = NDArray[np.float32]
BLOCK = 3 << 17
"""Values of pixels that go through an extractor at once (128 of 32 x 32 RGB): what it makes of them stays in the
processor's own memory, and memory depends on it, not on how many images there are."""


class Extractor(Protocol):
    """Turns images into rows of numbers; the same images give the same rows."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def digest(self) -> str:
        """Changes when its numbers would change; every score carries it."""
        ...

    @property
    def resize(self) -> str:
        """The kernel by which images are brought to the size it needs; `none` when it takes them as they are."""
        ...

    def __call__(self, images: NDArray[Any]) -> Features:
        """N height width channels (uint8 or uint16) -> N width, float32."""
        ...


Make = Callable[[NDArray[Any]], Extractor]


def _pick(module: ModuleType) -> Make:
    make: Make = module.make
    return make


REGISTRY: Registry[Make] = Registry("maquette.features.extractors", "kind of features", _pick)


Extract = Callable[[Extractor, "Pictures"], Iterator[Features]]
"""Whoever turns all pictures into rows, in order: `extract`, or workers."""


class Pictures(Protocol):
    """Images that are read when they are asked for: an array, a memory-mapped file, a part of a dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def extract(extractor: Extractor, pictures: Pictures) -> Iterator[Features]:
    """The rows of all pictures, a block at a time."""
    for images in blocks(pictures):
        yield extractor(images)


def blocks(pictures: Pictures) -> Iterator[NDArray[Any]]:
    """All pictures, as many together as an extractor is given at once."""
    if not len(pictures):
        return
    size = max(1, BLOCK // max(1, int(np.prod(pictures[0:1].shape))))
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def planes(images: NDArray[Any]) -> Tensor:
    """N H W C -> N C H W in [0, 1]: colour as brightness and two differences, premultiplied by alpha; alpha last."""
    mode = mode_of(images[0])
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / depth(mode)
    if mode == "rgba":
        x = torch.cat([x[:, :3] * x[:, 3:], x[:, 3:]], dim=1)
    if x.shape[1] < 3:
        return x
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    opponent = [
        (red + green + blue) / math.sqrt(3), (red - blue) / math.sqrt(2), (red - 2 * green + blue) / math.sqrt(6)
    ]  # fmt: skip
    return torch.cat([torch.stack(opponent, dim=1), x[:, 3:]], dim=1)


def halve(x: Tensor) -> Tensor:
    """N C H W -> half the height and width, smoothed with 1 3 3 1 so that nothing aliases."""
    count, channels, height, width = x.shape
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (line[:, None] * line[None, :])[None, None]
    flat = torch.nn.functional.pad(x.reshape(count * channels, 1, height, width), (1, 1, 1, 1), mode="replicate")
    small = torch.nn.functional.conv2d(flat, kernel, stride=2)
    return small.reshape(count, channels, *small.shape[2:])


def stack(blocks: Sequence[Features]) -> Features:
    """Blocks of rows as one array."""
    return np.concatenate(list(blocks)) if len(blocks) else np.zeros((0, 0), np.float32)
