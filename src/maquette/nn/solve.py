"""Many small systems of linear equations at once, in operations that every exported graph knows."""

from __future__ import annotations

import torch
from torch import Tensor


def solved(matrices: Tensor, right: Tensor) -> Tensor:
    """The solutions ... C K of matrices ... C C and right sides ... C K, by elimination.

    The matrices must be positive definite, for rows are never exchanged. For a few unknowns at thousands of places
    this takes no longer than a library that is called for each of them.
    """
    count = matrices.shape[-1]
    rows = [list(row.unbind(-1)) for row in matrices.unbind(-2)]
    sides = list(right.unbind(-2))
    for k in range(count):
        for i in range(k + 1, count):
            share = rows[i][k] / rows[k][k]
            for j in range(k + 1, count):
                rows[i][j] = rows[i][j] - share * rows[k][j]
            sides[i] = sides[i] - share[..., None] * sides[k]
    for k in reversed(range(count)):
        for j in range(k + 1, count):
            sides[k] = sides[k] - rows[k][j][..., None] * sides[j]
        sides[k] = sides[k] / rows[k][k][..., None]
    return torch.stack(sides, dim=-2)
