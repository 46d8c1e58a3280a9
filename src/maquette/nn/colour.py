"""Colour as brightness and two differences, which are made large: in photographs they are small and smooth, which a
network that sees red, green and blue may learn late or never.
"""

from __future__ import annotations

import torch
from torch import Tensor


def apart(images: Tensor) -> Tensor:
    """N C H W of grey, RGB or RGBA -> N C H W, float32: brightness, red against blue, both against green, alpha.

    In float32, because what is left between two numbers of bfloat16 is mostly rounding.
    """
    images = images.float()
    if images.shape[1] < 3:
        return images
    red, green, blue, *alpha = images.unbind(dim=1)
    differences = (red - blue) * (5 / 3), red - 2 * green + blue
    return torch.stack([(red + green + blue) / 3, *differences, *alpha], dim=1)


def together(images: Tensor) -> Tensor:
    """The inverse of `apart`."""
    images = images.float()
    if images.shape[1] < 3:
        return images
    bright, first, second, *alpha = images.unbind(dim=1)
    first, second = first * 0.3, second / 6
    return torch.stack([bright + first + second, bright - 2 * second, bright - first + second, *alpha], dim=1)
