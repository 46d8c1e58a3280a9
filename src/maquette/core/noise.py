"""One generator of random numbers per image: image k depends on seed k alone.

Numbers come from the counter-based Philox generator, keyed by (seed, name of the stream), so they are the same in any
batch, order or process, and on any machine up to the last bit of its logarithm and cosine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError

SEED_LIMIT = 2**63


def _bits(seed: int, stream: str, count: int) -> NDArray[np.uint64]:
    key = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
    words = np.array([seed, key], dtype=np.uint64)
    return np.random.Philox(key=words).random_raw(count)


def uniform(seed: int, stream: str, count: int) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) for one seed and stream."""
    return (_bits(seed, stream, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seed: int, stream: str, count: int) -> NDArray[np.float64]:
    """`count` standard normal numbers for one seed and stream (Box-Muller)."""
    half = (count + 1) // 2
    u = uniform(seed, stream, 2 * half)
    radius = np.sqrt(-2.0 * np.log(1.0 - u[:half]))
    angle = 2.0 * np.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


@dataclass(frozen=True)
class Noise:
    """The random numbers of a batch of images, row by row from their seeds."""

    seeds: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        for seed in self.seeds:
            if not 0 <= seed < SEED_LIMIT:
                raise UsageError(f"a seed lies between 0 and {SEED_LIMIT - 1}, not {seed}")

    def __len__(self) -> int:
        return len(self.seeds)

    def normal(self, stream: str, *shape: int) -> NDArray[np.float32]:
        """Standard normal numbers of shape (len(self), *shape)."""
        count = int(np.prod(shape, dtype=np.int64))
        rows = np.stack([normal(seed, stream, count) for seed in self.seeds])
        return rows.astype(np.float32).reshape(len(self), *shape)

    def uniform(self, stream: str, *shape: int) -> NDArray[np.float32]:
        """Numbers in [0, 1) of shape (len(self), *shape)."""
        count = int(np.prod(shape, dtype=np.int64))
        rows = np.stack([uniform(seed, stream, count) for seed in self.seeds])
        # Rounding to float32 may reach 1.0: keep the interval half open.
        return np.minimum(rows.astype(np.float32), np.float32(1 - 2**-24)).reshape(len(self), *shape)
