"""Convolutions that wrap round the axes along which images tile, and the grid from which images grow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.spec import DataSpec, Tile


def pad(images: Tensor, amount: int, tile: Tile) -> Tensor:
    """N C H W with `amount` more pixels on each side: the opposite edge where the axis tiles, zeros elsewhere."""
    if "x" in tile:
        images = F.pad(images, (amount, amount, 0, 0), mode="circular")
    if "y" in tile:
        images = F.pad(images, (0, 0, amount, amount), mode="circular")
    x, y = (0 if "x" in tile else amount), (0 if "y" in tile else amount)
    return F.pad(images, (x, x, y, y)) if x or y else images


class Convolution(nn.Conv2d):
    """A convolution of odd kernel that keeps the size (or halves it with stride 2 and kernel 4)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, tile: Tile = "", bias: bool = True
    ) -> None:
        self.tile, self.margin = tile, (kernel - stride + 1) // 2
        super().__init__(inputs, outputs, kernel, stride, padding=0 if tile else self.margin, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """N C H W -> N outputs H/stride W/stride."""
        return super().forward(pad(images, self.margin, self.tile) if self.tile and self.margin else images)


class Enlargement(nn.ConvTranspose2d):
    """A transposed 4x4 convolution that doubles the size."""

    def __init__(self, inputs: int, outputs: int, *, tile: Tile = "", bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        self.tile = tile

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        """N C H W -> N outputs 2H 2W. Where an axis tiles, one wrapped pixel a side is added and what it adds cut."""
        x, y = int("x" in self.tile), int("y" in self.tile)
        if x:
            images = F.pad(images, (1, 1, 0, 0), mode="circular")
        if y:
            images = F.pad(images, (0, 0, 1, 1), mode="circular")
        large = super().forward(images)
        if not (x or y):
            return large
        return large[:, :, 2 * y : large.shape[2] - 2 * y, 2 * x : large.shape[3] - 2 * x]


def grid(spec: DataSpec, smallest: int = 4) -> tuple[int, int, int]:
    """How many doublings lead from a small grid to the image, and that grid's height and width."""
    levels, height, width = 0, spec.height, spec.width
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= smallest:
        levels, height, width = levels + 1, height // 2, width // 2
    return levels, height, width


def interior(spec: DataSpec) -> Tensor:
    """1 1 H W of ones, and zeros near edges that are wrapped: where a network that wraps may be compared with images.

    Images seldom go on over their edges. A network that sees across them would learn the seam; where it is not asked
    for anything near the seam, it treats the edge as it treats the middle, and what it makes has no seam.
    """
    counted = torch.ones(1, 1, spec.height, spec.width)
    if "x" in spec.tile:
        counted[..., : spec.width // 8] = counted[..., spec.width - spec.width // 8 :] = 0
    if "y" in spec.tile:
        counted[..., : spec.height // 8, :] = counted[..., spec.height - spec.height // 8 :, :] = 0
    return counted


PLACES = 3
"""Channels that say where in the picture a pixel is."""


def places(images: Tensor, tile: Tile) -> Tensor:
    """N 3 H W: how far across, down and from the middle each pixel lies; the same all along axes that tile."""
    (count, _, height, width), device = images.shape, images.device
    across = torch.linspace(-1, 1, width, device=device) * float("x" not in tile)
    down = torch.linspace(-1, 1, height, device=device) * float("y" not in tile)
    grid = torch.stack([across[None].expand(height, width), down[:, None].expand(height, width)])
    found = torch.cat([grid, grid.square().sum(dim=0, keepdim=True).sqrt() - 0.7])
    return found.expand(count, PLACES, height, width)
