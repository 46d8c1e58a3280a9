"""Images drawn from a model to be judged: many, in memory that does not grow with their number."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.image import CHANNELS, dtype
from maquette.core.settings import to_json
from maquette.engine.sample import Rows, draw, wishes
from maquette.engine.team.distributed import programs
from maquette.families.family import Encodes, Family
from maquette.features.cache import Cache
from maquette.nn.pixels import from_tensor, to_tensor
from maquette.store.digest import tensors_digest
from maquette.store.run import Run


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


@dataclass(frozen=True)
class Memory:
    """Where drawn images are kept, under everything that decides their pixels: model, dials, seeds, what was asked for,
    the program's own code, the libraries it computes with, and the machine."""

    cache: Cache
    model: Mapping[str, Any]
    """What the model is: the recipe it is built by and the digest of its weights."""

    @classmethod
    def of(cls, cache: Cache, run: Run) -> Memory:
        """For the model that was loaded from this run."""
        return cls(cache, {"recipe": run.facts["model_recipe"], "weights": run.facts["model"]})

    def key(self, model: Family, options: Any, seed: int, conditions: Rows, together: int) -> dict[str, Any] | None:
        """For the cache; None where code that is not ours has a part in the model, for nothing says when it changed."""
        if {type(part).__module__.partition(".")[0] for part in model.modules()} - {"maquette", "torch"}:
            return None
        machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
        return {
            "drawn": self.model, "dials": to_json(options), "seed": seed, "conditions": tensors_digest(conditions),
            "together": together, "program": programs(), "machine": machine,
            "device": str(next(model.parameters()).device),
        }  # fmt: skip


def draw_many(
    model: Family,
    table: Mapping[str, NDArray[Any]],
    count: int,
    seed: int,
    options: Any = None,
    given: Mapping[str, Any] | None = None,
    drawer: Callable[..., Iterator[NDArray[Any]]] = draw,
    memory: Memory | None = None,
) -> Iterator[int | Drawn]:
    """Draw images of these seeds; yields how many there are so far, and all of them last.

    More go through the model at once than when `sample` makes them, so the last bits of a pixel may differ from its.
    `drawer` takes the place of `draw`: workers, for example. With a memory, the same images are drawn once.
    """
    options = model.Options() if options is None else options
    spec = model.made(options)
    optional = {c.name for c in spec.conditions if c not in model.spec.conditions}
    size = spec.height, spec.width
    asked = wishes(spec.conditions, table, given or {}, range(seed, seed + count), size, optional)
    shape, kind = (count, *size, CHANNELS[spec.mode]), dtype(spec.mode)
    together = max(model.together, min(TOGETHER, PIXELS // (spec.height * spec.width)))
    key = None if memory is None else memory.key(model, options, seed, asked, together)
    if memory is not None and key is not None:
        known = memory.cache.array(key, shape, kind)
        if known is not None:
            yield Drawn(known, asked, seed)
            return
    with tempfile.TemporaryFile(prefix="maquette-") as stream:
        pictures = np.memmap(stream, kind, "w+", shape=shape)
    done = 0
    for batch in drawer(model, range(seed, seed + count), asked, options, micro=together):
        pictures[done : done + len(batch)] = batch
        done += len(batch)
        yield done
    if memory is not None and key is not None and drawer is draw:  # workers may be other machines
        memory.cache.put_array(key, pictures)
    yield Drawn(pictures, asked, seed)
