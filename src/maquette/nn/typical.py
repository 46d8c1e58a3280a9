"""How usual rows of numbers are: one normal distribution, fitted after training, nothing learned.

A row has parts, and is as usual as its oddest one: in one sum over all numbers, many that are as ever hide a few that
never were so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHRUNK = 0.05
"""The share of the covariance that is taken from its diagonal alone, since it is estimated from few rows."""
FLOOR = 1e-4
"""The least variance of a number, so that one which never varies does not decide everything."""


class Typical(nn.Module):
    """The distribution of rows of numbers, and how usual others are under it."""

    mean: Tensor
    root: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        """How many numbers each part has, in their order."""
        super().__init__()
        self.sizes = list(sizes)
        self.register_buffer("mean", torch.zeros(sum(sizes)))
        self.register_buffer("root", torch.eye(sum(sizes)))  # lower triangular; its inverse turns rows into normal ones

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Take over mean and covariance of N rows."""
        values = rows.detach().double()
        mean = values.mean(dim=0)
        apart = values - mean
        found = apart.T @ apart / max(1, len(values) - 1)
        own = found.diagonal() + FLOOR
        found = (1 - SHRUNK) * found + torch.diag(own - (1 - SHRUNK) * found.diagonal())
        self.mean.copy_(mean)
        self.root.copy_(torch.linalg.cholesky(found))

    def usual(self, rows: Tensor) -> Tensor:
        """How usual each row is, N, float32: 0 as most are, -1 a standard deviation less.

        Of each part counts what the parts before it do not foretell; the oddest part speaks for the row.
        """
        apart = (rows.float() - self.mean).T
        plain = torch.linalg.solve_triangular(self.root, apart, upper=False)
        parts = [
            (size - part.square().sum(dim=0)) / (2 * size) ** 0.5
            for size, part in zip(self.sizes, plain.split(self.sizes), strict=True)
        ]
        return torch.stack(parts).amin(dim=0)


def statistics(images: Tensor) -> Tensor:
    """N C H W -> N numbers: how lightness, two opposite pairs of colours, and alpha are and vary.

    Mean, spread, and how much neighbours differ at three sizes; spreads as logarithms, so that too plain is as far from
    usual as too busy.
    """
    planes = images.float()
    if planes.shape[1] >= 3:
        red, green, blue = planes[:, :1], planes[:, 1:2], planes[:, 2:3]
        pairs = [(red + green + blue) / 3, red - green, (red + green) / 2 - blue]
        planes = torch.cat([*pairs, planes[:, 3:]], dim=1)
    rows = [planes.mean(dim=(2, 3)), (planes.std(dim=(2, 3)) + 0.01).log()]
    for size in range(3):
        planes = F.avg_pool2d(planes, 2) if size else planes
        steps = planes.diff(dim=3).square().mean(dim=(2, 3)) + planes.diff(dim=2).square().mean(dim=(2, 3))
        rows.append((steps + 1e-4).log())
    return torch.cat(rows, dim=1)
