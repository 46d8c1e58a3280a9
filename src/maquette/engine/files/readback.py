"""The map of classes that a segmenter reads from images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.families.family import Family, Predicts
from maquette.nn.pixels import to_tensor

TOGETHER = 64


@torch.inference_mode()
def read_back(reader: Family, images: NDArray[Any]) -> NDArray[np.uint8]:
    """Images N H W C of the reader's mode -> maps N H W, each pixel with its most probable class."""
    maps = [condition for condition in reader.spec.conditions if condition.kind == "map"]
    if not isinstance(reader, Predicts) or not maps:
        raise UsageError(
            "this model reads no maps from images", do="give a run of the family segment that learned maps"
        )
    device = next(reader.parameters()).device
    found = []
    for start in range(0, len(images), TOGETHER):
        scores = reader.predict(to_tensor(images[start : start + TOGETHER], reader.spec.mode).to(device))
        found.append(scores.argmax(dim=1).to(torch.uint8).cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, reader.spec.height, reader.spec.width), np.uint8)
