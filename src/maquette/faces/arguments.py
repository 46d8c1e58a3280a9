"""From the words of a command line to the values of a request. The options are generated from the table of verbs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any, NoReturn

from maquette.core.errors import UsageError, nearest
from maquette.core.settings import Described
from maquette.operations.operation import Operation, grouped

COMMON = {
    "json": "print one JSON event a line on standard output",
    "quiet": "say nothing but warnings and errors",
    "home": "the workspace folder (else MAQUETTE_HOME, else a folder in your user data)",
    "values": "a JSON file with values by name, as the studio's API takes them; what is typed goes before",
    "help": "say what the verb does and what it takes",
}
"""Options of every verb."""


@dataclass(frozen=True)
class Command:
    """One command line, taken apart."""

    verb: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    """What was given, by option; what was not given is not there."""
    json: bool = False
    quiet: bool = False
    home: str | None = None
    values_file: str | None = None
    """A JSON file with further values. Verbs have settings of their own called `file`."""
    help: bool = False

    def all_values(self) -> dict[str, Any]:
        """What the file says and what was typed; where both say something, what was typed."""
        return {**(_from_file(self.values_file) if self.values_file else {}), **self.values}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Fail with our own error, so that every face says it the same way."""
        name = message.partition(": ")[0].removeprefix("argument ")
        if "expected one argument" in message:
            raise UsageError(f"{name} needs a value")
        raise UsageError(message)


def verb_of(words: list[str]) -> tuple[str | None, list[str]]:
    """The verb among the words, and the words around it. Options of every verb may stand before it.

    A verb of two words may be written as two: `edit walk` is `edit-walk`.
    """
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if words[position] in ("--home", "--values") else 1
    if position >= len(words):
        return None, words
    verb, before, after = words[position], words[:position], words[position + 1 :]
    if after and verb in families_of_verbs() and f"{verb}-{after[0]}" in families_of_verbs()[verb]:
        verb, after = f"{verb}-{after[0]}", after[1:]
    return verb, before + after


def families_of_verbs() -> dict[str, list[str]]:
    """Verbs of two words by the first of them, such as `edit`."""
    found: dict[str, list[str]] = {}
    for verbs in grouped().values():
        for verb in verbs:
            first, sign, _ = verb.partition("-")
            if sign:
                found.setdefault(first, []).append(verb)
    return found


def parse(operation: Operation, words: list[str]) -> Command:
    """Read the words after a verb."""
    settings = operation.settings
    parser = _Parser(add_help=False, allow_abbrev=False, prog=f"maquette {operation.name}")
    _add_common(parser)
    for setting in settings:
        _add(parser, setting)
    known = set(parser._option_string_actions)  # argparse has no public list of its options
    dials = any(setting.place == "dials" for setting in settings)
    for name in _unknown(words, known):
        if not dials:
            raise UsageError(f"{operation.name} has no option {name}", do=nearest(name, known - {"-h"}))
        parser.add_argument(name, dest=_DIAL + name.removeprefix("--"), default=argparse.SUPPRESS)
        known.add(name)
    given = vars(parser.parse_intermixed_args(words))
    common = {name: given.pop(name) for name in list(given) if name in _COMMON}
    values = {name.removeprefix(_DIAL): value for name, value in given.items() if value not in (None, [])}
    return Command(verb=operation.name, values=_split(settings, values), **common)


def parse_common(words: list[str]) -> Command:
    """Read words without a verb."""
    parser = _Parser(add_help=False, allow_abbrev=False, prog="maquette")
    _add_common(parser)
    for name in _unknown(words, set(parser._option_string_actions)):
        raise UsageError(f"there is no option {name}", do=nearest(name, [f"--{name}" for name in [*COMMON, "version"]]))
    return Command(**vars(parser.parse_args(words)))


_DIAL = "dial "
_COMMON = {"values_file", *COMMON} - {"values"}


def _add_common(parser: _Parser) -> None:
    for name in ("json", "quiet"):
        parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS)
    parser.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS)
    parser.add_argument("--home", default=argparse.SUPPRESS)
    parser.add_argument("--values", dest="values_file", default=argparse.SUPPRESS)


def _add(parser: _Parser, setting: Described) -> None:
    if setting.place == "dials":
        return
    if setting.place == "argument":
        parser.add_argument(setting.name, nargs="*" if setting.repeat else "?")
    elif setting.kind == "switch":
        parser.add_argument(
            f"--{setting.option}", dest=setting.name, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS
        )
    else:
        action = "append" if setting.kind == "list" else "store"
        parser.add_argument(f"--{setting.option}", dest=setting.name, action=action, default=argparse.SUPPRESS)


def _split(settings: tuple[Described, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Lists that were given in one word or in several become one list."""
    lists = {setting.name: setting for setting in settings if setting.kind == "list" and setting.place == "option"}
    return {
        name: value
        if name not in lists or lists[name].repeat
        else [part.strip() for word in value for part in word.split(",") if part.strip()]
        for name, value in values.items()
    }


def _unknown(words: list[str], known: set[str]) -> list[str]:
    """Words that look like options and are none, in order and once each."""
    found: list[str] = []
    for word in words:
        name = word.partition("=")[0]
        is_option = name.startswith("--") or (name.startswith("-") and len(name) > 1 and not _is_number(name))
        if is_option and name not in known and name not in found:
            found.append(name)
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _from_file(file: str) -> dict[str, Any]:
    from pathlib import Path

    from maquette.store.disk import read_object

    try:
        return read_object(Path(file).expanduser())
    except OSError as error:
        raise UsageError(f"the values cannot be read ({(error.strerror or str(error)).lower()})", where=file) from None
    except ValueError as error:
        raise UsageError(f"the values cannot be read: {error}", where=file, do="give a JSON object") from None
