"""Things found by the name of their file, or by an entry point of another package, without importing them first."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Generic, TypeVar

from maquette.core.errors import UsageError, nearest

T = TypeVar("T")


@functools.cache
def _entry_points(group: str) -> importlib.metadata.EntryPoints:
    """What other packages add. Asked once: reading it takes as long as everything else that help does."""
    return importlib.metadata.entry_points(group=group)


class Registry(Generic[T]):
    """Name -> thing, for every module of `package` (but those in `skip`) and every entry point of that group.

    `pick` takes the thing out of its imported module. Only the module that is asked for is imported.
    """

    def __init__(self, package: str, what: str, pick: Callable[[ModuleType], T], skip: tuple[str, ...] = ()) -> None:
        self.package, self.what, self._pick, self._skip = package, what, pick, frozenset(skip)
        self._loaded: dict[str, T] = {}

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        found = importlib.util.find_spec(self.package)
        folders = list(found.submodule_search_locations or ()) if found else []
        own = {module.name for module in pkgutil.iter_modules(folders)} - self._skip
        own = {name for name in own if not name.startswith("_")}
        return sorted(own | {point.name for point in _entry_points(self.package)})

    def get(self, name: str) -> T:
        """Import and hand over the thing of that name."""
        if name not in self._loaded:
            if name not in self.names():
                raise UsageError(f"there is no {self.what} {name!r}", do=nearest(name, self.names()))
            points = {point.name: point for point in _entry_points(self.package)}
            if name in points:
                thing = points[name].load()
                self._loaded[name] = self._pick(thing) if isinstance(thing, ModuleType) else thing
            else:
                self._loaded[name] = self._pick(importlib.import_module(f"{self.package}.{name}"))
        return self._loaded[name]
