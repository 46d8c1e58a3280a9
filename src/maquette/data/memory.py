"""Images and conditions that are in memory, for the loader: a dataset that lies nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Memory:
    """N images (N H W C) to learn from, with their encoded conditions."""

    path = Path("memory")

    def __init__(self, images: NDArray[Any], conditions: Mapping[str, NDArray[Any]]) -> None:
        self._images, self._conditions = images, dict(conditions)

    def __len__(self) -> int:
        return len(self._images)

    def indices(self, part: Any) -> NDArray[np.int64]:
        """All of them are there to learn from."""
        return np.arange(len(self) if part == "train" else 0)

    def images(self, indices: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """A copy of these images."""
        return np.asarray(self._images[np.asarray(indices, np.int64)])

    def conditions(self, indices: Sequence[int] | NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The encoded conditions of these images."""
        chosen = np.asarray(indices, np.int64)
        return {name: np.asarray(self._conditions[name][chosen]) for name in names}
