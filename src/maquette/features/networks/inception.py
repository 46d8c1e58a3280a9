"""Inception v3 as it was trained in 2015, up to its last pooling: what the classical Frechet distance is taken in.

The file holds the tensors of `pt_inception-2015-12-05` under their names, as safetensors. Three things differ from
other Inceptions, and all three change the figures: averages leave out what lies beyond the border, the last block takes
a maximum, and images are brought to 299 x 299 as TensorFlow 1 did it, with the corner of a pixel as its place.

Szegedy and others, "Rethinking the Inception architecture for computer vision", 2015; Heusel and others, "GANs trained
by a two time-scale update rule converge to a local Nash equilibrium", 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.errors import ModelFileError
from maquette.features.extractor import Extractor
from maquette.features.network import Brought, fit_in, read_weights

SIDE = 299
FIRST = 32
"""Channels of the first convolution; a file with fewer is the same network, narrower throughout."""
ENDING = ("fc.weight", "fc.bias")
"""The layer of answers, which is not used."""


@dataclass(frozen=True)
class Step:
    """One convolution with its normalisation."""

    name: str
    outputs: int
    height: int = 1
    width: int = 1
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True)
class Block:
    """Branches side by side; the last entry of a branch may be two steps whose outputs stand side by side."""

    branches: tuple[tuple[Step | tuple[Step, Step], ...], ...]
    pool: Literal["average", "maximum", "half"]
    after: int = 0
    """Channels that the pooled branch is brought to; 0 leaves it as it is."""


def _a(after: int) -> Block:
    return Block((
        (Step("branch1x1", 64),),
        (Step("branch5x5_1", 48), Step("branch5x5_2", 64, 5, 5)),
        (Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, 3, 3), Step("branch3x3dbl_3", 96, 3, 3)),
    ), "average", after)  # fmt: skip


def _c(inner: int) -> Block:
    return Block((
        (Step("branch1x1", 192),),
        (Step("branch7x7_1", inner), Step("branch7x7_2", inner, 1, 7), Step("branch7x7_3", 192, 7, 1)),
        (
            Step("branch7x7dbl_1", inner), Step("branch7x7dbl_2", inner, 7, 1), Step("branch7x7dbl_3", inner, 1, 7),
            Step("branch7x7dbl_4", inner, 7, 1), Step("branch7x7dbl_5", 192, 1, 7),
        ),
    ), "average", 192)  # fmt: skip


def _e(pool: Literal["average", "maximum"]) -> Block:
    return Block((
        (Step("branch1x1", 320),),
        (Step("branch3x3_1", 384), (Step("branch3x3_2a", 384, 1, 3), Step("branch3x3_2b", 384, 3, 1))),
        (
            Step("branch3x3dbl_1", 448), Step("branch3x3dbl_2", 384, 3, 3),
            (Step("branch3x3dbl_3a", 384, 1, 3), Step("branch3x3dbl_3b", 384, 3, 1)),
        ),
    ), pool, 192)  # fmt: skip


STEM = (
    Step("Conv2d_1a_3x3", 32, 3, 3, 2), Step("Conv2d_2a_3x3", 32, 3, 3, padded=False), Step("Conv2d_2b_3x3", 64, 3, 3),
    Step("Conv2d_3b_1x1", 80), Step("Conv2d_4a_3x3", 192, 3, 3, padded=False),
)  # fmt: skip
HALVED_BEFORE = ("Conv2d_3b_1x1", "Mixed_5b")
BLOCKS = {
    "Mixed_5b": _a(32), "Mixed_5c": _a(64), "Mixed_5d": _a(64),
    "Mixed_6a": Block((
        (Step("branch3x3", 384, 3, 3, 2),),
        (Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, 3, 3), Step("branch3x3dbl_3", 96, 3, 3, 2)),
    ), "half"),
    "Mixed_6b": _c(128), "Mixed_6c": _c(160), "Mixed_6d": _c(160), "Mixed_6e": _c(192),
    "Mixed_7a": Block((
        (Step("branch3x3_1", 192), Step("branch3x3_2", 320, 3, 3, 2)),
        (
            Step("branch7x7x3_1", 192), Step("branch7x7x3_2", 192, 1, 7), Step("branch7x7x3_3", 192, 7, 1),
            Step("branch7x7x3_4", 192, 3, 3, 2),
        ),
    ), "half"),
    "Mixed_7b": _e("average"), "Mixed_7c": _e("maximum"),
}  # fmt: skip


class _Convolution(nn.Module):
    """Convolution, normalisation by what was measured in training, and nothing below zero."""

    def __init__(self, inputs: int, outputs: int, step: Step) -> None:
        super().__init__()
        inside = step.stride == 1 and step.padded
        self.conv = nn.Conv2d(
            inputs, outputs, (step.height, step.width), step.stride,
            (step.height // 2, step.width // 2) if inside else 0, bias=False,
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Block(nn.Module):
    def __init__(self, block: Block, inputs: int, wide: float) -> None:
        super().__init__()
        self.block, self.outputs = block, 0
        for branch in block.branches:
            channels = inputs
            for place in branch:
                steps = place if isinstance(place, tuple) else (place,)
                for step in steps:
                    self.add_module(step.name, _Convolution(channels, round(wide * step.outputs), step))
                channels = round(wide * sum(step.outputs for step in steps))
            self.outputs += channels
        if block.after:
            self.branch_pool = _Convolution(inputs, round(wide * block.after), Step("branch_pool", block.after))
        self.outputs += round(wide * block.after) if block.after else inputs

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for branch in self.block.branches:
            y = x
            for place in branch:
                if isinstance(place, tuple):
                    y = torch.cat([self.get_submodule(step.name)(y) for step in place], dim=1)
                else:
                    y = self.get_submodule(place.name)(y)
            found.append(y)
        if self.block.pool == "average":
            pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        else:
            half = self.block.pool == "half"
            pooled = F.max_pool2d(x, 3, stride=2 if half else 1, padding=0 if half else 1)
        return torch.cat([*found, self.branch_pool(pooled) if self.block.after else pooled], dim=1)


class Inception(nn.Module):
    """N 3 299 299 in [-1, 1) -> N 2048 (times `wide`)."""

    def __init__(self, wide: float = 1.0) -> None:
        super().__init__()
        channels = 3
        for step in STEM:
            self.add_module(step.name, _Convolution(channels, round(wide * step.outputs), step))
            channels = round(wide * step.outputs)
        for name, block in BLOCKS.items():
            made = _Block(block, channels, wide)
            self.add_module(name, made)
            channels = made.outputs

    def forward(self, x: Tensor) -> Tensor:
        """What the last pooling says of every image."""
        for name, part in self.named_children():
            x = part(F.max_pool2d(x, 3, stride=2) if name in HALVED_BEFORE else x)
        return x.mean((2, 3))


def enter(images: NDArray[np.uint8]) -> Tensor:
    """N H W 3 -> N 3 299 299 in [-1, 1), enlarged as TensorFlow 1 did: pixel k lies at k, not at k + 1/2."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    for axis in (2, 3):
        length = x.shape[axis]
        place = torch.arange(SIDE, dtype=torch.float32) * (length / SIDE)
        low = place.floor().long().clamp_max(length - 1)
        share = (place - low).reshape([-1 if other == axis else 1 for other in range(4)])
        one, two = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(length - 1))
        x = one + (two - one) * share
    return (x - 128) / 128


def read(path: Path) -> Extractor:
    """The extractor of a file; a narrower network of the same form is taken too."""
    values = {
        name: value for name, value in read_weights(path).items()
        if name not in ENDING and not name.endswith("num_batches_tracked")
    }  # fmt: skip
    first = values.get("Conv2d_1a_3x3.conv.weight")
    if first is None or first.ndim != 4 or not 2 <= first.shape[0] <= FIRST or first.shape[0] % 2:
        raise ModelFileError(
            "this is not the Inception v3 of the Frechet distance: it has no fitting Conv2d_1a_3x3", where=path,
            do="give pt_inception-2015-12-05 as safetensors",
        )  # fmt: skip
    network = fit_in(
        lambda: Inception(first.shape[0] / FIRST), values, "the Inception v3 of the Frechet distance", path
    )
    return Brought("inception", f"{SIDE} x {SIDE}, bilinear as in TensorFlow 1", network, enter)
