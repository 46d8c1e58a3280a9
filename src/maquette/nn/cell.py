"""A convolutional recurrent cell: what is remembered is a picture too, a small one of many channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.spec import Tile
from maquette.nn.conv import Convolution, Enlargement

GROUP = 16
"""Channels that are normalised together."""


class Block(nn.Module):
    """Two dense convolutions beside the straight way through, steered in between by a vector, where there is one."""

    def __init__(self, channels: int, steer: int = 0, tile: Tile = "") -> None:
        super().__init__()
        groups = max(1, channels // GROUP)
        self.first_norm, self.second_norm = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.first = Convolution(channels, channels, tile=tile)
        self.second = Convolution(channels, channels, tile=tile)
        self.steer = nn.Linear(steer, 2 * channels) if steer else None
        nn.init.zeros_(self.second.weight)  # At first every block lets its input pass.
        nn.init.zeros_(self.second.get_parameter("bias"))

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """N channels H W and N steer -> N channels H W."""
        hidden = self.second_norm(self.first(F.silu(self.first_norm(x))))
        if self.steer is not None and state is not None:
            scale, shift = self.steer(state)[:, :, None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return torch.as_tensor(x + self.second(F.silu(hidden)))


class Hourglass(nn.Module):
    """Blocks at two sizes, the coarse one twice as wide, so that what is far away counts too.

    Grids that cannot be halved have the fine size alone.
    """

    def __init__(
        self, inputs: int, width: int, size: tuple[int, int], *, depth: int = 2, steer: int = 0, tile: Tile = ""
    ) -> None:
        super().__init__()
        self.enter = Convolution(inputs, width, tile=tile)
        self.before, self.after = Block(width, steer, tile), Block(width, steer, tile)
        self.halves = size[0] % 2 == size[1] % 2 == 0 and min(size) > 2
        if self.halves:
            self.shrink = Convolution(width, 2 * width, 4, stride=2, tile=tile)
            self.middle = nn.ModuleList(Block(2 * width, steer, tile) for _ in range(depth))
            self.grow = Enlargement(2 * width, width, tile=tile)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """N inputs H W -> N width H W."""
        x = self.before(self.enter(x), state)
        if self.halves:
            small = self.shrink(x)
            for block in self.middle:
                small = block(small, state)
            x = x + self.grow(small)
        return torch.as_tensor(self.after(x, state))


class Memory(nn.Module):
    """A gated cell: m' = (1 - g) m + g tanh(c), where the gate g and the candidate c are made, by an hourglass, of
    what is remembered and what is seen. It differs from a convolutional GRU in that a network, not one layer, decides,
    and one gate serves for two."""

    def __init__(
        self, inputs: int, width: int, size: tuple[int, int], *, depth: int = 2, steer: int = 0, tile: Tile = ""
    ) -> None:
        super().__init__()
        self.trunk = Hourglass(inputs + width, width, size, depth=depth, steer=steer, tile=tile)
        self.gates = Convolution(width, 2 * width, tile=tile)

    def forward(self, memory: Tensor, seen: Tensor, state: Tensor | None = None) -> Tensor:
        """Memory N width H W and what is seen N inputs H W -> the memory after it."""
        decided = self.trunk(torch.cat([memory, seen.to(memory.dtype)], dim=1), state)
        gate, candidate = self.gates(F.silu(decided)).chunk(2, dim=1)
        return torch.lerp(memory, torch.tanh(candidate).to(memory.dtype), torch.sigmoid(gate).to(memory.dtype))
