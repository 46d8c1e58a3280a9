"""Sets whose images are all alike: scans of one organ, faces brought to one place, glyphs, floor plans of one house.

Whether two images are copies is judged by how far different images of the world usually are from each other
(`similar.py`). In such a set different images are nearer than that, and many would be called copies. So where a good
part of a set seems to have copies, pairs drawn by chance are judged too. They are no copies but for a few; if some of
them seem to be, and as many almost do, the set is a crowd, and the odds are brought down to what is so in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.data.audit import similar

SHARE = 0.05
"""Of the images that seem to have copies, from which on it is asked whether the set is a crowd."""
DRAWN = 4_096
"""Pairs drawn by chance."""
BELOW = 4.0
"""Log odds below zero in which chance pairs lie too, if those above are the end of a tail and not copies."""
ALMOST = 0.25
"""As many of them, as a share of those above, at least."""
LEAST, ABOVE = 8, 3
"""At least so many almost, and so many above: in large sets, few of all pairs are many."""
BOUNDS = ((0.995, 3.0), (0.999, 2.5))
"""A copy must be likelier than so many chance pairs, by so much: evidence cannot grow without end, and of all pairs of
four such sets none was further above both (docs/log.md); a tail that is drawn out would ask for far too much."""


@dataclass(frozen=True)
class Crowd:
    """By how much log odds are brought down; 0 outside crowds."""

    score: float = 0.0

    def __bool__(self) -> bool:
        return self.score > 0

    def settle(self, pairs: similar.Pairs) -> similar.Pairs:
        """The pairs by the odds of this set. Of a crowd only copies are left: all of its shapes agree."""
        if not self:
            return pairs
        settled = replace(pairs, score=pairs.score - np.float32(self.score))
        return settled.where(settled.score > 0)


def crowd_of(
    pairs: similar.Pairs,
    signatures: NDArray[np.float16],
    images: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
) -> Crowd:
    """Whether these images are a crowd. `pairs` were found among them; `images` hands some of them over."""
    count = len(signatures)
    close = pairs.score > 0
    copied = len(np.unique(pairs.both[close]))
    if copied < max(LEAST, SHARE * count):
        return Crowd()
    chance = similar.confirm(_by_chance(count, signatures, images), images)
    above, almost = chance.score > 0, (chance.score > -BELOW) & (chance.score <= 0)
    if above.sum() < ABOVE or almost.sum() < max(LEAST, ALMOST * above.sum()):
        return Crowd()  # there are copies indeed
    return Crowd(max(0.0, *(float(np.quantile(chance.score, share)) + more for share, more in BOUNDS)))


def _by_chance(
    count: int, signatures: NDArray[np.float16], images: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
) -> NDArray[Any]:
    """Pairs of different images, each seen as the search would see it: in the view in which they are most alike."""
    rng = np.random.Generator(np.random.Philox(0))
    first = rng.integers(0, count, DRAWN)
    second = (first + rng.integers(1, count, DRAWN)) % count
    pieces = []
    for start in range(0, DRAWN, 256):
        one, other = first[start : start + 256], second[start : start + 256]
        pictures = images(one).astype(np.float32)
        grey = pictures[..., 0] if pictures.shape[3] == 1 else pictures @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        seen = similar.views(similar.thumbnails(grey))
        likeness = np.einsum("nvk,nk->nv", seen, signatures[other].astype(np.float32))
        piece = np.empty(len(one), similar.CANDIDATE)
        piece["first"], piece["second"] = one, other
        piece["view"], piece["likeness"] = likeness.argmax(1), likeness.max(1)
        pieces.append(piece)
    return np.concatenate(pieces)
