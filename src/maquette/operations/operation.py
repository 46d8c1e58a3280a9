"""The table of verbs: one file in this folder is one verb, and every face (command line, Python, HTTP) renders it.

    @operation
    def sample(request: Sample, workspace: Workspace) -> Iterator[Event]:
        \"\"\"Make images with a trained model.\"\"\"

The file's name is the verb. The request is a frozen keyword-only dataclass of settings; the docstring's first line is
what help says; the last event is the `Result`. Files here import what is heavy inside the function, so that help is
quick.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from maquette.core.errors import UsageError, nearest
from maquette.core.event import Event, Result
from maquette.core.registry import Registry
from maquette.core.settings import Described, describe, from_json

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

JOURNEY: Mapping[str, tuple[str, ...]] = {
    "Start": ("demo", "studio"),
    "Data": ("ingest", "audit", "label", "remove", "mark"),
    "Models": ("train", "pause", "evaluate", "compare", "export"),
    "Images": ("sample", "complete", "refine", "palette", "cube", "use", "verify", "replay"),
    "Editing": (
        "edit-reconstruct",
        "edit-vary",
        "edit-mix",
        "edit-walk",
        "edit-find",
        "edit-directions",
        "edit-apply",
    ),
    "Tokens": ("encode", "decode", "score"),
    "Workspace": ("list", "card", "delete", "keys"),
}
"""The order in which help and documents show the verbs; verbs that are not named here come last, under "More"."""


@dataclass(frozen=True)
class Operation:
    """One verb: its name, what it is for, what it is given, and the work."""

    name: str
    summary: str
    description: str
    request: type
    function: Callable[[Any, Workspace], Iterator[Event]]
    memory: Callable[..., Any] | None = None
    """What the verb does in Python when it is given arrays instead of files."""
    dials: Callable[[Sequence[str]], Mapping[str, tuple[Described, ...]]] | None = None
    """What says which dials it takes, where they are not those of families."""

    @property
    def settings(self) -> tuple[Described, ...]:
        """What a request holds, in the words of help."""
        return describe(self.request)

    def read(self, values: Mapping[str, Any]) -> Any:
        """The request made of these values; names may be written as they are typed (`held-out`, `from`)."""
        known = {setting.option: setting for setting in self.settings}
        known |= {setting.name: setting for setting in self.settings}
        bucket = next((setting.name for setting in self.settings if setting.place == "dials"), None)
        read: dict[str, Any] = {}
        extra: dict[str, str] = {}
        for key, value in values.items():
            if key in known and known[key].place != "dials":
                read[known[key].name] = value
            elif key == bucket:
                if not isinstance(value, Mapping):
                    raise UsageError(f"{self.name}: {key} = {value!r} is not possible", do="give names and values")
                extra |= {name.replace("-", "_"): _word(item) for name, item in value.items()}
            elif bucket is not None:
                extra[key.replace("-", "_")] = _word(value)
            else:
                options = [setting.option for setting in self.settings]
                raise UsageError(f"{self.name}: there is no setting {key!r}", do=nearest(key, options))
        if bucket is not None:
            read[bucket] = extra
        return from_json(self.request, read, what=self.name)

    def __call__(self, request: Any, workspace: Workspace) -> Generator[Event, None, None]:
        """Do the work. The last event is the only result; it is handed on when the work has truly ended."""
        result: Result | None = None
        events = self.function(request, workspace)
        try:
            for event in events:
                if result is not None:
                    raise TypeError(f"the verb {self.name} went on after its result")
                if isinstance(event, Result):
                    result = event
                else:
                    yield event
        finally:
            if isinstance(events, Generator):
                events.close()  # whoever stops listening stops the work, and it tidies up at once
        if result is None or result.verb != self.name:
            raise TypeError(f"the verb {self.name} ended without its result")
        yield result


def _word(value: Any) -> str:
    """A dial's value as it is typed on a command line."""
    return ",".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


Work = TypeVar("Work", bound="Callable[[Any, Workspace], Iterator[Event]]")


def operation(function: Work) -> Work:
    """Mark a function as the verb of its file."""
    function.__dict__["is_operation"] = True
    return function


def in_memory(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function as what the verb of its file does with arrays in Python: nothing is read, nothing is written."""
    function.__dict__["is_in_memory"] = True
    return function


def more_dials(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function as what says which dials the verb of its file takes: words of a command line -> titled lists."""
    function.__dict__["is_more_dials"] = True
    return function


def _pick(module: ModuleType) -> Operation:
    found = [
        thing for thing in vars(module).values() if callable(thing) and getattr(thing, "is_operation", False) is True
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must hold exactly one operation, not {len(found)}")
    function = found[0]
    request = next(iter(typing.get_type_hints(function, localns=_LATER).values()))
    if not dataclasses.is_dataclass(request):
        raise TypeError(f"the request of {module.__name__} must be a dataclass of settings")
    summary, _, description = (function.__doc__ or "").strip().partition("\n")
    if not summary:
        raise TypeError(f"{module.__name__} needs a docstring whose first line says what the verb is for")
    name = module.__name__.rpartition(".")[2].rstrip("_").replace("_", "-")
    memory, dials = (
        [thing for thing in vars(module).values() if getattr(thing, mark, False) is True]
        for mark in ("is_in_memory", "is_more_dials")
    )
    return Operation(
        name, summary, _dedent(description), typing.cast(type, request), function, memory[0] if memory else None,
        dials[0] if dials else None,
    )  # fmt: skip


_LATER: dict[str, Any] = {"Workspace": Any, "Iterator": Iterator, "Event": Event}
"""Names that a verb's file may import for type checkers only."""


def _dedent(text: str) -> str:
    import inspect

    return inspect.cleandoc("\n" + text)


REGISTRY: Registry[Operation] = Registry("maquette.operations", "verb", _pick, skip=("operation", "schemas"))


def grouped() -> dict[str, list[str]]:
    """The verbs that are there, by group, in the order of a person's journey."""
    names = {name.rstrip("_").replace("_", "-") for name in REGISTRY.names()}
    groups = {group: [verb for verb in verbs if verb in names] for group, verbs in JOURNEY.items()}
    listed = {verb for verbs in groups.values() for verb in verbs}
    groups["More"] = sorted(names - listed)
    return {group: verbs for group, verbs in groups.items() if verbs}


def get(verb: str) -> Operation:
    """The verb of that name."""
    files = {name.rstrip("_").replace("_", "-"): name for name in REGISTRY.names()}
    if verb not in files:
        raise UsageError(f"there is no verb {verb!r}", do=nearest(verb, files))
    return REGISTRY.get(files[verb])


def run(verb: str, workspace: Workspace, values: Mapping[str, Any]) -> Generator[Event, None, None]:
    """Check the values and do the verb's work, event by event. All faces come through here."""
    chosen = get(verb)
    return chosen(chosen.read(values), workspace)
