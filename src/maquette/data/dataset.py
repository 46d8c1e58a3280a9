"""A dataset on the disk: images and what is known about them as memory-mapped arrays that batches are cut from.

A dataset is a folder, by custom named `NAME.mq`:

    dataset.json            form, count, digests, the settings it was made with
    images.npy              N x height x width x channels, uint8 (uint16 for grey16)
    conditions/NAME.npy     one encoded condition of every image
    parts.npy, groups.npy   0 train, 1 held out; images of one group are never split between the parts
    items.jsonl             where each image came from, and what was said about it; offsets.npy finds the lines
    origins.npy             what the file behind each image was: size, format, quality (see data/origin.py)
    set_aside.jsonl         what was left out, and why

Files never change. A later edition (`data/edition.py`) has new files beside them, and dataset.json names which count.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.core import image
from maquette.core.errors import DataError, MaquetteError
from maquette.core.files import sync_folder
from maquette.core.spec import DataSpec
from maquette.data.decoding.arrays import Map, Stream, damaged, digest_file
from maquette.data.description import VERSION, read_description
from maquette.data.ingest.unfinished import ACTIVE, Journal, put_in_place, recover, remove_stale
from maquette.data.origin import ORIGIN

Part = Literal["train", "held-out"]
PARTS: tuple[Part, ...] = ("train", "held-out")
ASIDE = 2
"""In `parts.npy`: neither; the image was set aside and may come back."""
_RECORDS = ("items.jsonl", "set_aside.jsonl")
_BESIDE = ("offsets.npy", "origins.npy")
"""Arrays that say where images came from; the dataset's digest, which says what they are, leaves them out."""
_NAME = re.compile(r"\w[\w-]{0,63}")


class Dataset:
    """A finished dataset. Nothing of it is loaded whole; asking for images copies them out of their file."""

    def __init__(self, path: Path, description: Mapping[str, Any], spec: DataSpec) -> None:
        self.path, self.spec, self.description = path, spec, description
        self.digest: str = description["digest"]
        self.name = path.name.removesuffix(".mq")
        self._count: int = description["count"]
        arrays = layout(spec, self._count)
        if "origins.npy" not in description["records"]:  # Datasets that older versions made.
            del arrays["origins.npy"]
        self._files: dict[str, str] = description.get("files", {})
        self._maps = {file: Map(self.file(file), *form) for file, form in arrays.items()}
        try:
            self._items = open(self.file("items.jsonl"), "rb")  # noqa: SIM115
        except OSError as error:
            raise damaged(path / "items.jsonl", (error.strerror or str(error)).lower()) from None
        weakref.finalize(self, self._items.close)
        self._parts = np.array(self._maps["parts.npy"].array)
        self._indices: dict[str, NDArray[np.int64]] = {}
        _check_values(path, spec, self._parts, self._maps)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a dataset's folder; whatever is missing, damaged or of another size is said before anything is read."""
        path = Path(path)
        description = read_description(path)
        try:
            spec = DataSpec.from_json(description["spec"])
        except (MaquetteError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path / "dataset.json", f"the form of the images cannot be read ({error})") from None
        for condition in spec.conditions:
            if not _NAME.fullmatch(condition.name):
                raise damaged(path / "dataset.json", f"{condition.name!r} cannot be the name of a condition")
        if description["digest"] != digest_of(spec, description["count"], description["arrays"]):
            raise damaged(path / "dataset.json", "the digest does not belong to what it describes")
        return cls(path, description, spec)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        spec = self.spec
        return f"<Dataset {self.name}: {len(self)} images, {spec.width}x{spec.height} {spec.mode}>"

    def file(self, name: str) -> Path:
        """Where the file of that name lies in this edition."""
        return self.path / self._files.get(name, name)

    @property
    def in_use(self) -> int:
        """Images that were not set aside."""
        return int(np.count_nonzero(self._parts != ASIDE))

    @property
    def groups(self) -> NDArray[np.int32]:
        """The group of every image; images of one group are copies of each other or overlap."""
        return self._maps["groups.npy"].array

    def indices(self, part: Part) -> NDArray[np.int64]:
        """Which images belong to a part, in order."""
        if part not in self._indices:
            self._indices[part] = np.flatnonzero(self._parts == PARTS.index(part)).astype(np.int64)
        return self._indices[part]

    def images(self, indices: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """A copy of these images: n x height x width x channels."""
        return self._maps["images.npy"].take(np.asarray(indices, np.int64))

    def conditions(
        self, indices: Sequence[int] | NDArray[Any], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The encoded conditions of these images, each of shape (n, ...); all of them or those that are named."""
        chosen = np.asarray(indices, np.int64)
        asked = [condition.name for condition in self.spec.conditions] if names is None else names
        return {name: self._maps[_file(self.spec.condition(name).name)].take(chosen) for name in asked}

    def item(self, index: int) -> dict[str, Any]:
        """Where one image came from: path, digest of the file, rectangle in it if it was cut, and what was said."""
        offsets = self._maps["offsets.npy"].array
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has no item {index}")
        start, end = int(offsets[index]), int(offsets[index + 1])
        # Through a file of its own, which stays what it is when the dataset is replaced by a larger one.
        self._items.seek(start)
        return _line(self.path / "items.jsonl", self._items.read(max(0, end - start)))

    def origins(self) -> NDArray[np.void]:
        """What is known of the file behind each image: one row of `origin.ORIGIN` an image; zeros where nothing is."""
        known = self._maps.get("origins.npy")
        return np.zeros(len(self), ORIGIN) if known is None else known.array

    def set_aside(self) -> list[dict[str, Any]]:
        """What was left out of the dataset: path and reason; `item` where it was an image and may come back."""
        with open(path := self.file("set_aside.jsonl"), "rb") as stream:
            return [_line(path, line) for line in stream]

    def missing(self, name: str) -> int:
        """How many images lack that condition."""
        condition = self.spec.condition(name)
        values = self._maps[_file(condition.name)].array
        if condition.kind == "label":
            return int(np.count_nonzero(values < 0))
        if condition.kind == "number":
            return int(np.count_nonzero(np.isnan(values)))
        if condition.kind == "text":
            return int(np.count_nonzero(values[:, 0] == 0))
        return 0

    def facts(self) -> dict[str, Any]:
        """What every face says about a dataset that was just made."""
        return {
            "dataset": str(self.path), "kept": self.in_use, "held_out": len(self.indices("held-out")),
            "size": f"{self.spec.width}x{self.spec.height}", "mode": self.spec.mode,
            "conditions": [condition.name for condition in self.spec.conditions], "digest": self.digest,
            "set_aside": self.set_aside(),
        }  # fmt: skip

    def verify(self) -> None:
        """Read everything again and compare it with the digests; fails naming the file that changed."""
        expected = {**self.description["arrays"], **self.description["records"]}
        for file in (*layout(self.spec, self._count), *_RECORDS):
            if file in expected and digest_file(self.file(file)) != expected[file]:
                raise damaged(self.file(file), "its content has changed since the dataset was made")


class Writer:
    """Builds a dataset piece by piece in constant memory. Until `finish` there is no dataset, only a hidden folder.

    Use it as a context: leaving it without `finish` removes everything. Only when somebody stopped the work (Ctrl-C, a
    kill) what was written so far stays in the hidden folder, so that the same command can go on from there.
    """

    def __init__(
        self,
        to: str | os.PathLike[str],
        spec: DataSpec,
        *,
        settings: Mapping[str, Any],
        licences: Mapping[str, str] | None = None,
        replace: bool = False,
        keep: Path | None = None,
    ) -> None:
        """`replace`: a dataset that is there stays until this one is whole. `keep`: an unfinished one that is used."""
        self.to, self.spec, self.count = Path(to), spec, 0
        self._replace = replace
        self.settings, self.licences = dict(settings), dict(licences or {})
        for condition in spec.conditions:
            if not _NAME.fullmatch(condition.name):
                raise DataError(f"{condition.name!r} cannot be the name of a condition", do="use letters, digits and _")
        if self.to.exists() and not replace:
            raise DataError("it exists already", where=self.to, do="choose another name or remove it first")
        self._partial = self.to.with_name(f".{self.to.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
        ACTIVE.add(self._partial.name)
        self._streams: dict[str, Stream] = {}
        self._offset = 0
        with self._writing():
            remove_stale(self.to, keep)
            (self._partial / "conditions").mkdir(parents=True)
            for file, (_, dtype) in layout(spec, 0).items():
                self._streams[file] = Stream(self._partial / file, dtype)
            for file in _RECORDS:
                self._streams[file] = Stream(self._partial / file, None)
            self._journal = Journal.start(self._partial, spec, self.settings)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, (KeyboardInterrupt, GeneratorExit)) and self.count:
            self._close()
        else:
            self.abandon()

    def append(
        self,
        images: NDArray[Any],
        conditions: Mapping[str, NDArray[Any]],
        items: Sequence[Mapping[str, Any]],
        origins: NDArray[np.void] | None = None,
    ) -> None:
        """Add n images (n x height x width x channels), their encoded conditions (n, ...) and their records.

        `origins` has one row of `origin.ORIGIN` an image; without it, nothing is known of their files.
        """
        arrays = {"images.npy": images, **{_file(name): value for name, value in conditions.items()}}
        arrays["origins.npy"] = np.zeros(len(items), ORIGIN) if origins is None else origins
        for file, (shape, dtype) in layout(self.spec, len(items)).items():
            if file in ("parts.npy", "groups.npy", "offsets.npy"):
                continue
            if arrays[file].shape != shape or arrays[file].dtype != dtype:
                raise ValueError(f"{file}: {arrays[file].shape} {arrays[file].dtype} is not {shape} {dtype}")
        with self._writing():
            for file, array in arrays.items():
                self._streams[file].write(array)
            lengths = self._streams["items.jsonl"].write_lines(items)
            ends = self._offset + np.cumsum(lengths, dtype=np.int64)
            self._streams["offsets.npy"].write(ends - lengths)
            self._offset = int(ends[-1]) if len(items) else self._offset
            self.count += len(items)
            self._journal.note(self.count, self._offset, self._streams)

    def set_aside(self, path: str, reason: str) -> None:
        """Note that something was left out, and why."""
        with self._writing():
            self._streams["set_aside.jsonl"].write_lines([{"path": path, "reason": reason}])

    def finish(self, parts: NDArray[np.uint8], groups: NDArray[np.int32], *, spec: DataSpec | None = None) -> Dataset:
        """Write the parts and groups of all images, flush everything to the disk, and give the dataset its name.

        A `spec` of the same layout may replace the one from the start, when classes are only known now.
        """
        if spec is not None and layout(spec, self.count) != layout(self.spec, self.count):
            raise ValueError("the spec at the end has another layout than the one at the start")
        self.spec = spec or self.spec
        if not self.count:
            raise DataError("nothing was written into the dataset", where=self.to)
        if parts.shape != (self.count,) or groups.shape != (self.count,):
            raise ValueError("parts and groups have one value an image")
        with self._writing():
            self._streams["parts.npy"].write(parts.astype(np.uint8))
            self._streams["groups.npy"].write(groups.astype(np.int32))
            self._streams["offsets.npy"].write(np.array(self._offset, np.int64))
            arrays: dict[str, str] = {}
            records: dict[str, str] = {}
            for file, (shape, _) in layout(self.spec, self.count).items():
                digest = self._streams[file].finish(shape)
                if file not in _BESIDE:
                    arrays[file] = digest
                elif file == "origins.npy":
                    records[file] = digest
            for file in _RECORDS:
                records[file] = self._streams[file].finish(())
            self._describe(arrays, records)
            sync_folder(self._partial / "conditions")
            self._journal.remove()
            sync_folder(self._partial)
            put_in_place(self._partial, self.to)
            self._close()
            remove_stale(self.to)
        return Dataset(self.to, read_description(self.to), self.spec)

    def abandon(self) -> None:
        """Remove what was written so far. Does nothing after `finish`."""
        self._close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        ACTIVE.discard(self._partial.name)

    def _describe(self, arrays: Mapping[str, str], records: Mapping[str, str]) -> None:
        description = {
            "maquette": "dataset", "version": VERSION, "digest": digest_of(self.spec, self.count, arrays),
            "count": self.count, "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "spec": self.spec.to_json(), "settings": self.settings, "licences": self.licences,
            "arrays": dict(arrays), "records": dict(records),
        }  # fmt: skip
        with open(self._partial / "dataset.json", "wb") as stream:
            stream.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())
            stream.flush()
            os.fsync(stream.fileno())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.abandon()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else (error.strerror or str(error)).lower()
            before = "the one that was there is as it was" if self._replace else "nothing of it is left"
            raise DataError(
                f"the dataset could not be written ({reason}); {before}",
                where=self.to,
                do="free some space or choose another place" if full else "choose another place",
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:
            self.abandon()
            raise


def layout(spec: DataSpec, count: int) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The array files of a dataset of this form: name -> shape and type."""
    pixels = (count, spec.height, spec.width, spec.channels)
    return {
        "images.npy": (pixels, np.dtype(image.dtype(spec.mode))),
        **{
            _file(c.name): ((count, *c.shape(spec.height, spec.width)), np.dtype(c.dtype)) for c in spec.conditions
        },
        "parts.npy": ((count,), np.dtype(np.uint8)),
        "groups.npy": ((count,), np.dtype(np.int32)),
        "offsets.npy": ((count + 1,), np.dtype(np.int64)),
        "origins.npy": ((count,), ORIGIN),
    }  # fmt: skip


def digest_of(spec: DataSpec, count: int, arrays: Mapping[str, str]) -> str:
    """The digest of a dataset: what the images, conditions and parts are, wherever and whenever they were made."""
    content = {"spec": spec.to_json(), "count": count, "arrays": dict(sorted(arrays.items()))}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=32).hexdigest()


def existing(to: str | os.PathLike[str]) -> Dataset | None:
    """The dataset at that place, if there is one; fails if something else is there."""
    recover(Path(to))
    if not os.path.lexists(to):
        return None
    if not (Path(to) / "dataset.json").is_file():
        raise DataError("something else is here already", where=Path(to), do="choose another name or remove it first")
    return Dataset.open(to)


def already(to: str | os.PathLike[str], settings: Mapping[str, Any]) -> Dataset | None:
    """The dataset at that place if it was made with exactly these settings; fails if something else is there."""
    data = existing(to)
    if data is not None and data.description["settings"] != json.loads(json.dumps(settings)):
        do = "choose another name or remove it first"
        raise DataError("a dataset of other sources or settings is here already", where=Path(to), do=do)
    return data


def _file(condition: str) -> str:
    return f"conditions/{condition}.npy"


def _line(file: Path, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise damaged(file, "a line cannot be read") from None
    if not isinstance(value, dict):
        raise damaged(file, "a line is not a record")
    return value


def _check_values(path: Path, spec: DataSpec, parts: NDArray[np.uint8], maps: Mapping[str, Map]) -> None:
    if parts.size and int(parts.max()) > ASIDE:
        raise damaged(path / "parts.npy", "an image belongs to a part that does not exist")
    for condition in spec.conditions:
        if condition.kind == "label":
            values = maps[_file(condition.name)].array
            if int(values.min()) < -1 or int(values.max()) >= len(condition.classes):
                raise damaged(path / _file(condition.name), "a label lies outside the classes")
