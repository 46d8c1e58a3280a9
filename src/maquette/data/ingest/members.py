"""What archives share: names that stay inside, what is said about their files, and what is never read."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from maquette.core.errors import DataError
from maquette.data.columns import names_pictures
from maquette.data.decoding.kinds import container, is_dicom
from maquette.data.ingest.beside import IMAGES, assumption, encoding_of, rows
from maquette.data.source import FILE_COLUMNS, METADATA, Entry, wanted

_MOST_ROWS = 200_000
MOST_METADATA = 64 << 20
_LONGEST = 1024


def inner_name(name: str) -> tuple[str, str]:
    """The path of a file in an archive, and why it is refused, if it is."""
    path = name.replace("\\", "/")
    shown = name.encode("utf-8", "replace").decode()[:_LONGEST]
    if len(name) > _LONGEST:
        return shown, "its name is far too long"
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return shown, "its name leads out of the archive"
    return "/".join(part for part in parts if part not in ("", ".")), ""


def hidden(path: str) -> bool:
    """Whether a file is none of the images: hidden, of the system, or a text about the archive."""
    return not all(wanted(part) for part in path.split("/"))


def is_metadata(path: str) -> bool:
    """Whether a file at the top (or in one folder at the top) describes the others."""
    return path.rpartition("/")[2].lower() in METADATA and path.count("/") <= 1


def nested(head: bytes) -> str:
    """Why a file inside an archive is not read, if it is one that holds many itself."""
    kind = container(head)
    if kind == "numpy":
        return "it is an array inside an archive, which is not read; unpack it first"
    return "it is an archive inside an archive, which is not opened; unpack it first" if kind else ""


def is_patient(path: str, head: bytes) -> bool:
    """Whether a file is, or claims to be, a DICOM file."""
    return is_dicom(head) or path.lower().endswith((".dcm", ".dicom", ".ima"))


class Described:
    """What the metadata files of an archive say, by the path of the file they speak of."""

    def __init__(self, notes: list[str]) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        self._troubles: list[Entry] = []
        self._notes = notes
        self._used: set[str] = set()
        self._pictures: dict[str, dict[str, tuple[str, ...]]] = {}
        self.further: set[str] = set()
        """Files that rows name beside their image: these belong to it and are no images of their own."""

    def read(self, path: str, content: bytes) -> None:
        """Take in one metadata file."""
        prefix = path.rpartition("/")[0]
        _, assumed = encoding_of(lambda: io.BytesIO(content))
        if assumed:
            self._notes.append(assumption(path, assumed))
        try:
            for number, row, trouble in rows(lambda: io.BytesIO(content), path.lower(), path):
                if len(self._rows) >= _MOST_ROWS:
                    self._notes.append(f"{path} has more than {_MOST_ROWS:,} lines; the rest is left out")
                    return
                column = next((name for name in FILE_COLUMNS if name in row), None)
                name = row.pop(column) if column else None
                target, outside = inner_name(f"{prefix}/{name}" if prefix else str(name))
                if trouble or not isinstance(name, str) or not name:
                    trouble = trouble or "it names no file in file_name"
                    self._troubles.append(Entry(path=f"{path}, line {number}", trouble=trouble))
                elif outside or target in self._rows:
                    reason = "it lies outside the archive" if outside else f"it stands more than once in {path}"
                    self._troubles.append(Entry(path=target, trouble=reason))
                else:
                    self._rows[target] = row
                    self._see_pictures(target, prefix, row)
        except DataError as error:
            self._troubles.append(Entry(path=path, trouble=error.what))

    def _see_pictures(self, target: str, prefix: str, row: Mapping[str, Any]) -> None:
        """Note which files a row names: beside the metadata, or from the top of the archive on."""
        for column, value in row.items():
            if isinstance(value, str) and value.lower().endswith(IMAGES):
                both = [inner_name(f"{prefix}/{value}")] if prefix else []
                places = tuple(place for place, outside in (*both, inner_name(value)) if not outside)
                self.further.update(places)
                if names_pictures(column):
                    self._pictures.setdefault(target, {})[column] = places

    def is_image(self, path: str) -> bool:
        """Whether a file is an image of its own, and not one that only another's row names."""
        return path in self._rows or path not in self.further

    def pictures(self, path: str) -> Mapping[str, tuple[str, ...]]:
        """Columns that name pictures of a file's row, and where these may lie."""
        return self._pictures.get(path, {})

    def said(self, path: str) -> dict[str, Any]:
        """What is said about a file."""
        if path not in self._rows:
            return {}
        self._used.add(path)
        return self._rows[path]

    def rest(self) -> Iterator[Entry]:
        """Rows that are broken, or speak of files that are not there."""
        yield from self._troubles
        for path in self._rows:
            if path not in self._used:
                yield Entry(path=path, trouble="it is not in the archive")
