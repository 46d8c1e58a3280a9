"""The mark's pattern: waves of a tile that repeats, with phases that only the key knows.

A tile holds whole numbers of waves; those of a ring of frequencies carry the mark. A third of them, the pilot, are
the same in every image of a key, and by them the mark is found and put straight. The others carry the payload: the
real and the imaginary part of each wave is one chip, the sign of one symbol of the code.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maquette.trust import codes

LOWEST, HIGHEST = 3.0, 19.0
"""Waves a tile: from .05 to .3 a pixel. Lower ones would be seen as blotches, higher ones die in JPEG and resizing."""
COLOUR_LOWEST, COLOUR_HIGHEST = 1.5, 14.0
"""Waves a tile in the colours, which JPEG and WebP keep at half the size; there blotches are hardly seen."""
PILOT_OF = 3
"""One wave in so many is the pilot's."""

Waves = NDArray[np.complex64]


@dataclass(frozen=True)
class Pattern:
    """What a key says about every wave of the ring; arrays over the waves, the pilot's first."""

    waves: NDArray[np.int32]
    """(count, 2): waves a tile along y and along x, of one half plane."""
    phases: Waves
    """Unit complex numbers."""
    pilot: int
    """How many of the waves are the pilot's."""
    order: NDArray[np.int32]
    """Which symbol each chip carries, modulo the number of symbols."""
    colour: Pattern | None = None
    """The pattern between blue and yellow, which carries the same symbols."""

    def symbols(self, read: Waves, length: int) -> codes.Soft:
        """What the waves (turned back by their phases) say about each symbol of a payload of so many bytes."""
        count = codes.symbol_count(length)
        chips = np.stack([read[self.pilot :].real, read[self.pilot :].imag], axis=1).reshape(-1)
        return np.bincount(self.order % count, chips, count).astype(np.float32)

    def carrying(self, symbols: codes.Soft | None) -> Waves:
        """The waves with a payload's symbols on them; None: presence alone, and every wave is known."""
        values = self.phases.copy()
        if symbols is not None:
            chips = symbols[self.order % len(symbols)].reshape(-1, 2)
            values[self.pilot :] *= (chips[:, 0] + 1j * chips[:, 1]) * np.float32(0.5**0.5)
        return values


@functools.lru_cache(maxsize=16)
def pattern(key: bytes) -> Pattern:
    """The pattern of a key; it is the same on every machine."""
    return replace(_ring(key, "luminance", LOWEST, HIGHEST), colour=_ring(key, "colour", COLOUR_LOWEST, COLOUR_HIGHEST))


def _ring(key: bytes, plane: str, lowest: float, highest: float) -> Pattern:
    reach = int(highest)
    y, x = np.mgrid[-reach : reach + 1, 0 : reach + 1]
    radius = np.hypot(y, x)
    half = (x > 0) | (y > 0)
    waves = np.stack([y, x], axis=-1)[(radius >= lowest) & (radius <= highest) & half].astype(np.int32)
    waves = waves[np.lexsort((waves[:, 1], waves[:, 0], (waves**2).sum(1)))]
    # One of every three waves of about one length is the pilot's, so that it reaches as far as the payload does.
    groups = len(waves) // PILOT_OF
    chosen = np.arange(groups) * PILOT_OF + (_numbers(key, plane + " pilot", groups) % PILOT_OF).astype(np.int64)
    is_pilot = np.zeros(len(waves), bool)
    is_pilot[chosen] = True
    waves = np.concatenate([waves[is_pilot], waves[~is_pilot]])
    angles = _numbers(key, plane + " phases", len(waves)) * (2 * np.pi / 2**32)
    chips = 2 * (len(waves) - groups)
    order = np.argsort(_numbers(key, plane + " order", chips), kind="stable").astype(np.int32)
    return Pattern(waves, np.exp(1j * angles).astype(np.complex64), groups, order)


def _numbers(key: bytes, stream: str, count: int) -> NDArray[np.float64]:
    """Whole numbers below 2^32 that only the key knows."""
    content = hashlib.shake_256(b"maquette watermark 1\0" + stream.encode() + b"\0" + key).digest(4 * count)
    return np.frombuffer(content, "<u4").astype(np.float64)


def draw(
    values: Waves, waves: NDArray[np.int32], shape: tuple[int, int], tile: tuple[float, float]
) -> NDArray[np.float32]:
    """The sum of the waves over an image of this shape whose tiles have these sides (y, x) in pixels.

    Phases are counted from the image's upper left corner; pixel centres lie at a half.
    """
    reach = int(np.abs(waves).max())
    grid = np.zeros((2 * reach + 1, reach + 1), np.complex64)
    grid[waves[:, 0] + reach, waves[:, 1]] = values
    rows = np.exp(2j * np.pi / tile[0] * np.outer(np.arange(shape[0]) + 0.5, np.arange(-reach, reach + 1)))
    columns = np.exp(2j * np.pi / tile[1] * np.outer(np.arange(reach + 1), np.arange(shape[1]) + 0.5))
    drawn = (rows.astype(np.complex64) @ grid) @ columns.astype(np.complex64)
    return np.asarray(drawn.real)
