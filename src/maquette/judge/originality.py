"""Copies, twins and the membership attack of one set of made images, as far as the dataset allows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as cached

import numpy as np
from numpy.typing import NDArray

from maquette.data.dataset import Dataset
from maquette.features.cache import Cache
from maquette.features.extractor import Pictures
from maquette.judge.copies import (
    FEWEST_HELD,
    SIDE,
    Copies,
    Finder,
    Nearest,
    Structure,
    find_copies,
    membership,
    share_of,
    structures,
)
from maquette.judge.evidence import LARGEST, Chosen, pick
from maquette.judge.interval import Estimate
from maquette.store.digest import json_digest

VERSION = "structure 2"
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


class Searches:
    """Looks for the nearest image, and remembers what it found under the digests of all that was compared."""

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache

    def structures(self, dataset: Dataset, rows: NDArray[np.int64]) -> Structure:
        """The structures of these images of a dataset."""
        key = {"structures": VERSION, **Chosen(dataset, rows).key()}
        known = self._cache.get(key) if self._cache is not None else None
        if known is not None and known.shape == (len(rows), SIDE * SIDE):
            return known.reshape(-1, SIDE, SIDE)
        found = structures_of(Chosen(dataset, rows))
        if self._cache is not None and len(rows) <= LARGEST:
            self._cache.put(key, found.reshape(len(rows), -1))
        return found

    def nearest(
        self, among: str, of: str, count: int, search: Callable[[], Nearest],
    ) -> Nearest:  # fmt: skip
        """The nearest images among those of one digest, for the `count` images of another."""
        key = {"nearest": VERSION, "among": among, "of": of}
        known = self._cache.get(key) if self._cache is not None else None
        if known is not None and known.shape == (count, 3):
            return Nearest(known[:, 0].copy(), known[:, 1].astype(np.int64), known[:, 2] > 0)
        found = search()
        if self._cache is not None:
            self._cache.put(key, np.stack([found.likeness, found.index, found.mirrored], axis=1).astype(np.float32))
        return found


def structures_of(pictures: Pictures) -> Structure:
    """The structures of all pictures, read a block at a time."""
    return np.concatenate([structures(pictures[start : start + 1024]) for start in range(0, len(pictures), 1024)])


def digest_of(pictures: Pictures) -> str:
    """The digest of the pixels of all pictures."""
    seen = hashlib.sha256(str(pictures[0:1].shape[1:]).encode())
    for start in range(0, len(pictures), 1024):
        seen.update(np.ascontiguousarray(pictures[start : start + 1024]).data)
    return seen.hexdigest()


def compare(dataset: Dataset, pictures: Pictures, cache: Cache | None = None) -> Originality:
    """Compare made images with the training images of a dataset."""
    held_out = dataset.indices("held-out")
    if len(held_out) < FEWEST_HELD:
        return Originality(
            why_not=f"the dataset holds {len(held_out):,} images out, and {FEWEST_HELD} are needed to know how near "
            "honest images come"
        )
    searches = Searches(cache)
    train_rows, held_rows = pick(dataset.indices("train"), LARGEST), pick(held_out, HELD)
    attacked_rows = train_rows[pick(np.arange(len(train_rows)), len(held_rows), seed=5)]
    digests = [json_digest(Chosen(dataset, rows).key()) for rows in (train_rows, held_rows, attacked_rows)]
    among_train, of_held, of_attacked = digests
    of_made, count = digest_of(pictures), len(pictures)
    # What is needed only where nothing is remembered is made then.
    made = cached(lambda: structures_of(pictures))
    held = cached(lambda: searches.structures(dataset, held_rows))
    attacked = cached(lambda: structures_of(Chosen(dataset, attacked_rows)))
    training = cached(lambda: Finder(searches.structures(dataset, train_rows)))
    copying = cached(lambda: Finder(made()))
    find = searches.nearest
    copies = find_copies(
        find(among_train, of_made, count, lambda: training()(made())),
        find(among_train, of_held, len(held_rows), lambda: training()(held())),
    )
    twins = find(of_made, of_made, count, lambda: copying()(made(), not_itself=True))
    attack = membership(
        -find(of_made, of_attacked, len(attacked_rows), lambda: copying()(attacked())).likeness,
        -find(of_made, of_held, len(held_rows), lambda: copying()(held())).likeness,
    )
    return Originality(copies, share_of(twins.likeness > copies.threshold), attack, train_rows, held_rows)
