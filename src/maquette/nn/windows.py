"""A network made for one size of image, on images of any size: in windows that overlap and are blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from maquette.core.spec import DataSpec

TOGETHER = 64
"""Windows that go through the network at once."""


def by_windows(work: Callable[[Tensor], Tensor], images: Tensor, spec: DataSpec) -> Tensor:
    """N C H W -> N C H W. Images of the network's own size go through whole; smaller ones are mirrored at the edge."""
    height, width = images.shape[2:]
    if (height, width) == (spec.height, spec.width):
        return work(images)
    images = _grown(images, spec.height - height, spec.width - width)
    total = torch.zeros_like(images, dtype=torch.float32)
    weight = torch.zeros(images.shape[2:], device=images.device)
    window = torch.outer(_tent(spec.height), _tent(spec.width)).to(images.device)
    places = list(_places(images.shape[2], spec.height, images.shape[3], spec.width))
    at_once = max(1, TOGETHER // images.shape[0])
    for start in range(0, len(places), at_once):
        some = places[start : start + at_once]
        parts = [images[:, :, y : y + spec.height, x : x + spec.width] for y, x in some]
        for (y, x), part in zip(some, work(torch.cat(parts)).split(len(images)), strict=True):
            total[:, :, y : y + spec.height, x : x + spec.width] += part * window
            weight[y : y + spec.height, x : x + spec.width] += window
    return (total / weight)[:, :, :height, :width]


def _grown(images: Tensor, down: int, across: int) -> Tensor:
    """At least as large as asked, mirrored at the lower and the right edge as often as that takes."""
    while down > 0 or across > 0:
        height, width = images.shape[2:]
        now = (min(max(across, 0), width), min(max(down, 0), height))
        mirrored = images.flip(3)[:, :, :, : now[0]]
        images = torch.cat([images, mirrored], dim=3)
        images = torch.cat([images, images.flip(2)[:, :, : now[1]]], dim=2)
        across, down = across - now[0], down - now[1]
    return images


def _tent(size: int) -> Tensor:
    """Weights that fall from the middle of a window to its edges, never to zero."""
    place = torch.arange(size) + 0.5
    return torch.minimum(place, size - place)


def _places(height: int, high: int, width: int, wide: int) -> Iterator[tuple[int, int]]:
    """The corners of windows that overlap by half and end at the edges."""
    for y in _starts(height, high):
        for x in _starts(width, wide):
            yield y, x


def _starts(length: int, size: int) -> list[int]:
    return sorted({*range(0, length - size, max(1, size // 2)), length - size})
