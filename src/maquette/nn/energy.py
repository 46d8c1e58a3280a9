"""The energy score: how far several forecasts are from what came, less half of what they are from each other.

It is least when the forecasts are drawn from the distribution of what comes (Gneiting and Raftery, 2007): forecasts
that are all alike pay for their error in full, and forecasts that differ more than they must are further off.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SOFT = 1e-4
"""Added under the root, so that its slope is finite where a forecast is right."""


WHOLE = 0
"""The size that stands for the whole picture."""


def energy_score(one: Tensor, other: Tensor, came: Tensor, counted: Tensor, patches: tuple[int, ...]) -> Tensor:
    """Of two forecasts of one thing, N T H W each, as one number.

    Distances are those of squares of pixels through all of T: for every size in `patches` the root of the mean square
    within each square, in float32, averaged. Small squares keep each place honest and sharp; large ones see whether
    places fit together. `counted`, 1 1 H W, says which pixels count.
    """
    total = torch.zeros((), device=came.device)
    for size in patches:
        error = _distance(one, came, counted, size) + _distance(other, came, counted, size)
        total = total + (error - _distance(one, other, counted, size)) / 2
    return total / len(patches)


def _distance(one: Tensor, other: Tensor, counted: Tensor, size: int) -> Tensor:
    apart = (one - other).float()
    square = _pool(apart.square().mean(dim=1, keepdim=True) * counted, size)
    weight = _pool(counted, size)
    root = (square / weight.clamp_min(1e-6) + SOFT).sqrt() - SOFT**0.5
    return torch.as_tensor((root * weight).mean() / weight.mean())


def _pool(values: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(values, size, ceil_mode=True) if size else values.mean(dim=(2, 3), keepdim=True)
