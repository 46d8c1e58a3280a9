"""The verb `verify`: where images came from, and whether that can be believed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, TrustError, UsageError
from maquette.core.event import Event, Progress, Result, Table
from maquette.core.settings import argument, setting
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.data.source import Entry
    from maquette.store.workspace import Workspace

TELL_EVERY = 0.5
SHOWN = 40
"""Rows of the table that a person is shown; all files are in the result."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Which files to look at."""

    file: tuple[str, ...] = argument(
        "images, films, tar files or folders of them, whatever program made them", many=True
    )
    workers: int | None = setting(None, "processes that read; one a processor when left out", ge=1, le=256)


@operation
def verify(request: Verify, workspace: Workspace) -> Iterator[Event]:
    """Say where images came from, which proof of it is whole, who signed, and what was changed.

    Looks at the signature (C2PA), the metadata and the watermark of each file. Only `intact` means that a signature of
    somebody known here covers the file as it is. Nothing is changed and no network is asked.
    """
    from maquette.trust.examine import examine
    from maquette.trust.keys import Keys

    paths = list(_files(request.file))
    total = sum(_count(path) for path in paths)
    if not total:
        raise UsageError("there is nothing to verify in it", where=", ".join(request.file), do="give images")
    anchors = Keys(workspace.home).anchors()
    workers = request.workers or min(total // 32 + 1, os.cpu_count() or 1, 8)
    reports: list[dict[str, Any]] = []
    began = told = time.perf_counter()
    for report in examine(_opened(paths), anchors, workers=workers):
        reports.append(report)
        if (now := time.perf_counter()) - told >= TELL_EVERY or len(reports) == total:
            told = now
            yield Progress.since(began, "verify", len(reports), total, "files")
    _recognise(reports, workspace)
    yield _table(reports)
    counts = Counter(str(report["status"]) for report in reports)
    said = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    facts = {"images": reports, "counts": dict(counts)}
    yield Result(verb="verify", facts=facts, value=reports, summary=f"{plural(len(reports), 'file')}: {said}.")


def _recognise(reports: list[dict[str, Any]], workspace: Workspace) -> None:
    """Of images that lost their signature: which one of this workspace carries the same watermark."""
    lost = [one for one in reports if one["status"] != "intact" and one.get("watermark", {}).get("mark")]
    if not lost:
        return
    made = {str(entry.facts["mark"]): entry for entry in workspace.index.list("image") if entry.facts.get("mark")}
    for report in lost:
        entry = made.get(report["watermark"]["mark"])
        if entry is not None:
            report["recognised"] = {"path": str(entry.path), **{k: entry.facts.get(k) for k in ("run", "seed")}}
            report["words"] += f"; made here as {entry.path.name} from seed {entry.facts.get('seed')}"


def _files(words: tuple[str, ...]) -> Iterator[Path]:
    from maquette.trust.reading import MEDIA

    if not words:
        raise UsageError("there is nothing to verify", do="give images or folders of images")
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            for folder, folders, files in os.walk(path):
                folders.sort()
                folders[:] = [name for name in folders if not name.startswith(".")]
                yield from (Path(folder, name) for name in sorted(files) if _wanted(name, MEDIA))
        elif os.path.lexists(path):
            yield path
        else:
            raise TrustError("there is no such file or folder", where=path, do="check the path")


def _count(path: Path) -> int:
    """How many images a file holds: of a tar file those in it."""
    return sum(1 for _ in _inside(path, content=False)) if _is_tar(path) else 1


def _opened(paths: Iterable[Path]) -> Iterator[Path | tuple[str, bytes]]:
    """The files themselves, and those in tar files by name and content."""
    for path in paths:
        if not _is_tar(path):
            yield path
            continue
        for entry in _inside(path, content=True):
            yield f"{path}/{entry.path}", entry.content if isinstance(entry.content, bytes) else b""


def _inside(path: Path, *, content: bool) -> Iterator[Entry]:
    from maquette.data.source import Entry, open_source

    try:
        yield from open_source(path).entries(content=content)
    except DataError as error:
        yield Entry(path="...", trouble=error.what)  # the rest cannot be read: one answer for it


def _is_tar(path: Path) -> bool:
    return path.suffix.lower() == ".tar" and path.is_file()


def _wanted(name: str, media: dict[str, str]) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in (*media, ".tar")


def _table(reports: list[dict[str, Any]]) -> Table:
    """Files of which the same is to be said share a row; what is not intact comes first."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        layers = [report["layers"][name] for name in _LAYERS]
        groups.setdefault((report["status"], *layers, report["words"]), []).append(report["path"])
    rows = []
    for (status, *rest), paths in sorted(groups.items(), key=lambda item: item[0][0] == "intact")[:SHOWN]:
        name = Path(paths[0]).name
        rows.append([name if len(paths) == 1 else f"{name} and {len(paths) - 1:,} more", status, *rest])
    more = f" (the first {SHOWN} of {len(groups):,} rows)" if len(groups) > SHOWN else ""
    return Table(title=f"Where they came from{more}", columns=["file", "status", *_LAYERS, "in words"], rows=rows)


_LAYERS = ("signature", "metadata", "watermark")
