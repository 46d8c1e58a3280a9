"""A trained family that describes images (`Describes`), as an extractor of features for the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.families.family import Describes, Family
from maquette.features.extractor import Features
from maquette.nn.pixels import to_tensor
from maquette.store.digest import bytes_digest

AT_ONCE = 1 << 18
"""Pixels that go through the network at once."""
VERSION = "described 1"


class Described:
    """The network as an extractor; its numbers are decided by its recipe and its weights."""

    resize = "none"
    whole = True
    """Its numbers are taken as they are: it has learned what to leave out, and fitting a space puts models out of order
    (docs/log.md)."""

    def __init__(self, name: str, model: Family, weights: str) -> None:
        if not isinstance(model, Describes):
            raise TypeError(f"{type(model).__name__} does not describe images")
        self.name, self.digest = name, bytes_digest(f"{VERSION} {name} {weights}".encode())
        self._describe, self._mode = model.describe, model.spec.mode

    def __call__(self, images: NDArray[Any]) -> Features:
        """N H W C -> N width."""
        step = max(1, AT_ONCE // (images.shape[1] * images.shape[2]))
        rows = []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                block = to_tensor(np.ascontiguousarray(images[start : start + step]), self._mode)
                rows.append(self._describe(block).float().numpy())
        return np.concatenate(rows).astype(np.float32)
