"""NumPy arrays: one .npy, or an .npz with arrays of images and of labels. Read image by image, and never as objects.

What the numbers mean is guessed from shape, type and range, and said aloud.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.core.errors import DataError
from maquette.data.dataset import Part
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.source import SPLITS, Entry

_IMAGES = ("images", "image", "x", "data", "samples", "arr_0", "imgs", "pixels", "frames")
_LABELS = ("labels", "label", "y", "targets", "target", "classes", "class")
_CHANNELS = (1, 3, 4)
_MOST_COLUMN = 64 << 20
_MOST_ARRAYS = 64


@dataclass(frozen=True)
class _Stack:
    """An array of images: where it is, and what its numbers mean."""

    name: str
    count: int
    shape: tuple[int, ...]
    """Of one image, as it lies in the file."""
    first: bool
    """Channels come first."""
    dtype: np.dtype[Any]
    low: float = 0.0
    high: float = 255.0
    part: Part | None = None


class Arrays:
    """The images of an array file."""

    contained = True
    names: Mapping[str, tuple[str, ...]] = {}
    pictures: frozenset[str] = frozenset()

    def __init__(self, path: Path, limits: Limits) -> None:
        self.where, self._path, self._limits = str(path), path, limits
        self.notes: list[str] = []
        self.private = False
        with open(path, "rb") as stream:
            self._zipped = stream.read(2) == b"PK"
        if self._zipped:
            try:
                with zipfile.ZipFile(path) as archive:
                    infos = archive.infolist()
            except (zipfile.BadZipFile, NotImplementedError) as error:
                raise Refused(f"the archive of arrays is damaged ({str(error)[:80]})") from None
            if len(infos) > _MOST_ARRAYS or not all(info.filename.endswith(".npy") for info in infos):
                raise Refused(f"it holds something else than up to {_MOST_ARRAYS} arrays")
            self._lengths = {info.filename.removesuffix(".npy"): info.file_size for info in infos}
            self._arrays = list(self._lengths)
        else:
            self._arrays = [path.name.removesuffix(".npy")]

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """An array file by its first letters; a zip of arrays if it is called .npz."""
        if head[:6] == b"\x93NUMPY":
            return 10
        return 11 if head[:2] == b"PK" and path.suffix.lower() == ".npz" else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry | None]:
        """All images, array by array."""
        stacks = yield from self._stacks()
        for stack in stacks:
            columns = self._columns(stack)
            where = f"{stack.name} " if self._zipped else ""
            pixels = self._pixels(stack) if content else (None for _ in range(stack.count))
            for number, values in enumerate(pixels):
                said = {name: column[number].item() for name, column in columns.items()}
                entry = Entry(path=f"{where}image {number}", said=said, part=stack.part)
                if values is None:
                    yield entry
                    continue
                try:
                    yield Entry(path=entry.path, content=_file(values, stack), said=said, part=stack.part)
                except Refused as error:
                    yield Entry(path=entry.path, said=said, part=stack.part, trouble=str(error))

    def sample(self, count: int) -> Iterator[Entry | None]:
        """Images from the front."""
        found = 0
        for entry in self.entries():
            yield entry
            found += entry is not None
            if found >= count:
                return

    def _open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        if not self._zipped:
            return open(self._path, "rb")
        archive = zipfile.ZipFile(self._path)
        return archive.open(f"{name}.npy")

    def _header(self, stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        try:
            version = npy.read_magic(stream)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
            if read is None:
                raise ValueError("another version")
            shape, fortran, dtype = read(stream)
        except (ValueError, SyntaxError, TypeError, RecursionError, zlib.error, EOFError):
            raise Refused(f"{name} is damaged or not an array of NumPy") from None
        if dtype.hasobject:
            raise Refused(f"{name} holds Python objects, which are never read; save plain numbers")
        if dtype.fields is not None or any(side < 0 for side in shape):
            raise Refused(f"{name} holds something else than plain numbers")
        length = self._lengths[name] if self._zipped else self._path.stat().st_size
        if math.prod(shape) * dtype.itemsize > length:
            raise Refused(f"{name} is shorter than it says")
        if fortran and len(shape) > 1:
            raise Refused(f"{name} is stored column by column; save numpy.ascontiguousarray of it")
        return shape, dtype

    def _stacks(self) -> Generator[None, None, list[_Stack]]:
        """The arrays that hold images (returned at the end), after a look at the range of their numbers."""
        found: list[_Stack] = []
        for name in self._arrays:
            with self._open(name) as stream:
                shape, dtype = self._header(stream, name)
            stack = _meaning(name, shape, dtype)
            if stack is not None:
                found.append(stack)
        if self._zipped:
            known = [stack for stack in found if _stem(stack.name) in _IMAGES]
            found = known or found[:1]
        if not found:
            raise DataError(
                f"it has no array of images (its arrays: {', '.join(self._arrays)[:200]})", where=self._path,
                do="give numbers of the shape N x height x width x channels",
            )  # fmt: skip
        result = []
        for stack in found:
            if math.prod(stack.shape) > self._limits.pixels:
                raise Refused(f"an image of {stack.name} has more pixels than are read")
            low, high = yield from self._range(stack)
            result.append(self._understood(stack, low, high))
        return result

    def _range(self, stack: _Stack) -> Generator[None, None, tuple[float, float]]:
        """The least and the greatest number; only types that can hold anything are looked through."""
        if stack.dtype in (np.dtype(bool), np.dtype(np.uint8)) or stack.dtype == np.dtype(np.uint16):
            return 0.0, {"b": 1.0}.get(stack.dtype.kind, 255.0 if stack.dtype.itemsize == 1 else 65535.0)
        low, high = math.inf, -math.inf
        for number, values in enumerate(self._pixels(stack)):
            finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            if number % 64 == 0:
                yield None
        return low, high

    def _understood(self, stack: _Stack, low: float, high: float) -> _Stack:
        """The stack with the range that its numbers are taken to have; says what was understood."""
        ranges = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))
        if stack.dtype.kind == "u" and stack.dtype.itemsize <= 2:
            chosen: tuple[float, float] | None = (0.0, high)
        elif stack.dtype.kind in "iu":
            chosen = next((r for r in ranges[2:] if r[0] <= low and high <= r[1]), None)
        elif stack.dtype.kind == "b":
            chosen = (0.0, 1.0)
        else:
            chosen = next((r for r in ranges if r[0] <= low and high <= r[1]), None)
        if chosen is None:
            raise Refused(f"the numbers of {stack.name} go from {low:g} to {high:g}; scale them to 0 to 1 or 0 to 255")
        order = "N x channels x height x width" if stack.first else "N x height x width"
        order += " x channels" if len(stack.shape) == 3 and not stack.first else ""
        note = f"{stack.name}: {stack.count:,} images, taken as {order}; {chosen[0]:g} is black and {chosen[1]:g} white"
        if note not in self.notes:
            self.notes.append(note)
        part = SPLITS.get(stack.name.lower().rpartition("_")[2])
        return _Stack(stack.name, stack.count, stack.shape, stack.first, stack.dtype, *chosen, part)

    def _pixels(self, stack: _Stack) -> Iterator[NDArray[Any]]:
        """One image after the other, as it lies in the file."""
        size = math.prod(stack.shape) * stack.dtype.itemsize
        with self._open(stack.name) as stream:
            self._header(stream, stack.name)
            for _ in range(stack.count):
                try:
                    raw = stream.read(size)
                except (zlib.error, zipfile.BadZipFile, EOFError) as error:
                    raise Refused(f"{stack.name} is damaged ({str(error)[:80]})") from None
                if len(raw) != size:
                    raise Refused(f"{stack.name} is shorter than it says")
                yield np.frombuffer(raw, stack.dtype).reshape(stack.shape)

    def _columns(self, stack: _Stack) -> dict[str, NDArray[Any]]:
        """What other arrays of the file say about the images: labels, numbers, words."""
        found = {}
        for name in self._arrays if self._zipped else ():
            same = "_" not in stack.name or name.rpartition("_")[2] == stack.name.rpartition("_")[2]
            if name == stack.name or not same:
                continue
            with self._open(name) as stream:
                shape, dtype = self._header(stream, name)
                length = math.prod(shape) * dtype.itemsize
                flat = shape in ((stack.count,), (stack.count, 1))
                if not flat or dtype.kind not in "biufU" or length > _MOST_COLUMN:
                    continue
                raw = stream.read(length)
            if len(raw) != length:
                raise Refused(f"{name} is shorter than it says")
            title = "label" if _stem(name) in _LABELS else _stem(name)
            found[title] = np.frombuffer(raw, dtype).reshape(stack.count)
        return found


def _stem(name: str) -> str:
    """The name without the part it belongs to: x for x_train."""
    stem, _, part = name.lower().rpartition("_")
    return stem if stem and part in SPLITS else name.lower()


def _meaning(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Stack | None:
    """What an array of this shape holds, if it can be images."""
    if dtype.kind not in "biuf" or not all(shape):
        return None
    if len(shape) == 2:
        return _Stack(name, 1, shape, False, dtype) if min(shape) >= 8 else None
    if len(shape) == 3:
        if shape[2] in _CHANNELS[1:] and min(shape[:2]) >= 8:
            return _Stack(name, 1, shape, False, dtype)
        if shape[0] in _CHANNELS and min(shape[1:]) > 4 and shape[0] != 1:
            return _Stack(name, 1, shape, True, dtype)
        return _Stack(name, shape[0], shape[1:], False, dtype)
    if len(shape) == 4:
        if shape[3] in _CHANNELS:
            return _Stack(name, shape[0], shape[1:], False, dtype)
        if shape[1] in _CHANNELS:
            return _Stack(name, shape[0], shape[1:], True, dtype)
    return None


def _file(values: NDArray[Any], stack: _Stack) -> bytes:
    """One image as the bytes of a file that the decoding workers read: 16 bits are kept where it is grey."""
    if stack.first:
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Refused("it holds numbers that are not finite")
    deep = values.ndim == 2 and (values.dtype.kind == "f" or stack.high > 255)
    if values.dtype != np.uint8 or stack.high != 255:
        most = 65535.0 if deep else 255.0
        scaled = (values.astype(np.float64) - stack.low) * (most / (stack.high - stack.low))
        values = np.rint(np.clip(scaled, 0, most)).astype(np.uint16 if deep else np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(values)).save(stream, "TIFF")
    return stream.getvalue()


SOURCE = Arrays
