"""What a check of a dataset is: one file in `data/audit/checks/` that looks at what was measured and says what it is.

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        most: float = setting(50.0, "an image is too dark when 95 % of its pixels are darker than this", ge=0, le=255)

    @check(Settings, title="Too dark", severity="harmful", action="set-aside", measures=(tones,), effect="...")
    def too_dark(survey: Survey, settings: Settings) -> Finding:
        return Finding(items=np.flatnonzero(survey["tone 95"] < settings.most))

The file's name is the check's (with - for _). What it measures is a function from a block of images to named numbers,
one an image; all checks together read the images once. Other packages add checks by the entry point `maquette.checks`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from maquette.core.registry import Registry
from maquette.core.settings import Described, describe

if TYPE_CHECKING:
    from maquette.core.image import Image
    from maquette.data.audit.block import Block
    from maquette.data.audit.surveyed import Survey

Severity = Literal["harmful", "doubtful", "note"]
"""`harmful`: a model gets worse by it. `doubtful`: a person should look. `note`: good to know."""
Action = Literal["set-aside", "merge", "crop", "move", ""]
"""What a repair does about it: leave the images out, keep the best of each group, cut the borders off, let the held-out
images be trained on, or nothing."""
Need = Literal["pairs", "features"]
"""What a check asks of the survey beside measures: pairs of images that look alike; images as points in a space."""
Measure = Callable[["Block"], Mapping[str, NDArray[Any]]]
SEVERITIES: tuple[Severity, ...] = ("harmful", "doubtful", "note")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A distribution that shows where the threshold lies."""

    title: str
    values: NDArray[Any]
    mark: float | None = None
    bad: Literal["below", "above", ""] = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found. Images are named by their position in the survey."""

    items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The images that are meant, the worst first where there is an order; of groups all members when left empty."""
    groups: Sequence[NDArray[np.int64]] = ()
    """Images that belong together, the one to keep first."""
    files: Sequence[tuple[str, str]] = ()
    """Files that never became images: path and reason."""
    extra: NDArray[np.int64] | None = None
    """Of groups that are to be merged: the images that are too many; all but the first of each when left out."""
    beyond: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of images that are to be cropped: those that cannot be saved so, and are set aside."""
    why: Mapping[int, str] = field(default_factory=dict)
    """A few words about single images."""
    beside: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Images to lay beside an image, such as its nearest neighbours."""
    text: str = ""
    """What was found in one sentence; made from the count when left out."""
    advice: str = ""
    """What to do about it; the check's own when left out."""
    charts: Sequence[Chart] = ()
    bars: Sequence[tuple[str, float]] = ()
    """Named numbers, such as images a label."""
    severity: Severity | None = None
    """When it differs from the check's own."""
    skipped: str = ""
    """Why the check could not be made."""

    @functools.cached_property
    def all_items(self) -> NDArray[np.int64]:
        """Every image that is meant, each once."""
        if len(self.items) or not self.groups:
            return np.asarray(self.items, np.int64)
        return np.concatenate([np.asarray(group, np.int64) for group in self.groups])

    @property
    def count(self) -> int:
        """Images and files that are meant."""
        return len(self.all_items) + len(self.files)

    def __bool__(self) -> bool:
        return bool(self.count or (self.text and not self.skipped))


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check: its words, its settings, what it measures and how it judges."""

    name: str
    title: str
    severity: Severity
    action: Action
    effect: str
    """What it does to a generator, in a sentence."""
    advice: str
    measures: Sequence[Measure]
    needs: Sequence[Need]
    settings: type
    function: Callable[[Survey, Any], Finding]
    fix: Callable[[Image, Survey, int], Image] | None = None
    """For the action `crop`: the image at that position as it should be."""

    @property
    def described(self) -> tuple[Described, ...]:
        """The settings in the words of help."""
        return describe(self.settings)


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """A check without a threshold."""


Work = TypeVar("Work", bound=Callable[..., Finding])


def check(
    settings: type = NoSettings,
    *,
    title: str,
    severity: Severity,
    effect: str,
    advice: str,
    action: Action = "",
    measures: Sequence[Measure] = (),
    needs: Sequence[Need] = (),
    fix: Callable[..., Image] | None = None,
) -> Callable[[Work], Work]:
    """Mark a function as the check of its file."""

    def mark(function: Work) -> Work:
        function.__dict__["check"] = Check(
            name=function.__name__.rstrip("_").replace("_", "-"), title=title, severity=severity, action=action,
            effect=effect, advice=advice, measures=tuple(measures), needs=tuple(needs), settings=settings,
            function=function, fix=fix,
        )  # fmt: skip
        return function

    return mark


def _pick(module: ModuleType) -> Check:
    marked = [getattr(thing, "check", None) for thing in vars(module).values()]
    found = [one for one in marked if isinstance(one, Check) and one.function.__module__ == module.__name__]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must hold exactly one check, not {len(found)}")
    if not dataclasses.is_dataclass(found[0].settings):
        raise TypeError(f"the settings of {module.__name__} must be a dataclass")
    if len(inspect.signature(found[0].function).parameters) != 2:
        raise TypeError(f"the check of {module.__name__} takes a survey and settings")
    only: Check = found[0]
    return only


@functools.cache
def registry() -> Registry[Check]:
    """All checks."""
    return Registry("maquette.data.audit.checks", "check", _pick)


def names() -> list[str]:
    """The names of all checks as they are typed."""
    return [name.rstrip("_").replace("_", "-") for name in registry().names()]


def get(name: str) -> Check:
    """The check of that name."""
    found: Check = registry().get(name.replace("-", "_"))
    return found
