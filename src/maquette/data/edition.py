"""Editions of a dataset: what repairing, labelling and removing change, without touching what was there before.

    data = revise(data, Changes(parts=parts, what="two images removed"), manifest={...})
    data = go_back(data)          # the edition before, with its digest

Files of a dataset are never written again. A new edition has new files beside the old ones (`parts.2.npy`), and
dataset.json, which says which files count, is replaced in one step; the one before it is kept as `editions/1.json`, and
what was decided about which image, by which check, as `editions/2.manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.files import make_folder, write_json
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, digest_of
from maquette.data.decoding.arrays import Stream
from maquette.store.disk import writing
from maquette.store.lock import Held, file_lock

_PIECE = 4096
_MOST = 10**6
"""Editions a dataset may have."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be other than before; the rest stays as it is."""

    what: str
    """In a few words, for people."""
    parts: NDArray[np.uint8] | None = None
    spec: DataSpec | None = None
    conditions: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Encoded conditions, old or new ones, one value an image."""
    images: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = field(default_factory=dict)
    """For single images: from the pixels as they are to the pixels as they should be."""
    set_aside: Sequence[Mapping[str, Any]] | None = None
    """The whole new list."""

    def __bool__(self) -> bool:
        given = (self.parts, self.spec, self.set_aside)
        return bool(self.conditions or self.images or any(part is not None for part in given))


def number(data: Dataset) -> int:
    """Which edition this is; the first is 1."""
    said = data.description.get("edition", 1)
    return said if isinstance(said, int) else 1


def history(data: Dataset) -> list[dict[str, Any]]:
    """Every edition up to this one: edition, what, created, digest."""
    found = data.description.get("history", [])
    first = {"edition": 1, "what": "ingested", "created": data.description.get("created", "")}
    return [first, *found] if isinstance(found, list) else [first]


def revise(data: Dataset, changes: Changes, *, manifest: Mapping[str, Any] | None = None) -> Dataset:
    """Make a new edition. Nothing of the one before is changed; whoever reads it goes on reading it."""
    with _Alone(data):
        fresh = _next(data)
        spec = changes.spec or data.spec
        description = json.loads(json.dumps(data.description))
        files, arrays, records = description.setdefault("files", {}), description["arrays"], description["records"]

        def put(file: str, pieces: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> None:
            stem = file.rpartition(".")[0]
            files[file] = f"{stem}.{fresh}.npy"
            arrays[file] = _write_array(data.path / files[file], pieces, shape, dtype)

        count = len(data)
        if changes.parts is not None:
            put("parts.npy", iter([changes.parts.astype(np.uint8)]), (count,), np.dtype(np.uint8))
        for name, values in changes.conditions.items():
            condition = spec.condition(name)
            shape = (count, *condition.shape(spec.height, spec.width))
            if values.shape != shape:
                raise ValueError(f"{name}: {values.shape} is not {shape}")
            dtype = np.dtype(condition.dtype)
            put(f"conditions/{name}.npy", iter([values.astype(dtype)]), shape, dtype)
        if changes.images:
            first = data.images([0])
            put("images.npy", _pictures(data, changes.images), (count, *first.shape[1:]), first.dtype)
        if changes.set_aside is not None:
            files["set_aside.jsonl"] = f"set_aside.{fresh}.jsonl"
            records["set_aside.jsonl"] = _write_lines(data.path / files["set_aside.jsonl"], changes.set_aside)
        description |= {
            "spec": spec.to_json(), "digest": digest_of(spec, count, arrays), "edition": fresh,
            "created": datetime.now(UTC).isoformat(timespec="seconds"), "before": number(data),
        }  # fmt: skip
        entry = {key: description[key] for key in ("edition", "created", "digest")} | {"what": changes.what}
        description["history"] = [*data.description.get("history", []), entry]
        if manifest is not None:
            about = {"edition": fresh, "digest": description["digest"], "before": data.digest, "what": changes.what}
            _write(data.path / "editions" / f"{fresh}.manifest.json", {**about, **manifest})
        _write(_kept(data, number(data)), data.description)
        _write(data.path / "dataset.json", description)
    return Dataset.open(data.path)


def go_back(data: Dataset) -> Dataset:
    """Take the last change back: the edition before is the current one again, digest and all."""
    with _Alone(data):
        before = data.description.get("before")
        kept = _kept(data, before) if isinstance(before, int) else None
        if kept is None or not kept.is_file():
            raise DataError("there is nothing to take back", where=data.path, do="it is as it was ingested")
        _write(_kept(data, number(data)), data.description)
        _write(data.path / "dataset.json", json.loads(kept.read_bytes()))
    return Dataset.open(data.path)


def _kept(data: Dataset, edition: int) -> Path:
    return data.path / "editions" / f"{edition}.json"


def _next(data: Dataset) -> int:
    """A number that no edition has had, also none that was taken back."""
    folder = data.path / "editions"
    had = [int(path.name.split(".")[0]) for path in folder.glob("*.json") if path.name.split(".")[0].isdigit()]
    fresh = max([number(data), *had]) + 1
    if fresh > _MOST:
        raise DataError(f"it has had {fresh:,} editions", where=data.path, do="make it again with maquette ingest")
    return fresh


class _Alone:
    """Holds the dataset's lock, and sees to it that it is still the edition that was opened."""

    def __init__(self, data: Dataset) -> None:
        self._data, self._lock = data, file_lock(data.path / ".lock")

    def __enter__(self) -> None:
        try:
            self._lock.__enter__()
        except Held as held:
            raise DataError(
                f"another process ({held.pid}) is changing it", where=self._data.path, do="wait until it is done"
            ) from None
        if Dataset.open(self._data.path).description != self._data.description:
            self._lock.__exit__(None, None, None)
            raise DataError("it was changed meanwhile", where=self._data.path, do="run the command again")

    def __exit__(self, *given: Any) -> None:
        self._lock.__exit__(*given)


def _pictures(data: Dataset, changed: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]]) -> Iterator[NDArray[Any]]:
    """All images, those that are to change changed."""
    for start in range(0, len(data), _PIECE):
        images = data.images(np.arange(start, min(len(data), start + _PIECE)))
        for index in changed.keys() & set(range(start, start + len(images))):
            images[index - start] = changed[index](images[index - start])
        yield images


def _write_array(path: Path, pieces: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> str:
    with writing("the new edition", path, DataError):
        make_folder(path.parent)
        stream = Stream(path, dtype)
        try:
            for piece in pieces:
                stream.write(piece)
            return stream.finish(shape)
        except BaseException:
            stream.close()
            path.unlink(missing_ok=True)
            raise


def _write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> str:
    with writing("the new edition", path, DataError):
        stream = Stream(path, None)
        try:
            for line in lines:
                stream.write_lines([line])
            return stream.finish(())
        except BaseException:
            stream.close()
            path.unlink(missing_ok=True)
            raise


def _write(path: Path, value: Mapping[str, Any]) -> None:
    with writing("the new edition", path, DataError):
        write_json(path, value)
