"""Where images come from: a source hands over its files one by one, with what is said about each.

A kind of source is one file in `data/sources/` (or an entry point of the group `maquette.data.sources`) whose `SOURCE`
is a class as described by `Source`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from maquette.core.errors import DataError
from maquette.core.registry import Registry
from maquette.data.dataset import Part

SPLITS: Mapping[str, Part] = {
    "train": "train", "training": "train", "test": "held-out", "testing": "held-out", "validation": "held-out",
    "valid": "held-out", "val": "held-out", "dev": "held-out", "eval": "held-out", "held-out": "held-out",
    "held_out": "held-out", "heldout": "held-out",
}  # fmt: skip
"""What people call the parts of a set: names of folders and files, and values of a column `split`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a source: where it is, and what is said about it."""

    path: str
    """Its name for people, relative to the source."""
    content: bytes | Path | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    """Raw values by column."""
    part: Part | None = None
    trouble: str = ""
    """Why it cannot be used, if the source knows that already."""


class Source(Protocol):
    """Some files with what is said about them. Nothing is read before it is asked for."""

    where: str
    """As the user wrote it."""
    names: Mapping[str, tuple[str, ...]]
    """For columns of integers: what each integer means, where the source says it."""
    pictures: frozenset[str]
    """Columns that hold further images of the same item."""

    def __init__(self, path: Path) -> None: ...

    @classmethod
    def claim(cls, path: Path) -> int:
        """How sure this kind is that the path is one of its own: 0 not at all; the highest claim wins."""
        ...

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """All entries in a fixed order; without their content when only what is said is wanted."""
        ...

    def sample(self, count: int) -> Iterator[Entry]:
        """Up to `count` entries from all over the source, with content, found quickly."""
        ...

    def companion(self, name: str) -> Path | None:
        """The file that a column names, if it lies inside the source."""
        ...

    def fingerprint(self) -> str:
        """A short text that changes when files are added, removed or changed."""
        ...

    def licences(self) -> Mapping[str, str]:
        """Texts about the rights to the images, by the name of their file."""
        ...


def _pick(module: ModuleType) -> type[Source]:
    kind: type[Source] = module.SOURCE
    return kind


@functools.cache
def registry() -> Registry[type[Source]]:
    """All kinds of sources."""
    return Registry("maquette.data.sources", "kind of source", _pick)


def open_source(word: str | os.PathLike[str]) -> Source:
    """The source at a path, of the kind that claims it."""
    path = Path(os.path.expanduser(word))
    try:
        found = path.exists()
    except (OSError, ValueError):
        found = False
    if not found:
        raise DataError("there is no such file or folder", where=str(word), do="check the path")
    kinds = [registry().get(name) for name in registry().names()]
    best = max(kinds, key=lambda kind: kind.claim(path))
    if not best.claim(path):
        raise DataError(
            "this is no source of images", where=str(word), do="give a folder of images, an image or a Parquet file"
        )
    return best(path)


def unreadable(where: Path, error: OSError) -> DataError:
    """The error about a source that the system does not let us read."""
    return DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=where)
