"""Which images are trained on and which are held out: copies of one image always go together."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from maquette.data.dataset import PARTS, Part

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Tally:
    """The digest of every image's pixels, and the part its source wants it in: nine bytes an image."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._parts = array("b")

    def add(self, digest: bytes, part: Part | None) -> None:
        """Note one image; `digest` has 8 bytes."""
        self._digests.append(int.from_bytes(digest, "little"))
        self._parts.append(-1 if part is None else PARTS.index(part))

    @property
    def digests(self) -> NDArray[np.uint64]:
        """One number an image, equal for equal pixels."""
        return np.array(self._digests, np.uint64)

    @property
    def wishes(self) -> NDArray[np.int8]:
        """0 train, 1 held out, -1 not said."""
        return np.array(self._parts, np.int8)


def divide(tally: Tally, share: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], int]:
    """Parts and groups of all images, and how many had to leave the held-out part because a copy is trained on.

    Where the sources have a held-out part of their own, it is kept. Otherwise groups are chosen by a hash of their
    pixels and the seed, so that the choice does not depend on names or order, until the share is reached.
    """
    first, inverse, sizes = np.unique(tally.digests, return_inverse=True, return_counts=True)
    groups = inverse.astype(np.int32)
    wishes = tally.wishes
    if (wishes == 1).any() and (wishes != 1).any():
        trained = np.zeros(len(first), bool)
        trained[groups[wishes != 1]] = True
        parts = np.where(trained[groups], 0, 1).astype(np.uint8)
        return parts, _by_appearance(groups), int(np.count_nonzero((wishes == 1) & (parts == 0)))
    wanted = round(share * len(groups))
    if share > 0 and len(groups) >= 10:
        wanted = max(1, wanted)
    held = np.zeros(len(first), np.uint8)
    total = 0
    for group in np.argsort(_mixed(first, seed), kind="stable"):
        size = int(sizes[group])
        if total + size <= wanted and total + size < len(groups):
            held[group] = 1
            total += size
        if total == wanted:
            break
    return held[groups], _by_appearance(groups), 0


def _mixed(digests: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """The digests shuffled by the seed (the finishing steps of SplitMix64)."""
    mixed = digests ^ np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def _by_appearance(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same groups, numbered in the order in which they first appear."""
    _, first = np.unique(groups, return_index=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return np.asarray(rank[groups], np.int32)
