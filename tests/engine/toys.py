"""Families for tests: small, instant, and each with one peculiarity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maquette.core.settings import setting
from maquette.core.spec import Batch, Loss, Need, Optimizer, Phase
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import build, load
from maquette.engine.plan import Plan
from maquette.engine.trainer import Trainer
from maquette.families import REGISTRY
from maquette.families.family import Family, FamilyConfig, latent
from maquette.store.run import Run


@dataclass(frozen=True, kw_only=True)
class ToyConfig(FamilyConfig):
    batch: int = setting(8, "images a step", ge=1, le=65536)
    average: int = setting(100, "half-life of the running average", ge=1)
    width: int = setting(4, "channels", ge=1, le=64)
    rate: float = setting(0.01, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class ToyOptions:
    temperature: float = setting(1.0, "how far samples stray", ge=0, le=2)


class Toy(Family):
    """Two convolutions that repair noisy images: its layers have both layouts, and its loss draws random numbers."""

    Config, Options = ToyConfig, ToyOptions
    summary = "for tests"
    accepts = frozenset({"label"})

    def __init__(self, config: ToyConfig, spec: Any, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.first = nn.Conv2d(spec.channels, config.width, 3, padding=1)
        self.last = nn.Conv2d(config.width, spec.channels, 3, padding=1)
        self.register_buffer("seen", torch.zeros(()))
        self.phases = (Phase(name="fit", optimizer=Optimizer(rate=config.rate, schedule="cosine", clip=1.0)),)

    @classmethod
    def variant(cls, scale: str, spec: Any) -> ToyConfig:
        return ToyConfig(width={"nano": 4, "micro": 8, "small": 16, "base": 32}[scale])

    @classmethod
    def appetite(cls, scale: str, spec: Any) -> int:
        return {"nano": 0, "micro": 1_000, "small": 100_000, "base": 10_000_000}[scale]

    def encode(self, images: Tensor) -> Tensor:
        return self.first(images)

    def decode(self, latents: Tensor) -> Tensor:
        return self.last(torch.tanh(latents))

    def repair(self, images: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(images))).float()

    def loss(self, batch: Batch, phase: str) -> Loss:
        noise = torch.randn(batch.images.shape, generator=batch.generator)
        error = (self.repair(batch.images + 0.3 * noise) - batch.images).square().mean()
        return Loss(error, {"error": error.detach()})

    def observe(self, statistics: Mapping[str, float]) -> None:
        self.seen += 1

    def sample(self, noise: Any, condition: Any, options: ToyOptions) -> Iterator[Tensor]:
        x = latent(noise, "toy", *self.spec.shape, like=self.first.weight)
        yield torch.tanh(x)
        yield torch.tanh(self.repair(options.temperature * x))


class Pair(Family):
    """Two phases: `fast` at every step of the first half, `slow` at every third step of the second half."""

    Config = ToyConfig
    summary = "for tests"

    def __init__(self, config: ToyConfig, spec: Any, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.quick = nn.Parameter(torch.zeros(spec.shape))
        self.calm = nn.Parameter(torch.zeros(spec.shape))
        optimizer = Optimizer(rate=config.rate)
        self.phases = (
            Phase(name="fast", trains=("quick",), span=(0.0, 0.5), optimizer=optimizer),
            Phase(name="slow", trains=("calm",), span=(0.5, 1.0), every=3, optimizer=optimizer),
        )
        self.asked: list[tuple[str, float]] = []

    @classmethod
    def variant(cls, scale: str, spec: Any) -> ToyConfig:
        return ToyConfig()

    def loss(self, batch: Batch, phase: str) -> Loss:
        self.asked.append((phase, batch.progress))
        batch.memo.setdefault("phases", []).append(phase)
        own = self.quick if phase == "fast" else self.calm
        # The other parameter is part of the loss too; a phase must not move what it does not train.
        return Loss((own - batch.images).square().mean() + (self.quick - self.calm).square().mean())


class Gaps(Pair):
    """One phase at every second step only."""

    def __init__(self, config: ToyConfig, spec: Any, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.phases = (Phase(name="fast", trains=("quick",), every=2),)


class Standing(Toy):
    """Stands on a part that must repair images."""

    needs = {"base": Need(provides="encodes", default="toy")}  # noqa: RUF012

    def __init__(self, config: ToyConfig, spec: Any, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.base = (parts or {})["base"]
        self.phases = (Phase(name="fit", trains=("first", "last"), optimizer=Optimizer(rate=config.rate)),)


class Mute(Toy):
    """Makes no images from seeds."""

    sample = None  # type: ignore[assignment]


def not_a_number(value: Tensor) -> None:
    """Spoil one number of a tensor."""
    with torch.no_grad():
        value[tuple(size - 1 for size in value.shape)] = math.nan  # (a flat view of channels last would be a copy)


def trainer_of(family, dataset, **plan) -> Trainer:
    """A trainer of a family that is ready."""
    names = [condition.name for condition in family.spec.conditions]
    settings = {"images": 10_000, "batch": family.config.batch, **plan}
    return Trainer(family, Loader(dataset, "train", names, settings.get("seed", 0)), Plan(**settings))


def fresh(name: str, dataset: Dataset, plan: dict | None = None, *, kinds=("label", "number"), **changes) -> Trainer:
    """A trainer of a new family of that name, conditioned on what the dataset has of these kinds."""
    conditions = tuple(c for c in dataset.spec.conditions if c.kind in kinds)
    spec = dataclasses.replace(dataset.spec, conditions=conditions)
    kind = REGISTRY.get(name)
    config = dataclasses.replace(kind.variant("nano", spec), **changes)
    return trainer_of(build(name, config, spec, {}), dataset, **(plan or {}))


IMAGES = 480
"""What the runs of `begin` see: 60 steps of 8 images."""


def begin(dataset, path, name="oracle", plan=None, **changes):
    changes = {"batch": 8, "average": 100, **changes}
    return fresh(name, dataset, {"images": IMAGES, **(plan or {})}, **changes), Run.create(path, {"choice": {}})


def again(dataset, path, name="oracle", plan=None, **changes):
    changes = {"batch": 8, "average": 100, **changes}
    return fresh(name, dataset, {"images": IMAGES, **(plan or {})}, **changes), Run.open(path)


def outcome(run):
    """All that a run leaves behind but the time it took."""
    state = run.restore()
    facts = {key: value for key, value in state.facts.items() if key != "seconds"}
    records = [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]
    return facts, {name: value.tobytes() for name, value in state.tensors.items()}, records


def model_bytes(run):
    return {name: value.numpy().tobytes() for name, value in load(Run.open(run.path)).state_dict().items()}


PLACES = ("loss", "gradient", "weight", "average", "optimizer")
"""Where a number can break."""


def spoil(trainer, place, when):
    """From now on the trainer breaks at the steps for which `when(trainer)` is true."""
    real_loss, real_step = trainer.family.loss, trainer.step

    def loss(batch, phase):
        found = real_loss(batch, phase)
        if when(trainer) and place == "loss":
            found.total = found.total * math.nan
        return found

    def step(progress):
        optimizer = next(iter(trainer.optimizers.values()))
        now = when(trainer)
        hook = optimizer.parameters[0].register_hook(lambda gradient: gradient * math.nan)
        if not (now and place == "gradient"):
            hook.remove()
        numbers = real_step(progress)
        hook.remove()
        if now and place == "weight":
            not_a_number(optimizer.parameters[0])
        if now and place == "average":
            not_a_number(trainer.averages.values[1][0])
        if now and place == "optimizer":
            not_a_number(optimizer.adam.state[optimizer.parameters[0]]["exp_avg_sq"])
        return numbers

    trainer.family.loss, trainer.step = loss, step
