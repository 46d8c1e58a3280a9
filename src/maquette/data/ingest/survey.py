"""The first look through all sources: what is said about the images, how many files there are, and what to call them.

Only names and columns are looked at here, no pixels. Memory stays the same however many files there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from maquette.data.columns import LABELS, Column, Columns
from maquette.data.dataset import Part
from maquette.data.decoding.kinds import container
from maquette.data.source import SPLITS, Entry, Source, head_of, translated

Labels = Literal["auto", "folders", "none"]
LABELLING: tuple[Labels, ...] = ("auto", "folders", "none")
_LEVELS = 4
_MOST_TOPS = 64
_PERSONAL = re.compile(r"patient|birth|accession|mrn|uid|physician|institution|address|phone|operator|name$|^name")


@dataclass
class _Levels:
    """The folders of one source, level by level."""

    columns: list[Column] = field(default_factory=lambda: [Column("label") for _ in range(_LEVELS)])
    tops: set[str] = field(default_factory=set)
    bare: bool = False
    """Some file lies in no folder."""
    parts: bool = False
    """The folders at the top are parts."""
    depth: int | None = None
    """Which folder is the label; None if none is."""

    last: tuple[str, ...] = ()
    times: int = 0
    """The folders of the files that were seen last, and how many those are: files of one folder come together."""

    def see(self, entry: Entry) -> None:
        if entry.folders != self.last:
            self.count()
            self.last = entry.folders
        self.times += 1

    def count(self) -> None:
        """Take note of the files that were seen last."""
        if not self.times:
            return
        self.bare |= not self.last
        if self.last and len(self.tops) < _MOST_TOPS:
            self.tops.add(self.last[0])
        for column, name in zip(self.columns, self.last, strict=False):
            column.see(name, self.times)
        self.times = 0

    def split(self) -> None:
        """Whether the folders at the top are parts: all have a part's name, and both parts are there."""
        self.count()
        found = {SPLITS.get(name.lower()) for name in self.tops}
        self.parts = not self.bare and found == {"train", "held-out"}

    def choose(self) -> None:
        """The first level at which folders differ."""
        start = 1 if self.parts else 0
        several = (k for k in range(start, _LEVELS) if len(self.columns[k].different) > 1)
        self.depth = next(several, start if self.columns[start].seen else None)


class Survey:
    """What is known of all files before any is decoded."""

    def __init__(self, sources: Sequence[Source], labels: Labels) -> None:
        self.sources, self.labels = sources, labels
        self.columns = Columns()
        self.total = 0
        self.private = False
        """Some files may be about patients: nothing that names one is repeated."""
        self._levels = [_Levels() for _ in sources]
        self._prefixes = _prefixes(sources)
        self._usual: tuple[tuple[int, tuple[str, ...]], Mapping[str, Any], dict[str, Any]] | None = None

    def look(self) -> Iterator[int]:
        """Go through all sources; yields the number of files so far."""
        for source, levels in zip(self.sources, self._levels, strict=True):
            self.columns.expect(source.names, source.pictures)
            for entry in source.entries(content=False):
                self.total += 1
                if not entry.trouble:
                    if entry.said:
                        self.columns.see(translated(entry.said, source.names))
                    levels.see(entry)
                yield self.total
            self.columns.expect(source.names, source.pictures)
            self.private |= source.private

    def decide(self) -> Iterator[str]:
        """Choose labels and conditions; yields what a person should know."""
        for level in self._levels:
            level.split()
            level.choose()
        wanted = self.labels == "folders" or (self.labels == "auto" and not self.private)
        if wanted:
            known = {
                w for level in self._levels if level.depth is not None for w in level.columns[level.depth].different
            }
            for level in self._levels:
                if level.depth is not None and len(known) > 1:
                    self.columns.adopt(replace(level.columns[level.depth]))
        else:
            if self.labels == "auto" and any(level.depth is not None for level in self._levels):
                yield (
                    "there are DICOM files, whose folders often name patients: folders are no labels here"
                    " (--labels folders takes them)"
                )
            for level in self._levels:
                level.depth = None
        if self.private:
            yield from self._forget()
        yield from self.columns.decide(self.total)

    def _forget(self) -> Iterator[str]:
        """Leave out columns that may name people."""
        personal = [name for name in self.columns.seen() if _PERSONAL.search(name.lower())]
        for name in personal:
            self.columns.leave_out(name)
        if personal:
            yield f"{len(personal)} columns are left out, because they may name patients"

    def notes(self) -> Iterator[str]:
        """What the sources have to say about how they were read; nothing where it could name a patient."""
        for source in self.sources:
            yield from () if source.private else source.notes

    def said(self, place: int, entry: Entry) -> Mapping[str, Any]:
        """What is said about an entry of a source, its folder's name included."""
        said = translated(entry.said, self.sources[place].names)
        depth = self._levels[place].depth
        if depth is None or depth >= len(entry.folders):
            return said
        if said and any(n.lower() in LABELS and said[n] for n in said):
            return said
        return {"label": entry.folders[depth], **said}

    def values(self, place: int, entry: Entry) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """What is said about an entry, and its values of the flat conditions; `Unfit` if one is of another kind.

        Files of one folder about which nothing else is said have the same.
        """
        key = (place, entry.folders)
        if entry.said or self._usual is None or self._usual[0] != key:
            said = self.said(place, entry)
            values = self.columns.read(said)
            if entry.said:
                return said, values
            self._usual = key, said, values
        return self._usual[1], dict(self._usual[2])

    def part(self, place: int, entry: Entry) -> Part | None:
        """The part an entry belongs to, if its source says so."""
        if entry.part is None and self._levels[place].parts and entry.folders:
            return SPLITS.get(entry.folders[0].lower())
        return entry.part

    def path(self, place: int, entry: Entry, number: int) -> str:
        """What an entry is called in the dataset and to people."""
        if self.private:
            return f"file-{number:06d}"
        return self._prefixes[place] + entry.path


def _prefixes(sources: Sequence[Source]) -> list[str]:
    """What stands before the paths of each source: with several, the name of its own; no two have the same."""
    found: list[str] = []
    for source in sources:
        path = Path(source.where)
        alone = len(sources) == 1 or (path.is_file() and not container(head_of(path)))
        names = (f"{path.name}/", *(f"{path.name}-{k}/" for k in range(2, len(sources) + 2)))
        found.append("" if alone else next(name for name in names if name not in found))
    return found
