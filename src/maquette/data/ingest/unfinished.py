"""Datasets that are being written: a journal of what is whole, so that a killed ingest goes on; and the last step.

The hidden folder of an unfinished dataset is named `.NAME.PROCESS.RANDOM.partial`. Its journal has one line after each
piece: how many images there are and digests of the files so far. What a power cut took is noticed by those.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.files import sync_folder

if TYPE_CHECKING:
    from maquette.core.spec import DataSpec
    from maquette.data.decoding.arrays import Stream

ACTIVE: set[str] = set()
"""Names of the unfinished datasets that this process is writing."""
JOURNAL, BEGUN = "journal.jsonl", "begun.json"
CHECKED = ("images.npy", "origins.npy", "items.jsonl")
"""What is used of an unfinished dataset, besides pictures that are conditions."""
_CHUNK = 4 << 20
_EXCHANGE = 2


class Journal:
    """Says, line by line, how much of an unfinished dataset is whole."""

    def __init__(self, folder: Path, checked: tuple[str, ...]) -> None:
        self._folder, self._checked = folder, checked

    @classmethod
    def start(cls, folder: Path, spec: DataSpec, settings: Mapping[str, Any]) -> Journal:
        """Write down what the dataset is to become."""
        pictures = tuple(f"conditions/{c.name}.npy" for c in spec.conditions if c.kind in ("image", "map", "frames"))
        begun = {"spec": spec.to_json(), "settings": dict(settings)}
        (folder / BEGUN).write_text(json.dumps(begun), "utf-8")
        return cls(folder, (*CHECKED, *pictures))

    def note(self, count: int, offset: int, streams: Mapping[str, Stream]) -> None:
        """After a piece: so many images are whole, and so long is items.jsonl."""
        for stream in streams.values():
            stream.flush()
        line = {"count": count, "offset": offset, "digests": {name: streams[name].digest() for name in self._checked}}
        with open(self._folder / JOURNAL, "a", encoding="utf-8") as stream_:
            stream_.write(json.dumps(line) + "\n")

    def remove(self) -> None:
        """The dataset is whole."""
        for name in (JOURNAL, BEGUN):
            (self._folder / name).unlink(missing_ok=True)


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines that can be read, the oldest first."""
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, ValueError), open(folder / JOURNAL, encoding="utf-8") as stream:
        for text in stream:
            line = json.loads(text)
            if isinstance(line, dict) and isinstance(line.get("count"), int) and isinstance(line.get("digests"), dict):
                lines.append(line)
    return lines


def whole_pieces(path: Path, head: int, ends: list[int], digests: list[str]) -> int:
    """How many pieces of a file are what the journal says; `ends` are their ends in bytes behind the head."""
    digest, at, found = hashlib.blake2b(digest_size=32), 0, 0
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        stream.seek(head)
        for end, expected in zip(ends, digests, strict=True):
            while at < end:
                chunk = stream.read(min(_CHUNK, end - at))
                if not chunk:
                    return found
                digest.update(chunk)
                at += len(chunk)
            if digest.copy().hexdigest() != expected:
                return found
            found += 1
    return found


def stale(to: Path) -> Iterator[Path]:
    """The hidden folders of the same dataset that nobody is writing any more."""
    for folder in to.absolute().parent.glob(f".{glob.escape(to.name)}.*.*.partial"):
        pid = folder.name.split(".")[-3]
        if pid.isdigit() and not (folder.name in ACTIVE if int(pid) == os.getpid() else _alive(int(pid))):
            yield folder


def remove_stale(to: Path, keep: Path | None = None) -> None:
    """Remove what killed or stopped writers of the same dataset left behind, except for what is still of use."""
    for folder in stale(to):
        if keep is None or folder.name != keep.name:
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # There, no signal is harmless enough to ask with.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def put_in_place(new: Path, to: Path) -> None:
    """Give a finished folder its name; a dataset that has it now is there until the very moment, and then removed."""
    parent = to.absolute().parent
    if not to.exists():
        os.rename(new, to)
    elif _exchanged(new, to):
        sync_folder(parent)
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = to.with_name(f".{to.name}.{os.getpid()}.{secrets.token_hex(4)}.old")
        os.rename(to, old)
        try:
            os.rename(new, to)
        except BaseException:
            os.rename(old, to)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(parent)


def recover(to: Path) -> None:
    """Give a dataset its name back if a power cut came between the two steps that replace one."""
    if os.path.lexists(to):
        return
    for folder in to.absolute().parent.glob(f".{glob.escape(to.name)}.*.*.old"):
        os.rename(folder, to)
        return


def _exchanged(one: Path, two: Path) -> bool:
    """Exchange the names of two folders in one step, where the system can."""
    if sys.platform != "linux":
        return False
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here = -100  # Paths are relative to the working folder.
    return bool(exchange(here, os.fsencode(one), here, os.fsencode(two), _EXCHANGE) == 0)
