"""From a run folder to a family that can sample, and between tensors and the arrays that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.errors import MaquetteError, ModelFileError
from maquette.core.settings import from_json, to_json
from maquette.core.spec import DataSpec, Scale
from maquette.engine.plan import check_device
from maquette.families import REGISTRY
from maquette.families.family import Family, FamilyConfig
from maquette.store.run import Run

FORMAT = 1
_LARGEST = 2**33  # bytes of weights: no honest model of this program is larger


def seed_of(*words: int | str) -> int:
    """A 63-bit seed from words and numbers, well mixed."""
    import hashlib

    text = "\0".join(str(word) for word in words).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def build(name: str, config: FamilyConfig, spec: DataSpec, parts: Mapping[str, Family], seed: int = 0) -> Family:
    """A new family with weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", seed))
        return REGISTRY.get(name)(config, spec, parts)


def recipe(name: str, family: Family, parts: Mapping[str, tuple[str, Family]] | None = None) -> dict[str, Any]:
    """All that is needed to build the family again, as JSON."""
    return {
        "format": FORMAT,
        "family": name,
        "config": to_json(family.config),
        "spec": family.spec.to_json(),
        "parts": {part: recipe(kind, inner) for part, (kind, inner) in (parts or {}).items()},
    }


def rebuild(facts: Mapping[str, Any]) -> Family:
    """The inverse of `recipe`: a family with fresh weights."""
    kind = REGISTRY.get(str(facts["family"]))
    if set(facts) - {"format", "family", "config", "spec", "parts"} or facts.get("format") != FORMAT:
        raise ValueError("it is of another format")
    if set(facts["parts"]) != set(kind.needs):
        raise ValueError(f"the parts of {facts['family']} are {', '.join(kind.needs) or 'none'}")
    config = from_json(kind.Config, facts["config"], what=f"the config of {facts['family']}")
    parts = {name: rebuild(inner) for name, inner in facts["parts"].items()}
    return build(str(facts["family"]), config, DataSpec.from_json(facts["spec"]), parts)


def rebuild_checked(facts: Any, where: Path) -> tuple[Family, dict[str, tuple[str, tuple[int, ...]]]]:
    """As `rebuild`, for facts that may be hostile: (a family without memory, its schema), or a ModelFileError.

    It is built without memory, so that a config cannot ask for more than the file really holds.
    """
    try:
        with torch.device("meta"):
            family = rebuild(facts)
        expected = schema(family)
        size = sum(_bytes(kind, shape) for kind, shape in expected.values())
    except (MaquetteError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise ModelFileError(
            f"the model that run.json describes cannot be built ({error})", where=where, do="train it again"
        ) from None
    if size > _LARGEST:
        raise ModelFileError("the model would be larger than 8 GB", where=where, do="check where it came from")
    return family, expected


def default_config(name: str, scale: Scale, spec: DataSpec, changes: Mapping[str, Any]) -> FamilyConfig:
    """The family's settings at this scale, with the user's changes."""
    kind = REGISTRY.get(name)
    config = to_json(kind.variant(scale, spec))
    unchecked = {**config, **changes}
    return from_json(kind.Config, unchecked, what=f"--set for {name}")


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors as plain contiguous arrays for a file."""
    return {name: np.array(value.detach().cpu().contiguous().numpy(), order="C") for name, value in tensors.items()}


@torch.no_grad()
def fill(family: Family, values: Mapping[str, NDArray[Any]]) -> None:
    """Copy arrays into a family of the same form (its memory layout stays)."""
    for name, tensor in family.state_dict().items():
        tensor.copy_(torch.from_numpy(np.array(values[name])))


def schema(family: Family) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (type, shape) of all that a model file of this family holds."""
    return {
        name: (str(value.dtype).removeprefix("torch."), tuple(value.shape))
        for name, value in family.state_dict().items()
    }


def load(run: Run, *, device: str = "cpu") -> Family:
    """The run's model, ready to sample."""
    check_device(device)
    facts = run.facts.get("model_recipe")
    if facts is None:
        raise ModelFileError("this run has no model yet", where=run.path, do="train it first")
    _, expected = rebuild_checked(facts, run.path)
    values, _ = run.model(expected)
    family = rebuild(facts)
    fill(family, values)
    return family.to(device).eval().requires_grad_(False)


def _bytes(kind: str, shape: Iterable[int]) -> int:
    size = int(torch.empty((), dtype=getattr(torch, kind)).element_size())
    for side in shape:
        size *= side
    return size
