"""One file on its way into a dataset: what is said about it, what is to be decoded, and what was."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maquette.data import origin
from maquette.data.dataset import Part
from maquette.data.ingest.decode import Outcome
from maquette.data.ingest.previous import Previous


@dataclass
class Item:
    """One image of one file, or the file itself while nothing of it is decoded."""

    path: str
    """Its name for people."""
    source: int = 0
    part: Part | None = None
    kept: Part | None = None
    """The part that the image had before, in the dataset that is added to."""
    reason: str = ""
    """Why it is set aside, if it is."""
    values: dict[str, Any] = field(default_factory=dict)
    contents: Mapping[str, bytes | str | Path] = field(default_factory=dict)
    """What is to be decoded: the image under the name "", further pictures under theirs."""
    images: dict[str, NDArray[Any]] = field(default_factory=dict)
    digest: str = ""
    origin: tuple[Any, ...] = origin.NOTHING
    """One row of `origin.ORIGIN`, as plain values."""
    key: int = 0
    clip: int = 0
    """Images that belong together have the same number, which is not 0."""
    known: bool = False
    """Its file was read before."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """What its file says of its origin; see `trust.incoming`."""
    pixels: int = 0
    """See `data.decoding.pixels`; 0 where that is not worked out yet."""
    answers: int = 0
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all its files have had their outcome."""
        return self.answers == len(self.contents)

    def take(self, outcome: Outcome) -> None:
        """The outcome of its next file."""
        name = list(self.contents)[self.answers]
        self.answers += 1
        if outcome.image is None:
            self.reason = self.reason or (f"its {name}: {outcome.reason}" if name else outcome.reason)
            return
        self.images[name] = outcome.image
        self.shapes[name] = (int(outcome.facts[1]), int(outcome.facts[2])) if outcome.facts else (0, 0)
        if not name:
            self._learn(outcome)

    def one_of_many(self, outcome: Outcome, file: int, count: int) -> Item:
        """The item of one image of a file that may hold several; `count` came before it."""
        if outcome.image is None:
            return replace(self, reason=outcome.reason)
        # Most files hold one image: then the file's item is the image's.
        item = copy.copy(self) if count or not outcome.last else self
        item.images = {"": outcome.image}
        item._learn(outcome)
        if outcome.frames is not None:
            item.images["frames"] = outcome.frames
        if count or not outcome.last:
            item.clip = (file << 20) + outcome.scene + 1
            frame = int(outcome.facts[3]) if outcome.facts else 0
            item.path = f"{self.path}, frame {frame}" if frame or not count else f"{self.path}, part {count}"
        return item

    def _learn(self, outcome: Outcome) -> None:
        self.digest, self.pixels, self.marks = outcome.digest, outcome.pixels, outcome.marks
        self.origin = origin.values(outcome.facts, key=self.key, source=self.source)

    def again(self, previous: Previous, names: list[str]) -> Iterator[Item]:
        """The items that its file became before."""
        rows = previous.rows(self.key)
        pixels, pictures = previous.images(rows), previous.pictures(rows, names)
        for place, row in enumerate(rows):
            record = previous.item(int(row))
            yield replace(
                self,
                path=_renamed(record["path"], self.path),
                images={"": pixels[place], **{name: pictures[name][place] for name in names}},
                digest=record.get("digest", ""),
                marks=record.get("marks", {}),
                origin=previous.origin(int(row)),
                kept=previous.part(int(row)),
                clip=self.key if len(rows) > 1 else 0,
            )

    def record(self) -> dict[str, Any]:
        """What the dataset remembers about where the image came from."""
        marks = {"marks": dict(self.marks)} if self.marks else {}
        return {"path": self.path, "digest": self.digest, "conditions": self.values, **marks}


def _renamed(before: str, now: str) -> str:
    """The path of one of several images of a file, after the file's own path now."""
    stem, mark, rest = before.rpartition(", ")
    return f"{now}, {rest}" if mark and rest.split(" ")[0] in ("frame", "part") and stem else now
