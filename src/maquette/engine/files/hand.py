"""A trained model as a function from arrays to arrays, for ops that take one: they know neither family nor tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.image import convert
from maquette.engine.load import load
from maquette.families.family import Predicts
from maquette.nn.pixels import to_tensor
from maquette.refining import pixels
from maquette.store.run import Run


def callable_of(path: Path) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """What the run's model predicts of an image, in [0, 1], height x width x channels: a mask, or a larger image.

    The image may have any depth and as many channels as ops know; the model is given its own mode.
    """
    family = load(Run.open(path))
    if not isinstance(family, Predicts):
        raise UsageError(
            f"the model of {path} makes images and predicts nothing of one", do="give a run of a family that predicts"
        )
    family.eval()

    def predict(image: NDArray[Any]) -> NDArray[np.float32]:
        eight = pixels.to_depth(pixels.to_float(image), np.uint8)
        tensor = to_tensor(convert(eight, family.spec.mode)[None], family.spec.mode)
        with torch.inference_mode():
            found = family.predict(tensor)
        if found.ndim != 4:
            raise UsageError(f"the model of {path} predicts no image", do="give a run of a family that does")
        unit = (found[0].detach().float().clamp(-1, 1) + 1) / 2
        return np.ascontiguousarray(unit.permute(1, 2, 0).cpu().numpy())

    return predict
