"""What requests may name: datasets, runs and images that the index knows, and what was uploaded. Never a path.

A word of a request is looked up among what is there; none is ever joined to a folder and opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError, nearest
from maquette.faces.http.endpoint import missing
from maquette.store.index import Entry
from maquette.store.workspace import Workspace

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset

OPEN = 8
"""Datasets that are kept open."""
FRESH, SEEN = 0.5, 20.0
"""Seconds for which a list is believed; whoever changes something says so at once. For images: while the index is the
same, after which files that somebody removed by hand are noticed."""
_BATCH = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST, _DEEPEST = 255, 16
"""Bytes of one part of an uploaded file's name, and how many parts there are."""


class Catalogue:
    """Everything by its id."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.uploads = workspace.home / "uploads"
        self._known: dict[str, tuple[float, tuple[int, ...], dict[str, Entry]]] = {}
        self._datasets: OrderedDict[Path, tuple[int, Dataset]] = OrderedDict()
        self._lock = threading.RLock()
        self._times = 0

    def changed(self) -> None:
        """Something was made or removed: no list that was begun before is believed."""
        self._times += 1
        self._known.clear()

    def all(self, kind: str) -> Mapping[str, Entry]:
        """Every thing of a kind by its id, the newest first."""
        known, now = self._known.get(kind), time.monotonic()
        # Images are many and come through the index alone, so they are the same as long as its file is.
        stamp = _stamp(self.workspace.index.path) if kind == "image" else ()
        if known is None or now - known[0] > (SEEN if stamp else FRESH) or stamp != known[1]:
            times = self._times
            known = (now, stamp, {self.id_of(entry): entry for entry in self.workspace.index.list(kind)})
            if times == self._times:
                self._known[kind] = known
        return known[2]

    def id_of(self, entry: Entry) -> str:
        """What requests call it: its name, with a mark of its place where it lies outside the workspace."""
        if entry.kind == "image":
            return image_id(entry.path)
        return f"{entry.name}~{_mark(entry.path, 3)}" if entry.by_hand else entry.name

    def find(self, kind: str, name: str) -> Entry:
        """The thing of that id."""
        entry = self.all(kind).get(name)
        if entry is None or entry.missing:
            raise missing(f"{kind} {name[:100]!r}")
        return entry

    def named(self, kind: str, name: str) -> Entry:
        """As `find`, for values of verbs: an error names what there is."""
        entries = self.all(kind)
        if name in entries and not entries[name].missing:
            return entries[name]
        there = [word for word, entry in entries.items() if not entry.missing]
        raise UsageError(f"there is no {kind} {name[:100]!r}", do=nearest(name[:100], there, "the list of the studio"))

    @contextlib.contextmanager
    def dataset(self, name: str) -> Iterator[Dataset]:
        """The dataset of that id, kept open; one thread at a time reads datasets, since they share their files."""
        from maquette.data.dataset import Dataset

        path = self.find("dataset", name).path
        with self._lock:
            changed = _changed(path / "dataset.json")
            if self._datasets.get(path, (0,))[0] != changed or not changed:
                self._datasets[path] = (changed, Dataset.open(path))
            self._datasets.move_to_end(path)
            while len(self._datasets) > OPEN:
                self._datasets.popitem(last=False)
            yield self._datasets[path][1]

    # References

    def path_of(self, word: str) -> Path:
        """The file or folder that a reference names: upload:BATCH/NAME, image:ID, images:NAME, item:DATASET/INDEX."""
        kind, _, name = word.partition(":")
        if kind == "upload":
            return self.upload(name)
        if kind == "image":
            return self.named("image", name).path
        if kind == "images":
            return self._folder(name)
        if kind == "item":
            return self._item(name)
        raise UsageError(f"{word[:60]!r} is no reference", do="write upload:BATCH/NAME, image:ID or images:NAME")

    def upload(self, name: str) -> Path:
        """An uploaded file, or the folder of a batch."""
        batch, _, inner = name.partition("/")
        path = self.batch(batch).joinpath(*parts_of(inner)) if inner else self.batch(batch)
        if not path.exists() or not path.resolve().is_relative_to(self.uploads.resolve()):
            raise UsageError(f"there is no upload {name[:100]!r}", do="upload it first")
        return path

    def batch(self, name: str) -> Path:
        """The folder of a batch of uploads, whether it is there or not."""
        if not _BATCH.fullmatch(name):
            raise UsageError(f"{name[:64]!r} is no name of a batch", do="take up to 64 letters, digits, - and _")
        return self.uploads / name

    def _folder(self, name: str) -> Path:
        with contextlib.suppress(OSError):
            for child in os.scandir(self.workspace.images):
                if child.name == name and child.is_dir(follow_symlinks=False):
                    return Path(child.path)
        raise UsageError(f"there is no folder of images {name[:100]!r}", do="look at the gallery")

    def _item(self, name: str) -> Path:
        """An image of a dataset as a file, for verbs that take files."""
        from maquette.core.files import write_bytes
        from maquette.core.image import encode

        dataset, _, index = name.rpartition("/")
        self.named("dataset", dataset)
        with self.dataset(dataset) as data:
            if not (index.isascii() and index.isdigit()) or len(index) > 12 or int(index) >= len(data):
                raise UsageError(f"the dataset {dataset[:100]!r} has no item {index[:12]!r}")
            path = self.workspace.home / "cache" / "items" / f"{data.digest[:16]}-{int(index)}.png"
            if not path.exists():
                write_bytes(path, encode(data.images([int(index)])[0]))
        return path


def image_id(path: str | os.PathLike[str]) -> str:
    """The id of an image: a digest of where it lies."""
    return _mark(Path(os.path.abspath(path)), 8)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file of SQLite does."""
    found: list[int] = []
    for name in (path, f"{path}-wal"):
        with contextlib.suppress(OSError):
            one = os.stat(name)
            found += [one.st_mtime_ns, one.st_size]
    return tuple(found) or (0,)


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _mark(path: Path, size: int) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=size).hexdigest()


def parts_of(name: str) -> Sequence[str]:
    """The parts of an uploaded file's name, each of which can only be a name in a folder."""
    parts = name.split("/")
    for part in parts:
        if (
            part in ("", ".", "..")
            or any(sign in part for sign in "\0\\")
            or len(part.encode("utf-8", "surrogatepass")) > _LONGEST - 20
            or part != part.strip()
            or part.endswith(".partial")
            or (os.name == "nt" and re.search(r'[<>:"|?*\x00-\x1f]', part))
        ):
            raise UsageError(
                f"{name[:100]!r} cannot be the name of an upload", do="leave out .., empty parts and backslashes"
            )
    if len(parts) > _DEEPEST:
        raise UsageError(f"the name {name[:60]!r}... has more than {_DEEPEST} folders in one another")
    return parts


def is_reference(word: str) -> bool:
    """Whether a word names something that is there."""
    return word.partition(":")[0] in ("upload", "image", "images", "item") and ":" in word


def plain(value: Any) -> Any:
    """A value that JSON can say."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") else value
