"""Ops and recipes: what there is, those that a person keeps, and recipes of requests made safe."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.faces.http.catalogue import Catalogue, is_reference
from maquette.faces.http.endpoint import Call, endpoint, missing
from maquette.refining import named, registry
from maquette.refining import recipe as recipes
from maquette.refining.recipe import Group, Item, Mask, Nested, On, Recipe

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,62}")
MOST = 500
"""Recipes that are kept."""


def safe_recipe(value: Any, catalogue: Catalogue, *, paths: bool = False) -> str:
    """A recipe of a request as text that names no files but those that were uploaded or made here."""
    return json.dumps(recipes.to_json(read(value, catalogue, paths=paths)))


def read(value: Any, catalogue: Catalogue, *, paths: bool = False) -> Recipe:
    """The same as a recipe, with every recipe in it written out."""
    return named.recipe(_safe(_parsed(value, catalogue), catalogue, paths, 0))


def _parsed(value: Any, catalogue: Catalogue) -> Recipe:
    if not isinstance(value, str):
        return recipes.from_json(value)
    stored = _stored(catalogue).get(value.strip())
    if stored is not None:
        return named.parsed(stored.read_text("utf-8"))
    return named.parsed(value)


def _safe(recipe: Recipe, catalogue: Catalogue, paths: bool, depth: int) -> Recipe:
    if depth > 8:
        raise UsageError("recipes lead to one another more than 8 times", do="write their steps instead")

    def path(word: str) -> str:
        if is_reference(word):
            return str(catalogue.path_of(word))
        if paths or not word:
            return word
        raise UsageError(
            f"the recipe names the file {word[:60]!r}", do="upload it and write upload:BATCH/NAME, or image:ID"
        )

    def item(one: Item) -> Item:
        if isinstance(one, Nested):
            stored = _stored(catalogue).get(one.recipe)
            if stored is not None:
                inner = _safe(named.parsed(stored.read_text("utf-8")), catalogue, paths, depth + 1)
                return Group(items=inner.items, strength=one.strength, name=one.recipe)
            if recipes.is_file(one.recipe) and not paths:
                raise UsageError(f"there is no recipe {one.recipe[:60]!r}", do="give the name of one")
            return one
        if isinstance(one, Group):
            return dataclasses.replace(one, items=tuple(item(part) for part in one.items))
        if isinstance(one, On):
            return dataclasses.replace(one, mask=_safe_mask(one.mask, path, catalogue, paths), item=item(one.item))
        return dataclasses.replace(one, dials=_safe_dials(one.op, one.dials, path, catalogue, paths))

    return dataclasses.replace(recipe, items=tuple(item(one) for one in recipe.items))


def _safe_mask(mask: Mask, path: Callable[[str], str], catalogue: Catalogue, paths: bool) -> Mask:
    parts = tuple(_safe_mask(part, path, catalogue, paths) for part in mask.parts)
    if mask.kind == "file":
        return dataclasses.replace(mask, name=path(mask.name), parts=parts)
    dials = _safe_dials(mask.name, mask.dials, path, catalogue, paths) if mask.kind == "select" else mask.dials
    return dataclasses.replace(mask, dials=dials, parts=parts)


def _safe_dials(
    op: str, dials: Mapping[str, Any], path: Callable[[str], str], catalogue: Catalogue, paths: bool
) -> dict[str, Any]:
    kinds = {dial.parameter: dial.kind for dial in registry.schema(op).dials}
    safe = dict(dials)
    for name, value in dials.items():
        if kinds.get(name) in ("file", "image") and isinstance(value, str):
            safe[name] = path(value)
        elif kinds.get(name) == "model" and isinstance(value, str) and value:
            known = catalogue.all("run")
            if value in known or not paths:
                safe[name] = str(catalogue.named("run", value).path)
    return safe


def _stored(catalogue: Catalogue) -> dict[str, Path]:
    """The recipes that were kept, by name."""
    folder = catalogue.workspace.home / "recipes"
    try:
        found = [Path(child.path) for child in os.scandir(folder) if child.name.endswith(".recipe")]
    except OSError:
        return {}
    return {path.stem: path for path in sorted(found)[:MOST]}


# What the routes say


def _told(name: str, shipped: bool, recipe: Recipe) -> dict[str, Any]:
    plain = recipes.to_json(recipe)
    return {
        "id": name, "shipped": shipped, "about": recipe.about, "words": str(recipe), "steps": plain["steps"],
        "recipe": plain,
    }  # fmt: skip


def _all(studio: Studio) -> dict[str, tuple[bool, Recipe]]:
    found: dict[str, tuple[bool, Recipe]] = {name: (True, named.shipped(name)) for name in named.names()}
    for name, path in _stored(studio.catalogue).items():
        found[name] = (False, named.parsed(path.read_text("utf-8")))
    return found


@endpoint("GET", "/api/ops", "Every op with its dials", group="Recipes")
def ops(studio: Studio, call: Call) -> Any:
    """From the cache of schemas, so that no op is imported."""
    found = []
    for schema in registry.schemas().values():
        dials = [dataclasses.asdict(dial) | {"described": dial.described()} for dial in schema.dials]
        found.append({
            "name": schema.name, "kind": schema.kind, "sentence": schema.summary, "description": schema.description,
            "shape": schema.shape, "dials": dials,
        })  # fmt: skip
    return found


@endpoint("GET", "/api/recipes", "All recipes, those that are shipped and those that were kept", group="Recipes")
def recipe_list(studio: Studio, call: Call) -> Any:
    """By name."""
    return [_told(name, shipped, recipe) for name, (shipped, recipe) in sorted(_all(studio).items())]


@endpoint("GET", "/api/recipes/{name}", "One recipe", group="Recipes")
def recipe_one(studio: Studio, call: Call) -> Any:
    """By its name."""
    name = call.path["name"]
    found = _all(studio)
    if name not in found:
        raise missing(f"recipe {name[:60]!r}")
    return _told(name, *found[name])


_BODY = {
    "type": "object",
    "properties": {"recipe": {"description": "words, or the JSON of a recipe", "type": ["string", "object", "array"]}},
    "required": ["recipe"],
}


def _given(call: Call) -> Any:
    if set(call.body) != {"recipe"} or not isinstance(call.body["recipe"], (str, dict, list)):
        raise UsageError("the body has one key, recipe", do='send {"recipe": "white-balance, sharpen amount=0.4"}')
    return call.body["recipe"]


@endpoint("PUT", "/api/recipes/{name}", "Keep a recipe", group="Recipes", body=_BODY)
def recipe_put(studio: Studio, call: Call) -> Any:
    """It is kept as it was written; references in it stay references."""
    name = call.path["name"]
    if not _NAME.fullmatch(name) or name in named.names() or name in registry.schemas():
        raise UsageError(f"{name[:60]!r} cannot be the name of a recipe of yours", do="take letters, digits, - and _")
    from maquette.core.files import write_bytes

    written = _parsed(_given(call), studio.catalogue)
    read(_given(call), studio.catalogue, paths=studio.paths)
    folder = studio.workspace.home / "recipes"
    if name not in _stored(studio.catalogue) and len(_stored(studio.catalogue)) >= MOST:
        raise UsageError(f"{MOST} recipes are kept already", do="delete one first")
    write_bytes(folder / f"{name}.recipe", json.dumps(recipes.to_json(written)).encode())
    studio.hub.tell("changed", {"what": ["recipes"]})
    return _told(name, False, written)


@endpoint("DELETE", "/api/recipes/{name}", "Delete a kept recipe", group="Recipes")
def recipe_delete(studio: Studio, call: Call) -> Any:
    """Those that are shipped stay."""
    path = _stored(studio.catalogue).get(call.path["name"])
    if path is None:
        raise missing(f"kept recipe {call.path['name'][:60]!r}")
    path.unlink(missing_ok=True)
    studio.hub.tell("changed", {"what": ["recipes"]})
    return {}


@endpoint("POST", "/api/recipes/check", "A recipe in words and as steps, or what is wrong with it", group="Recipes",
          body=_BODY)  # fmt: skip
def recipe_check(studio: Studio, call: Call) -> Any:
    """Words to steps and back, for editors."""
    written = _parsed(_given(call), studio.catalogue)
    read(_given(call), studio.catalogue, paths=studio.paths)
    return _told("", False, written)
