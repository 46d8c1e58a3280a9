"""Which images are trained on and which are held out: copies of one image always go together."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.data.dataset import PARTS, Part

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Tally:
    """The digest of every image's pixels, the part its source wants it in, and what it was cut from: few bytes each."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._parts = array("b")
        self._kept = array("b")
        self._clips = array("Q")

    def add(self, digest: int, part: Part | None, clip: int = 0, kept: Part | None = None) -> None:
        """Note one image; `digest` is that of its pixels (see `data.decoding.pixels`).

        Images of one `clip` (not 0) belong together, as frames of a scene and crops of a picture do. `kept` is the
        part that it has had in the dataset before.
        """
        self._digests.append(digest)
        self._parts.append(-1 if part is None else PARTS.index(part))
        self._kept.append(-1 if kept is None else PARTS.index(kept))
        self._clips.append(clip)

    @property
    def digests(self) -> NDArray[np.uint64]:
        """One number an image, equal for equal pixels."""
        return np.array(self._digests, np.uint64)

    @property
    def wishes(self) -> NDArray[np.int8]:
        """0 train, 1 held out, -1 not said."""
        return np.array(self._parts, np.int8)

    @property
    def kept(self) -> NDArray[np.int8]:
        """The part before: 0 train, 1 held out, -1 none."""
        return np.array(self._kept, np.int8)

    @property
    def clips(self) -> NDArray[np.uint64]:
        """One number an image, equal for images that belong together; 0 for those that stand alone."""
        return np.array(self._clips, np.uint64)


def divide(tally: Tally, share: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], int]:
    """Parts and groups of all images, and how many had to leave the held-out part because a copy is trained on.

    Where the sources have a held-out part of their own, it is kept. Otherwise groups are chosen by a hash of their
    pixels and the seed, so that the choice does not depend on names or order, until the share is reached.
    """
    first, groups, sizes = _grouped(tally)
    wishes, kept = tally.wishes, tally.kept
    if (wishes == 1).any() and (wishes != 1).any():
        wishes = np.where(wishes < 0, kept, wishes)
        trained = np.zeros(len(first), bool)
        trained[groups[wishes != 1]] = True
        parts = np.where(trained[groups], 0, 1).astype(np.uint8)
        return parts, _by_appearance(groups), int(np.count_nonzero((wishes == 1) & (parts == 0)))
    wanted = round(share * len(groups))
    if share > 0 and len(groups) >= 10:
        wanted = max(1, wanted)
    held, free = np.zeros(len(first), np.uint8), np.ones(len(first), bool)
    # What was trained on or held out before stays so: a model of yesterday must not be measured on what it learned.
    free[groups[kept >= 0]] = False
    held[groups[kept == 1]] = 1
    held[groups[kept == 0]] = 0
    total = int(sizes[held == 1].sum())
    for group in np.argsort(_mixed(first, seed), kind="stable"):
        size = int(sizes[group])
        if free[group] and total + size <= wanted and total + size < len(groups):
            held[group] = 1
            total += size
        if total >= wanted:
            break
    return held[groups], _by_appearance(groups), 0


def _grouped(tally: Tally) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]:
    """A digest of each group, the group of each image, and the sizes: copies and members of one clip are one group."""
    first, inverse, sizes = np.unique(tally.digests, return_inverse=True, return_counts=True)
    groups: NDArray[np.int32] = inverse.astype(np.int32)
    clips = tally.clips
    if not clips.any():
        return first, groups, sizes
    there = np.flatnonzero(clips)
    _, clip = np.unique(clips[there], return_inverse=True)
    count = len(first) + int(clip.max()) + 1
    joined = connected(np.stack([groups[there], len(first) + clip], 1), count)
    groups = np.unique(joined[groups], return_inverse=True)[1].astype(np.int32)
    # The least digest of its images stands for a group, so that the choice does not depend on the order.
    digests = np.full(int(groups.max()) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(digests, groups, tally.digests)
    return digests, groups, np.bincount(groups)


def connected(pairs: NDArray[np.integer[Any]], count: int) -> NDArray[np.int64]:
    """For each of so many things the least of those that pairs (n x 2) connect it with.

    SciPy has this too, but takes longer to load than this takes for a million pairs.
    """
    least = np.arange(count)
    while len(pairs):
        one, other = least[pairs[:, 0]], least[pairs[:, 1]]
        apart = one != other
        pairs, low, high = pairs[apart], np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        np.minimum.at(least, high, low)
        while not np.array_equal(shorter := least[least], least):
            least = shorter
    return least


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
