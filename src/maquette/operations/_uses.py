"""The table of uses, and what each is handed: one file of the package `uses` is one use, found by its name.

    @dataclass(frozen=True, kw_only=True)
    class Posters:
        size: int = setting(64, "how large", ge=16, le=256)

    @use(title="Posters", time="3m", trial={"size": "16"})
    def posters(request: Posters, work: Work) -> Generator[Event, None, Outcome]:
        \"\"\"Make posters from a folder of posters.\"\"\"
        data = yield from work.do("ingest", source=list(work.source) or ["drawn:shapes"], to=work.at("posters.mq"))
        ...
        return Outcome(lead=..., sheet=path, files=paths, figures=[...], not_yet=[...])

A use does other verbs' work through `work.do`, writes what it makes itself with `work.write`, and returns an `Outcome`,
of which the verb `use` makes the report. Files of uses import what is heavy inside the function, as verbs do.
"""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import typing
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event, Note, Result, Table
from maquette.core.registry import Registry
from maquette.core.settings import Described, describe, from_json, parse_seconds
from maquette.operations.operation import run

if TYPE_CHECKING:
    from maquette.core.image import Image
    from maquette.core.page import Page
    from maquette.store.workspace import Workspace
    from maquette.trust.press import Press

SIGNED = "signed and whole"
"""The figure that every use ends with."""
BRIEF = 3.0
"""Seconds: what learns for less is a trial."""
LISTED = 4
"""Files that a command of the report names; more are dots."""
MOST_SHOWN = 1600
"""Pixels of a contact sheet's longer side, about."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of the report: what was measured, in words, and whether it is where it should be."""

    name: str
    value: float
    says: str
    """What the number means, in a sentence that a person without statistics understands."""
    goal: str = ""
    """Where it should be, such as `at most 3`; empty where there is no such place."""
    reached: bool | None = None
    low: float | None = None
    high: float | None = None
    """The interval, where there is one."""

    def to_json(self) -> dict[str, Any]:
        """For the result; what does not apply is left out."""
        plain = {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, "")}
        return {key: value for key, value in plain.items() if key != "name"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a use ended."""

    lead: str
    """In one sentence: what was made, of what."""
    sheet: Path
    """The contact sheet."""
    files: Sequence[Path]
    """All that was made and signed."""
    figures: Sequence[Figure] = ()
    not_yet: Sequence[str] = ()
    """What is not yet good, in plain words; never empty, for nothing is perfect."""
    more: Callable[[Page], None] | None = None
    """Adds sections to the report, after the contact sheet."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for the result: paths of datasets and runs, counts."""
    next: Sequence[str] = ()
    """Commands that are worth trying now."""


class Work:
    """What a use is handed: where things go, what it may read, how long it may learn, and how it gets things done."""

    def __init__(self, workspace: Workspace, *, to: Path, source: Sequence[str], seconds: float, seed: int) -> None:
        self.workspace, self.to, self.source = workspace, to, tuple(source)
        self.seconds, self.seed = seconds, seed
        self.commands: list[str] = []
        """The command lines that do by hand what was done, for the report."""
        self._steps = 0
        self._press: Press | None = None

    @property
    def own(self) -> bool:
        """Whether nothing was given, so that the use takes material that ships or that it draws."""
        return not self.source

    @property
    def brief(self) -> bool:
        """Whether so little time is given that it can only be a trial."""
        return self.seconds < BRIEF

    def at(self, *names: str) -> str:
        """A path in the folder of this use, as a verb takes it."""
        return str(self.to.joinpath(*names))

    def time(self, share: float = 1.0) -> str:
        """A share of the time for learning, as `train` takes it."""
        return f"{max(1.0, self.seconds * share):g}s"

    def step(self, text: str) -> Note:
        """An event that says what happens now."""
        self._steps += 1
        return Note(text=f"{self._steps}. {text}")

    def do(self, verb: str, /, **values: Any) -> Generator[Event, None, Result]:
        """Do another verb's work as part of this one; its result stays inside and is returned."""
        self.commands.append(_command(verb, values))
        for event in run(verb, self.workspace, values):
            if isinstance(event, Result):
                return event
            if not isinstance(event, Table):  # what it says in rows, the report says
                yield event
        raise AssertionError(f"{verb} ended without a result")  # the table sees to it

    def learn(
        self, dataset: str, to: str, family: str, share: float = 1.0, **more: Any
    ) -> Generator[Event, None, Result]:
        """Train a model of that family for a share of the time."""
        values = {"dataset": dataset, "to": to, "family": family, "time": self.time(share), "seed": self.seed, **more}
        if self.brief:  # choosing a size and judging would take longer than learning
            values |= {"scale": "nano", "judge": False}
        return (yield from self.do("train", **values))

    @property
    def press(self) -> Press:
        """Signs what the use makes itself."""
        if self._press is None:
            from maquette.trust.press import Press

            self._press = Press(self.workspace.home)
        return self._press

    def write(self, path: Path, image: Image, step: Mapping[str, Any], source: Path | None = None) -> Path:
        """Write one image (PNG) that was made of `source`, or of several things, signed. `step` says how, no paths."""

        from maquette.engine.latent.edited import Edits
        from maquette.store.digest import content_name
        from maquette.trust.press import source_bytes

        content = source.read_bytes() if source is not None else b""
        digest = content_name(content) if content else "several"
        carried = source_bytes(content) if content else None
        Edits(self.press, step).write(path, image, digest, carried, {"seed": self.seed})
        return path

    def sheet(
        self, images: Sequence[Image], *, columns: int | None = None, names: Sequence[str] = (), name: str = "sheet.png"
    ) -> Path:
        """Write a signed contact sheet of images of one size, enlarged where they are small."""
        from maquette.core.image import sheet

        across = columns or max(1, round(len(images) ** 0.5))
        scale = max(1, min(4, MOST_SHOWN // max(1, across * images[0].shape[1])))
        path = self.to / name
        self.press.sheet(path, sheet(images, columns=columns, scale=scale, names=names), {})
        return path


Function = Callable[[Any, Work], Generator[Event, None, Outcome]]


@dataclass(frozen=True)
class Use:
    """One use: its name, what it is for, its own settings, and the work."""

    name: str
    title: str
    summary: str
    description: str
    seconds: float
    """How long it learns when nobody says."""
    request: type
    function: Function
    trial: Mapping[str, str] = field(default_factory=dict)
    """Settings with which all of it runs in seconds, for tests and for a first look."""

    @property
    def settings(self) -> tuple[Described, ...]:
        """Its own settings, beside those of the verb."""
        return describe(self.request)

    def __call__(self, values: Mapping[str, str], work: Work) -> Generator[Event, None, Outcome]:
        """Check the settings and do the work."""
        return self.function(from_json(self.request, values, what=f"use {self.name}"), work)


def use(*, title: str, time: str, trial: Mapping[str, str]) -> Callable[[Function], Function]:
    """Mark a function as the use of its file: its title, how long it learns when nobody says, and settings with which
    all of it runs in seconds, so that it can be tried (`tests/uses` does)."""

    def mark(function: Function) -> Function:
        function.__dict__["use"] = {"title": title, "seconds": parse_seconds(time), "trial": trial}
        return function

    return mark


_LATER: dict[str, Any] = {"Generator": Generator, "Iterator": Iterator, "Event": Event, "Outcome": Outcome}


def _pick(module: ModuleType) -> Use:
    found = [thing for thing in vars(module).values() if callable(thing) and hasattr(thing, "__dict__")]
    found = [thing for thing in found if "use" in vars(thing) and thing.__module__ == module.__name__]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must hold exactly one use, not {len(found)}")
    (function,) = found
    request = next(iter(typing.get_type_hints(function, localns=_LATER).values()))
    if not dataclasses.is_dataclass(request):
        raise TypeError(f"the request of {module.__name__} must be a dataclass of settings")
    summary, _, description = (function.__doc__ or "").strip().partition("\n")
    if not summary:
        raise TypeError(f"{module.__name__} needs a docstring whose first line says what the use is for")
    return Use(
        name=module.__name__.rpartition(".")[2],
        summary=summary,
        description=inspect.cleandoc("\n" + description),
        request=typing.cast(type, request),
        function=function,
        **vars(function)["use"],
    )


REGISTRY: Registry[Use] = Registry("maquette.uses", "use", _pick)


def _command(verb: str, values: Mapping[str, Any]) -> str:
    """The command line that does the same."""
    from maquette.operations.operation import get

    known = {setting.name: setting for setting in get(verb).settings} | {s.option: s for s in get(verb).settings}
    words: list[str] = []
    for name, value in values.items():
        setting = known.get(name)
        if setting is not None and setting.place == "argument":
            items = list(value) if isinstance(value, (list, tuple)) else [value]
            words += [str(item) for item in (items if len(items) <= LISTED else [*items[: LISTED - 1], "..."])]
    for name, value in values.items():
        setting = known.get(name)
        if setting is not None and setting.place == "dials":
            words += [word for key, item in value.items() for word in (f"--{key.replace('_', '-')}", str(item))]
        elif setting is None or setting.place == "option":
            words += _option(setting, name, value)
    return shlex.join(["maquette", verb, *words])


def _option(setting: Described | None, name: str, value: Any) -> list[str]:
    option = setting.option if setting is not None else name.replace("_", "-")
    if isinstance(value, bool) and (setting is None or setting.kind == "switch"):
        return [f"--{option}"] if value else [f"--no-{option}"]
    if isinstance(value, (list, tuple)):
        return [word for item in value for word in (f"--{option}", str(item))]
    return [] if value is None else [f"--{option}", str(value)]


Kind = Literal["reached", "missed", "measured"]


def kind_of(figure: Figure) -> Kind:
    """Whether a figure is where it should be; `measured` where nothing was promised."""
    return "measured" if figure.reached is None else "reached" if figure.reached else "missed"
