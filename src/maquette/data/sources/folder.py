"""A folder of images, or a single image.

Subfolders are labels; folders called train, test or validation are parts. A `metadata.jsonl` or `metadata.csv` with a
column `file_name` says more about the images, and so does a text or JSON file beside an image of the same name.
Archives and other files of many images inside the folder are opened. Hidden files are skipped, links that lead out of
the folder are not followed, and every other file is tried, whatever its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from maquette.core.errors import DataError
from maquette.data.dataset import Part
from maquette.data.decoding.kinds import container
from maquette.data.decoding.reader import Reader
from maquette.data.ingest.beside import IMAGES, MOST_BESIDE, SIDECARS, assumption, encoding_of, rows, sidecar
from maquette.data.ingest.listing import Listing
from maquette.data.ingest.members import is_patient
from maquette.data.source import (
    FILE_COLUMNS,
    METADATA,
    SPLITS,
    TEXTS,
    Entry,
    contained_kind,
    glimpse,
    peek,
    stamp_of,
    translated,
    unreadable,
    wanted,
)

_MAX_LICENCE = 64 << 10
_MOST_FOLDERS = 4096
_DATASET = ("dataset.json", "images.npy")


class Folder:
    """The files of a folder, in the order of their names."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.where, self._reader = str(path), reader
        self.names: Mapping[str, tuple[str, ...]] = {}
        self.pictures: frozenset[str] = frozenset()
        self.notes: list[str] = []
        self.private = False
        self._single = path if path.is_file() else None
        self._root: Path = path if self._single is None else path.parent
        self._real = self._root.resolve()
        self._splits, self._homes = False, [self._root]
        self._inside: dict[Path, bool] = {}
        self._count = 0
        """How many files there are, once all were seen."""
        self._plain = self._seen = False
        """No file of the folder holds files of its own, so that none has to be opened again to find out; and whether
        those that metadata names have been looked at too."""
        self._lately: tuple[str, tuple[str, ...], Part | None] = ("", (), None)
        """The folder of the last entry, with its names and part: files of one folder come together."""
        if not self._single:
            self._look()

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """Any folder and any plain file can be tried."""
        return 1 if path.is_dir() or path.is_file() else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """First what the metadata names, in its order; then all other files, in the order of their names.

        What a row names in another column (the mask of an image) belongs to that row and is no image of its own.
        """
        if self._single:
            head, stamp = peek(self._single)
            self.private |= is_patient(self._single.name, head)
            yield Entry(path=self._single.name, content=self._single, stamp=stamp)
            return
        named: set[int] = set()
        further: set[int] = set()
        for metadata in self._metadata():
            yield from self._described(metadata, named, further)
        count, plain = 0, True
        for path, file, trouble, beside in self._walk():
            count += 1
            if hash(path) in named or hash(path) in further:
                continue
            if file is None:
                yield self._entry(path, None, {}, trouble)
                continue
            said = self._said(file, beside) if beside else {}
            if self._plain:
                yield self._entry(path, file, said, stamp=stamp_of(file) if content else "")
                continue
            head, stamp = peek(file)
            self.private |= is_patient(path, head)
            if kind := contained_kind(Path(file), head) if container(head) else "":
                plain = False
                yield from self._opened(path, Path(file), kind, said, content)
            else:
                yield self._entry(path, file, said, stamp=stamp)
        self._count, self._plain, self._seen = count, plain, True

    def sample(self, count: int) -> Iterator[Entry]:
        """Entries at even distances; of archives, some of their files."""
        if self._single:
            yield from self.entries()
            return
        total = self._count or sum(1 for _ in self._walk())
        step = max(1, total // max(1, count))
        given = 0
        for number, (path, file, _, _) in enumerate(self._walk()):
            if file is None or number % step or given >= count:
                continue
            place = Path(file)
            kind = "" if self._plain else contained_kind(place, peek(place)[0])
            with contextlib.suppress(DataError):
                found = self._reader.source(kind, place).sample(max(1, count // 8)) if kind else None
                for entry in found or [Entry(path=path, content=place)]:
                    given += 1
                    yield entry

    def companion(self, name: str) -> Path | None:
        """The file that a column names, if it lies inside the folder."""
        try:
            path = self._root / name
            if ".." in path.parts or os.path.islink(path):
                inside = path.resolve().is_relative_to(self._real)
            else:
                inside = self._lies_inside(path.parent)
        except (OSError, ValueError, RuntimeError):
            return None
        return path if inside else None

    def _lies_inside(self, folder: Path) -> bool:
        """Whether a folder lies below the root, wherever links lead; looked up once a folder, not once a file."""
        if folder not in self._inside:
            if len(self._inside) > _MOST_FOLDERS:
                self._inside.clear()
            self._inside[folder] = folder.resolve().is_relative_to(self._real)
        return self._inside[folder]

    def fingerprint(self) -> str:
        """Names, sizes and times of all files. What kinds of files they are is looked at on the way."""
        digest = hashlib.blake2b(digest_size=16)
        files: Iterator[tuple[str, str | None, str, tuple[str, ...]]]
        files = iter([("", str(self._single), "", ())]) if self._single else self._walk()
        count, plain = 0, True
        for path, file, trouble, beside in files:
            count += 1
            head, size, moment = glimpse(file) if file else (b"", 0, 0)
            plain = plain and not container(head)
            self.private |= is_patient(path, head)
            digest.update(f"{path}\0{size}\0{moment}\0{trouble}\n".encode("utf-8", "replace"))
            for name in beside:
                _, size, moment = glimpse(_neighbour(file or "", name))
                digest.update(f"{path}\0{size}\0{moment}\0{trouble}\n".encode("utf-8", "replace"))
        self._count, self._plain = count, plain
        for metadata in self._metadata():
            digest.update(f"{metadata.name}\0{metadata.stat().st_mtime_ns}\n".encode("utf-8", "replace"))
        return digest.hexdigest()

    def licences(self) -> Mapping[str, str]:
        """The texts of files called LICENSE or COPYING at the top of the folder."""
        if self._single:
            return {}
        found = {}
        for file in sorted(self._root.iterdir()):
            if file.name.lower().startswith(TEXTS[1:]) and file.is_file() and not file.is_symlink():
                with open(file, "rb") as stream:
                    found[file.name] = stream.read(_MAX_LICENCE).decode("utf-8", "replace")
        return found

    def _look(self) -> None:
        """Find out whether the folders at the top are parts: all have a part's name, and both parts are there."""
        try:
            tops = sorted(entry.name for entry in os.scandir(self._root) if _is_folder(entry) and wanted(entry.name))
        except OSError as error:
            raise unreadable(self._root, error) from None
        if all((self._root / name).is_file() for name in _DATASET):
            raise DataError("it is a dataset of Maquette already", where=self._root, do="give what it was made of")
        self._splits = {SPLITS.get(name.lower()) for name in tops} == {"train", "held-out"}
        if self._splits:
            self._homes += [self._root / name for name in tops]

    def _walk(self) -> Iterator[tuple[str, str | None, str, tuple[str, ...]]]:
        """Every file below the root: path for people, path, trouble if there is any, and texts that belong to it.

        Paths are texts here: to make an object of each takes longer than to look at the file.
        """
        folders = [("", self._root)]
        while folders:
            prefix, folder = folders.pop()
            try:
                listing = Listing(folder)
            except OSError as error:
                if folder == self._root:
                    raise unreadable(self._root, error) from None
                yield prefix.rstrip("/"), None, f"the folder cannot be read ({(error.strerror or '').lower()})", ()
                continue
            if all(name in listing for name in _DATASET):
                self._note(f"{prefix.rstrip('/') or folder.name} is a dataset of Maquette and is left out")
                continue
            below = []
            texts = listing.holds(SIDECARS)
            start, home = os.path.join(folder, ""), folder in self._homes
            for name, kind in listing:
                path = prefix + name
                if not wanted(name) or (home and name.lower() in METADATA):
                    continue
                if kind == "l" and self.companion(path) is None:
                    yield path, None, "it is a link that leads out of the folder", ()
                elif kind == "d":
                    below.append((path + "/", folder / name))
                elif kind == "l" and os.path.isdir(folder / name):
                    yield path, None, "it is a link to a folder, which is not followed", ()
                elif not (texts and _belongs(name, listing)):
                    yield path, start + name, "", _beside(name, listing) if texts else ()
            folders.extend(reversed(below))

    def _metadata(self) -> list[Path]:
        """The metadata files that count: at the top, and at the top of the parts."""
        if self._single:
            return []
        return [home / name for home in self._homes for name in METADATA if (home / name).is_file()]

    def _opened(self, path: str, file: Path, kind: str, said: Mapping[str, Any], content: bool) -> Iterator[Entry]:
        """The entries in a file that holds many images in a way of its own."""
        outer = self._entry(path, None, said)
        try:
            inner, empty = self._reader.source(kind, file), True
            for entry in inner.entries(content=content):
                empty = False
                yield replace(
                    entry,
                    path=path if entry.path == file.name else f"{path}/{entry.path.removeprefix(file.name + ', ')}",
                    said={**said, **translated(entry.said, inner.names)},
                    folders=outer.folders + entry.folders,
                    part=outer.part or entry.part,
                )
        except DataError as error:
            yield replace(outer, trouble=error.what)
            return
        if empty:
            yield replace(outer, trouble="there are no images in it")
        self.private |= inner.private
        self.pictures |= inner.pictures
        self.names = {**inner.names, **self.names}
        self._note(*inner.notes)

    def _note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes and len(self.notes) < 20]

    def _said(self, file: str, beside: tuple[str, ...]) -> dict[str, Any]:
        """What the texts beside an image say."""
        said: dict[str, Any] = {}
        for name in beside:
            with contextlib.suppress(OSError), open(_neighbour(file, name), "rb") as stream:
                more, assumed = sidecar(stream.read(MOST_BESIDE), os.path.splitext(name)[1].lower())
                said |= more
                if assumed:
                    self._note(assumption("text beside the images", assumed))
        return said

    def _entry(
        self, path: str, file: str | Path | None, said: Mapping[str, Any], trouble: str = "", stamp: str = ""
    ) -> Entry:
        home = path.rpartition("/")[0]
        if home != self._lately[0]:
            names = tuple(home.split("/")) if home else ()
            found: Part | None = SPLITS.get(names[0].lower()) if self._splits and names else None
            self._lately = home, names[1:] if found else names, found
        _, folders, part = self._lately
        if said and part is None:
            column = next((name for name in said if name.lower() == "split"), None)
            part = SPLITS.get(str(said[column]).lower()) if column is not None else None
        return Entry(path=path, content=file, said=said, folders=folders, part=part, trouble=trouble, stamp=stamp)

    def _described(self, metadata: Path, named: set[int], further: set[int]) -> Iterator[Entry]:
        """The entries that one metadata file names; adds these to `named`, and to `further` what other columns name."""

        def open_() -> BinaryIO:
            return open(metadata, "rb")

        prefix = "" if metadata.parent == self._root else metadata.parent.name + "/"
        try:
            _, assumed = encoding_of(open_)
            if assumed:
                self._note(assumption(metadata.name, assumed))
            for number, row, trouble in rows(open_, metadata.name, str(metadata)):
                column = next((name for name in FILE_COLUMNS if name in row), None)
                name = row.pop(column) if column else None
                for value in row.values():
                    if isinstance(value, str) and value.lower().endswith(IMAGES):
                        further.add(hash(_posix(value)))
                if trouble or not isinstance(name, str) or not name:
                    trouble = trouble or "it names no file in file_name"
                    yield Entry(path=f"{prefix}{metadata.name}, line {number}", trouble=trouble)
                    continue
                path = prefix + _posix(name)
                file = self.companion(path)
                if file is None or os.path.isabs(name):
                    yield Entry(path=path, trouble="it lies outside the folder")
                elif hash(path) in named:
                    yield Entry(path=path, trouble=f"it stands more than once in {metadata.name}")
                else:
                    named.add(hash(path))
                    if self._seen:
                        yield self._entry(path, file, row, stamp=stamp_of(file))
                        continue
                    head, stamp = peek(file)
                    self.private |= is_patient(path, head)
                    yield self._entry(path, file, row, stamp=stamp)
        except OSError as error:
            raise unreadable(metadata, error) from None


def _posix(name: str) -> str:
    """The name of a file as the walk has it."""
    return os.path.normpath(name).replace(os.sep, "/")


def _neighbour(file: str, name: str) -> str:
    """The path of another file in the same folder."""
    return os.path.join(os.path.dirname(file), name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False


def _belongs(name: str, listing: Listing) -> bool:
    """Whether a file is a text that says something about the image beside it."""
    stem, ending = os.path.splitext(name)
    return ending.lower() in SIDECARS and any(stem + e in listing or stem + e.upper() in listing for e in IMAGES)


def _beside(name: str, listing: Listing) -> tuple[str, ...]:
    """The texts that say something about an image."""
    stem = os.path.splitext(name)[0]
    return tuple(stem + ending for ending in SIDECARS if stem + ending != name and stem + ending in listing)


SOURCE = Folder
