"""What `sample --release` does: every image passes the gates of all datasets that the model learned from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maquette.core.errors import DataError, UsageError
from maquette.data.dataset import Dataset
from maquette.features.cache import Cache
from maquette.judge.release import Gate
from maquette.store.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.store.workspace import Workspace


class Gates:
    """Built before anything is made; says of each image whether it may leave, and remembers which may not."""

    def __init__(self, run: Run, workspace: Workspace, to: Path) -> None:
        _only_released(to)
        cache = Cache(workspace.home / "cache" / "features")
        self._gates = [Gate(dataset, cache) for dataset in _learned_from(run)]
        self.left_out: list[dict[str, Any]] = []
        self._looked = 0

    def __call__(self, pictures: Sequence[NDArray[Any]], seeds: Sequence[int]) -> list[bool]:
        """Whether each of these images, of one size, may leave."""
        self._looked += len(pictures)
        passes = [True] * len(pictures)
        for gate in self._gates:
            found = gate(np.stack(pictures))
            for row, kept in enumerate(found.kept):
                if not kept and passes[row]:
                    likeness, like = round(float(found.likeness[row]), 4), int(found.nearest[row])
                    self.left_out.append({"seed": seeds[row], "likeness": likeness, "like": like})
                    passes[row] = False
        return passes

    def facts(self) -> dict[str, Any]:
        """For the record: what was compared, and how many images stayed behind."""
        return {"looked_at": self._looked, "left_out": len(self.left_out), "by": [g.facts() for g in self._gates]}

    def said(self) -> str:
        """The same for people."""
        expected = max(gate.expected for gate in self._gates)
        return (
            f"{len(self.left_out):,} of {self._looked:,} were left out, because they are too like one training image "
            f"({expected:.1%} of real new images would be); that the others are new is not proved by this."
        )


def _learned_from(run: Run) -> list[Dataset]:
    """The datasets of the run, and of the runs that it stands on or began with."""
    found: dict[str, Dataset] = {}
    for each in _runs(run, set()):
        known = each.facts.get("dataset")
        path = known.get("path") if isinstance(known, Mapping) else None
        if not isinstance(known, Mapping) or not isinstance(path, str) or not Path(path).exists():
            raise DataError(
                f"the images that {each.path.name} learned from are not there to compare with"
                + (f" ({path})" if isinstance(path, str) else ""), where=each.path, do="put the dataset back",
            )  # fmt: skip
        dataset = Dataset.open(Path(path))
        if dataset.digest != known.get("digest"):
            raise DataError(
                f"the dataset is not the one that {each.path.name} learned from", where=path, do="train again, or put "
                "the dataset back as it was",
            )  # fmt: skip
        found[dataset.digest] = dataset
    return list(found.values())


def _runs(run: Run, seen: set[Path]) -> Iterator[Run]:
    yield run
    seen.add(run.path)
    wish = run.facts.get("wish")
    for name in ("on", "from"):
        other = wish.get(name) if isinstance(wish, Mapping) else None
        if isinstance(other, str) and Path(other) not in seen:
            yield from _runs(Run.open(Path(other)), seen)


def _only_released(to: Path) -> None:
    """Refuse a folder in which images lie that passed no gate."""
    if not to.exists():
        return
    known = {"samples.jsonl", "sheet.png"}
    records = to / "samples.jsonl"
    lines = records.read_text("utf-8", errors="replace").splitlines() if records.exists() else []
    checked = True
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("samples"), dict):
            checked = checked and "release" in record["samples"]
        elif isinstance(record, dict) and isinstance(record.get("file"), str):
            known.add(record["file"])
    others = sorted(path.name for path in to.iterdir() if path.name not in known)
    if others or not checked:
        raise UsageError(
            "images that were not checked lie there" if not checked else f"other files lie there, such as {others[0]}",
            where=to, do="give a new folder with --to",
        )  # fmt: skip
