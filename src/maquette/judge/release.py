"""The gate that made images pass before they are handed to others: what is too like a training image stays behind.

It compares as `copies` does, with a threshold from held-out images, so it can only be built for a dataset that holds
enough of them out. What it lets through is not proved to be new: it is not more like one training image than new real
images are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.data.dataset import Dataset
from maquette.features.cache import Cache
from maquette.judge.copies import FEWEST_HELD, Finder, Nearest, structures, threshold_of
from maquette.judge.evidence import Chosen, pick
from maquette.judge.originality import HELD, VERSION, Searches
from maquette.store.digest import json_digest

MOST = 200_000
"""Training images that fit into memory for this, at 4 kB each."""


@dataclass(frozen=True)
class Passed:
    """What the gate says of some images."""

    kept: NDArray[np.bool_]
    likeness: NDArray[np.float32]
    """To the nearest training image; 1 is the same structure."""
    nearest: NDArray[np.int64]
    """Which image of the dataset that is."""


class Gate:
    """Built once for a dataset; every image that is to leave goes through it."""

    def __init__(self, dataset: Dataset, cache: Cache | None = None) -> None:
        held_out = dataset.indices("held-out")
        if len(held_out) < FEWEST_HELD:
            raise DataError(
                f"it holds {len(held_out):,} images out, and {FEWEST_HELD} are needed to know which images are too "
                "like those that were learned from", where=dataset.path,
                do="ingest with a larger --held-out, or release without the check, knowing that nothing was checked",
            )  # fmt: skip
        self.dataset = dataset
        self.train = dataset.indices("train")  # all of them: a copy of any image is a copy
        if len(self.train) > MOST:
            raise DataError(
                f"{len(self.train):,} training images are more than can be compared with", where=dataset.path,
                do=f"the check bears {MOST:,}",
            )  # fmt: skip
        searches = Searches(cache)
        held = pick(held_out, HELD)
        self.finder = Finder(searches.structures(dataset, self.train))
        among, of = (json_digest(Chosen(dataset, rows).key()) for rows in (self.train, held))
        honest = searches.nearest(
            among, of, len(held), lambda: self.finder(searches.structures(dataset, held))
        )  # fmt: skip
        self.threshold = threshold_of(honest)
        self.expected = float((honest.likeness > self.threshold).mean())
        """The share of held-out images that would stay behind: false alarms to expect."""

    def __call__(self, images: NDArray[Any]) -> Passed:
        """Which of these images (N H W C, of any form) may leave."""
        found: Nearest = self.finder(structures(images))
        return Passed(found.likeness <= self.threshold, found.likeness, self.train[found.index])

    def facts(self) -> dict[str, Any]:
        """What was compared, for the record of a release."""
        return {
            "dataset": self.dataset.digest, "training_images": len(self.train), "threshold": round(self.threshold, 4),
            "expected": round(self.expected, 5), "check": VERSION,
        }  # fmt: skip
