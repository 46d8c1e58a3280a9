"""Images as they might also have been taken: moved, mirrored, and with other light and colour."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def jittered(images: Tensor, generator: torch.Generator, *, moved: float, mirrored: bool, light: float = 0.0) -> Tensor:
    """N C H W, each moved by up to a share of its side, mirrored or not, and brighter, flatter or paler by `light`.

    All random numbers come from the generator. Where an image was moved from, its edge is mirrored.
    """
    count, channels, height, width = images.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=images.device)

    far = min(int(moved * min(height, width)), min(height, width) - 1)
    if far:
        images = F.pad(images, (far,) * 4, mode="reflect")
        down, across = ((draw(count) * (2 * far + 1)).long().clamp_max(2 * far) for _ in range(2))
        rows = down[:, None] + torch.arange(height, device=images.device)
        columns = across[:, None] + torch.arange(width, device=images.device)
        each = torch.arange(count, device=images.device)[:, None, None]
        images = images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if mirrored:
        images = torch.where(draw(count)[:, None, None, None] < 0.5, images.flip(3), images)
    if light:
        colour = images[:, :3] if channels >= 3 else images

        def factor() -> Tensor:
            return 1 + light * (2 * draw(count)[:, None, None, None] - 1)

        grey = colour.mean(1, keepdim=True)
        colour = grey + (colour - grey) * factor()
        middle = colour.mean((1, 2, 3), keepdim=True)
        colour = middle * factor() + (colour - middle) * factor() + 0.5 * light * (factor() - 1)
        images = torch.cat([colour, images[:, 3:]], dim=1) if channels > 3 else colour
    return images


def spoiled(images: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """N C H W in [-1, 1], a share of which is noisy, blurred or has a hole (of 0): what a network is to undo.

    All random numbers come from the generator.
    """
    if share <= 0:
        return images
    count, _, height, width = images.shape
    device = images.device

    def draw() -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator, device=device)

    fault = torch.where(draw() < share, (3 * draw()).long(), 3)  # 3: none
    noise = torch.randn(images.shape, generator=generator, device=device) * (0.05 + 0.35 * draw())
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    softer = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    soft = torch.where(draw() < 0.5, soft, softer)
    rows, columns = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    tall, wide = (0.1 + 0.25 * draw()) * height, (0.1 + 0.25 * draw()) * width
    top, left = draw() * (height - tall), draw() * (width - wide)
    hole = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
    kinds = torch.stack([(images + noise).clamp(-1, 1), soft, images.masked_fill(hole, 0.0), images])
    return kinds.gather(0, fault.expand_as(images)[None])[0]
