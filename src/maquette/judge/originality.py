"""Copies, twins and the membership attack of one set of made images, as far as the dataset allows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.data.dataset import Dataset
from maquette.features.extractor import Pictures
from maquette.judge.copies import (
    FEWEST_HELD,
    Copies,
    Finder,
    Structure,
    find_copies,
    find_duplicates,
    membership,
    share_of,
    structures,
)
from maquette.judge.evidence import LARGEST, Chosen, pick
from maquette.judge.interval import Estimate

HELD = 5_000
"""Held-out images that are compared, at most."""


@dataclass(frozen=True)
class Originality:
    """What the comparison with the training images found, or why there is none."""

    copies: Copies | None = None
    duplicates: Estimate | None = None
    membership: Estimate | None = None
    train: NDArray[np.int64] | None = None
    held: NDArray[np.int64] | None = None
    """Which of the dataset's images were compared with."""
    why_not: str = ""

    @property
    def passes(self) -> bool:
        """Whether there are not plainly more copies than false alarms among held-out images."""
        return self.copies is not None and self.copies.share.low <= max(self.copies.expected, 0.01)


def structures_of(pictures: Pictures) -> Structure:
    """The structures of all pictures, read a block at a time."""
    return np.concatenate([structures(pictures[start : start + 1024]) for start in range(0, len(pictures), 1024)])


def compare(dataset: Dataset, pictures: Pictures) -> Originality:
    """Compare made images with the training images of a dataset."""
    held_out = dataset.indices("held-out")
    if len(held_out) < FEWEST_HELD:
        return Originality(
            why_not=f"the dataset holds {len(held_out):,} images out, and {FEWEST_HELD} are needed to know how near "
            "honest images come"
        )
    train_rows, held_rows = pick(dataset.indices("train"), LARGEST), pick(held_out, HELD)
    train, held = (structures_of(Chosen(dataset, rows)) for rows in (train_rows, held_rows))
    made = structures_of(pictures)
    copies = find_copies(Finder(train), made, held)
    twins = share_of(find_duplicates(made, copies.threshold))
    attacked = Finder(made)
    chosen = pick(np.arange(len(train)), len(held), seed=5)
    attack = membership(-attacked(train[chosen]).likeness, -attacked(held).likeness)
    return Originality(copies, twins, attack, train_rows, held_rows)
