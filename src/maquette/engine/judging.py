"""Images drawn from a model to be judged: many, in memory that does not grow with their number."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.image import CHANNELS, dtype
from maquette.engine.sample import Rows, draw, wishes
from maquette.families.family import Encodes, Family
from maquette.nn.pixels import from_tensor, to_tensor


def restore(model: Family, images: NDArray[Any]) -> NDArray[Any] | None:
    """Images (N H W C) turned into the model's latents and back; None where the model cannot do that."""
    if not isinstance(model, Encodes):
        return None
    mode, device = model.spec.mode, next(model.parameters()).device
    out = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            block = to_tensor(images[start : start + 64], mode).to(device)
            out.append(from_tensor(model.decode(model.encode(block)), mode))
    return np.concatenate(out) if out else None


TOGETHER, PIXELS = 256, 2**18
"""Images a pass at most, and about how many pixels they have together: the memory of a pass is bounded by them."""


@dataclass(frozen=True)
class Drawn:
    """Images of consecutive seeds, in a file that goes away with them, and what each was asked to be."""

    pictures: NDArray[Any]
    conditions: Rows
    first: int


def draw_many(
    model: Family,
    table: Mapping[str, NDArray[Any]],
    count: int,
    seed: int,
    options: Any = None,
    given: Mapping[str, Any] | None = None,
    drawer: Callable[..., Iterator[NDArray[Any]]] = draw,
) -> Iterator[int | Drawn]:
    """Draw images of these seeds; yields how many there are so far, and all of them last.

    More go through the model at once than when `sample` makes them, so the last bits of a pixel may differ from its.
    `drawer` takes the place of `draw`: workers, for example.
    """
    spec = model.made(model.Options() if options is None else options)
    optional = {c.name for c in spec.conditions if c not in model.spec.conditions}
    shape = (count, spec.height, spec.width, CHANNELS[spec.mode])
    with tempfile.TemporaryFile(prefix="maquette-") as stream:
        pictures = np.memmap(stream, dtype(spec.mode), "w+", shape=shape)
    kept: dict[str, list[NDArray[Any]]] = {}
    done = 0
    together = max(model.together, min(TOGETHER, PIXELS // (spec.height * spec.width)))
    while done < count:
        stretch = range(seed + done, seed + min(count, done + 1024))
        rows = wishes(spec.conditions, table, given or {}, stretch, (spec.height, spec.width), optional)
        for name, values in rows.items():
            kept.setdefault(name, []).append(values)
        for batch in drawer(model, stretch, rows, options, micro=together):
            pictures[done : done + len(batch)] = batch
            done += len(batch)
            yield done
    yield Drawn(pictures, {name: np.concatenate(values) for name, values in kept.items()}, seed)
