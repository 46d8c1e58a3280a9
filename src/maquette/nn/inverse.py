"""An encoder for generators that have none: from an image to the latents that make one like it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.spec import DataSpec
from maquette.nn.conv import Convolution, grid

WIDEST = 4


class Encoder(nn.Module):
    """Image -> a row of latents, part by part: grids of them from what is seen there, the others from all of it."""

    def __init__(self, spec: DataSpec, shapes: Sequence[tuple[int, ...]], width: int = 48) -> None:
        super().__init__()
        levels, height, width_ = grid(spec)
        channels = [width * min(WIDEST, 2**level) for level in range(levels)]
        self.enter = Convolution(spec.channels, width, tile=spec.tile)
        pairs = list(itertools.pairwise([width, *channels]))
        self.shrink = nn.ModuleList(Convolution(few, many, 4, stride=2, tile=spec.tile) for few, many in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(many) for _, many in pairs)
        sizes = [(spec.height >> level, spec.width >> level) for level in range(levels + 1)]
        seen = [width, *channels]
        # Each grid is read where the image is as fine as it is; one that fits nowhere, from the coarsest.
        self.places = [sizes.index(shape[1:]) if len(shape) == 3 and shape[1:] in sizes else levels for shape in shapes]
        self.shapes = tuple(shapes)
        self.heads = nn.ModuleList(
            Convolution(seen[place], shape[0], 3, tile=spec.tile)
            if len(shape) == 3
            else nn.Linear(seen[-1] * height * width_, math.prod(shape))
            for shape, place in zip(shapes, self.places, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """N C H W -> N D."""
        x = F.leaky_relu(self.enter(images), 0.2)
        seen = [x]
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            x = F.leaky_relu(norm(shrink(x)), 0.2)
            seen.append(x)
        rows = []
        for head, shape, place in zip(self.heads, self.shapes, self.places, strict=True):
            if len(shape) == 3:
                found = head(seen[place])
                if found.shape[2:] != shape[1:]:
                    found = F.interpolate(found, shape[1:], mode="bilinear")
            else:
                found = head(x.flatten(1))
            rows.append(found.flatten(1))
        return torch.cat(rows, dim=1)
