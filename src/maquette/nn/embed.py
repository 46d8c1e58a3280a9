"""Conditions inside a network: what is one value becomes a vector, what is as large as the image becomes planes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import FLAT, ConditionSpec
from maquette.core.image import CHANNELS
from maquette.nn.text import TextEncoder


def fourier(values: Tensor, frequencies: int, highest: float = 16.0) -> Tensor:
    """N numbers -> N 2*frequencies: sines and cosines of rates from 1/2 to `highest`, in float32."""
    rates = torch.logspace(math.log10(0.5), math.log10(highest), frequencies, device=values.device) * math.pi
    angles = values.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class NumberEncoder(nn.Module):
    """A number, or the fact that it was not given (NaN), as a vector."""

    def __init__(self, width: int, frequencies: int = 12) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.hidden = nn.Linear(2 * frequencies + 2, width)
        self.out = nn.Linear(width, width)

    def forward(self, numbers: Tensor) -> Tensor:
        """N -> N width."""
        missing = torch.isnan(numbers)
        known = torch.where(missing, torch.zeros_like(numbers), numbers)
        waves = fourier(known, self.frequencies) * (~missing)[:, None]
        features = torch.cat([waves, known[:, None], missing[:, None].float()], dim=1)
        return torch.as_tensor(self.out(F.silu(self.hidden(features))))


class ConditionVector(nn.Module):
    """All conditions that are one value an image (label, number, text), added up to one vector."""

    def __init__(self, specs: Sequence[ConditionSpec], width: int) -> None:
        super().__init__()
        self.names = [spec.name for spec in specs if spec.kind in FLAT]
        self.parts = nn.ModuleList()
        for spec in specs:
            if spec.kind == "label":
                self.parts.append(nn.Embedding(len(spec.classes) + 1, width))  # the last row: not given
            elif spec.kind == "number":
                self.parts.append(NumberEncoder(width))
            elif spec.kind == "text":
                self.parts.append(TextEncoder(width))

    def __bool__(self) -> bool:
        return bool(self.names)

    def forward(self, condition: Mapping[str, Tensor]) -> Tensor:
        """-> N width."""
        vectors = [part(condition[name]) for name, part in zip(self.names, self.parts, strict=True)]
        return torch.as_tensor(sum(vectors[1:], vectors[0]))


class ConditionPlanes(nn.Module):
    """All conditions that are as large as the image (image, map, frames), stacked as channels."""

    def __init__(self, specs: Sequence[ConditionSpec]) -> None:
        super().__init__()
        self.specs = [spec for spec in specs if spec.kind not in FLAT]
        self.channels = sum(_planes(spec) for spec in self.specs)

    def forward(self, condition: Mapping[str, Tensor]) -> Tensor:
        """-> N channels H W."""
        planes = []
        for spec in self.specs:
            values = condition[spec.name]
            if spec.kind == "map":
                values = F.one_hot(values, len(spec.classes)).movedim(-1, 1).float()
            planes.append(values.flatten(1, 2) if spec.kind == "frames" else values)
        return torch.cat(planes, dim=1)


def _planes(spec: ConditionSpec) -> int:
    if spec.kind == "map":
        return len(spec.classes)
    return CHANNELS[spec.mode] * (spec.length if spec.kind == "frames" else 1)


def withhold(
    condition: Mapping[str, Tensor], specs: Sequence[ConditionSpec], share: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """The conditions with a random share of rows as if nothing had been given, so that a model learns both.

    Where there are several, half of that share loses all of them at once and half loses each by itself.
    """
    kept = dict(condition)
    flat = [spec for spec in specs if spec.kind in FLAT]
    if share <= 0 or not flat:
        return kept
    one = condition[flat[0].name]

    def some(part: float) -> Tensor:
        return torch.rand(len(one), generator=generator, device=one.device) < part

    every = some(share if len(flat) == 1 else share / 2)
    for spec in flat:
        values = condition[spec.name]
        rows = every if len(flat) == 1 else every | some(share / 2)
        kept[spec.name] = torch.where(rows.reshape(-1, *[1] * (values.ndim - 1)), _nothing(spec, values), values)
    return kept


def nothing(condition: Mapping[str, Tensor], specs: Sequence[ConditionSpec]) -> dict[str, Tensor]:
    """The conditions as if none had been given (planes stay)."""
    return {s.name: _nothing(s, condition[s.name]) if s.kind in FLAT else condition[s.name] for s in specs}


def _nothing(spec: ConditionSpec, values: Tensor) -> Tensor:
    empty = {"label": len(spec.classes), "number": math.nan, "text": 0}[spec.kind]
    return torch.full_like(values, empty)
