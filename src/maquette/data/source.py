"""Where images come from: a source hands over its files one by one, with what is said about each.

A kind of source is one file in `data/sources/` (or an entry point of the group `maquette.data.sources`) whose `SOURCE`
is a class as described by `Source`. Kinds that read files which hold many images say `contained = True`: they run in a
process of their own with limits (see data/decoding/reader.py), never in this one.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from maquette.core.errors import DataError
from maquette.core.registry import Registry
from maquette.data.dataset import Part
from maquette.data.decoding.kinds import HEAD, container

if TYPE_CHECKING:
    from maquette.data.decoding.reader import Reader

SPLITS: Mapping[str, Part] = {
    "train": "train", "training": "train", "test": "held-out", "testing": "held-out", "validation": "held-out",
    "valid": "held-out", "val": "held-out", "dev": "held-out", "eval": "held-out", "held-out": "held-out",
    "held_out": "held-out", "heldout": "held-out",
}  # fmt: skip
"""What people call the parts of a set: names of folders and files, and values of a column `split`."""
SKIPPED = ("thumbs.db", "desktop.ini", "__macosx")
TEXTS = ("readme", "license", "licence", "copying")
METADATA = ("metadata.jsonl", "metadata.csv")
FILE_COLUMNS = ("file_name", "filename", "file")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a source: where it is, and what is said about it."""

    path: str
    """Its name for people, relative to the source."""
    content: bytes | str | Path | None = None
    """What it holds, or where it lies (as a text where there are many: paths are slow to make)."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """Raw values by column."""
    folders: tuple[str, ...] = ()
    """The folders it lies in, from the source on, without those that are parts: one of them may be its label."""
    part: Part | None = None
    trouble: str = ""
    """Why it cannot be used, if the source knows that already."""
    stamp: str = ""
    """Changes when its content changes; empty where that is not known."""


class Source(Protocol):
    """Some files with what is said about them. Nothing is read before it is asked for."""

    where: str
    """As the user wrote it."""
    names: Mapping[str, tuple[str, ...]]
    """For columns of integers: what each integer means, where the source says it."""
    pictures: frozenset[str]
    """Columns that hold further images of the same item."""
    notes: list[str]
    """What a person should be told about how it was read; complete once all entries were seen."""
    private: bool
    """Whether it holds files about patients, whose very names must not be repeated; known once all were seen."""

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """How sure this kind is that the path is one of its own: 0 not at all; the highest claim wins.

        `head` is the start of a file, empty for folders.
        """
        ...

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """All entries in a fixed order; without their content when only what is said is wanted."""
        ...

    def sample(self, count: int) -> Iterator[Entry]:
        """Up to `count` entries from all over the source, with content, found quickly."""
        ...

    def companion(self, name: str) -> bytes | Path | None:
        """The file that a column names, if it lies inside the source."""
        ...

    def fingerprint(self) -> str:
        """A short text that changes when files are added, removed or changed."""
        ...

    def licences(self) -> Mapping[str, str]:
        """Texts about the rights to the images, by the name of their file."""
        ...


def _pick(module: ModuleType) -> Any:
    return module.SOURCE


@functools.cache
def registry() -> Registry[Any]:
    """All kinds of sources: classes that are made of a path (and of a reader, unless they are contained)."""
    return Registry("maquette.data.sources", "kind of source", _pick)


def open_source(word: str | os.PathLike[str], reader: Reader | None = None) -> Source:
    """The source at a path, of the kind that claims it. Files of many images are read by the reader's processes."""
    if reader is None:
        from maquette.data.decoding.reader import shared

        reader = shared()
    path = Path(os.path.expanduser(word))
    try:
        found = path.exists()
    except (OSError, ValueError):
        found = False
    if not found:
        raise DataError("there is no such file or folder", where=str(word), do="check the path")
    head = head_of(path) if path.is_file() else b""
    kinds = {name: registry().get(name) for name in registry().names()}
    best = max(kinds, key=lambda name: int(kinds[name].claim(path, head)))
    if not kinds[best].claim(path, head):
        raise DataError(
            "this is no source of images", where=str(word), do="give a folder, an image, an archive or a Parquet file"
        )
    if getattr(kinds[best], "contained", False):
        return reader.source(best, path)
    source: Source = kinds[best](path, reader)
    return source


def head_of(path: Path) -> bytes:
    """The first bytes of a plain file; nothing of whatever else lies there."""
    return peek(path)[0]


def stamp_of(path: str | Path) -> str:
    """The stamp that `peek` gives, without opening the file."""
    try:
        form = os.stat(path)
    except OSError:
        return ""
    return f"{form.st_size:x}.{form.st_mtime_ns:x}"


def peek(path: str | Path) -> tuple[bytes, str]:
    """The first bytes of a file, and a stamp that changes when its content changes."""
    found = _opened(path)
    return (b"", "") if found is None else (found[0], f"{found[1]:x}.{found[2]:x}")


def glimpse(path: str | Path) -> tuple[bytes, int, int]:
    """The first bytes of a file, its length, and when it was changed last; zeros where it cannot be seen."""
    found = _opened(path)
    if found is None:  # Whoever may not read it may still see that it is there.
        try:
            form = os.stat(path)
        except OSError:
            return b"", 0, 0
        return b"", form.st_size, form.st_mtime_ns
    return found


def _opened(path: str | Path) -> tuple[bytes, int, int] | None:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    try:
        form = os.fstat(handle)
        return os.read(handle, HEAD) if stat.S_ISREG(form.st_mode) else b"", form.st_size, form.st_mtime_ns
    except OSError:
        return None
    finally:
        os.close(handle)


def translated(said: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> Mapping[str, Any]:
    """What is said, with words for the integers that the source has names for; -1 stands for nothing."""
    if not names:
        return said
    result = dict(said)
    for column, words in names.items():
        value = result.get(column)
        if isinstance(value, int) and not isinstance(value, bool):
            result[column] = words[value] if 0 <= value < len(words) else None if value == -1 else value
    return result


def contained_kind(path: Path, head: bytes) -> str:
    """Which kind of contained source reads a file with this start; empty if none does."""
    if not container(head):
        return ""
    kinds = {name: registry().get(name) for name in registry().names()}
    claims = {name: kind.claim(path, head) for name, kind in kinds.items() if getattr(kind, "contained", False)}
    best = max(claims, key=lambda name: int(claims[name]), default="")
    return best if best and claims[best] else ""


def wanted(name: str) -> bool:
    """Whether a file or folder of that name may be an image: hidden files, system files and texts are not tried."""
    low = name.lower()
    return not (low.startswith(".") or low in SKIPPED or low.startswith(TEXTS))


def part_of(file: Path) -> Part | None:
    """The part that a shard's name gives away, such as train-00000-of-00004.parquet."""
    return SPLITS.get(re.split(r"[-_.]", file.stem.lower())[0]) or SPLITS.get(file.parent.name.lower())


def unreadable(where: Path, error: OSError) -> DataError:
    """The error about a source that the system does not let us read."""
    return DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=where)
