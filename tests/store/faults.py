"""Disks that fail: a watch over all that a piece of work does to the files under one folder.

`Disk` records every operation and keeps, beside the real folder, what a disk would hold after a power cut: data that
was not synced may be lost, cut short or zeroed, and what happened to names in a folder that was not synced may be
undone in any combination. It can also fail the k-th operation with an error of the system.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import errno
import io
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHORT = 1500
"""The most bytes that one write takes, so that a file of a few kilobytes is written in several."""


@dataclass(eq=False)
class File:
    """A file: what is seen, and what is safe on the disk."""

    data: bytearray
    safe: bytes = b""

    def survivals(self) -> list[bytes]:
        """What may be left of it after a power cut."""
        now = bytes(self.data)
        if now == self.safe:
            return [now]
        start = len(self.safe) if now.startswith(self.safe) else 0  # what was synced before an addition stays
        half = now[: start + (len(now) - start) // 2]
        return list(dict.fromkeys([self.safe, now, half, now[:start] + bytes(len(now) - start)]))


@dataclass(eq=False)
class Folder:
    """A folder: its names as they are seen, as they are safe, and what lies between, in order."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, ...]] = field(default_factory=list)
    moved: list[File | Folder | None] = field(default_factory=list)

    def change(self, *what: str, node: File | Folder | None = None) -> None:
        """Note a change of names: ("add", name), ("remove", name) or ("rename", old, new)."""
        self.pending.append(what)
        self.moved.append(node)

    def sync(self) -> None:
        """All names are safe now."""
        self.safe, self.pending, self.moved = dict(self.names), [], []

    def after(self, chosen: tuple[bool, ...]) -> dict[str, File | Folder]:
        """The names after a power cut in which the chosen changes reached the disk."""
        names = dict(self.safe)
        for what, node, reached in zip(self.pending, self.moved, chosen, strict=True):
            if not reached:
                continue
            if what[0] in ("remove", "rename"):
                names.pop(what[1], None)
            if what[0] in ("add", "rename") and node is not None:
                names[what[-1]] = node
        return names


class Disk:
    """Watches a folder while work is done in it (`with disk.watched():`)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.count = 0
        self.log: list[str] = []
        self.moments: list[Folder] = []
        self.fail_at: int | None = None
        self.fail_with = errno.EIO
        self.stays_broken = False
        self.failed = 0
        self._by_number: dict[int, File | Folder] = {}
        self.tree = self._scan(self.root)

    def _scan(self, path: Path) -> Folder:
        folder = Folder()
        self._by_number[os.stat(path).st_ino] = folder
        for child in path.iterdir():
            if child.is_dir():
                folder.names[child.name] = self._scan(child)
            else:
                data = child.read_bytes()
                folder.names[child.name] = File(bytearray(data), data)
                self._by_number[os.stat(child).st_ino] = folder.names[child.name]
        folder.sync()
        return folder

    def at(self, path: Any) -> tuple[Folder, str] | None:
        """The folder and the name of a path under the watched folder."""
        if not isinstance(path, (str, os.PathLike)):
            return None
        # The folder is resolved, the name is not: a link is an entry of its own.
        whole = Path(os.path.realpath(os.path.dirname(os.path.abspath(path)))) / os.path.basename(os.fspath(path))
        if self.root not in whole.parents:
            return None
        parts = whole.relative_to(self.root).parts
        folder: File | Folder = self.tree
        for part in parts[:-1]:
            folder = folder.names[part]  # type: ignore[union-attr]
        assert isinstance(folder, Folder)
        return folder, parts[-1]

    def step(self, what: str, path: Any, *, frees: bool = False) -> None:
        """Count an operation, and fail it when its turn has come. What only frees space never finds a full disk."""
        self.count += 1
        self.log.append(f"{what} {os.path.basename(os.fspath(path))}")
        if self.fail_at is None or (frees and self.fail_with != errno.EIO):
            return
        if self.count == self.fail_at or (self.stays_broken and self.count > self.fail_at):
            self.failed += 1
            raise OSError(self.fail_with, os.strerror(self.fail_with), os.fspath(path))

    def done(self) -> None:
        """An operation has happened: keep what the disk holds now."""
        if self.fail_at is None:
            self.moments.append(copy.deepcopy(self.tree))

    def node(self, number: int) -> File | Folder | None:
        """The file or folder of that inode."""
        return self._by_number.get(number)

    def made(self, path: Any, node: File | Folder) -> None:
        """A new file or folder has a name now."""
        place = self.at(path)
        assert place is not None
        place[0].names[place[1]] = node
        place[0].change("add", place[1], node=node)
        self._by_number[os.stat(path).st_ino] = node

    @contextlib.contextmanager
    def watched(self) -> Iterator[Disk]:
        """All that goes through Python's own functions is seen, and nothing else is changed."""
        real = {name: getattr(os, name) for name in _WATCHED}
        opened = builtins.open
        fakes = _fakes(self, real)
        try:
            for name, fake in fakes.items():
                setattr(os, name, fake)
            builtins.open = io.open = _opener(self, opened)  # type: ignore[assignment]
            yield self
        finally:
            builtins.open = io.open = opened
            for name, function in real.items():
                setattr(os, name, function)

    # After the power cut

    def power_cuts(self, moment: Folder, most: int, chance: random.Random) -> Iterator[Folder]:
        """What the disk may hold after a power cut at this moment: all possibilities, or `most` of them by chance."""
        folders, files = _nodes(moment)
        dirty = [folder for folder in folders if folder.pending]
        loose = [file for file in files if len(file.survivals()) > 1]
        choices: list[list[Any]] = [list(itertools.product((False, True), repeat=len(f.pending))) for f in dirty]
        choices += [list(range(len(file.survivals()))) for file in loose]
        total = 1
        for choice in choices:
            total *= len(choice)
        if total <= most:
            picks: Iterator[tuple[Any, ...]] = itertools.product(*choices)
        else:
            first = [tuple(choice[0] for choice in choices), tuple(choice[-1] for choice in choices)]
            rest = (tuple(chance.choice(choice) for choice in choices) for _ in range(most - 2))
            picks = itertools.chain(first, rest)
        for pick in picks:
            names = {id(folder): folder.after(chosen) for folder, chosen in zip(dirty, pick, strict=False)}
            data = {id(file): file.survivals()[kept] for file, kept in zip(loose, pick[len(dirty) :], strict=True)}
            yield _survived(moment, names, data)


def write_out(folder: Folder, path: Path) -> None:
    """Lay the folder down at a real path."""
    path.mkdir()
    for name, node in folder.names.items():
        if isinstance(node, Folder):
            write_out(node, path / name)
        else:
            (path / name).write_bytes(node.data)


def _nodes(folder: Folder) -> tuple[list[Folder], list[File]]:
    """Every folder and file that is named anywhere, in what is seen or in what is safe."""
    folders: dict[int, Folder] = {}
    files: dict[int, File] = {}
    waiting: list[File | Folder] = [folder]
    while waiting:
        node = waiting.pop()
        if isinstance(node, File):
            files[id(node)] = node
        elif id(node) not in folders:
            folders[id(node)] = node
            waiting += [*node.names.values(), *node.safe.values(), *(moved for moved in node.moved if moved)]
    return list(folders.values()), list(files.values())


def _survived(folder: Folder, names: dict[int, dict[str, File | Folder]], data: dict[int, bytes]) -> Folder:
    found = Folder()
    for name, node in names.get(id(folder), folder.safe).items():
        if isinstance(node, Folder):
            found.names[name] = _survived(node, names, data)
        else:
            found.names[name] = File(bytearray(data.get(id(node), node.safe)))
    return found


# What is put in the place of Python's own functions

_WATCHED = ("open", "write", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "ftruncate")


class _Watched(io.FileIO):
    """A file that tells the disk what is written to it, and takes only a little at a time."""

    def __init__(self, disk: Disk, path: Any, mode: str) -> None:
        self.disk, self.path = disk, path
        existed = os.path.exists(path)
        disk.step("open", path, frees="w" not in mode and existed)
        super().__init__(path, mode)
        if not existed:
            disk.made(path, File(bytearray()))
        node = disk.node(os.fstat(self.fileno()).st_ino)
        assert isinstance(node, File)
        self.file = node
        if "w" in mode and existed:
            node.data.clear()
        disk.done()

    def write(self, content: Any) -> int:
        """Write at most a few bytes; a full disk takes half of them first."""
        piece = bytes(content)[:SHORT]
        try:
            self.disk.step("write", self.path)
        except OSError:
            self._put(piece[: len(piece) // 2])
            raise
        self._put(piece)
        self.disk.done()
        return len(piece)

    def _put(self, piece: bytes) -> None:
        place = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        super().write(piece)
        self.file.data[place : place + len(piece)] = piece

    def truncate(self, size: int | None = None) -> int:
        """Cut the file."""
        self.disk.step("truncate", self.path, frees=True)
        found = super().truncate(size)
        del self.file.data[found:]
        self.disk.done()
        return found


def _opener(disk: Disk, opened: Any) -> Any:
    def open_(path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        if disk.at(path) is None or not set(mode) & set("wxa+"):
            return opened(path, mode, buffering, *rest, **more)
        assert "b" in mode, "only bytes are written here"
        raw = _Watched(disk, path, mode.replace("b", ""))
        if buffering == 0:
            return raw
        return (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw, 512)

    return open_


def _fakes(disk: Disk, real: dict[str, Any]) -> dict[str, Any]:
    def open_(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if disk.at(path) is None or not flags & os.O_CREAT or os.path.lexists(path):
            return int(real["open"](path, flags, mode, **more))
        disk.step("create", path)
        handle = int(real["open"](path, flags, mode, **more))
        disk.made(path, File(bytearray()))
        disk.done()
        return handle

    def write(handle: int, content: bytes) -> int:
        node = disk.node(os.fstat(handle).st_ino)
        place = os.lseek(handle, 0, os.SEEK_CUR) if isinstance(node, File) else 0
        if isinstance(node, File):
            disk.step("write", "")
        count = int(real["write"](handle, content))
        if isinstance(node, File):
            node.data[place : place + count] = content[:count]
            disk.done()
        return count

    def ftruncate(handle: int, size: int) -> None:
        node = disk.node(os.fstat(handle).st_ino)
        if isinstance(node, File):
            disk.step("truncate", "", frees=True)
        real["ftruncate"](handle, size)
        if isinstance(node, File):
            del node.data[size:]
            disk.done()

    def fsync(handle: int) -> None:
        node = disk.node(os.fstat(handle).st_ino)
        if node is not None:
            disk.step("sync folder" if isinstance(node, Folder) else "sync", "")
        else:  # a real sync of what is watched would only take time
            real["fsync"](handle)
        if isinstance(node, Folder):
            node.sync()
        elif isinstance(node, File):
            node.safe = bytes(node.data)
        if node is not None:
            disk.done()

    def rename(function: str) -> Any:
        def fake(source: Any, target: Any, **more: Any) -> None:
            old, new = disk.at(source), disk.at(target)
            if old is None or new is None:
                return real[function](source, target, **more)
            disk.step("rename", target)
            real[function](source, target, **more)
            assert old[0] is new[0], "renamed from one folder to another: the shim does not know that"
            node = old[0].names.pop(old[1])
            old[0].names[new[1]] = node
            old[0].change("rename", old[1], new[1], node=node)
            disk.done()

        return fake

    def remove(function: str) -> Any:
        def fake(path: Any, **more: Any) -> None:
            place = None if more else disk.at(path)
            if place is None or not os.path.lexists(path):
                return real[function](path, **more)
            disk.step(function, path, frees=True)
            real[function](path)
            place[0].names.pop(place[1])
            place[0].change("remove", place[1])
            disk.done()

        return fake

    def mkdir(path: Any, *rest: Any, **more: Any) -> None:
        if disk.at(path) is None or os.path.lexists(path):
            return real["mkdir"](path, *rest, **more)
        disk.step("mkdir", path)
        real["mkdir"](path, *rest, **more)
        disk.made(path, Folder())
        disk.done()

    fakes = {"open": open_, "write": write, "ftruncate": ftruncate, "fsync": fsync, "mkdir": mkdir}
    fakes |= {name: rename(name) for name in ("rename", "replace")}
    return fakes | {name: remove(name) for name in ("unlink", "remove", "rmdir")}
