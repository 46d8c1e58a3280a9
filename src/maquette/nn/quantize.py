"""Numbers on few levels: the latents of an image as whole numbers (tokens), without a table that has to be learned.

Finite scalar quantisation (Mentzer and others, 2023): each of a few numbers is squashed into [-1, 1] and takes the
middle of one of a few equal steps; together their steps are the code. The squash is that of iFSQ (2025), a sigmoid
whose outcome is nearly even where its input is nearly normal, so that all codes are used about alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maquette.core.errors import UsageError, nearest

LEVELS: dict[int, tuple[int, ...]] = {
    16: (4, 4), 64: (8, 8), 240: (8, 6, 5), 1000: (8, 5, 5, 5), 4375: (7, 5, 5, 5, 5), 15360: (8, 8, 8, 6, 5),
}  # fmt: skip
"""How many codes there are -> steps of each number."""
STEEPNESS = 1.6
"""Of the sigmoid: with this, standard normal numbers come out most evenly."""


def levels_of(codes: int) -> tuple[int, ...]:
    """The steps of each number that make so many codes."""
    if codes not in LEVELS:
        known = ", ".join(map(str, LEVELS))
        raise UsageError(f"there is no code of {codes} tokens", do=f"{nearest(str(codes), map(str, LEVELS))} ({known})")
    return LEVELS[codes]


class Quantizer(nn.Module):
    """Any numbers -> the nearest code, with gradients as if nothing had been rounded; codes <-> tokens."""

    steps: Tensor
    places: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.codes = math.prod(self.levels)
        steps = torch.tensor(self.levels, dtype=torch.float32).reshape(-1, 1, 1)
        places = [math.prod(self.levels[:at]) for at in range(len(self.levels))]
        self.register_buffer("steps", steps, persistent=False)
        self.register_buffer("places", torch.tensor(places).reshape(-1, 1, 1), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """N L h w of any size -> N L h w of codes in (-1, 1), float32."""
        even = 2 * torch.sigmoid(STEEPNESS * numbers.float()) - 1
        return torch.as_tensor(even + (self.snapped(even) - even).detach())

    def snapped(self, values: Tensor) -> Tensor:
        """Numbers in [-1, 1], such as ones that were drawn: each at the middle of its step. Codes stay as they are."""
        return (self._digits(values) + 0.5) * (2 / self.steps) - 1

    def tokens(self, values: Tensor) -> Tensor:
        """N L h w of codes -> N h w of whole numbers from 0 to codes - 1."""
        return torch.as_tensor((self._digits(values).long() * self.places).sum(dim=1))

    def values(self, tokens: Tensor) -> Tensor:
        """The inverse of `tokens`."""
        digits = torch.div(tokens[:, None], self.places, rounding_mode="floor") % self.steps.long()
        return (digits.float() + 0.5) * (2 / self.steps) - 1

    def _digits(self, values: Tensor) -> Tensor:
        whole = torch.floor((values.float() + 1) / 2 * self.steps)
        return torch.minimum(whole.clamp_min(0), self.steps - 1)
