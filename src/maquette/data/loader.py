"""Batches for training, cut from a dataset by position alone, so that training can go on exactly where it stopped.

The order of epoch e is a permutation that depends on the seed and e alone. There is no state to save: whoever knows
how many images were used knows what comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.noise import uniform
from maquette.data.dataset import Part


class Items(Protocol):
    """What batches are cut from: a dataset, or images in memory."""

    @property
    def path(self) -> Path:
        """Where it lies, for messages."""
        ...

    def __len__(self) -> int: ...
    def indices(self, part: Part) -> NDArray[np.int64]:
        """Which items belong to a part."""
        ...

    def images(self, indices: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """A copy of these images."""
        ...

    def conditions(self, indices: Sequence[int] | NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The encoded conditions of these images."""
        ...


class Loader:
    """Endless shuffled images of one part of a dataset, with the conditions that are named.

    With `balance`, the name of a label, images of rare labels are repeated until all labels are as frequent.
    """

    def __init__(
        self,
        dataset: Items,
        part: Part = "train",
        names: Sequence[str] = (),
        seed: int = 0,
        *,
        balance: str = "",
    ) -> None:
        self.dataset, self.part, self.names, self.seed = dataset, part, tuple(names), seed
        self._items = dataset.indices(part).astype(np.uint32 if len(dataset) < 2**32 else np.int64)
        if not len(self._items):
            raise DataError(f"the dataset has no images in its part {part!r}", where=dataset.path)
        self.known = len(self._items)
        """How many different images there are."""
        if balance:
            labels = dataset.conditions(self._items, [balance])[balance].reshape(-1)
            self._items = balanced(self._items, labels)
        self._orders: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        """Images in one epoch."""
        return len(self._items)

    def indices(self, position: int, count: int) -> NDArray[np.int64]:
        """Which items of the dataset stand at `position` (images since the start) and after it."""
        chosen = np.empty(count, np.int64)
        filled = 0
        while filled < count:
            epoch, start = divmod(position + filled, len(self))
            piece = self._order(epoch)[start : start + count - filled]
            chosen[filled : filled + len(piece)] = piece
            filled += len(piece)
        return chosen

    def batch(self, position: int, count: int) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """The `count` images from `position` on, and their conditions."""
        chosen = self.indices(position, count)
        return self.dataset.images(chosen), self.dataset.conditions(chosen, self.names)

    def _order(self, epoch: int) -> NDArray[Any]:
        if epoch not in self._orders:
            # A sort by random keys: unlike a library's shuffle, it will be the same in every version of NumPy.
            keys = uniform(self.seed, f"order of epoch {epoch}", len(self))
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = self._items[np.argsort(keys, kind="stable")]
        return self._orders[epoch]


def balanced(items: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """The items, those of rarer labels again and again until all labels are as frequent. Without a label: once."""
    counts = {label: int((labels == label).sum()) for label in np.unique(labels[labels >= 0])}
    rows = [items[labels < 0], *(np.resize(items[labels == label], max(counts.values())) for label in counts)]
    return np.concatenate(rows)
