"""From an image down to one row of numbers: what networks that judge images share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.spec import DataSpec
from maquette.nn.conv import Convolution


def body(spec: DataSpec, width: int) -> nn.Sequential:
    """Image N C H W -> N 4 * width: three halvings at least, as many as lead to a side of about four."""
    layers: list[nn.Module] = []
    inputs, side = spec.channels, min(spec.height, spec.width)
    channels = [width, 2 * width, 4 * width]
    while side > 4 or len(layers) < 3:
        outputs = channels[min(len(layers), 2)]
        layers.append(_Stage(inputs, outputs, spec, halves=side >= 4))
        inputs, side = outputs, max(1, side // 2)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class _Stage(nn.Module):
    """Two convolutions, the second one beside the straight way, then half the size."""

    def __init__(self, inputs: int, outputs: int, spec: DataSpec, *, halves: bool) -> None:
        super().__init__()
        self.enter = Convolution(inputs, outputs, tile=spec.tile, bias=False)
        self.norm = nn.GroupNorm(outputs // 8, outputs)
        self.second = Convolution(outputs, outputs, tile=spec.tile, bias=False)
        self.second_norm = nn.GroupNorm(outputs // 8, outputs)
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N outputs H/2 W/2 (or the same size)."""
        x = F.silu(self.norm(self.enter(x)))
        x = F.silu(x + self.second_norm(self.second(x)))
        return F.max_pool2d(x, 2) if self.halves else torch.as_tensor(x)
