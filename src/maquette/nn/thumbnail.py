"""A first idea of an image as a small grid of numbers: brightness and colours of each square, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def squares(channels: int, numbers: int, side: int) -> Tensor:
    """numbers channels side side: weights with which each square of pixels becomes so many numbers.

    In this order: how bright it is, orange against blue, green against purple, how opaque; then how brightness changes
    down, across and both; zeros where there are more. Each number comes out about as large as one of a normal
    distribution, for images in [-1, 1].
    """
    pad = [0.0] * (channels - 3)
    bright = torch.tensor([1.0] if channels == 1 else [1 / 3] * 3 + pad)
    rows = [(bright, 2.0, 0, 0)]
    if channels >= 3:
        rows += [
            (torch.tensor([0.5, 0.0, -0.5, *pad]), 4.0, 0, 0),
            (torch.tensor([-0.25, 0.5, -0.25, *pad]), 6.0, 0, 0),
        ]
    if channels == 4:
        rows.append((torch.tensor([0.0, 0.0, 0.0, 1.0]), 1.2, 0, 0))
    rows += [(bright, 4.0, 1, 0), (bright, 4.0, 0, 1), (bright, 8.0, 1, 1)]
    found = torch.zeros(numbers, channels, side, side)
    along = (torch.arange(side) + 0.5) / side * torch.pi
    for index, (colour, size, down, across) in enumerate(rows[:numbers]):
        wave = torch.cos(down * along)[:, None] * torch.cos(across * along)
        found[index] = size / side**2 * colour[:, None, None] * wave
    return found


def undone(weights: Tensor) -> Tensor:
    """Weights of the same form with which numbers become squares of pixels again, as nearly as can be."""
    return torch.as_tensor(torch.linalg.pinv(weights.flatten(1)).T.reshape(weights.shape))
