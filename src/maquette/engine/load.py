"""From a run folder to a family that can sample, and between tensors and the arrays that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.errors import MaquetteError, ModelFileError
from maquette.core.heap import keep_freed
from maquette.core.settings import from_json, to_json
from maquette.core.spec import DataSpec, Scale
from maquette.engine.limit import SLACK, Allowance
from maquette.engine.plan import check_device
from maquette.families import REGISTRY
from maquette.families.family import Family, FamilyConfig
from maquette.store.run import MODEL_FILE, Run

FORMAT = 1
LARGEST = 2**33
"""Bytes of weights: no honest model of this program is larger."""


def seed_of(*words: int | str) -> int:
    """A 63-bit seed from words and numbers, well mixed."""
    import hashlib

    text = "\0".join(str(word) for word in words).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def build(name: str, config: FamilyConfig, spec: DataSpec, parts: Mapping[str, Family], seed: int = 0) -> Family:
    """A new family with weights that depend on the seed alone."""
    keep_freed()
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


def rebuild_within(facts: Any, where: Path, most: int = LARGEST) -> Family:
    """As `rebuild`, for facts that may be hostile and weights that follow at once: in so many bytes, or an error."""
    try:
        with Allowance(most):
            return rebuild(facts)
    except (MaquetteError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise ModelFileError(
            f"the model that run.json describes cannot be built ({error})", where=where, do="train it again"
        ) from None


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
    facts, file = run.facts.get("model_recipe"), run.path / MODEL_FILE
    if facts is None or not file.exists():
        raise ModelFileError("this run has no model yet", where=run.path, do="train it first")
    # A hostile config must not ask for more than the file really holds.
    family = rebuild_within(facts, run.path, min(LARGEST, 2 * file.stat().st_size + SLACK))
    values, _ = run.model(schema(family))
    fill(family, values)
    return family.to(device).eval().requires_grad_(False)
