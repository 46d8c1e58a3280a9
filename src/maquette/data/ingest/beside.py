"""What lies beside images and says something about them: metadata.csv, metadata.jsonl, and one text or JSON a file."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from maquette.core.errors import DataError
from maquette.data.source import FILE_COLUMNS

SIDECARS = (".txt", ".caption", ".json", ".cls")
"""Endings of files that say something about the image of the same name."""
IMAGES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jpe",
    ".jfif", ".apng", ".dib", ".dcm", ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".npy",
)  # fmt: skip
"""Endings that images usually have. They only say which text belongs to which image, never what is decoded."""
MOST_BESIDE = 64 << 10
_MOST_LINE = 1 << 20
_ASSUMED = "Windows-1252"


def sidecar(content: bytes, ending: str) -> tuple[dict[str, Any], str]:
    """What one text or JSON file says of its image, and which encoding was assumed if it is not UTF-8."""
    text, assumed = decoded(content)
    if ending == ".json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return {}, assumed
        if isinstance(value, dict):
            return {str(name): item for name, item in value.items() if not isinstance(item, dict)}, assumed
        return ({"text": value} if isinstance(value, str) else {}), assumed
    return {"label" if ending == ".cls" else "text": text.strip()}, assumed


def decoded(content: bytes) -> tuple[str, str]:
    """The text, and the encoding that was assumed where it is not UTF-8; never fails."""
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(name, "replace"), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace"), _ASSUMED


def encoding_of(open_: Callable[[], BinaryIO]) -> tuple[str, str]:
    """The encoding of a whole text file, and its name for people if it had to be assumed. Reads it piece by piece."""
    with open_() as stream:
        start = stream.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", ""
        decoder = codecs.getincrementaldecoder("utf-8")()
        piece = start
        try:
            while piece:
                decoder.decode(piece)
                piece = stream.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252", _ASSUMED
    return "utf-8-sig", ""


def rows(open_: Callable[[], BinaryIO], name: str, where: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Line number, row and trouble of every row of a metadata file."""
    encoding, _ = encoding_of(open_)
    newline = "" if name.endswith(".csv") else None
    with open_() as binary, io.TextIOWrapper(binary, encoding, "replace", newline) as stream:
        if name.endswith(".csv"):
            try:
                yield from _csv_rows(csv.DictReader(_lines(stream, where)), where)
            except csv.Error as error:
                raise DataError(f"it cannot be read as CSV ({error})", where=where) from None
        else:
            for number, line in enumerate(_lines(stream, where), 1):
                if line.strip():
                    yield number, *_json_row(line)


def _lines(stream: io.TextIOWrapper, where: str) -> Iterator[str]:
    while line := stream.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            raise DataError("it has a line of more than a million letters", where=where, do="give one line an image")
        yield line


def _csv_rows(reader: csv.DictReader[str], where: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    if not any(name in FILE_COLUMNS for name in reader.fieldnames or ()):
        raise DataError("it has no column file_name", where=where, do="name the images in that column")
    for row in reader:
        trouble = "the line has too many values" if None in row else ""
        yield reader.line_num, {key: value or None for key, value in row.items() if key}, trouble


def _json_row(line: str) -> tuple[dict[str, Any], str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "the line is not JSON"
    return (row, "") if isinstance(row, dict) else ({}, "the line is not a JSON object")


def assumption(name: str, assumed: str) -> str:
    """What a person should know about a text whose encoding had to be assumed."""
    return f"{name} is not UTF-8: it was read as {assumed}; if words look wrong, save it again as UTF-8"
