"""What families, data and the engine agree on: the form of the data, and what a model's author returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.choices import MODES, TILES, Mode
from maquette.core.choices import SCALES as SCALES
from maquette.core.choices import Scale as Scale
from maquette.core.choices import Tile as Tile
from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.image import CHANNELS

if TYPE_CHECKING:
    import torch

MAX_SIDE = 4096


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The form of every image of a dataset or model."""

    height: int
    width: int
    mode: Mode = "rgb"
    tile: Tile = ""
    conditions: tuple[ConditionSpec, ...] = ()

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if side % 8 or not 8 <= side <= MAX_SIDE:
                raise DataError(
                    f"a {name} of {side} pixels is not possible",
                    do=f"choose a multiple of 8 from 8 to {MAX_SIDE}, such as {max(8, round(side / 8) * 8)}",
                )
        if self.mode not in MODES:
            raise UsageError(f"there is no image mode {self.mode!r}", do=f"there are: {', '.join(MODES)}")
        if self.tile not in TILES:
            raise UsageError(f"tiling along {self.tile!r} is not possible", do="give x, y or xy")
        names = [condition.name for condition in self.conditions]
        if len(set(names)) != len(names):
            raise DataError(f"two conditions have one name: {', '.join(names)}")

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return CHANNELS[self.mode]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width: the shape of one image inside a model."""
        return (self.channels, self.height, self.width)

    def condition(self, name: str) -> ConditionSpec:
        """The condition of that name."""
        for condition in self.conditions:
            if condition.name == name:
                return condition
        raise UsageError(f"there is no condition {name!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "height": self.height, "width": self.width, "mode": self.mode, "tile": self.tile,
            "conditions": [condition.to_json() for condition in self.conditions],
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DataSpec:
        """The inverse of `to_json`."""
        known = {"height", "width", "mode", "tile", "conditions"}
        if set(value) - known:
            raise DataError(f"unknown keys in a data spec: {', '.join(sorted(set(value) - known))}")
        conditions = tuple(ConditionSpec.from_json(item) for item in value.get("conditions", ()))
        return cls(**{**value, "conditions": conditions})


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """How a phase's parameters move: Adam with decoupled weight decay, a warm-up, and a schedule over the whole run."""

    rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: float = 0.0
    """The share of the run (or of the phase's span) over which the rate rises from zero."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final: float = 0.0
    """What is left of the rate at the end of the schedule, as a share."""
    half: float | None = None
    """After so many images the rate is half of what it would be, after twice as many a third, however long the run."""
    clip: float | None = None
    """The largest norm of all gradients together."""

    def rate_at(self, progress: float, images: int = 0) -> float:
        """The rate when `progress` (0 to 1) of the span is done and the run has seen so many images."""
        import math

        if self.warmup > 0 and progress < self.warmup:
            return self.rate * progress / self.warmup
        shape = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress)}
        rate = self.rate * (self.final + (1.0 - self.final) * shape[self.schedule])
        return rate if self.half is None else rate / (1.0 + images / self.half)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One kind of step: which parts it trains, how often, and during which share of the run."""

    name: str
    trains: tuple[str, ...] = ("",)
    """Prefixes of parameter names; "" means all."""
    every: int = 1
    span: tuple[float, float] = (0.0, 1.0)
    optimizer: Optimizer = Optimizer()

    def due(self, step: int, progress: float) -> bool:
        """Whether the phase runs at this step. The last span includes the end of the run."""
        start, end = self.span
        return step % self.every == 0 and start <= progress and (progress < end or end >= 1.0)

    def owns(self, parameter: str) -> bool:
        """Whether the phase trains the parameter of that name."""
        return any(not p or parameter == p or parameter.startswith(p + ".") for p in self.trains)


def edges(phases: Iterable[Phase]) -> tuple[float, ...]:
    """Progress at which phases begin or end, in order; the begin and the end of the run are among them."""
    return tuple(sorted({0.0, 1.0, *(edge for phase in phases for edge in phase.span)}))


@dataclass
class Batch:
    """What a family's loss is given. Tensors: images N C H W in [-1, 1]; conditions by name."""

    images: torch.Tensor
    condition: Mapping[str, torch.Tensor]
    generator: torch.Generator
    progress: float = 0.0
    known: int = 0
    """How many different images there are to learn from; 0 where that is not known."""
    memo: dict[str, Any] = field(default_factory=dict)
    """Shared by the phases of one step (the critic's fakes are the generator's)."""


@dataclass
class Loss:
    """What a family's loss returns: the total to minimise, and named numbers to log and to `observe`."""

    total: torch.Tensor
    statistics: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Need:
    """A part that a family stands on: made by another family before, or given as a finished run (`--on RUN`)."""

    provides: str
    """The power it must have: encodes, tokenises, scores or predicts."""
    default: str
    """The family that makes it when no run is given."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are others when a finished run is given, such as how long the part is trained first."""
