"""A folder of images, or a single image.

Subfolders are labels; folders called train, test or validation are parts. A `metadata.jsonl` or `metadata.csv` with a
column `file_name` says more about the images: its other columns become conditions. Hidden files are skipped, links
that lead out of the folder are not followed, and every other file is tried, whatever its name.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError
from maquette.data.dataset import Part
from maquette.data.source import SPLITS, Entry, unreadable

METADATA = ("metadata.jsonl", "metadata.csv")
FILE_COLUMNS = ("file_name", "filename", "file")
_SKIPPED = ("thumbs.db", "desktop.ini", "__macosx")
_TEXTS = ("readme", "license", "licence", "copying")
_MAX_LICENCE = 64 << 10


class Folder:
    """The files of a folder, in the order of their names."""

    names: Mapping[str, tuple[str, ...]] = {}
    pictures: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._single = path if path.is_file() else None
        self._root: Path = path if self._single is None else path.parent
        self._real = self._root.resolve()
        self._splits, self._homes = False, [self._root]
        if not self._single:
            self._look()

    @classmethod
    def claim(cls, path: Path) -> int:
        """Any folder and any plain file can be tried."""
        return 1 if path.is_dir() or path.is_file() else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """First what the metadata names, in its order; then all other files, in the order of their names."""
        if self._single:
            yield Entry(path=self._single.name, content=self._single)
            return
        named: set[int] = set()
        for metadata in self._metadata():
            yield from self._described(metadata, named)
        for path, file, trouble in self._walk():
            if hash(path) not in named:
                yield self._entry(path, file, {}, trouble)

    def sample(self, count: int) -> Iterator[Entry]:
        """Entries at even distances."""
        total = sum(1 for _ in self.entries())
        step = max(1, total // max(1, count))
        for number, entry in enumerate(self.entries()):
            if number % step == 0 and number // step < count:
                yield entry

    def companion(self, name: str) -> Path | None:
        """The file that a column names, if it lies inside the folder."""
        try:
            path = self._root / name
            inside = path.resolve().is_relative_to(self._real)
        except (OSError, ValueError, RuntimeError):
            return None
        return path if inside else None

    def fingerprint(self) -> str:
        """Names, sizes and times of all files."""
        digest = hashlib.blake2b(digest_size=16)
        files: Iterator[tuple[str, Path | None, str]]
        files = iter([("", self._single, "")]) if self._single else self._walk()
        for path, file, trouble in files:
            try:
                form = file.stat() if file else None
            except OSError:
                form = None
            size, moment = (form.st_size, form.st_mtime_ns) if form else (0, 0)
            digest.update(f"{path}\0{size}\0{moment}\0{trouble}\n".encode("utf-8", "replace"))
        for metadata in self._metadata():
            digest.update(f"{metadata}\0{metadata.stat().st_mtime_ns}\n".encode("utf-8", "replace"))
        return digest.hexdigest()

    def licences(self) -> Mapping[str, str]:
        """The texts of files called LICENSE or COPYING at the top of the folder."""
        if self._single:
            return {}
        found = {}
        for file in sorted(self._root.iterdir()):
            if file.name.lower().startswith(_TEXTS[1:]) and file.is_file() and not file.is_symlink():
                with open(file, "rb") as stream:
                    found[file.name] = stream.read(_MAX_LICENCE).decode("utf-8", "replace")
        return found

    def _look(self) -> None:
        """Find out whether the folders at the top are parts: all have a part's name, and both parts are there."""
        try:
            tops = sorted(entry.name for entry in os.scandir(self._root) if _is_folder(entry) and _wanted(entry.name))
        except OSError as error:
            raise unreadable(self._root, error) from None
        self._splits = {SPLITS.get(name.lower()) for name in tops} == {"train", "held-out"}
        if self._splits:
            self._homes += [self._root / name for name in tops]

    def _walk(self) -> Iterator[tuple[str, Path | None, str]]:
        """Path for people, path, and trouble if there is any, of every file below the root."""
        folders = [("", self._root)]
        while folders:
            prefix, folder = folders.pop()
            try:
                found = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                yield prefix.rstrip("/"), None, f"the folder cannot be read ({(error.strerror or '').lower()})"
                continue
            below = []
            for entry in found:
                path = prefix + entry.name
                if not _wanted(entry.name) or (folder in self._homes and entry.name.lower() in METADATA):
                    continue
                if entry.is_symlink() and self.companion(path) is None:
                    yield path, None, "it is a link that leads out of the folder"
                elif entry.is_dir(follow_symlinks=False):
                    below.append((path + "/", folder / entry.name))
                elif _is_folder(entry):
                    yield path, None, "it is a link to a folder, which is not followed"
                else:
                    yield path, folder / entry.name, ""
            folders.extend(reversed(below))

    def _metadata(self) -> list[Path]:
        """The metadata files that count: at the top, and at the top of the parts."""
        if self._single:
            return []
        return [home / name for home in self._homes for name in METADATA if (home / name).is_file()]

    def _entry(self, path: str, file: Path | None, said: Mapping[str, Any], trouble: str = "") -> Entry:
        folders = path.split("/")[:-1]
        part: Part | None = SPLITS.get(folders[0].lower()) if self._splits and folders else None
        folders = folders[1:] if part else folders
        label = {"label": folders[0]} if folders else {}
        column = next((name for name in said if name.lower() == "split"), None)
        if column is not None and part is None:
            part = SPLITS.get(str(said[column]).lower())
        return Entry(path=path, content=file, said={**label, **said}, part=part, trouble=trouble)

    def _described(self, metadata: Path, named: set[int]) -> Iterator[Entry]:
        """The entries that one metadata file names."""
        prefix = "" if metadata.parent == self._root else metadata.parent.name + "/"
        for number, row, trouble in _rows(metadata):
            if trouble:
                yield Entry(path=f"{prefix}{metadata.name}, line {number}", trouble=trouble)
                continue
            column = next((name for name in FILE_COLUMNS if name in row), None)
            name = row.pop(column) if column else None
            if not isinstance(name, str) or not name:
                yield Entry(path=f"{prefix}{metadata.name}, line {number}", trouble="it names no file in file_name")
                continue
            path = prefix + os.path.normpath(name).replace(os.sep, "/")
            file = self.companion(path)
            if file is None or os.path.isabs(name):
                yield Entry(path=path, trouble="it lies outside the folder")
            elif hash(path) in named:
                yield Entry(path=path, trouble=f"it stands more than once in {metadata.name}")
            else:
                named.add(hash(path))
                yield self._entry(path, file, row)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False


def _wanted(name: str) -> bool:
    low = name.lower()
    return not (low.startswith(".") or low in _SKIPPED or low.startswith(_TEXTS))


def _rows(metadata: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Line number, row and trouble of every row of a metadata file."""
    try:
        with open(metadata, encoding="utf-8-sig", newline="" if metadata.suffix == ".csv" else None) as stream:
            if metadata.suffix == ".csv":
                reader = csv.DictReader(stream)
                if not any(name in FILE_COLUMNS for name in reader.fieldnames or ()):
                    raise DataError("it has no column file_name", where=metadata, do="name the images in that column")
                for row in reader:
                    trouble = "the line has too many values" if None in row else ""
                    yield reader.line_num, {key: value or None for key, value in row.items() if key}, trouble
            else:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield number, *_json_row(line)
    except UnicodeDecodeError:
        raise DataError("it is not UTF-8 text", where=metadata, do="save it again with the encoding UTF-8") from None
    except csv.Error as error:
        raise DataError(f"it cannot be read as CSV ({error})", where=metadata) from None
    except OSError as error:
        raise unreadable(metadata, error) from None


def _json_row(line: str) -> tuple[dict[str, Any], str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "the line is not JSON"
    return (row, "") if isinstance(row, dict) else ({}, "the line is not a JSON object")


SOURCE = Folder
