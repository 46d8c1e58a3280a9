"""What long work says while it runs. Faces print events, write them as JSON lines, or stream them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base of all events."""

    name: ClassVar[str] = "event"

    def to_json(self) -> dict[str, Any]:
        """The event as one JSON object whose key `event` names it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "value"}
        return {"event": self.name, **fields}


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far the work is: `done` of `total` units, seconds so far, and about how many are left."""

    name: ClassVar[str] = "progress"
    verb: str
    done: int
    total: int | None
    unit: str
    seconds: float
    eta: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def since(
        cls, began: float, verb: str, done: int, total: int, unit: str = "images", *, before: int = 0, **numbers: float
    ) -> Self:
        """Of work that began at `began` (by `time.perf_counter`) and goes on as fast as it went so far.

        `before`: how many of `done` cost no time, because they were there already.
        """
        spent, own = time.perf_counter() - began, done - before
        eta = round(spent / own * (total - done), 1) if own > 0 else None
        return cls(verb=verb, done=done, total=total, unit=unit, seconds=round(spent, 2), eta=eta, numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """One line for the person: what was chosen, found or written."""

    name: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, kw_only=True)
class Warning(Event):
    """One line about something that may spoil the result."""

    name: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, kw_only=True)
class Made(Event):
    """A file was written that a person may want to look at."""

    name: ClassVar[str] = "made"
    path: str
    what: str = "image"


@dataclass(frozen=True, kw_only=True)
class Ready(Event):
    """Somebody listens: where, and what lets in."""

    name: ClassVar[str] = "ready"
    url: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Table(Event):
    """Facts in rows, for people to read; the result holds the same facts for programs."""

    name: ClassVar[str] = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Result(Event):
    """The end of the work: plain facts for every face, and `value`, the Python object, for callers in Python."""

    name: ClassVar[str] = "result"
    verb: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    summary: str = ""
    """What a person reads at the end: what was made and where it is."""
    next: Sequence[str] = ()
    """Commands that are worth trying now."""

    def to_json(self) -> dict[str, Any]:
        """The facts stand beside `event` and `verb`, so that callers need not unwrap them."""
        return {"event": self.name, "verb": self.verb, **self.facts}


def to_line(event: Event) -> str:
    """The event as one line of JSON. Numbers that are not finite become null, which JSON can say."""
    return json.dumps(_plain(event.to_json()), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, without loading NumPy
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    raise TypeError(f"an event holds a {type(value).__name__}, which JSON cannot say")
