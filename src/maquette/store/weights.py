"""Weights on the disk: safetensors files whose form is checked before a byte of them is believed.

A file is 8 bytes (the length of the header), a JSON header (name -> type, shape, place) and the numbers. The reader
here is stricter than the format: the header is at most 1 MB and 10,000 tensors, no key stands twice, the numbers lie
without gaps or overlaps, and names, shapes and types are those of the schema built from the model's config. The
writer streams, so that it needs no second copy of the weights and knows the file's digest when it is done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import ModelFileError, RunError
from maquette.core.files import atomic_file
from maquette.store.digest import canonical_json, little_endian, tensors_digest
from maquette.store.disk import open_regular, parse_json, plain, writing

Tensors = Mapping[str, NDArray[Any]]
Schema = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> NumPy name of the type ("float32"), shape."""

MAX_HEADER = 2**20
MAX_TENSORS = 10_000
MAX_BYTES = 16 * 2**30
_CHUNK = 4 * 2**20
_TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip
_WORDS = {name: word for word, name in _TYPES.items()}
_PART = r"(?!__[\w-]*__(?:[./:]|\Z))[\w-]+"
_NAME = re.compile(rf"{_PART}(?:[./:]{_PART})*")
_FACTS = "maquette"
_ONLY = "only safetensors files are opened"
_OTHER = "it is of another model, or of an earlier version: train it again"


@dataclass(frozen=True)
class Contents:
    """What a file holds, and the digest of the whole file."""

    tensors: dict[str, NDArray[Any]]
    facts: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def schema_of(tensors: Tensors) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The schema that these tensors have."""
    return {name: (array.dtype.name, tuple(array.shape)) for name, array in tensors.items()}


def digest_of(tensors: Tensors) -> str:
    """The digest of the tensors themselves, whatever their order in a file."""
    return tensors_digest(tensors)


# Writing


def write(
    path: str | os.PathLike[str], tensors: Tensors, facts: Mapping[str, Any] | None = None, *, finite: bool = True
) -> str:
    """Write the file, whole or not at all, and return its digest; `finite` refuses numbers that are not finite."""
    path = Path(path)
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header = _header(path, [(name, tensors[name]) for name in order], facts or {})
    for name in order if finite else ():
        _refuse_not_finite(path, name, tensors[name])
    digest = hashlib.sha256()
    with writing("the weights", path, ModelFileError), atomic_file(path) as stream:
        for part in _parts(header, [tensors[name] for name in order]):
            digest.update(part)
            stream.write(part)
    return digest.hexdigest()


def _header(path: Path, tensors: list[tuple[str, NDArray[Any]]], facts: Mapping[str, Any]) -> bytes:
    try:
        header: dict[str, Any] = {"__metadata__": {_FACTS: canonical_json(plain(facts, "facts")).decode("ascii")}}
    except RunError as error:
        raise ModelFileError(error.what, where=path) from None
    begin = 0
    for name, array in tensors:
        if not _NAME.fullmatch(name) or len(name) > 512:
            raise ModelFileError(f"a tensor cannot be named {name!r}", where=path)
        if array.dtype.name not in _WORDS:
            raise ModelFileError(f"the tensor {name!r} is {array.dtype}, which is not kept in files", where=path)
        end = begin + array.nbytes
        header[name] = {"dtype": _WORDS[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER or len(tensors) > MAX_TENSORS:
        raise ModelFileError(
            f"{len(tensors)} tensors and a header of {len(text)} bytes are too many for one file",
            where=path, do=f"there may be {MAX_TENSORS} tensors and {MAX_HEADER} bytes",
        )  # fmt: skip
    return len(text).to_bytes(8, "little") + text


def _parts(header: bytes, arrays: list[NDArray[Any]]) -> Iterator[bytes | memoryview]:
    """The bytes of the file, a few megabytes at a time."""
    yield header
    for array in arrays:
        flat = np.ascontiguousarray(little_endian(array)).reshape(-1).view(np.uint8)
        for start in range(0, flat.size, _CHUNK):
            yield flat[start : start + _CHUNK].data


# Reading


def read(
    path: str | os.PathLike[str],
    schema: Schema | None = None,
    *,
    finite: bool = True,
    max_bytes: int = MAX_BYTES,
    digest: str | Collection[str] | None = None,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The tensors and facts of a file; anything but a sound file of that schema (and digest) is a ModelFileError."""
    contents = read_contents(path, schema, finite=finite, max_bytes=max_bytes, digest=digest)
    return contents.tensors, contents.facts


def read_contents(
    path: str | os.PathLike[str],
    schema: Schema | None = None,
    *,
    finite: bool = True,
    max_bytes: int = MAX_BYTES,
    digest: str | Collection[str] | None = None,
) -> Contents:
    """As `read`, and with the digest of the file, taken in the same pass."""
    path = Path(path)
    wanted = (digest,) if isinstance(digest, str) else digest
    with _opened(path) as stream:
        header, entries, facts = _checked_header(path, stream, max_bytes)
        if schema is not None:
            _compare(path, entries, schema)
        hasher = hashlib.sha256(header)
        tensors: dict[str, NDArray[Any]] = {}
        for entry in entries:
            tensors[entry.name] = _numbers(path, stream, entry, hasher)
        if stream.read(1):
            raise ModelFileError("the file grew while it was read", where=path)
    found = hasher.hexdigest()
    if wanted is not None and found not in wanted:
        raise ModelFileError("the content is not what was written there (its digest differs)", where=path)
    if finite:
        for name, array in tensors.items():
            _refuse_not_finite(path, name, array)
    return Contents(tensors, facts, found)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, opened for reading; what goes wrong with it is a ModelFileError."""
    try:
        if not path.is_file():  # asked before opening: to open a device may already do something
            raise ValueError("it is not a regular file" if path.exists() else "there is no such file")
        stream = open_regular(path)
    except ValueError as error:
        raise ModelFileError(str(error), where=path) from None
    except OSError as error:
        raise ModelFileError(f"it cannot be opened ({(error.strerror or str(error)).lower()})", where=path) from None
    try:
        with stream:
            yield stream
    except OSError as error:
        raise ModelFileError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None


def _take(stream: BinaryIO, view: memoryview) -> int:
    """Fill the view as far as the file goes."""
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _checked_header(path: Path, stream: BinaryIO, max_bytes: int) -> tuple[bytes, list[_Entry], dict[str, Any]]:
    """The raw header, the tensors in the order of their numbers, and the facts. Nothing large is allocated here."""
    size = os.fstat(stream.fileno()).st_size
    start = bytearray(64)
    del start[_take(stream, memoryview(start)) :]
    length = int.from_bytes(start[:8], "little")
    if len(start) < 10 or start[8:9] != b"{" or length > size - 8:
        raise ModelFileError(_not_a_model(bytes(start), length, size), where=path, do=_ONLY)
    if length > MAX_HEADER:
        raise ModelFileError(f"its header has {length} bytes", where=path, do=f"at most {MAX_HEADER} are read")
    if size > max_bytes:
        raise ModelFileError(f"it has {size} bytes", where=path, do=f"at most {max_bytes} are read here")
    raw = bytearray(8 + length)
    stream.seek(0)
    if _take(stream, memoryview(raw)) != len(raw):
        raise ModelFileError("the file shrank while it was read", where=path)
    try:
        entries, facts = _parse(bytes(raw[8:]))
        _check_places(entries, size - 8 - length)
    except ValueError as error:
        raise ModelFileError(f"its header is damaged: {error}", where=path) from None
    return bytes(raw), entries, facts


def _parse(text: bytes) -> tuple[list[_Entry], dict[str, Any]]:
    header = parse_json(text)
    if not isinstance(header, dict):
        raise ValueError("it is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not words")
    facts = parse_json(metadata.get(_FACTS, "{}"))
    if not isinstance(facts, dict):
        raise ValueError("its facts are not a JSON object")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it lists {len(header)} tensors, at most {MAX_TENSORS} are read")
    entries = [_entry(name, value) for name, value in header.items()]
    return sorted(entries, key=lambda entry: (entry.begin, entry.end)), facts


def _whole_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _entry(name: str, value: Any) -> _Entry:
    if len(name) > 512 or not _NAME.fullmatch(name):
        raise ValueError(f"{_short(name)} is no name for a tensor")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{_short(name)} is not described by dtype, shape and data_offsets alone")
    word, shape, places = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(word, str) or word not in _TYPES:
        raise ValueError(f"{_short(name)} has the type {_short(word)}, which is not read here")
    if not isinstance(shape, list) or len(shape) > 16 or not all(_whole_number(side) for side in shape):
        raise ValueError(f"{_short(name)} has an impossible shape")
    if not isinstance(places, list) or len(places) != 2 or not all(_whole_number(place) for place in places):
        raise ValueError(f"{_short(name)} has an impossible place")
    dtype = np.dtype(_TYPES[word]).newbyteorder("<")
    if math.prod(shape) * dtype.itemsize != places[1] - places[0]:
        raise ValueError(f"the shape and the place of {_short(name)} do not fit each other")
    return _Entry(name, dtype, tuple(shape), places[0], places[1])


def _check_places(entries: list[_Entry], size: int) -> None:
    end = 0
    for entry in entries:
        if entry.begin != end:
            raise ValueError(f"the numbers of {_short(entry.name)} {'overlap' if entry.begin < end else 'leave a gap'}")
        end = entry.end
    if end != size:
        raise ValueError(f"it speaks of {end} bytes of numbers, and there are {size}")


def _numbers(path: Path, stream: BinaryIO, entry: _Entry, hasher: Any) -> NDArray[Any]:
    array = np.empty(entry.shape, entry.dtype)
    view = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(view), _CHUNK):
        part = view[start : start + _CHUNK]
        if _take(stream, part) != len(part):
            raise ModelFileError("the file shrank while it was read", where=path)
        if entry.dtype.kind == "b" and np.any(np.frombuffer(part, np.uint8) > 1):
            raise ModelFileError(f"the tensor {entry.name!r} holds bytes that are neither true nor false", where=path)
        hasher.update(part)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)


def _refuse_not_finite(path: Path, name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        if not np.isfinite(flat[start : start + _CHUNK]).all():
            raise ModelFileError(f"the tensor {name!r} holds numbers that are not finite", where=path)


def _compare(path: Path, entries: list[_Entry], schema: Schema) -> None:
    have = {entry.name: (entry.dtype.name, entry.shape) for entry in entries}
    for what, names in (
        ("it lacks", schema.keys() - have.keys()),
        ("it holds what the model does not have:", have.keys() - schema.keys()),
    ):
        if names:
            raise ModelFileError(f"{what} {_listed(names)}", where=path, do=_OTHER)
    for name, (dtype, shape) in sorted(schema.items()):
        if have[name] != (dtype, tuple(shape)):
            found = f"{have[name][0]} of shape {have[name][1]}"
            raise ModelFileError(
                f"the tensor {name!r} is {found}, and the model has {dtype} of shape {tuple(shape)}",
                where=path, do=_OTHER,
            )  # fmt: skip


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


_STARTS = (
    (b"PK\x03\x04", "a zip archive (such as a torch or Keras file), which may hold a pickle"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x89HDF", "an HDF5 file (such as a Keras model)"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS; the file itself was not downloaded"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GGUF", "a GGUF file"),
)
_PICKLE = re.compile(rb"\x80[\x00-\x05]|\(lp|\(dp|\(i|c[A-Za-z_][A-Za-z0-9_.]*\n[A-Za-z_]")
_ONNX = re.compile(rb"\x08[\x01-\x20](?:\x12|\x1a|\x22|\x3a|\x42)")


def _not_a_model(start: bytes, length: int, size: int) -> str:
    """What the file looks like instead."""
    if not start:
        return "it is empty"
    if start[8:9] == b"{" and length <= MAX_HEADER:
        return f"its header has {length} bytes and the file {size}: it is cut off or damaged"
    for begin, what in _STARTS:
        if start.startswith(begin):
            return f"it looks like {what}"
    if _PICKLE.match(start):
        return "it looks like a pickle, which can run any command when it is opened"
    if _ONNX.match(start):
        return "it looks like an ONNX model"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return "it looks like text"
    return "it is not a safetensors file"
