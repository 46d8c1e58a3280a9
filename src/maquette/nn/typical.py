"""How usual rows of numbers are: one normal distribution, fitted after training, nothing learned."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHRUNK = 0.05
"""The share of the covariance that is taken from its diagonal alone, since it is estimated from few rows."""
FLOOR = 1e-4
"""The least variance of a number, so that one which never varies does not decide everything."""


class Typical(nn.Module):
    """The distribution of rows of numbers, and how probable others are under it."""

    mean: Tensor
    root: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("root", torch.eye(size))  # lower triangular; its inverse turns rows into normal ones

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

    def log_prob(self, rows: Tensor) -> Tensor:
        """The log-density of each row, N; float32."""
        apart = (rows.float() - self.mean).T
        plain = torch.linalg.solve_triangular(self.root, apart, upper=False)
        size = self.root.diagonal().log().sum() + 0.5 * len(self.mean) * math.log(2 * math.pi)
        return torch.as_tensor(-0.5 * plain.square().sum(dim=0) - size)


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
