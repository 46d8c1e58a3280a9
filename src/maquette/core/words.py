"""Settings in words: how one is written, and the sentence that says what it does and what it may be."""

from __future__ import annotations

from typing import Any

from maquette.core.settings import Described


def plural(count: int, word: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def form(setting: Described) -> str:
    """How a value is written."""
    if setting.form:
        return setting.form
    usual = {"integer": "N", "number": "X", "list": "A,B", "switch": "yes|no"}
    return usual.get(setting.kind, setting.option.upper())


def sentence(setting: Described) -> str:
    """The help of a setting with its choices, bounds and default."""
    facts = []
    choices = [choice for choice in setting.choices if choice]
    if choices:
        facts.append(", ".join(choices[:-1]) + " or " + choices[-1] if len(choices) > 1 else choices[0])
    facts += _bounds({name: bound for name, bound in setting.bounds.items() if bound < 2**31})
    if setting.repeat and setting.place == "option":
        facts.append("may be given several times")
    if setting.required and setting.place == "option":
        facts.append("must be given")
    elif setting.default is True:
        facts.append("default yes")
    elif setting.default not in (None, "", [], {}) and setting.default is not False:
        default = setting.default
        facts.append("default " + (",".join(map(str, default)) if isinstance(default, list) else _plain(default)))
    return setting.help + (f" ({'; '.join(facts)})" if facts else "")


def _bounds(bounds: dict[str, Any]) -> list[str]:
    """What a number may be: `0 to 1`, `more than 0`."""
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "multiple_of": "a multiple of"}
    left = dict(bounds)
    both = [f"{_plain(left.pop('ge'))} to {_plain(left.pop('le'))}"] if {"ge", "le"} <= set(left) else []
    return both + [f"{signs[name]} {_plain(bound)}" for name, bound in left.items()]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
