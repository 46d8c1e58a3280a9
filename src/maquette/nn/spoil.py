"""What is taken from an image so that a model can learn to give it back: size, sharpness, colour, all but its edges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)
LOBES = 3
"""Of the window of Lanczos."""


def greyed(images: Tensor) -> Tensor:
    """N C H W -> N 1 H W: the luminance; of premultiplied colours as they lie on black."""
    if images.shape[1] < 3:
        return images[:, :1].float()
    weights = torch.tensor(LUMINANCE, device=images.device)[:, None, None]
    return (images[:, :3].float() * weights).sum(dim=1, keepdim=True)


def edges(grey: Tensor) -> Tensor:
    """Dark lines on white where the image changes: N 1 H W, the strongest of each image black."""
    slope = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=grey.device)[None, None] / 8
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    strength = torch.hypot(F.conv2d(padded, slope), F.conv2d(padded, slope.transpose(2, 3)))
    most = torch.quantile(strength.flatten(1), 0.95, dim=1)[:, None, None, None].clamp_min(0.02)
    return 1 - 2 * ((strength / most - 0.3) / 0.5).clamp(0, 1)


def blurred(images: Tensor, radius: float) -> Tensor:
    """N C H W, softened by a Gaussian of that radius; at its edges the image is mirrored."""
    far = min(math.ceil(3 * radius), min(images.shape[2:]) - 1)
    line = torch.exp(-0.5 * (torch.arange(-far, far + 1, device=images.device) / radius) ** 2)
    line = (line / line.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (far,) * 4, mode="reflect")
    across = F.conv2d(padded, line[:, :, None, :], groups=images.shape[1])
    return F.conv2d(across, line[:, :, :, None], groups=images.shape[1])


def enlarged(images: Tensor, size: list[int]) -> Tensor:
    """N C H W in another size, smoothly."""
    return F.interpolate(images, size, mode="bicubic", align_corners=False).clamp(-1, 1)


def shrunk(images: Tensor, times: int) -> Tensor:
    """N C H W made smaller by Lanczos, as programs make pictures smaller."""
    down, across = (_lanczos(side, max(1, side // times), images) for side in images.shape[2:])
    return torch.as_tensor(down @ images.float() @ across.T)


def _lanczos(before: int, after: int, like: Tensor) -> Tensor:
    """After x before: the weights by which a line of pixels becomes a shorter one."""
    scale = before / after
    centre = (torch.arange(after, device=like.device) + 0.5) * scale - 0.5
    far = (torch.arange(before, device=like.device)[None] - centre[:, None]) / scale
    weights = torch.where(far.abs() < LOBES, torch.sinc(far) * torch.sinc(far / LOBES), torch.zeros_like(far))
    return weights / weights.sum(dim=1, keepdim=True)
