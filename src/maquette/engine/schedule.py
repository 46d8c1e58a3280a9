"""How far a run is: from images seen to progress in [0, 1], also where a clock decides how many images there will be.

A run with `--time` is planned in images. At a few fixed points the plan is corrected by the clock; each correction is
written to the run's decisions before it is followed, and a resumed run follows the written ones. So a killed run goes
through the same numbers as it would have, whatever the clock says the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CORRECTIONS = (0.03, 0.1, 0.25, 0.45, 0.65, 0.8, 0.9, 0.97)
"""Progress at which a run with a time limit looks at the clock."""


@dataclass
class Schedule:
    """Progress as a function of images seen: straight pieces, each from a correction to the end of the run."""

    images: int
    corrected: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Which correction -> (images seen when it was made, the new total)."""

    def __post_init__(self) -> None:
        self._pieces: list[tuple[int, float, int]] = [(0, 0.0, self.images)]
        for which in sorted(self.corrected):
            self._add(*self.corrected[which])

    @classmethod
    def of(cls, images: int, decisions: Iterable[Mapping[str, Any]]) -> Schedule:
        """The schedule with all corrections that a run has written down."""
        made = {int(d["which"]): (int(d["at"]), int(d["images"])) for d in decisions if d["kind"] == "correction"}
        return cls(images, made)

    @property
    def total(self) -> int:
        """Images at the end of the run, as known now."""
        return self._pieces[-1][2]

    def progress(self, images: int) -> float:
        """Progress when that many images have been seen."""
        start, done, total = next(piece for piece in reversed(self._pieces) if piece[0] <= images)
        return 1.0 if images >= total else done + (1.0 - done) * (images - start) / (total - start)

    def due(self, images: int) -> int | None:
        """Which correction is to be made now, if any."""
        progress = self.progress(images)
        passed = [which for which, point in enumerate(CORRECTIONS) if progress >= point and which not in self.corrected]
        return max(passed) if passed and progress < 1.0 else None

    def correct(self, which: int, at: int, total: int) -> dict[str, Any]:
        """Correct the plan; returns the decision to write down."""
        for earlier in range(which + 1):
            self.corrected.setdefault(earlier, (at, total))
        self._add(at, total)
        return {"kind": "correction", "which": which, "at": at, "images": total}

    def _add(self, at: int, total: int) -> None:
        if total != self.total:
            self._pieces.append((at, self.progress(at), max(total, at + 1)))
