"""Looking for latents by the slope of an error: the way back for generators that have none of their own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

RATE = 0.05
"""Size of the first steps, in latents, whose spread is 1."""
PULL = 3e-4
"""How strongly latents are kept near the middle, where a model makes images like those it learned from."""


def descend(
    picture: Callable[[Tensor], Tensor],
    latents: Tensor,
    target: Tensor,
    steps: int,
    *,
    counted: Tensor | None = None,
    pull: float = PULL,
) -> Tensor:
    """Latents N D from which `picture` makes images nearer to the target N C H W. Rows do not touch each other.

    `counted`, N 1 H W of 0 to 1, weighs pixels.
    """
    with torch.inference_mode(False), torch.enable_grad():
        found, target = latents.clone().requires_grad_(), target.clone()
        weights = torch.ones_like(target[:, :1]) if counted is None else counted.clone()
        share = weights.mean(dim=(1, 2, 3)).clamp_min(1e-6)
        optimizer = torch.optim.Adam([found], lr=RATE, betas=(0.9, 0.99))
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = RATE * (1 - 0.9 * step / steps)
            made = picture(found)
            error = ((made - target).square() * weights).mean(dim=(1, 2, 3)) / share
            error = error + pull * found.square().mean(dim=1)
            error.sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    return found.detach()
