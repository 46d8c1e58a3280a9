"""What was made before and need not be made again: images of a dataset that is added to, or of an unfinished one."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import MaquetteError
from maquette.core.spec import DataSpec
from maquette.data.dataset import PARTS, Dataset, Part, layout
from maquette.data.decoding.arrays import head_length
from maquette.data.ingest.unfinished import BEGUN, journal_lines, stale, whole_pieces


def root_of(where: str) -> str:
    """Where a source lies, however it was written."""
    return os.path.abspath(os.path.expanduser(where))


def key_of(root: str, path: str, stamp: str) -> int:
    """A number for one version of one file of a source; 0 stands for: not known."""
    if not stamp:
        return 0
    text = f"{root}\0{path}\0{stamp}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


class Store(Protocol):
    """Where rows are read from."""

    spec: DataSpec

    def images(self, indices: NDArray[Any]) -> NDArray[Any]:
        """Some images."""
        ...

    def conditions(self, indices: NDArray[Any], names: list[str]) -> Mapping[str, NDArray[Any]]:
        """Some conditions that are pictures."""
        ...

    def origins(self) -> NDArray[np.void]:
        """Where all images came from."""
        ...

    def item(self, index: int) -> dict[str, Any]:
        """What is known about one image."""
        ...


class Previous:
    """Images that were made before, found again by their key."""

    def __init__(self, store: Store, count: int, parts: NDArray[np.uint8] | None = None, folder: Path | None = None):
        self._store, self.count, self._parts, self.folder = store, count, parts, folder
        self.spec = store.spec
        keys = np.asarray(store.origins()["key"][:count])
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    @classmethod
    def of_dataset(cls, data: Dataset) -> Previous:
        """All of a finished dataset."""
        parts = np.zeros(len(data), np.uint8)
        parts[data.indices("held-out")] = 1
        return cls(data, len(data), parts)

    def rows(self, key: int) -> NDArray[np.int64]:
        """The images that a file became, in order; none if it is not known."""
        if not key:
            return np.zeros(0, np.int64)
        first, last = (int(np.searchsorted(self._keys, np.uint64(key), side)) for side in ("left", "right"))
        return np.sort(self._order[first:last])

    def images(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Their pixels."""
        return self._store.images(rows)

    def pictures(self, rows: NDArray[np.int64], names: list[str]) -> Mapping[str, NDArray[Any]]:
        """Their conditions that are pictures."""
        return self._store.conditions(rows, names) if names else {}

    def item(self, row: int) -> dict[str, Any]:
        """Path, digest and conditions."""
        return self._store.item(int(row))

    def origin(self, row: int) -> tuple[Any, ...]:
        """The values of its origin."""
        return tuple(self._store.origins()[int(row)].item())

    def part(self, row: int) -> Part | None:
        """The part it has, if it has one already."""
        return None if self._parts is None else PARTS[int(self._parts[row])]


def unfinished(to: Path, settings: Mapping[str, Any]) -> Previous | None:
    """What a stopped ingest with the same settings left of this dataset, as far as it is whole; the longest if several.

    The last file's images are left out: there may be more of them than were written.
    """
    best: Previous | None = None
    for folder in stale(to):
        try:
            begun = json.loads((folder / BEGUN).read_text("utf-8"))
            spec = DataSpec.from_json(begun["spec"])
        except (OSError, ValueError, KeyError, TypeError, MaquetteError):
            continue
        if begun.get("settings") != json.loads(json.dumps(dict(settings))):
            continue
        count = _whole(folder, spec)
        if not count or (best is not None and best.count >= count):
            continue
        files = _Files(folder, spec, count)
        keys = files.origins()["key"]
        while count and keys[count - 1] == keys[len(keys) - 1]:
            count -= 1
        if count:
            best = Previous(files, count, folder=folder)
    return best


def _whole(folder: Path, spec: DataSpec) -> int:
    """How many images the journal says are whole, and the files agree."""
    lines = journal_lines(folder)
    forms = layout(spec, 1)
    for name in lines[0]["digests"] if lines else ():
        if name == "items.jsonl":
            head, ends = 0, [int(line["offset"]) for line in lines]
        elif name in forms:
            shape, dtype = forms[name]
            head, row = head_length(dtype), int(np.prod(shape)) * dtype.itemsize
            ends = [int(line["count"]) * row for line in lines]
        else:
            return 0
        lines = lines[: whole_pieces(folder / name, head, ends, [str(line["digests"].get(name)) for line in lines])]
    return int(lines[-1]["count"]) if lines else 0


class _Files:
    """The files of an unfinished dataset. They stay open, so that removing the folder takes nothing away."""

    def __init__(self, folder: Path, spec: DataSpec, count: int) -> None:
        self.spec, self._forms = spec, layout(spec, 1)
        names = ["images.npy", "origins.npy", "items.jsonl"]
        names += [name for name in self._forms if name.startswith("conditions/")]
        self._files = {name: open(folder / name, "rb", buffering=0) for name in names}  # noqa: SIM115
        for file in self._files.values():
            weakref.finalize(self, file.close)
        self._origins = self._rows("origins.npy", np.arange(count))
        lengths = np.zeros(count + 1, np.int64)
        with open(folder / "items.jsonl", "rb") as stream:
            for number in range(count):
                lengths[number + 1] = len(stream.readline())
        self._offsets = np.cumsum(lengths)

    def images(self, indices: NDArray[Any]) -> NDArray[Any]:
        return self._rows("images.npy", indices)

    def conditions(self, indices: NDArray[Any], names: list[str]) -> Mapping[str, NDArray[Any]]:
        return {name: self._rows(f"conditions/{name}.npy", indices) for name in names}

    def origins(self) -> NDArray[np.void]:
        return self._origins

    def item(self, index: int) -> dict[str, Any]:
        start, end = int(self._offsets[index]), int(self._offsets[index + 1])
        value: dict[str, Any] = json.loads(self._read("items.jsonl", start, end - start))
        return value

    def _rows(self, name: str, indices: NDArray[Any]) -> NDArray[Any]:
        shape, dtype = self._forms[name]
        row = int(np.prod(shape)) * dtype.itemsize
        first = int(indices[0]) if len(indices) else 0
        if len(indices) and np.array_equal(indices, np.arange(first, first + len(indices))):
            raw = self._read(name, head_length(dtype) + first * row, row * len(indices))
        else:
            raw = b"".join(self._read(name, head_length(dtype) + int(index) * row, row) for index in indices)
        return np.frombuffer(raw, dtype).reshape(len(indices), *shape[1:])

    def _read(self, name: str, start: int, length: int) -> bytes:
        file = self._files[name]
        file.seek(start)
        found = bytearray()
        while len(found) < length and (piece := file.read(length - len(found))):
            found += piece
        return bytes(found)
