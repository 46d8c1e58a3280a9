"""Files that are whole or absent: written to a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from maquette.core.errors import MaquetteError

_COUNTER = itertools.count()


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut (where the system lets folders be synced)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot sync a folder
            raise
    finally:
        os.close(handle)


def make_folder(path: Path) -> Path:
    """Make the folder and those above it where they are missing, and let the new ones survive a power cut."""
    path = Path(path)
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    return path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path`; it takes the name only after everything is on the disk."""
    path = Path(path)
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{next(_COUNTER)}.partial")
    partial.unlink(missing_ok=True)
    try:
        with open(partial, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    with atomic_file(path) as stream:
        stream.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_new(path: Path, content: bytes) -> None:
    """Write one of many files that can be made again: whole or absent, never over another content, not flushed."""
    if path.exists():
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        raise MaquetteError(
            "a file with other content is there already", where=path, do="choose another folder or remove it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
