"""Running averages of the weights: what is sampled is the average, not the last step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maquette.families.family import Family

LENGTHS = (0.25, 1.0, 4.0)
"""Half-lives kept, as multiples of the config's; the middle one becomes the model."""
MIDDLE = 1
_WARM = 0.1
"""Early in a run a half-life is at most this share of the images seen, so that first weights are forgotten."""


class Averages:
    """Several running averages of the parameters that a family wants averaged."""

    def __init__(self, family: Family, half_life: int) -> None:
        self.half_lives = [half_life * length for length in LENGTHS]
        prefixes = family.averaged
        named = [
            (name, parameter)
            for name, parameter in family.named_parameters()
            if any(not p or name == p or name.startswith(p + ".") for p in prefixes)
        ]
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.values = [[parameter.detach().clone() for parameter in self.parameters] for _ in LENGTHS]
        self._rank, self._ends = 0, [0, len(named)]
        self.behind = False
        """Whether what other processes keep up to date has gone on without these values."""

    def divide(self, rank: int, world: int) -> None:
        """From now on keep only this process's part up to date: about as many numbers as those of each other."""
        sizes = np.cumsum([0, *(parameter.numel() for parameter in self.parameters)])
        self._rank, self._ends = rank, [int(np.searchsorted(sizes, k * sizes[-1] / world)) for k in range(world + 1)]

    def part(self, rank: int) -> list[Tensor]:
        """The values that a process keeps up to date."""
        return [value for values in self.values for value in values[self._ends[rank] : self._ends[rank + 1]]]

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """Take in the weights after the step that reached `images` with a batch of that many."""
        for half_life, values in zip(self.half_lives, self.values, strict=True):
            weight = 1.0 - 0.5 ** (batch / max(min(half_life, images * _WARM), 1e-9))
            own = slice(self._ends[self._rank], self._ends[self._rank + 1])
            if self.parameters[own]:
                torch._foreach_lerp_(values[own], self.parameters[own], weight)  # type: ignore[arg-type]
        self.behind = len(self._ends) > 2

    def tensors(self) -> dict[str, Tensor]:
        """All averages by name, for a checkpoint."""
        return {
            f"{length}.{name}": value
            for length, values in enumerate(self.values)
            for name, value in zip(self.names, values, strict=True)
        }

    @torch.no_grad()
    def copy_into(self, family: Family, length: int = MIDDLE) -> None:
        """Overwrite the parameters of a copy of the family with one of the averages."""
        parameters = dict(family.named_parameters())
        for name, value in zip(self.names, self.values[length], strict=True):
            parameters[name].copy_(value)
