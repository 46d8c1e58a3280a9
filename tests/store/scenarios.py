"""What a run writes, one kind of writing each: before it, the writing itself, and what is seen of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.errors import RunError
from maquette.store.run import Run
from maquette.store.shelf import State
from maquette.store.weights import digest_of, schema_of


def state(images: int, salt: int = 0) -> State:
    """A small state that depends on its images and the salt."""
    chance = np.random.default_rng([images, salt])
    tensors = {
        "model/a.weight": chance.normal(size=(24, 31)).astype(np.float32),
        "average/a.weight": chance.normal(size=(24, 31)).astype(np.float32),
        "random": chance.integers(0, 256, 500).astype(np.uint8),
        "step": np.array(images // 64, np.int64),
    }
    return State(tensors, {"images": images, "step": images // 64, "seconds": images / 7, "salt": salt})


def seen_state(folder: Path) -> Any:
    """What resuming would go on from."""
    found = Run.open(folder).restore()
    return None if found is None else (digest_of(found.tensors), dict(found.facts))


def seen_model(folder: Path) -> Any:
    """What sampling would sample with."""
    try:
        tensors, facts = Run.open(folder).model(schema_of(model(0)))
    except RunError as error:
        assert "no model" in str(error)
        return None
    return digest_of(tensors), facts


def model(salt: int) -> dict[str, np.ndarray]:
    """A small model."""
    return {"a": np.random.default_rng(salt).normal(size=(30, 30)).astype(np.float32)}


def seen_decisions(folder: Path) -> Any:
    """What the run would decide again."""
    return Run.open(folder).decisions()


def seen_facts(folder: Path) -> Any:
    """What run.json says, if there is a run."""
    return Run.open(folder).facts if Run.exists(folder) else None


@dataclass(frozen=True)
class Scenario:
    """One kind of writing."""

    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    seen: Callable[[Path], Any]
    once: bool = True
    """Whether doing the work again after it has failed must lead to the same."""


def _saved(*images: int) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        run = Run.create(folder, {"family": "gan"})
        for count in images:
            run.log({"images": count, "loss": count / 3})
            run.save(state(count))

    return prepare


def _save(images: int, salt: int = 0) -> Callable[[Path], None]:
    return lambda folder: void(Run.open(folder).save(state(images, salt)))


def void(value: object) -> None:
    """Throw a result away."""


def _damaged_newer(folder: Path) -> None:
    _saved(64, 128, 192)(folder)
    file = folder / "checkpoints" / f"{192:012d}" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _stale(folder: Path) -> None:
    _saved(64, 128)(folder)
    partial = folder / "checkpoints" / f".{192:012d}.99999.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"half")
    (folder / ".model.safetensors.99999-1.partial").write_bytes(b"half")


def _decided(folder: Path) -> None:
    run = Run.create(folder, {"family": "gan"})
    run.decide({"kind": "first", "number": 1.5})


def _logged(folder: Path) -> None:
    run = Run.create(folder, {"family": "gan"})
    for images in range(64, 640, 64):
        run.log({"images": images, "loss": 1 / images})


def _with_model(folder: Path) -> None:
    Run.create(folder, {"family": "gan"}).save_model(model(1), {"which": 1})


SCENARIOS: dict[str, Scenario] = {
    "the first save": Scenario(_saved(), _save(64), seen_state),
    "a second save": Scenario(_saved(64), _save(128), seen_state),
    "a save that lets go of the oldest": Scenario(_saved(64, 128, 192), _save(256), seen_state),
    "a save where one is already": Scenario(_saved(64), _save(64, salt=1), seen_state),
    "a save where one is already, of three": Scenario(_saved(64, 128, 192), _save(192, salt=1), seen_state),
    "a save behind a damaged one": Scenario(_damaged_newer, _save(160), seen_state),
    "a save in the place of a damaged one": Scenario(_damaged_newer, _save(192, salt=1), seen_state),
    "a save that sweeps": Scenario(_stale, _save(192), seen_state),
    "a new run": Scenario(
        lambda folder: None, lambda folder: void(Run.create(folder, {"family": "flow"})), seen_facts, once=False
    ),
    "other facts": Scenario(_saved(), lambda folder: Run.open(folder).update(images_seen=5), seen_facts),
    "the first model": Scenario(
        _saved(64), lambda folder: void(Run.open(folder).save_model(model(2), {"which": 2})), seen_model
    ),
    "a second model": Scenario(
        _with_model, lambda folder: void(Run.open(folder).save_model(model(2), {"which": 2})), seen_model
    ),
    "the first decision": Scenario(
        _saved(), lambda folder: Run.open(folder).decide({"a": 1}), seen_decisions, once=False
    ),
    "a second decision": Scenario(
        _decided, lambda folder: Run.open(folder).decide({"a": 1}), seen_decisions, once=False
    ),
    "a log taken back": Scenario(
        _logged, lambda folder: Run.open(folder).rewind(300), lambda folder: list(Run.open(folder).records())
    ),
}  # fmt: skip
