"""Where the images of `sample` go: a file each, or many in one tar file; and the lines that say what they are.

Whatever the number of images, nothing of them stays in memory but the names that the result holds.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

from maquette.core.errors import DataError
from maquette.core.files import atomic_file, write_bytes
from maquette.operations._making import Piece, record
from maquette.trust.press import Press

if TYPE_CHECKING:
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace

KNOWN_AT_ONCE = 64
"""Images that the index is told of together."""


class Output(Protocol):
    """Takes images as they come. Use it as a context: what is not whole goes when it is left by an error."""

    count: int
    """Images so far."""
    files: list[str]
    seeds: list[int]
    """One for each file: of an image its seed, of a tar file that of its first image."""

    def __enter__(self) -> Output: ...
    def __exit__(self, *error: Any) -> None: ...
    def add(self, name: str, piece: Piece, asked: Mapping[str, Any]) -> None:
        """Write an image under that name."""
        ...

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write what is said of all of them."""
        ...


class Files:
    """A file each, and their lines in samples.jsonl; the workspace's index knows every one."""

    def __init__(self, to: Path, press: Press, run: Run, workspace: Workspace) -> None:
        self.count, self.files, self.seeds = 0, list[str](), list[int]()
        self._to, self._press, self._run, self._index = to, press, str(run.path), workspace.index
        self._open = contextlib.ExitStack()
        self._lines: IO[bytes] = io.BytesIO()
        self._new: list[dict[str, Any]] = []

    def __enter__(self) -> Files:
        self._lines = self._open.enter_context(tempfile.TemporaryFile(prefix="maquette-"))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def add(self, name: str, piece: Piece, asked: Mapping[str, Any]) -> None:
        """Write an image under that name."""
        path = self._to / name
        manifest = self._press.write(path, piece.content, piece.manifest)
        self._lines.write((record(name, piece.seed, manifest.digest, asked) + "\n").encode())
        self._new.append({"run": self._run, "seed": piece.seed, "manifest": manifest.digest, "mark": piece.mark})
        self.files.append(str(path))
        self.seeds.append(piece.seed)
        self.count += 1
        if len(self._new) >= KNOWN_AT_ONCE:
            self._tell()

    def _tell(self) -> None:
        self._index.add_images(self.files[len(self.files) - len(self._new) :], self._new)
        self._new = []

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Tell the index, and write the lines."""
        self._tell()
        self._lines.seek(0)
        _join(self._to, self._lines, facts)


class Shards:
    """Tar files of so many images each, as WebDataset has them: an image, and what it was asked to be as JSON. Beside
    each lie its lines. A tar file is there when it is whole."""

    def __init__(self, to: Path, size: int, ending: str, facts: Mapping[str, Any]) -> None:
        self.count, self.files, self.seeds = 0, list[str](), list[int]()
        self._to, self._size, self._ending = to, size, ending
        self._head = json.dumps({"samples": facts}, ensure_ascii=False)
        self._open = contextlib.ExitStack()
        self._tar: tarfile.TarFile | None = None
        self._lines: list[str] = []

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.__exit__(kind, error, at)

    def finished(self, seeds: range) -> range:
        """The seeds that are still to be made: the same command made whole tar files of the first ones before."""
        while len(seeds) and (path := self._path(f"seed-{seeds[0]:08d}")).exists():
            own = seeds[: self._size]
            lines = _lines(path.with_suffix(".jsonl"))
            if lines[:1] != [self._head] or len(lines) != 1 + len(own):
                raise DataError("images of another kind are there already", where=path, do="choose another folder")
            self._note(path, own[0], len(own))
            seeds = seeds[self._size :]
        return seeds

    def add(self, name: str, piece: Piece, asked: Mapping[str, Any]) -> None:
        """Put an image into the tar file that is open."""
        stem = name.removesuffix(self._ending)
        if self._tar is None:
            path = self._path(stem)
            if path.exists():
                raise DataError("images are there already", where=path, do="choose another folder")
            stream = self._open.enter_context(atomic_file(path))
            self._tar = self._open.enter_context(tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT))
            self._note(path, piece.seed, 0)
        _put(self._tar, name, piece.content)
        said = {key: value for key, value in asked.items() if value is not None}
        if said:
            _put(self._tar, f"{stem}.json", json.dumps(said, ensure_ascii=False).encode())
        self._lines.append(record(f"{Path(self.files[-1]).name}/{name}", piece.seed, piece.manifest.digest, asked))
        self.count += 1
        if len(self._lines) >= self._size:
            self._close()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Close the last tar file."""
        if self._tar is not None:
            self._close()

    def _close(self) -> None:
        lines = Path(self.files[-1]).with_suffix(".jsonl")
        write_bytes(lines, ("\n".join([self._head, *self._lines]) + "\n").encode())
        self._open.close()
        self._tar, self._lines = None, []

    def _path(self, stem: str) -> Path:
        return self._to / f"{stem}.tar"

    def _note(self, path: Path, seed: int, count: int) -> None:
        self.files.append(str(path))
        self.seeds.append(seed)
        self.count += count


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), int(time.time())
    tar.addfile(info, io.BytesIO(content))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").rstrip("\n").split("\n")
    except OSError:
        return []


def write_records(to: Path, records: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """One line an image, beside the images: its seed and what it was asked to be."""
    _join(to, io.BytesIO("".join(f"{line}\n" for line in records.values()).encode()), facts)


def _join(to: Path, new: IO[bytes], facts: Mapping[str, Any]) -> None:
    """Add lines to samples.jsonl. What stands there about other images of the folder stays, each part under the head
    that says what made it."""
    path = to / "samples.jsonl"
    before = _lines(path)
    again = {_file_of(line.decode()) for line in new} if before else set()  # nothing to look for in an empty folder
    new.seek(0)
    with atomic_file(path) as stream:
        for line in _kept([*before, json.dumps({"samples": facts}, ensure_ascii=False)], again):
            stream.write(f"{line}\n".encode())
        shutil.copyfileobj(new, stream)


def _kept(lines: Iterable[str], again: set[str | None]) -> Iterator[str]:
    """The lines of other images; a head under which nothing is left goes."""
    head = ""
    for line in lines:
        if line.startswith(_HEAD):
            head = line
        elif _file_of(line) not in again:
            if head:
                yield head
                head = ""
            yield line
    if head:
        yield head  # that of the images that follow


_HEAD = '{"samples":'


def _file_of(line: str) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    file = record.get("file") if isinstance(record, dict) else None
    return file if isinstance(file, str) else None
