"""One generator of random numbers per image: image k depends on seed k alone.

Numbers come from the counter-based Philox generator, keyed by (seed, name of the stream), so they are the same in any
batch, order or process, and on any machine up to the last bit of its logarithm and cosine. Between seeds lie mixes of
them: a little more of one seed and a little less of another changes the numbers, and so the image, a little.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError

SEED_LIMIT = 2**63
MOST_SEEDS = 64
"""Seeds that one image is mixed of, at most."""
LARGEST_WEIGHT = 1e12


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
class Mix:
    """What lies between seeds: normal numbers that are a blend of theirs, on the sphere that normal numbers fill.

    Only the proportion of the weights counts: the numbers are sum(weight * those of the seed) / sqrt(sum(weight^2)),
    which are normal again. A mix of one seed has that seed's numbers, bit for bit. A negative weight leads away.
    """

    seeds: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.seeds) != len(self.weights) or not 0 < len(self.seeds) <= MOST_SEEDS:
            raise UsageError(
                f"a mix of {len(self.seeds)} seeds and {len(self.weights)} weights is not possible",
                do=f"give 1 to {MOST_SEEDS} seeds and a weight for each",
            )
        together: dict[int, float] = {}
        for seed, weight in zip(self.seeds, self.weights, strict=True):
            # The shortest decimals that tell weights apart: so a mix that is read back from a file is the same.
            together[_seed(seed)] = together.get(_seed(seed), 0.0) + float(f"{weight:.12g}")
        largest = max(abs(weight) for weight in together.values())
        if not 0 < largest < LARGEST_WEIGHT or not all(map(math.isfinite, together.values())):
            raise UsageError(f"the weights {list(self.weights)} mix nothing", do="give numbers of which one is not 0")
        kept = {seed: weight for seed, weight in together.items() if abs(weight) > 1e-9 * largest}
        object.__setattr__(self, "seeds", tuple(kept))
        object.__setattr__(self, "weights", tuple(kept.values()))

    @classmethod
    def between(cls, first: int, second: int, place: float) -> Mix:
        """On the shortest way from one seed (place 0) to another (1), equally long steps for equal steps of place."""
        return cls((first, second), (math.cos(place * math.pi / 2), math.sin(place * math.pi / 2)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Mix:
        """A mix of `{"seeds": [1, 2], "weights": [0.5, 0.5]}`; without weights all count alike."""
        seeds = value.get("seeds")
        weights = value.get("weights", [1.0] * len(seeds) if isinstance(seeds, (list, tuple)) else None)
        numbers = (int, float)
        if (
            value.keys() - {"seeds", "weights"}
            or not (isinstance(seeds, (list, tuple)) and all(type(seed) is int for seed in seeds))
            or not (isinstance(weights, (list, tuple)) and all(type(weight) in numbers for weight in weights))
        ):
            raise UsageError("this is not a mix of seeds", do='write {"seeds": [1, 2], "weights": [0.5, 0.5]}')
        return cls(tuple(seeds), tuple(float(weight) for weight in weights))

    @property
    def leader(self) -> int:
        """The seed that counts most."""
        return max(zip(self.seeds, self.weights, strict=True), key=lambda pair: abs(pair[1]))[0]

    def __str__(self) -> str:
        return " + ".join(f"{weight:.3g} x {seed}" for seed, weight in zip(self.seeds, self.weights, strict=True))


def _seed(seed: int) -> int:
    seed = int(seed)
    if not 0 <= seed < SEED_LIMIT:
        raise UsageError(f"a seed lies between 0 and {SEED_LIMIT - 1}, not {seed}")
    return seed


def leader(seed: int | Mix) -> int:
    """The seed itself, or the one that counts most."""
    return seed.leader if isinstance(seed, Mix) else seed


@dataclass(frozen=True)
class Noise:
    """The random numbers of a batch of images, row by row from their seeds or mixes of seeds."""

    seeds: Sequence[int | Mix]

    def __post_init__(self) -> None:
        rows = tuple(seed if isinstance(seed, Mix) else _seed(seed) for seed in self.seeds)
        object.__setattr__(self, "seeds", rows)

    def __len__(self) -> int:
        return len(self.seeds)

    def normal(self, stream: str, *shape: int) -> NDArray[np.float32]:
        """Standard normal numbers of shape (len(self), *shape)."""
        count = int(np.prod(shape, dtype=np.int64))
        rows = np.stack(self._rows(stream, count))
        return rows.astype(np.float32).reshape(len(self), *shape)

    def uniform(self, stream: str, *shape: int) -> NDArray[np.float32]:
        """Numbers in [0, 1) of shape (len(self), *shape).

        Those of a mix are the share of normal numbers below the blend of its seeds' normal numbers for them: uniform
        again, they move smoothly with the weights, and those of one seed are that seed's.
        """
        count = int(np.prod(shape, dtype=np.int64))
        rows = np.stack(self._uniform_rows(stream, count))
        # Rounding to float32 may reach 1.0: keep the interval half open.
        return np.minimum(rows.astype(np.float32), np.float32(1 - 2**-24)).reshape(len(self), *shape)

    def _rows(self, stream: str, count: int) -> list[NDArray[np.float64]]:
        known: dict[int, NDArray[np.float64]] = {}

        def own(seed: int) -> NDArray[np.float64]:
            if seed not in known:
                known[seed] = normal(seed, stream, count)
            return known[seed]

        return [_blend(row, own) for row in self.seeds]

    def _uniform_rows(self, stream: str, count: int) -> list[NDArray[np.float64]]:
        known: dict[int, NDArray[np.float64]] = {}

        def own(seed: int) -> NDArray[np.float64]:
            from scipy.special import ndtri

            if seed not in known:
                known[seed] = ndtri(np.maximum(uniform(seed, stream, count), 2.0**-54))
            return known[seed]

        rows: list[NDArray[np.float64]] = []
        for row in self.seeds:
            if isinstance(row, Mix) and not _single(row):
                from scipy.special import ndtr

                rows.append(np.asarray(ndtr(_blend(row, own))))
            else:
                rows.append(uniform(leader(row), stream, count))
        return rows


def _single(row: Mix) -> bool:
    return len(row.seeds) == 1 and row.weights[0] > 0


def _blend(row: int | Mix, own: Callable[[int], NDArray[np.float64]]) -> NDArray[np.float64]:
    if not isinstance(row, Mix) or _single(row):
        return own(leader(row))
    length = math.sqrt(sum(weight * weight for weight in row.weights))
    total = np.zeros_like(own(row.seeds[0]))
    for seed, weight in zip(row.seeds, row.weights, strict=True):  # in this order, so that sums round alike
        total += (weight / length) * own(seed)
    return total
