"""All ops by name, known from a cached file, so that help and recipes never load what the ops stand on.

`python -m maquette.operations.schemas` (part of `make fix`) writes the cache from the code; a test holds them equal.
Other packages add ops by the entry points `maquette.refining.ops`, each the name of an op and the function's place.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError, nearest
from maquette.core.files import write_json
from maquette.refining import ops
from maquette.refining.schema import OpSchema

if TYPE_CHECKING:
    from maquette.refining.op import Op

CACHE = Path(__file__).with_name("schemas.json")
GROUP = "maquette.refining.ops"


@functools.cache
def schemas() -> Mapping[str, OpSchema]:
    """Every op in words, by name. Only what other packages add is imported."""
    known = [OpSchema.from_json(item) for item in json.loads(CACHE.read_text("utf-8"))] if CACHE.exists() else []
    added = [_added(point).schema for point in importlib.metadata.entry_points(group=GROUP)]
    return {schema.name: schema for schema in sorted([*known, *added], key=lambda schema: schema.name)}


def schema(name: str) -> OpSchema:
    """The op of that name in words; fails with the nearest names."""
    if name in schemas():
        return schemas()[name]
    own = _own()  # an op that was written a moment ago is not in the cache yet
    if name in own:
        return own[name].schema
    raise UsageError(f"there is no op {name!r}", do=nearest(name, schemas(), "maquette refine --list"))


@functools.cache
def get(name: str) -> Op:
    """The op of that name; imports the file it is in."""
    found = schema(name)
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == name:
            return _added(point)
    return _of(importlib.import_module(found.module))[name]


def every() -> dict[str, Op]:
    """All ops from the code, sorted by name. Imports every file of ops."""
    added = {op.schema.name: op for op in map(_added, importlib.metadata.entry_points(group=GROUP))}
    return dict(sorted((_own() | added).items()))


def write() -> Path:
    """Write the cache anew."""
    write_json(CACHE, [op.schema.to_json() for _, op in sorted(_own().items())])
    schemas.cache_clear()
    return CACHE


@functools.cache
def _own() -> dict[str, Op]:
    found: dict[str, Op] = {}
    for module in pkgutil.iter_modules(ops.__path__):
        for name, op in _of(importlib.import_module(f"{ops.__name__}.{module.name}")).items():
            if name in found:
                raise TypeError(f"there are two ops of the name {name}")
            found[name] = op
    return found


def _of(module: ModuleType) -> dict[str, Op]:
    """The ops that were written in that file."""
    found = [getattr(thing, "op", None) for thing in vars(module).values() if callable(thing)]
    from maquette.refining.op import Op

    own = [op for op in found if isinstance(op, Op) and op.schema.module == module.__name__]
    return {op.schema.name: op for op in own}


def _added(point: importlib.metadata.EntryPoint) -> Op:
    from maquette.refining.op import Op

    found = getattr(point.load(), "op", None)
    if not isinstance(found, Op) or found.schema.name != point.name:
        raise TypeError(f"the entry point {point.name} of {GROUP} is not the op of that name")
    return found
