"""From an image of which a part is missing to whole ones: one for each seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.families.family import Completes, Family
from maquette.nn.pixels import condition_tensors, from_tensor, to_tensor


def side(name: str, share: float, height: int, width: int) -> NDArray[np.bool_]:
    """Height x width: what is given where a share of the image is kept, from one side on."""
    kept = np.zeros((height, width), bool)
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    places: dict[str, Any] = {
        "top": (slice(None, rows),), "bottom": (slice(height - rows, None),),
        "left": (slice(None), slice(None, columns)), "right": (slice(None), slice(width - columns, None)),
    }  # fmt: skip
    kept[places[name]] = True
    return kept


def completed(
    family: Family,
    image: NDArray[Any],
    given: NDArray[np.bool_],
    seeds: Sequence[int],
    conditions: Mapping[str, NDArray[Any]],
    options: Any,
) -> Iterator[NDArray[Any]]:
    """Images H W C, one for each seed. Where `given` is true (height x width), the pixels stay as they are."""
    if not isinstance(family, Completes):
        name = type(family).__name__.lower()
        raise UsageError(f"the family {name} cannot complete images", do="give a run of the family recurrent")
    together = family.together
    device = next(family.parameters()).device
    for start in range(0, len(seeds), together):
        chosen = list(seeds[start : start + together])
        padded = chosen + [chosen[-1]] * (together - len(chosen))
        rows = {
            name: np.concatenate([some, np.repeat(some[-1:], together - len(some), axis=0)])
            for name, some in ((name, values[start : start + together]) for name, values in conditions.items())
        }
        tensors = {name: value.to(device) for name, value in condition_tensors(family.spec.conditions, rows).items()}
        images = to_tensor(np.repeat(image[None], together, axis=0), family.spec.mode).to(device)
        mask = torch.from_numpy(given.astype(np.float32)).to(device).expand(together, 1, -1, -1)
        with torch.inference_mode():
            *_, made = family.complete(images, mask, Noise(padded), tensors, options)
        for found in from_tensor(made[: len(chosen)], family.spec.mode):
            yield np.where(given[..., None], image, found)
