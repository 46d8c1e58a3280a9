"""The models, one file each; `family.py` is the contract. Files here are found by their names, without importing."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from maquette.core.registry import Registry

if TYPE_CHECKING:
    from maquette.families.family import Family


def _pick(module: ModuleType) -> type[Family]:
    from maquette.families.family import Family

    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Family) and thing.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must hold exactly one family, not {len(found)}")
    return found[0]


REGISTRY: Registry[type[Family]] = Registry("maquette.families", "family", _pick, skip=("family",))
