"""How far a run is: from images seen to progress in [0, 1], also where a clock decides how many images there will be.

A run with `--time` is planned in images. At a few fixed points the plan is corrected by the clock; each correction is
written to the run's decisions before it is followed, and a resumed run follows the written ones. So a killed run goes
through the same numbers as it would have, whatever the clock says the second time.

Where other phases begin or end, an image takes longer or less long from there on. The pace is measured anew there and
the plan corrected soon after, so that shares of a run with `--time` are shares of its time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CORRECTIONS = (0.03, 0.1, 0.25, 0.45, 0.65, 0.8, 0.9, 0.97)
"""Progress at which a run with a time limit looks at the clock, besides where phases begin or end."""


@dataclass
class Schedule:
    """Progress as a function of images seen: straight pieces, each from a correction to the end of the run."""

    images: int
    corrected: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Which correction -> (images seen when it was made, the new total)."""
    edges: tuple[float, ...] = ()
    """Progress at which other phases begin or end."""

    def __post_init__(self) -> None:
        self.points = tuple(sorted({*CORRECTIONS, *self.edges}))
        self._pieces: list[tuple[int, float, int]] = [(0, 0.0, self.images)]
        for which in sorted(self.corrected):
            self._add(*self.corrected[which])

    @classmethod
    def of(cls, images: int, decisions: Iterable[Mapping[str, Any]], edges: tuple[float, ...] = ()) -> Schedule:
        """The schedule with all corrections that a run has written down."""
        made = {int(d["which"]): (int(d["at"]), int(d["images"])) for d in decisions if d["kind"] == "correction"}
        return cls(images, made, edges)

    @property
    def over(self) -> int:
        """The number of the correction that ends a run whose time is over between two points."""
        return len(self.points)

    @property
    def total(self) -> int:
        """Images at the end of the run, as known now."""
        return self._pieces[-1][2]

    def progress(self, images: int) -> float:
        """Progress when that many images have been seen."""
        start, done, total = next(piece for piece in reversed(self._pieces) if piece[0] <= images)
        return 1.0 if images >= total else done + (1.0 - done) * (images - start) / (total - start)

    def due(self, images: int) -> int | None:
        """Which correction is to be made now, if any. One that was passed over together with a later one is not."""
        progress, last = self.progress(images), max(self.corrected, default=-1)
        passed = [which for which, point in enumerate(self.points) if progress >= point and which > last]
        return max(passed) if passed and progress < 1.0 else None

    def correct(self, which: int, at: int, total: int) -> dict[str, Any]:
        """Correct the plan; returns the decision to write down."""
        self.corrected[which] = (at, total)
        self._add(at, total)
        return {"kind": "correction", "which": which, "at": at, "images": total}

    def _add(self, at: int, total: int) -> None:
        if total != self.total:
            self._pieces.append((at, self.progress(at), max(total, at + 1)))


class Clock:
    """Seconds spent in this run, those of earlier sessions included, and images a second."""

    def __init__(self, before: float, images: int) -> None:
        self._started = time.perf_counter() - before
        self._mark: tuple[float, int] | None = None
        self.rate = 0.0
        """Images a second, lately."""
        self.restart(images)

    def seconds(self) -> float:
        """Seconds in training so far."""
        return time.perf_counter() - self._started

    def restart(self, images: int) -> None:
        """Measure the pace from here: the session begins, training went back, or other phases begin."""
        self._first = (self.seconds(), images)

    def pace(self, images: int, least: float) -> float | None:
        """Images a second since the last start, everything included; None before `least` seconds have passed."""
        seconds, seen = self.seconds() - self._first[0], images - self._first[1]
        return seen / seconds if seconds >= max(least, 1e-9) and seen > 0 else None

    def tick(self, images: int) -> None:
        """Renew the rate about twice a second."""
        now = time.perf_counter()
        if self._mark is None or images < self._mark[1]:
            self._mark = (now, images)
        elif now - self._mark[0] >= 0.5:
            fresh = (images - self._mark[1]) / (now - self._mark[0])
            self.rate = fresh if not self.rate else 0.8 * self.rate + 0.2 * fresh
            self._mark = (now, images)
