"""Pictures that are carried: each square of a picture is taken from a little way off, from where a network says.

What moves keeps its looks. A network that says where from has little to learn; one that paints every frame anew has to
learn the looks of everything.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maquette.core.spec import Tile

SHARP = 30.0
"""How much likelier a place is that is nearer by one in the mean squared difference, as a power of e."""


def carried(images: Tensor, down: Tensor, across: Tensor, tile: Tile = "") -> Tensor:
    """Images N C H W taken from around, in several ways: N ways C H W, in float32.

    `down` and `across`, N ways K h w with an odd K, are shares that sum to one over K, for every square of H / h
    pixels: how much comes from each of the K rows, and of the K columns, around. Beyond the border a picture goes on
    as its edge, or where it tiles as its other side.
    """
    with torch.autocast(images.device.type, enabled=False):
        images, down, across = images.float(), down.float(), across.float()
        count, channels, height, width = images.shape
        ways, reach = down.shape[1:3]
        side = height // down.shape[3]
        squares = _around(images, side, reach, tile)
        upright = _bands(down.permute(0, 3, 4, 1, 2), side).flatten(-3, -2)  # N h w (ways side) seen
        level = _bands(across.permute(0, 3, 4, 1, 2), side)  # N h w ways side seen
        moved = (upright[:, None] @ squares).unflatten(-2, (ways, side))  # N C h w ways side seen
        moved = moved @ level[:, None].transpose(-2, -1)  # N C h w ways side side
        moved = moved.permute(0, 4, 1, 2, 5, 3, 6).reshape(count, ways, channels, height, width)
        return torch.as_tensor(moved)


@torch.no_grad()
def matched(now: Tensor, before: Tensor, side: int, reach: int, tile: Tile = "") -> Tensor:
    """Where each square of `now` seems to come from in `before`, N C H W both: N (2 reach^2) h w, in float32.

    As encoders of films look for motion, by the mean squared difference at each of reach x reach places around: of each
    square alone, then of it together with its neighbours. Both are shares that sum to one over the places.
    """
    with torch.autocast(now.device.type, enabled=False):
        now, before = now.float(), before.float()
        channels, height, width = now.shape[1:]
        squares = _around(before, side, reach, tile).permute(0, 2, 3, 1, 4, 5)  # N h w C seen seen
        own = now.unflatten(3, (width // side, side)).unflatten(2, (height // side, side)).permute(0, 2, 4, 1, 3, 5)
        # (a - b)^2 = a^2 + b^2 - 2ab, each summed over a square: ab row by row, as a product with the row moved along
        moved = _bands(own, reach)  # N h w C side reach seen
        rows = (squares @ moved.flatten(4, 5).transpose(-2, -1)).unflatten(-1, (side, reach))
        alike = torch.stack([rows[..., row : row + reach, row, :] for row in range(side)]).sum(dim=(0, 4))
        sums = _bands(now.new_ones(side), reach)  # reach seen
        loud = sums @ squares.square().sum(dim=3) @ sums.T
        apart = loud - 2 * alike + own.square().sum(dim=(3, 4, 5))[..., None, None]
        apart = apart.flatten(3).permute(0, 3, 1, 2) / (channels * side**2)
        wide = F.avg_pool2d(apart, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([(-SHARP * found).softmax(dim=1) for found in (apart, wide)], dim=1)


def _around(images: Tensor, side: int, reach: int, tile: Tile) -> Tensor:
    """Each square of `side` pixels with what lies around it: N C h w (side + reach - 1) twice."""
    far = reach // 2
    for axis, sides in (("x", (far, far, 0, 0)), ("y", (0, 0, far, far))):
        images = F.pad(images, sides, mode="circular" if axis in tile else "replicate")
    seen = side + reach - 1
    return images.unfold(2, seen, side).unfold(3, seen, side)


def _bands(values: Tensor, rows: int) -> Tensor:
    """... K -> ... rows (rows + K - 1): the values in every row, in each one place further to the right."""
    seen = rows + values.shape[-1] - 1
    filled = F.pad(values, (0, rows))[..., None, :].expand(*values.shape[:-1], rows, seen + 1).flatten(-2)
    return torch.as_tensor(filled[..., : rows * seen].unflatten(-1, (rows, seen)))
