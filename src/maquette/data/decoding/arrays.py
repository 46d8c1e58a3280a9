"""The array files of a dataset: written in pieces, checked before they are mapped, read in constant memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from maquette.core.errors import DataError

_BIG_ROW = 256
"""Bytes of a row from which on rows are read from the file and not through the map."""
_CHUNK = 4 << 20
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def damaged(where: Path, what: str) -> DataError:
    """The error about a dataset's file that cannot be trusted."""
    return DataError(f"the dataset is damaged: {what}", where=where, do="make it again with maquette ingest")


def digest_file(path: Path) -> str:
    """The digest of an array's bytes (without the header, which holds only its form) or of a whole text file."""
    digest = hashlib.blake2b(digest_size=32)
    with open(path, "rb") as stream:
        if path.suffix == ".npy":
            _header(path, stream)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _header(path: Path, stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy.read_magic(stream)
        if version != (1, 0):
            raise ValueError("another version")
        shape, fortran, dtype = npy.read_array_header_1_0(stream)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise damaged(path, "it is not a NumPy array file") from None
    if fortran or dtype.hasobject:
        raise damaged(path, "it is not a plain array")
    return shape, dtype


class Map:
    """One array file, mapped read-only after its header and its length were checked."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path = path
        try:
            with open(path, "rb") as stream:
                if _header(path, stream) != (shape, dtype):
                    raise damaged(path, f"it does not hold {shape} values of {dtype}")
                self._start, size = stream.tell(), math.prod(shape) * dtype.itemsize
                if os.fstat(stream.fileno()).st_size != self._start + size:
                    raise damaged(path, "it has another length than its header says")
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                self._handle = os.dup(stream.fileno())
                weakref.finalize(self, os.close, self._handle)
        except OSError as error:
            raise damaged(path, (error.strerror or str(error)).lower()) from None
        self.array: NDArray[Any] = np.frombuffer(mapped, dtype, math.prod(shape), self._start).reshape(shape)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of some rows.

        Big rows are read from the file instead of the map: the system keeps up to 2 MB in a process's memory for every
        page of a map that is touched, and after one epoch of random batches that is the whole file.
        """
        row = self.array[:1].nbytes
        if row < _BIG_ROW or not hasattr(os, "preadv"):
            return np.take(self.array, indices, axis=0)
        rows = np.empty((len(indices), *self.array.shape[1:]), self.array.dtype)
        target = memoryview(rows.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for place, index in enumerate(indices.tolist()):
            if not 0 <= index < len(self.array):
                raise IndexError(f"{self._path} has no row {index}")
            piece = target[place * row : (place + 1) * row]
            if os.preadv(self._handle, [piece], self._start + index * row) != row:
                raise damaged(self._path, "it has become shorter")
        return rows


def head_length(dtype: np.dtype[Any] | None) -> int:
    """How long the head of an array file is that this program writes."""
    return 0 if dtype is None else 128 if dtype.fields is None else 512


class Stream:
    """A file that is written in pieces and hashed on the way; arrays get their header at the end."""

    def __init__(self, path: Path, dtype: np.dtype[Any] | None) -> None:
        self._dtype = dtype
        self._head = head_length(dtype)
        self._digest = hashlib.blake2b(digest_size=32)
        self._stream = open(path, "wb", buffering=1 << 20)  # noqa: SIM115 (closed by finish or close)
        if dtype is not None:
            self._stream.write(bytes(self._head))

    def write(self, array: NDArray[Any]) -> None:
        """Add the values of an array."""
        content = np.ascontiguousarray(array).tobytes()
        self._digest.update(content)
        self._stream.write(content)

    def write_lines(self, values: Sequence[Mapping[str, Any]]) -> list[int]:
        """Add lines of JSON; returns their lengths in bytes."""
        lines = [(_ENCODER.encode(value) + "\n").encode("utf-8", "replace") for value in values]
        content = b"".join(lines)
        self._digest.update(content)
        self._stream.write(content)
        return [len(line) for line in lines]

    def flush(self) -> None:
        """Hand everything to the system: from then on a kill of this process takes nothing."""
        self._stream.flush()

    def digest(self) -> str:
        """The digest of what was written so far."""
        return self._digest.copy().hexdigest()

    def finish(self, shape: tuple[int, ...]) -> str:
        """Close the file, whole and on the disk; returns the digest of its content."""
        if self._dtype is not None:
            self._stream.seek(0)
            form = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
            head = repr(form).encode().ljust(self._head - 11) + b"\n"
            self._stream.write(npy.magic(1, 0) + len(head).to_bytes(2, "little") + head)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):
            self._stream.close()
