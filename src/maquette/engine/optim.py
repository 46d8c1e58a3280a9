"""One optimizer for each phase, and its state under readable names."""

from __future__ import annotations

import torch
from torch import Tensor

from maquette.core.spec import Phase
from maquette.families.family import Family

_MEMORY = ("exp_avg", "exp_avg_sq", "step")


class PhaseOptimizer:
    """Adam (decoupled weight decay) over the parameters that a phase trains."""

    def __init__(self, family: Family, phase: Phase) -> None:
        self.phase = phase
        named = [(name, value) for name, value in family.named_parameters() if phase.owns(name)]
        if not named:
            raise TypeError(f"the phase {phase.name!r} of {type(family).__name__} trains nothing")
        self.names = [name for name, _ in named]
        self.parameters = [value for _, value in named]
        settings = phase.optimizer
        self.fused = all(value.device.type in ("cpu", "cuda") for value in self.parameters)
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=settings.rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=self.fused,
        )

    def step(self, rate: float) -> None:
        """Clip, move the parameters at this rate, and forget the gradients."""
        clip = self.phase.optimizer.clip
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, clip)
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's memory, by name of parameter. Parameters that never had a gradient have none."""
        return {
            f"{name}.{key}": value
            for name, parameter in zip(self.names, self.parameters, strict=True)
            for key, value in sorted(self.adam.state.get(parameter, {}).items())
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all that `tensors` may hold."""
        return {
            f"{name}.{key}": () if key == "step" else tuple(parameter.shape)
            for name, parameter in zip(self.names, self.parameters, strict=True)
            for key in _MEMORY
        }

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`. Memory keeps the layout of its parameter."""
        self.adam.state.clear()
        for name, parameter in zip(self.names, self.parameters, strict=True):
            memory = {key: tensors[f"{name}.{key}"] for key in _MEMORY if f"{name}.{key}" in tensors}
            for key, value in memory.items():
                # Adam counts its steps on the parameter's device when it is fused, else on the processor.
                place = parameter.device if self.fused else torch.device("cpu")
                like = torch.empty_like(parameter) if key != "step" else torch.empty((), device=place)
                self.adam.state[parameter][key] = like.copy_(value)
