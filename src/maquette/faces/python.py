"""The verbs as functions of Python, generated from the table of verbs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Note, Result, Warning
from maquette.operations import operation as table

log = logging.getLogger("maquette")
Listener = Callable[[Event], None]


def verbs() -> list[str]:
    """The names of the functions."""
    return sorted(verb.replace("-", "_") for group in table.grouped().values() for verb in group)


@functools.cache
def function(name: str) -> Callable[..., Any]:
    """The verb of that name as a function."""
    operation = table.get(name.replace("_", "-"))

    def verb(
        *given: Any, progress: bool = False, on_event: Callable[[Event], None] | None = None, **values: Any
    ) -> Any:
        if operation.memory is not None and given and _is_pixels(given[0]):
            return operation.memory(*given, **values)
        home = values.pop("home", None)
        return _call(operation, _bind(operation, given, values), progress, on_event, home)

    verb.__name__ = verb.__qualname__ = name
    verb.__module__ = "maquette"
    verb.__doc__ = _document(operation)
    verb.__signature__ = _signature(operation)  # type: ignore[attr-defined]
    return verb


def _is_pixels(value: Any) -> bool:
    """Whether this is an array, or a list of arrays; then the verb works in memory."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_is_pixels(item) for item in value)
    return hasattr(value, "__array__") and len(getattr(value, "shape", ())) >= 2


def _bind(operation: table.Operation, given: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Arguments by position become values by name."""
    places = [setting for setting in operation.settings if setting.place == "argument"]
    left = list(given)
    for place in places:
        if left and place.name in values:
            raise UsageError(f"{operation.name}: {place.name} was given twice")
        if left and place.repeat:
            values[place.name] = left[0] if len(left) == 1 and isinstance(left[0], (list, tuple)) else left
            left = []
        elif left:
            values[place.name] = left.pop(0)
    if left:
        names = ", ".join(place.name for place in places) or "none"
        raise UsageError(f"{operation.name} takes {len(places)} arguments by position ({names})", do="name the others")
    lists = {setting.name for setting in operation.settings if setting.kind == "list"}
    return {
        name: [f"{key}={item}" for key, item in value.items()]
        if isinstance(value, Mapping) and name in lists
        else _plain(value)
        for name, value in values.items()
        if value is not None
    }


def _plain(value: Any) -> Any:
    """Paths, and objects that lie at a path (datasets, runs), as text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    path = getattr(value, "path", None)
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else value


def _call(
    operation: table.Operation,
    values: Mapping[str, Any],
    progress: bool,
    on_event: Listener | None,
    home: str | os.PathLike[str] | None,
) -> Any:
    from maquette.faces.progress import people
    from maquette.store.workspace import Workspace

    result: Result | None = None
    request = operation.read(values)
    display = people(sys.stderr, sys.stderr, quiet=not progress)
    with display, contextlib.closing(operation(request, Workspace(home))) as events:
        for event in events:
            if on_event is not None:
                on_event(event)
            if progress:
                display.show(event)
            elif isinstance(event, Warning):
                log.warning(event.text)
            elif isinstance(event, Note):
                log.info(event.text)
            if isinstance(event, Result):
                result = event
    assert result is not None  # the table sees to it
    return dict(result.facts) if result.value is None else result.value


_EXTRA = {
    "progress": "show the progress on standard error",
    "on_event": "a function that is given every event",
    "home": "the workspace folder",
}


def _document(operation: table.Operation) -> str:
    from maquette.faces.help import sentence

    lines = [operation.summary, "", operation.description, "", "Arguments:"] if operation.description else [
        operation.summary, "", "Arguments:"
    ]  # fmt: skip
    lines += [f"    {setting.name}: {sentence(setting)}" for setting in operation.settings]
    lines += [f"    {name}: {text}" for name, text in _EXTRA.items()]
    if operation.memory is not None:
        lines += [
            "",
            "With arrays:",
            *(f"    {line}".rstrip() for line in inspect.cleandoc(operation.memory.__doc__ or "").split("\n")),
        ]
    return "\n".join(lines)


def _signature(operation: table.Operation) -> inspect.Signature:
    """What editors and `help()` show."""
    kinds = inspect.Parameter
    places = [s for s in operation.settings if s.place == "argument"]
    parameters = []
    for setting in places:
        many = setting.repeat and setting is places[-1]
        default = kinds.empty if setting.required or many else setting.default
        kind = kinds.VAR_POSITIONAL if many else kinds.POSITIONAL_OR_KEYWORD
        parameters.append(kinds(setting.name, kind, default=default))
    for setting in operation.settings:
        if setting.place == "option":
            default = kinds.empty if setting.required else setting.default
            parameters.append(kinds(setting.name, kinds.KEYWORD_ONLY, default=default))
    parameters += [
        kinds(name, kinds.KEYWORD_ONLY, default=False if name == "progress" else None)
        for name in _EXTRA
        if name not in {setting.name for setting in operation.settings}
    ]
    if any(setting.place == "dials" for setting in operation.settings):
        parameters.append(kinds("dials", kinds.VAR_KEYWORD))
    return inspect.Signature(parameters)
