"""What `--help` prints, generated from the table of verbs. Loads neither torch nor a validator."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from maquette.core.settings import Described
from maquette.core.words import form as form
from maquette.core.words import sentence as sentence
from maquette.faces.arguments import COMMON
from maquette.operations import operation as table
from maquette.operations import schemas

FIRST_STEPS = ("maquette demo", "maquette ingest photos --to photos.mq --size 64", "maquette train --help")


def overview() -> str:
    """All verbs in the order of a person's journey."""
    parts = [
        "Maquette: make an image generator of your own, from a folder of your images.",
        "maquette VERB ... [--json]",
    ]
    for group, verbs in table.grouped().items():
        parts.append(_section(group, [(verb, table.get(verb).summary) for verb in verbs]))
    parts.append(_section("For every verb", common()))
    parts.append(_section("First steps", [(step, "") for step in FIRST_STEPS]))
    return "\n\n".join(parts) + "\n"


def of_verbs(first: str, verbs: Sequence[str]) -> str:
    """Verbs of two words that begin alike."""
    rows = [(f"{first} {verb.partition('-')[2]}", table.get(verb).summary) for verb in verbs]
    return "\n\n".join([f"maquette {first} ...", _section(first.capitalize(), rows)]) + "\n"


def of_verb(operation: table.Operation, family: str | None = None, words: Sequence[str] = ()) -> str:
    """What one verb does and takes; with a family, also that family's own settings or dials.

    `words` are those of the command line, for verbs whose dials depend on them.
    """
    settings = operation.settings
    arguments = [setting for setting in settings if setting.place == "argument"]
    options = [setting for setting in settings if setting.place == "option"]
    parts = [_fill(f"maquette {operation.name}: {operation.summary}"), f"  {usage(operation)}"]
    if operation.description:
        parts += [_lines(" ".join(paragraph.split())) for paragraph in operation.description.split("\n\n")]
    if arguments:
        parts.append(_section("Arguments", [(word(setting), sentence(setting)) for setting in arguments]))
    if options:
        parts.append(_section("Options", [(option(setting), sentence(setting)) for setting in options]))
    if operation.dials is not None:
        for title, own in operation.dials(words).items():
            parts.append(_section(title, [(f"--{s.option} {form(s)}", sentence(s)) for s in own]))
    else:
        parts += _families(settings, family)
    parts.append(_section("For every verb", common()))
    return "\n\n".join(parts) + "\n"


def usage(operation: table.Operation) -> str:
    """The form of the command in one line: what must be given, then that there are options."""
    words = [word(setting) for setting in operation.settings if setting.place == "argument"]
    needed = [option(s) for s in operation.settings if s.place == "option" and s.required]
    free = any(setting.place == "option" and not setting.required for setting in operation.settings)
    return " ".join(["maquette", operation.name, *words, *needed, *(["[options]"] if free else [])])


def option(setting: Described) -> str:
    """An option and the form of its value: `--size N`."""
    if setting.kind == "switch":
        return f"--[no-]{setting.option}" if setting.default is True else f"--{setting.option}"
    return f"--{setting.option} {form(setting)}"


def word(setting: Described) -> str:
    """An argument as the usage line shows it."""
    text = (setting.form or setting.option.upper()) + ("..." if setting.repeat else "")
    return text if setting.required else f"[{text}]"


def common() -> list[tuple[str, str]]:
    """The options of every verb, in words."""
    forms = {"home": " FOLDER", "values": " FILE"}
    return [(f"--{name}{forms.get(name, '')}", text) for name, text in COMMON.items()]


def _families(settings: Sequence[Described], chosen: str | None) -> list[str]:
    """Where a verb takes a family or a family's dials: what there is."""
    known = schemas.read()
    parts = []
    if any(setting.name == "family" for setting in settings):
        parts.append(_section("Families", [(schema.name, schema.summary) for schema in known.values()]))
        if chosen is not None and chosen in known:
            rows = [(f"--set {s.name}={form(s)}", sentence(s)) for s in known[chosen].settings]
            parts.append(_section(f"Settings of {chosen}", rows))
        else:
            parts.append(_fill("The settings of a family: maquette train --family NAME --help"))
    if any(setting.place == "dials" for setting in settings):
        for schema in known.values():
            if schema.dials:
                rows = [(option(dial), sentence(dial)) for dial in schema.dials]
                parts.append(_section(f"Dials of {schema.name} models", rows))
    return parts


def _width() -> int:
    return min(110, max(60, shutil.get_terminal_size().columns))


def _fill(text: str) -> str:
    return textwrap.fill(text, _width(), subsequent_indent="  ") if text.strip() else ""


def _lines(text: str) -> str:
    return textwrap.fill(text, _width())


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Two columns under a title; a first column that is too wide stands on a line of its own."""
    rows = list(rows)
    left = min(24, max((len(name) for name, _ in rows), default=0)) + 4
    lines = textwrap.wrap(title, _width(), subsequent_indent="  ")
    for name, text in rows:
        wrapped = textwrap.wrap(text, _width() - left) or [""]
        first = f"  {name:<{left - 4}}  "
        if len(name) > left - 4 and text:
            lines.append(f"  {name}")
            first = " " * left
        lines.append((first + wrapped[0]).rstrip())
        lines += [" " * left + line for line in wrapped[1:]]
    return "\n".join(lines)
