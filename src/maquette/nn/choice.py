"""Choosing one of several by chance: the dials that shape a distribution, and the draw itself."""

from __future__ import annotations

import torch
from torch import Tensor


def shaped(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """N K of any numbers -> N K of probabilities, float64.

    Temperature 0 leaves the likeliest alone (the first of equals). `top_k` keeps exactly so many (0: all); `top_p`
    keeps the fewest likeliest whose probabilities reach it together, after the temperature and before nothing else.
    """
    values = logits.double()
    if temperature == 0:
        return torch.zeros_like(values).scatter_(1, values.argmax(dim=1, keepdim=True), 1.0)
    values = values / temperature
    count = values.shape[1]
    if not (0 < top_k < count or top_p < 1):
        return values.softmax(dim=1)
    ordered, order = values.sort(dim=1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=1)
    kept = torch.ones_like(probabilities, dtype=torch.bool)
    if 0 < top_k < count:
        kept[:, top_k:] = False
    if top_p < 1:
        before = probabilities.cumsum(dim=1) - probabilities
        kept &= before < top_p
        kept[:, 0] = True
    probabilities = torch.where(kept, probabilities, 0.0)
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    return torch.zeros_like(probabilities).scatter_(1, order, probabilities)


def pick(probabilities: Tensor, places: Tensor) -> Tensor:
    """The index that each place in [0, 1) falls to: N K and N -> N. What has no probability is never picked."""
    reached = probabilities.double().cumsum(dim=1)
    found = (places.double()[:, None] * reached[:, -1:] >= reached).sum(dim=1)
    last = (probabilities > 0).long().cumsum(dim=1).argmax(dim=1)  # rounding must not lead beyond the last that counts
    return torch.minimum(found, last)
