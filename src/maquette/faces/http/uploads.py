"""Uploads: written to the disk as they come, bounded before and while they do, and never served again as they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.faces.http.catalogue import parts_of
from maquette.faces.http.endpoint import Call, Parameter, Refusal, bounded, endpoint, is_number, missing, too_large

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

LARGEST, MOST, TOGETHER = 1 << 30, 20_000, 8 << 30
"""Bytes of one file, files of one batch, and bytes of a batch."""
LEFT = 1 << 30
"""Bytes that an upload leaves free on the disk."""
_NAMES = {
    "into": Parameter("text", "the batch: up to 64 letters, digits, - and _"),
    "name": Parameter("text", "the file's name; folders in it become labels"),
}


class Counts:
    """How many files and bytes each batch holds, counted once and kept."""

    def __init__(self) -> None:
        self._known: dict[Path, list[int]] = {}
        self._told = 0.0

    def of(self, folder: Path) -> list[int]:
        """Files and bytes."""
        if folder not in self._known or not folder.exists():
            self._known[folder] = list(_count(folder))
        return self._known[folder]

    def tell(self, studio: Studio) -> None:
        """That there is more: ten thousand files are not ten thousand pieces of news."""
        now = time.monotonic()
        if now - self._told > 0.5:
            self._told = now
            studio.hub.tell("changed", {"what": ["uploads"]})

    def forget(self, folder: Path) -> None:
        """It was removed."""
        self._known.pop(folder, None)


COUNTS = Counts()


def _count(folder: Path) -> tuple[int, int]:
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.stat(os.path.join(place, name), follow_symlinks=False).st_size
                files += 1
    return files, size


@endpoint("POST", "/api/uploads", "Upload one file into a batch", group="Uploads", query=_NAMES, raw=True, status=201,
          largest=LARGEST)  # fmt: skip
async def upload(studio: Studio, call: Call) -> Any:
    """The body is the file."""
    batch, name = call.query["into"], call.query["name"]
    if not batch or not name:
        raise UsageError("into and name must be given", do="send /api/uploads?into=BATCH&name=FILE")
    folder = studio.catalogue.batch(batch)
    path = folder.joinpath(*parts_of(name))
    counts = await asyncio.to_thread(COUNTS.of, folder)
    said = call.request.headers.get("content-length", "")
    size = int(said) if is_number(said) else 0
    if size > LARGEST:
        raise too_large(LARGEST)
    if counts[0] >= MOST or counts[1] + size > TOGETHER:
        raise Refusal(413, f"a batch holds at most {MOST:,} files of {TOGETHER >> 30} GB together; begin another.")
    _room(studio, size)
    written = await _write(studio, call, folder, path)
    counts[0] += 1
    counts[1] += written
    COUNTS.tell(studio)
    return {"id": f"upload:{batch}/{name}", "batch": f"upload:{batch}", "bytes": written}


def _room(studio: Studio, size: int) -> None:
    place = studio.workspace.home
    while not place.exists():
        place = place.parent
    if shutil.disk_usage(place).free < size + LEFT:
        raise Refusal(507, "the disk is nearly full; free some space and upload again.")


async def _write(studio: Studio, call: Call, folder: Path, path: Path) -> int:
    """The body into a hidden file that gets its name when it is whole."""
    partial = folder / f".{secrets.token_hex(8)}.partial"

    def begin() -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(studio.catalogue.uploads.resolve()):
            raise UsageError("this batch leads out of the uploads", do="begin another")
        return open(partial, "xb")

    def finish() -> None:
        if path.is_dir():
            raise UsageError("there is a folder of that name in the batch", do="take another name")
        os.replace(partial, path)

    size = checked = 0
    stream = await asyncio.to_thread(begin)
    try:
        with stream:
            async for part in bounded(call.request, LARGEST):
                size += len(part)
                if size - checked > 64 << 20:
                    checked = size
                    _room(studio, 0)
                if len(part) > 1 << 16:
                    await asyncio.to_thread(stream.write, part)
                else:
                    stream.write(part)
        await asyncio.to_thread(finish)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    return size


@endpoint("GET", "/api/uploads", "All batches", group="Uploads")
def uploads(studio: Studio, call: Call) -> Any:
    """The newest first."""
    found: list[tuple[float, dict[str, Any]]] = []
    with contextlib.suppress(OSError):
        for child in os.scandir(studio.catalogue.uploads):
            if child.is_dir(follow_symlinks=False):
                files, size = COUNTS.of(Path(child.path))
                found.append((child.stat().st_mtime, {"id": f"upload:{child.name}", "files": files, "bytes": size}))
    return [{**facts, "created": when} for when, facts in sorted(found, key=lambda one: -one[0])]


@endpoint("GET", "/api/uploads/{batch}", "One batch", group="Uploads")
def upload_batch(studio: Studio, call: Call) -> Any:
    """Its files by name."""
    folder = _batch(studio, call)
    found: list[dict[str, Any]] = []
    total = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if name.endswith(".partial") and name.startswith("."):
                continue
            total += 1
            if len(found) < 1000:
                inner = path.relative_to(folder).as_posix()
                found.append({
                    "id": f"upload:{call.path['batch']}/{inner}", "name": inner, "bytes": path.stat().st_size
                })  # fmt: skip
    return {"id": f"upload:{call.path['batch']}", "files": found, "total": total}


@endpoint("DELETE", "/api/uploads/{batch}", "Delete a batch", group="Uploads")
def upload_delete(studio: Studio, call: Call) -> Any:
    """Datasets that were made of it stay."""
    folder = _batch(studio, call)
    shutil.rmtree(folder)
    COUNTS.forget(folder)
    studio.hub.tell("changed", {"what": ["uploads"]})
    return {}


def _batch(studio: Studio, call: Call) -> Path:
    folder = studio.catalogue.batch(call.path["batch"])
    if folder.is_symlink() or not folder.is_dir():
        raise missing("such batch of uploads")
    return folder
