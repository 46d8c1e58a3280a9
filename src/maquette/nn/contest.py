"""What a critic says of a batch: how real its images are, how fitting, whose wish each is, and how unlike they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.nn.joint import joint_rows, joint_sum, own_rows


def normal(kind: str, channels: int) -> nn.Module:
    """What a level normalises by: the batch, the image (layer), or nothing."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if kind == "layer" else nn.Identity()


def scores(views: list[tuple[Tensor, Tensor]], wishes: Sequence[Tensor | None]) -> list[Tensor]:
    """Realness plus fit, N P, for the whole and for pieces."""
    return [
        real if wish is None else real + (features * wish).sum(dim=2) / features.shape[2] ** 0.5
        for (real, features), wish in zip(views, wishes, strict=True)
    ]


def own_found(features: Tensor, wish: Tensor) -> Tensor:
    """How surprising it is that each image has its own wish, given those of the whole batch: a loss for each own row.

    Features N 1 F of the own images, wishes N 1 F of theirs. Others that wish the same do not count.
    """
    every = joint_rows(wish[:, 0])
    own = own_rows(torch.arange(len(every), device=wish.device))
    fits = features[:, 0] @ every.T / features.shape[2] ** 0.5
    kinds = torch.unique(every.detach(), dim=0, return_inverse=True)[1]
    same = kinds[own][:, None] == kinds[None]
    same[torch.arange(len(own), device=wish.device), own] = False
    return F.cross_entropy(fits.masked_fill(same, -1e4), own, reduction="none")


def unlike(features: Tensor) -> Tensor:
    """How far apart images of the whole batch are, N C H W -> C: the logarithm of their variance, place by place."""
    values = features.float()
    total = joint_sum(torch.stack([values.sum(dim=0), torch.full_like(values[0], len(values))]))
    count = total[1]
    variance = joint_sum((values - total[0] / count).square().sum(dim=0)) / count
    return torch.as_tensor((variance + 1e-6).log().mean(dim=(1, 2)))
