"""Where recipes come from: words on a command line, values in Python, files of the user, and those that are shipped."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError, UsageError, nearest
from maquette.refining import recipe as recipes
from maquette.refining.recipe import Recipe
from maquette.refining.text import parse

SHIPPED = Path(__file__).with_name("recipes")
_LARGEST = 1 << 20


@functools.cache
def names() -> tuple[str, ...]:
    """The recipes that are shipped."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.recipe")))


def recipe(value: Any, *, masks: Collection[str] = ()) -> Recipe:
    """Any way to give a recipe, read, checked and written out in full: text, a name, a file, JSON values."""
    if isinstance(value, Recipe):
        return recipes.resolve(value, _load)
    if isinstance(value, os.PathLike):
        return from_file(Path(value), masks=masks)
    if isinstance(value, str):
        return recipes.resolve(parsed(value, masks=masks), _load)
    return recipes.resolve(recipes.from_json(value, masks=masks), _load)


def from_file(path: Path, *, masks: Collection[str] = ()) -> Recipe:
    """The recipe in that file, written out in full."""
    path = path.expanduser().absolute()
    return recipes.resolve(_read(path, masks), _load, os.path.normpath(path))


def shipped(name: str) -> Recipe:
    """The shipped recipe of that name, as it is written."""
    if name not in names():
        raise UsageError(f"there is no recipe {name!r}", do=nearest(name, names()))
    return _read(SHIPPED / f"{name}.recipe")


def named(word: str) -> Recipe:
    """The recipe of that name or file, written out in full."""
    if recipes.is_file(word) or (word not in names() and Path(word).is_file()):
        return from_file(Path(word))
    return recipes.resolve(shipped(word), _load, word)


def parsed(text: str, *, masks: Collection[str] = ()) -> Recipe:
    """A recipe from text, which may also be JSON."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the recipe begins like JSON and is none ({error})") from None
        return recipes.from_json(value, masks=masks)
    return parse(text, masks=masks)


def _read(path: Path, masks: Collection[str] = ()) -> Recipe:
    try:
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise DataError(f"the recipe cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    if len(content) > _LARGEST:
        raise DataError("a recipe of more than 1 MB is not read", where=path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("the file is no text, so it is no recipe", where=path) from None
    try:
        return parsed(text, masks=masks)
    except UsageError as error:
        place = f"{path}, {error.where}" if error.where else str(path)
        raise UsageError(error.what, where=place, do=error.do) from None


def _load(word: str, seen_from: str) -> tuple[str, Recipe]:
    """A recipe in a recipe; paths count from the file that names them."""
    if not recipes.is_file(word):
        return word, shipped(word)
    path = Path(word).expanduser()
    if not path.is_absolute():
        path = (Path(seen_from).parent if os.path.isabs(seen_from) else Path.cwd()) / path
    path = Path(os.path.normpath(path))
    return str(path), _read(path)
