"""Running averages of the weights: what is sampled is the average, not the last step."""

from __future__ import annotations

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

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """Take in the weights after the step that reached `images` with a batch of that many."""
        for half_life, values in zip(self.half_lives, self.values, strict=True):
            weight = 1.0 - 0.5 ** (batch / max(min(half_life, images * _WARM), 1e-9))
            torch._foreach_lerp_(values, self.parameters, weight)  # type: ignore[arg-type]

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
