"""The contract of measures: a plain function of two sets of images, marked `@metric`.

    @metric(title="...", better="lower")
    def distance(sides: Sides) -> Estimate:
        \"\"\"What it says, in one sentence for people.\"\"\"

The function's name with dashes is the measure's name. A measure that cannot be had from what there is raises
`Unmeasured` with the reason; no number is given where none is honest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import ConditionSpec
from maquette.core.errors import MaquetteError
from maquette.core.registry import Registry
from maquette.judge.interval import Estimate

Better = Literal["lower", "higher", "like real"]
Rows = NDArray[np.float64]
T = TypeVar("T")


class Unmeasured(MaquetteError):
    """A measure that these images do not allow; `what` says why."""


@dataclass(frozen=True)
class Part:
    """What is known of one set of images, a row for each: place in the space of likeness, looks, conditions.

    Looks may be known of the first images only; they are left out when some of the images are taken.
    """

    rows: Rows
    looks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    conditions: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What measures need of these images alone, worked out once."""

    def once(self, name: str, work: Callable[[], T]) -> T:
        """What `work` gives, worked out the first time that it is asked for by this name."""
        if name not in self.memo:
            self.memo[name] = work()
        found: T = self.memo[name]
        return found

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[np.int64] | slice) -> Part:
        """The same of some of the images."""
        return Part(
            self.rows[which],
            {name: values[which] for name, values in self.looks.items() if len(values) == len(self)},
            {name: values[which] for name, values in self.conditions.items()},
        )

    def some(self, count: int) -> Part:
        """At most `count` of the images, spread over all."""
        if len(self) <= count:
            return self
        return self.take(np.linspace(0, len(self) - 1, count).astype(np.int64))


@dataclass(frozen=True)
class Sides:
    """Real images that were learned from, made images, and real images that were held out."""

    real: Part
    made: Part
    held: Part | None = None
    specs: tuple[ConditionSpec, ...] = ()
    value_only: bool = False
    """Only the values are wanted: these are anchors."""
    whole: bool = False
    """The rows are a network's numbers as they are: what is published is taken in them."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What several measures need, worked out once."""

    def need(self, count: int) -> None:
        """Refuse when there are fewer images on either side than the measure can bear."""
        for part, what in ((self.made, "made"), (self.real, "real")):
            if len(part) < count:
                raise Unmeasured(f"{len(part)} {what} images are too few for it (at least {count})")


@dataclass(frozen=True)
class Metric:
    """One measure: its name, what it says, which way is good, and how it is taken."""

    name: str
    title: str
    says: str
    better: Better
    function: Callable[[Sides], Estimate]
    anchors: bool = True
    """Whether it can be taken of the anchors too (held-out, blurred, noised images and noise)."""
    counts: bool = False
    """Whether the value depends on how many images there are: then it is taken of as many as the anchors have."""

    def __call__(self, sides: Sides) -> Estimate:
        """Take the measure, or raise `Unmeasured`."""
        return self.function(sides)


def metric(
    *, title: str, better: Better, anchors: bool = True, counts: bool = False
) -> Callable[[Callable[[Sides], Estimate]], Metric]:
    """Mark a function as a measure."""

    def mark(function: Callable[[Sides], Estimate]) -> Metric:
        says = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        return Metric(function.__name__.replace("_", "-"), title, says, better, function, anchors, counts)

    return mark


def _pick(module: ModuleType) -> tuple[Metric, ...]:
    return tuple(value for value in vars(module).values() if isinstance(value, Metric))


REGISTRY: Registry[tuple[Metric, ...]] = Registry("maquette.judge.metrics", "file of measures", _pick)


def all_metrics() -> dict[str, Metric]:
    """Every measure by name."""
    return {metric.name: metric for file in REGISTRY.names() for metric in REGISTRY.get(file)}
