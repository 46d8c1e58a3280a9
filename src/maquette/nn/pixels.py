"""Images and conditions as tensors and back: the one place where [-1, 1] and premultiplied alpha are decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.condition import NO_LABEL, ConditionSpec
from maquette.core.image import Mode, depth, dtype


def to_tensor(images: NDArray[Any], mode: Mode) -> Tensor:
    """Images N H W C of whole numbers as floats N C H W in [-1, 1]; RGBA is premultiplied."""
    values = torch.from_numpy(np.require(np.moveaxis(images, -1, 1), requirements=["C", "W"]))
    values = values.to(torch.int32).float() if mode == "grey16" else values.float()
    return signed(values, mode)


def signed(values: Tensor, mode: Mode) -> Tensor:
    """Floats N C H W of whole numbers, which are changed in place, in [-1, 1]."""
    values.mul_(2.0 / depth(mode)).sub_(1.0)
    return premultiply(values) if mode == "rgba" else values


def premultiply(images: Tensor) -> Tensor:
    """RGBA in [-1, 1] with colour times alpha."""
    alpha = (images[:, 3:] + 1) / 2
    return torch.cat([(images[:, :3] + 1) * alpha - 1, images[:, 3:]], dim=1)


def from_tensor(images: Tensor, mode: Mode) -> NDArray[Any]:
    """The inverse of `to_tensor`: whole numbers N H W C, straight alpha."""
    return whole(images.detach().cpu(), mode).contiguous().numpy().astype(dtype(mode))


def whole(images: Tensor, mode: Mode) -> Tensor:
    """The same, still as floats of a tensor."""
    unit = (images.float().clamp(-1, 1) + 1) / 2
    if mode == "rgba":
        alpha = (unit[:, 3:] * 255).round() / 255
        colour = torch.where(alpha > 0, (unit[:, :3] / alpha.clamp_min(1 / 255)).clamp(max=1), torch.zeros(()))
        unit = torch.cat([colour, alpha], dim=1)
    return (unit * depth(mode)).round().permute(0, 2, 3, 1)


def condition_tensors(specs: Iterable[ConditionSpec], encoded: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Encoded conditions as tensors: label N; number N in [-1, 1], NaN where missing; text N L; image N C H W;
    map N H W; frames N T C H W."""
    return {spec.name: _tensor(spec, encoded[spec.name]) for spec in specs if spec.name in encoded}


def _tensor(spec: ConditionSpec, values: NDArray[Any]) -> Tensor:
    if spec.kind == "label":
        labels = torch.from_numpy(np.asarray(values, np.int64))
        return torch.where(labels == NO_LABEL, torch.full_like(labels, len(spec.classes)), labels)
    if spec.kind == "number":
        middle, half = (spec.high + spec.low) / 2, max((spec.high - spec.low) / 2, 1e-12)
        return torch.from_numpy(((np.asarray(values, np.float64) - middle) / half).astype(np.float32))
    if spec.kind == "frames":
        count, length = values.shape[:2]
        flat = to_tensor(values.reshape(count * length, *values.shape[2:]), spec.mode)
        return flat.reshape(count, length, *flat.shape[1:])
    if spec.kind == "image":
        return to_tensor(values, spec.mode)
    return torch.from_numpy(np.asarray(values, np.int64))
