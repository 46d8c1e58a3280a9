"""What a batch of files is to become: which files there are, where each result goes, and what is there already."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from maquette.core.choices import Tile
from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.files import make_folder
from maquette.core.image import FORMATS, Image
from maquette.core.workers import processors
from maquette.data.source import Entry, Source, open_source
from maquette.refining.recipe import Recipe

RECORDS = "refined.jsonl"
_NO_IMAGES = (".jsonl", ".json", ".txt", ".csv", ".md", ".html", ".recipe", ".cube")
"""Files that lie beside images and are none: passed over in silence where a folder is named."""
_UNSAFE = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Work:
    """One file to refine."""

    name: str
    """Its name for people: as the source was written, and the file in it."""
    content: bytes | Path
    to: Path
    stamp: str
    """Changes when the file does."""
    seed: int
    recipe: str
    """The recipe in full, as text."""


Finish = Callable[[Image, Mapping[str, Any], Work], bytes]
"""Given a finished image, the blocks that its source said beside its pixels, and what it was made of; returns the file.
Signing goes here."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is to be done with all files."""

    recipe: Recipe
    to: Path
    format: str = "png"
    seed: int = 0
    tile: Tile = ""
    workers: int | None = None
    metadata: bool = True
    overwrite: bool = False
    software: str = "Maquette"
    writes: bool = True
    """Whether results are written. What lies in the folder of results is then no source."""
    hand: Callable[[str], Callable[..., Any]] | None = None
    """The callable that a trained model is, by its run."""
    finish: Finish | None = None

    @property
    def threads(self) -> int:
        """How many images at a time."""
        return self.workers or processors()

    @property
    def key(self) -> str:
        """Names what is done, whatever the files and the place: the same key makes the same pixels of the same file."""
        said = (str(self.recipe), self.format, self.seed, self.tile, self.metadata)
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()

    def seed_of(self, name: str) -> int:
        """The seed of one image: its own by its name, so that grain differs between images and never with the order."""
        digest = hashlib.blake2b(f"{self.seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True)
class _Place:
    """A source, and the folder of the results that its files go to."""

    source: Source
    below: str = ""


@dataclass
class Plan:
    """The files that there are, and where each goes."""

    batch: Batch
    places: list[_Place]
    outputs: dict[str, str] = field(default_factory=dict)
    """By the name of the file within its source: the path of its result in the folder. Short, there may be millions."""
    troubles: list[tuple[str, str]] = field(default_factory=list)
    """Files that cannot be read, and why."""

    def work(self) -> Iterator[Work]:
        """All files, each read when it is asked for."""
        text = str(self.batch.recipe)
        for place, entry in _entries(self.places, self.batch):
            name = _inner(place, entry)
            if entry.trouble or name not in self.outputs or entry.content is None:
                continue
            content = Path(entry.content) if isinstance(entry.content, str) else entry.content
            yield Work(
                _shown(place, entry), content, self.batch.to / self.outputs[name], _stamp(content),
                self.batch.seed_of(name), text,
            )  # fmt: skip


def plan(words: Sequence[str], batch: Batch) -> Plan:
    """Find the files and the places of the results; nothing is written, and nothing of the files is read."""
    made = Plan(batch, [place for word in words for place in _opened(word)])
    names: list[str] = []
    for place, entry in _entries(made.places, batch, content=False):
        if entry.trouble:
            made.troubles.append((_shown(place, entry), entry.trouble))
        else:
            names.append(_inner(place, entry))
    if not names and not made.troubles:
        here = os.path.abspath(batch.to)
        if batch.writes and any(
            Path(os.path.abspath(place.source.where)).is_relative_to(here) for place in made.places
        ):
            raise UsageError(
                "the folder for the finished images is that of the source", where=str(batch.to),
                do="give another folder with --to",
            )  # fmt: skip
        raise DataError("there is no image in it", where=", ".join(words)[:200], do="give images or folders of them")
    safe = [_safe(name) for name in names]
    stems = Counter(str(path.with_suffix("")) for path in safe)
    # Two files that differ in their ending alone keep it: cat.jpg.png beside cat.webp.png.
    bare = [str(path if stems[str(path.with_suffix(""))] > 1 else path.with_suffix("")) for path in safe]
    twice = [path for path, count in Counter(path.lower() for path in bare).items() if count > 1]
    if twice:
        raise UsageError(
            f"{len(twice)} results would have the place of another, such as {twice[0]}",
            do="give each source a folder of its own with --to",
        )
    ending = FORMATS[batch.format][1]
    made.outputs = {name: path + ending for name, path in zip(names, bare, strict=True)}
    return made


def _opened(word: str) -> list[_Place]:
    """The sources that a word names: one, or all that a pattern finds, each placed as it lies below the pattern."""
    if not word:
        raise UsageError("a source has no name", do="give images or folders of them")
    text = os.path.expanduser(word)
    if os.path.lexists(text) or not glob.has_magic(text):
        return [_Place(open_source(text))]
    parts = Path(text).parts
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]) if fixed else Path()
    found = sorted(glob.glob(text, recursive=True))
    whole = [path for path in found if os.path.isfile(path)] or found
    if not whole:
        raise DataError("nothing fits the pattern", where=word, do="check the path")
    below = [os.path.relpath(path, root or ".") for path in whole]
    return [
        _Place(open_source(path), inner if os.path.isdir(path) else os.path.dirname(inner))
        for path, inner in zip(whole, below, strict=True)
    ]


def _entries(places: Sequence[_Place], batch: Batch, *, content: bool = True) -> Iterator[tuple[_Place, Entry]]:
    """All files but those that are plainly no images, and those that lie where the results go."""
    inside = os.path.abspath(batch.to) if batch.writes else None
    for place in places:
        single = os.path.isfile(place.source.where)
        for entry in place.source.entries(content=content):
            path = None if isinstance(entry.content, bytes) else entry.content
            if not single and (entry.path.lower().endswith(_NO_IMAGES) or _is_sheet(path)):
                continue
            if inside and not single and path is not None and Path(os.path.abspath(path)).is_relative_to(inside):
                continue
            yield place, entry


def _is_sheet(path: str | os.PathLike[str] | None) -> bool:
    """Whether it shows the images that `sample` wrote beside it, and is none of them."""
    folder, name = os.path.split(path or "")
    return name == "sheet.png" and os.path.exists(os.path.join(folder, "samples.jsonl"))


def _inner(place: _Place, entry: Entry) -> str:
    return str(PurePosixPath(Path(place.below).as_posix()) / entry.path) if place.below else entry.path


def _shown(place: _Place, entry: Entry) -> str:
    where = place.source.where
    return where if os.path.isfile(where) and os.path.basename(where) == entry.path else os.path.join(where, entry.path)


def _safe(name: str) -> PurePosixPath:
    """A path that stays below the folder of the results, whatever an archive or a table calls its images."""
    parts = [_UNSAFE.sub("_", part).rstrip(". ") or "_" for part in re.split(r"[/\\]", name)]
    parts = [part for part in parts if part not in ("_", "..")] or ["image"]
    return PurePosixPath(*parts)


def _stamp(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.blake2b(content, digest_size=8).hexdigest()
    try:
        form = content.stat()
    except OSError:
        return ""
    return f"{form.st_size}-{form.st_mtime_ns}"


class Records:
    """What was written to a folder, and from what: one line an image, so that a batch goes on where it was ended."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.path = batch.to / RECORDS
        self.known: dict[str, tuple[str, str, int]] = {}
        """File -> key of what was done, stamp of the source, bytes of the file."""
        self._lock = threading.Lock()
        self._started = False
        for line in self._lines():
            record = _parsed(line)
            if isinstance(record.get("file"), str):
                self.known[record["file"]] = (
                    str(record.get("key")), str(record.get("stamp")), int(record.get("bytes") or -1)
                )  # fmt: skip

    def _lines(self) -> Iterator[str]:
        if self.path.exists():
            with open(self.path, encoding="utf-8", errors="replace") as stream:
                yield from stream

    def is_done(self, work: Work) -> bool:
        """Whether the result is there, made of the same file in the same way."""
        try:
            size = work.to.stat().st_size
        except OSError:
            return False
        return self.known.get(self._name(work)) == (self.batch.key, work.stamp, size)

    def check_free(self, made: Plan) -> None:
        """Fail if a result would take the place of another file."""
        if self.batch.overwrite or not any(os.path.lexists(self.batch.to / path) for path in made.outputs.values()):
            return
        taken = [work for work in made.work() if os.path.lexists(work.to) and not self.is_done(work)]
        if taken:
            known = self.known.get(self._name(taken[0]))
            why = "is there already" if known is None else "was made in another way, or of another file, or changed"
            more = f" (and {len(taken) - 1:,} more)" if len(taken) > 1 else ""
            raise MaquetteError(
                why, where=f"{taken[0].to}{more}", do="choose another folder, or write over it with --overwrite"
            )

    def add(self, work: Work, content: bytes) -> None:
        """Say what is about to be written. Whoever is ended in between makes the file again."""
        record = {
            "file": self._name(work), "source": work.name, "seed": work.seed, "key": self.batch.key,
            "stamp": work.stamp, "bytes": len(content), "digest": hashlib.blake2b(content, digest_size=16).hexdigest(),
        }  # fmt: skip
        with self._lock:
            lines = [] if self._started else self._head()
            self._started = True
            with open(self.path, "ab") as stream:
                for part in [*lines, record]:
                    stream.write((json.dumps(part) + "\n").encode())

    def _head(self) -> list[Mapping[str, Any]]:
        """What is done, once; after the end of a line that a killed process may have left open."""
        make_folder(self.path.parent)
        if self.path.exists() and self.path.stat().st_size:
            with open(self.path, "rb+") as stream:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
        batch = self.batch
        return [
            {"key": batch.key, "recipe": str(batch.recipe), "seed": batch.seed, "tile": batch.tile,
             "format": batch.format, "software": batch.software}
        ]  # fmt: skip

    def tidy(self, made: Plan) -> None:
        """Remove what a killed process left half-written beside the results."""
        wanted = set(made.outputs.values())
        for folder in {os.path.dirname(path) for path in wanted}:
            for path in (self.batch.to / folder).glob(".*.partial"):
                found = re.fullmatch(r"\.(.+?)\.[\d-]+\.partial", path.name)
                if found and str(PurePosixPath(folder, found[1])) in wanted:
                    path.unlink(missing_ok=True)

    def _name(self, work: Work) -> str:
        return work.to.relative_to(self.batch.to).as_posix()


def _parsed(line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
