"""One writer at a time: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from maquette.store.disk import writing

_HELD: dict[str, int] = {}
"""Locks of this process by real path. A record lock is lost when its process opens and closes the file once more, so
a second try of the same process must be refused before it opens anything."""
_GUARD = threading.Lock()
_FAR = 2**30
"""The byte that is locked on Windows, where locked bytes cannot be read: far behind the words in the file."""


class Held(Exception):
    """Another process (or another part of this one) holds the lock; `pid` is its number, or 0 when unknown."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of this file; raises `Held` at once when somebody else does."""
    real = os.path.realpath(path)
    with _GUARD:
        if _HELD.get(real) == os.getpid():
            raise Held(os.getpid())
        with writing("the lock", path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            with writing("the lock", path):
                taken = _take(handle)
            if not taken:
                raise Held(_owner(handle))
            with writing("the lock", path):
                os.ftruncate(handle, 0)
                os.write(handle, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(handle)
            raise
        _HELD[real] = os.getpid()
    try:
        yield
    finally:
        with _GUARD:
            _HELD.pop(real, None)
            os.close(handle)


def _owner(handle: int) -> int:
    try:
        return int(os.read(handle, 32).split()[0])
    except (OSError, ValueError, IndexError):
        return 0


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> bool:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _take(handle: int) -> bool:
        # A record lock (not flock): a forked worker that outlives its parent must not keep it.
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True
