"""Where a mark may lie in an image: places are tried by the pilot alone, which costs little an attempt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from maquette.trust.pattern import Pattern, Waves
from maquette.trust.spectrum import Real, Spectrum

TILE = 64.0
"""The side of a tile in an image of 64 pixels; it grows with the fourth root of the image's side."""
MOST_TILES = 16
"""Along a side: larger images have larger tiles, so that they can be reduced before looking."""
SMALLEST, LARGEST = 20.0, 260.0
"""The sides of tiles that are looked for, in pixels."""
USUAL = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Sides of images, in pixels, that are cut without being resized."""
TURN = 6.0
"""Degrees to either side that are looked for."""
FINEST = 0.45
"""Waves a pixel above which nothing is left to read."""
_CORNERS = 64  # corners that are tried along a tile
_PIECE = 64  # places tried at once
_FIT = 12  # steps between sizes and turns: a tile's side divided by so many times the image's side


@dataclass(frozen=True)
class Place:
    """How the mark lies in an image."""

    tile: tuple[float, float]
    """Sides of a tile (y, x) in pixels."""
    offset: tuple[float, float] = (0.0, 0.0)
    """Where in a tile (y, x) the middle of the image lies, from 0 to 1."""
    angle: float = 0.0
    """Turn in radians."""

    def frequencies(self, waves: NDArray[np.int32]) -> Real:
        """The pattern's waves as waves a pixel of this image."""
        straight = waves / np.array(self.tile)
        if not self.angle:
            return np.asarray(straight)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([cos * straight[:, 0] - sin * straight[:, 1], sin * straight[:, 0] + cos * straight[:, 1]], 1)


def at_corner(tile: tuple[float, float], shape: tuple[int, int]) -> Place:
    """The place whose first tile begins in the image's upper left corner."""
    return Place(tile, (shape[0] / 2 / tile[0] % 1, shape[1] / 2 / tile[1] % 1))


def own(shape: tuple[int, int], tile: str = "") -> Place:
    """Where the mark of an image of this shape lies: whole tiles from edge to edge, square ones if that can be.

    `tile` names the axes along which the image repeats: there the tiles are whole in any case.
    """
    side = (shape[0] * shape[1]) ** 0.5
    wanted = max(TILE * max(1.0, side / TILE) ** 0.25, max(shape) / MOST_TILES)

    def cost(rows: int) -> float:
        tall = shape[0] / rows
        wide = shape[1] / max(1, round(shape[1] / tall))
        return float(abs(np.log(tall / wanted)) + 4 * abs(np.log(wide / tall)))

    most = max(1, round(shape[0] / wanted * 1.5))
    tall = shape[0] / min(range(1, most + 1), key=cost)
    wide = shape[1] / max(1, round(shape[1] / tall))
    if abs(np.log(wide / tall)) > 0.03 and "x" not in tile:
        wide = tall
    return at_corner((tall, wide), shape)


def whole(shape: tuple[int, int]) -> list[Place]:
    """The ways in which an image of this shape can be all of a marked one, resized; its own place first."""
    first = own(shape)
    tiles = {first.tile: None}
    for axis in (0, 1):
        side, other = shape[axis], shape[1 - axis]
        for count in range(max(1, round(side / LARGEST)), max(1, int(side / SMALLEST)) + 1):
            length = side / count
            for across in (other / max(1, round(other / length)), other / count, length):
                if SMALLEST <= across <= LARGEST:
                    tiles[(length, across) if axis == 0 else (across, length)] = None
    return [at_corner(tile, shape) for tile in tiles]


def scaled(shape: tuple[int, int], smallest: float = SMALLEST, largest: float = LARGEST) -> list[Place]:
    """Square tiles of every size, so close to each other that one of them fits any."""
    sizes = [largest]
    while sizes[-1] > smallest:
        sizes.append(sizes[-1] / (1 + sizes[-1] / (_FIT * max(shape))))
    return [Place((size, size)) for size in sizes]


def unscaled() -> list[Place]:
    """Tiles as they are in images of usual sizes: what is left of them after a cut."""
    sizes = {round(own((side, side)).tile[0], 3) for side in USUAL}
    return [Place((size, size)) for size in sorted(sizes)]


def turned(shape: tuple[int, int]) -> list[Place]:
    """Tiles of about their first size, turned a little."""
    first = own(shape).tile[0]
    count = max(1, int(np.ceil(TURN / np.degrees(first / (_FIT * max(shape))))))
    angles = [np.radians(TURN) * step / count for step in range(-count, count + 1) if step]
    sizes = scaled(shape, 0.8 * first, 1.3 * first)
    return [replace(place, angle=float(angle)) for place, angle in itertools.product(sizes, angles)]


def read(spectrum: Spectrum, pattern: Pattern, place: Place) -> Waves:
    """Every wave of the pattern as it is in the image, turned back by its phase: a mark of presence is real."""
    values = _sampled(spectrum, pattern, place.frequencies(pattern.waves)[None], slice(None))[0]
    return np.asarray(values * _moved(pattern.waves, np.array(place.offset)))


def pilot(spectrum: Spectrum, pattern: Pattern, places: Sequence[Place]) -> Real:
    """By how many standard deviations the pilot stands out at each place."""
    waves = pattern.waves[: pattern.pilot]
    frequencies = np.stack([place.frequencies(waves) for place in places])
    values = _sampled(spectrum, pattern, frequencies, slice(pattern.pilot))
    offsets = np.array([place.offset for place in places])
    return np.asarray((values * _moved(waves, offsets)).real.sum(1) / spread(values))


def best(
    seen: Sequence[Spectrum], patterns: Sequence[Pattern], places: Sequence[Place], corners: int = _CORNERS
) -> tuple[float, Place]:
    """The place and the offset at which the pilot stands out most, and by how many standard deviations.

    `seen` are the luminance and, if there are any, the colours; counted is the first alone, or both together.
    """
    top, found = -np.inf, places[0]
    for start in range(0, len(places), _PIECE):
        piece = places[start : start + _PIECE]
        surfaces = [_surface(one, pattern, piece, corners) for one, pattern in zip(seen, patterns, strict=True)]
        if len(surfaces) == 2:
            surfaces[1] = (surfaces[0] + surfaces[1]) * np.float32(0.5**0.5)
        for surface in surfaces:
            k, where = divmod(int(surface.argmax()), corners * corners)
            if surface[k, where] > top:
                top = float(surface[k, where])
                row, column = divmod(where, corners)
                found = replace(piece[k], offset=(row / corners, column / corners))
    return top, found


def _surface(spectrum: Spectrum, pattern: Pattern, places: Sequence[Place], corners: int) -> NDArray[np.float32]:
    """By how many standard deviations the pilot stands out at every offset: places x (corners * corners)."""
    waves = pattern.waves[: pattern.pilot]
    edge = waves[:, 1] == 0
    frequencies = np.stack([place.frequencies(waves) for place in places])
    values = _sampled(spectrum, pattern, frequencies, slice(pattern.pilot))
    values *= (corners * corners / 2 / spread(values))[:, None]
    half = np.zeros((len(places), corners, corners // 2 + 1), np.complex64)
    half[:, waves[:, 0] % corners, waves[:, 1]] = np.conj(values)
    half[:, -waves[edge, 0] % corners, 0] = values[:, edge]
    surface = scipy.fft.irfft2(half, s=(corners, corners), overwrite_x=True)
    return np.asarray(surface.reshape(len(places), -1))


def refined(seen: Sequence[Spectrum], patterns: Sequence[Pattern], place: Place) -> Place:
    """The place, fitted more closely: its size, its turn and its offset."""
    step = place.tile[0] / (_FIT * max(seen[0].shape))
    for width, count in ((step, 5), (step / 3, 3)):
        shifts = np.linspace(-width, width, count)
        tries = [
            replace(place, tile=(place.tile[0] * (1 + a), place.tile[1] * (1 + a)), angle=place.angle + b)
            for a, b in itertools.product(shifts, shifts)
        ]
        place = best(seen, patterns, tries, 2 * _CORNERS)[1]
    return place


def spread(values: Waves) -> Real:
    """The standard deviation of the sum of the real parts, if chance alone had chosen the phases."""
    return np.asarray(np.sqrt(0.5 * (values.real**2 + values.imag**2).sum(-1) + 1e-12))


def _sampled(spectrum: Spectrum, pattern: Pattern, frequencies: Real, which: slice) -> Waves:
    """Waves of the image at (places, waves, 2), turned back by the pattern's phases."""
    values = spectrum.at(frequencies) * np.conj(pattern.phases[which])
    values *= np.abs(frequencies).max(-1) < FINEST
    return np.asarray(values)


def _moved(waves: NDArray[np.int32], offset: Real) -> Waves:
    return np.asarray(np.exp(-2j * np.pi * (offset @ waves.T)), np.complex64)
