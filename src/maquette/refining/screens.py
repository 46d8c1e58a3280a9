"""Patterns of dots whose mean is the tone: print screens, threshold maps, and error diffusion."""

from __future__ import annotations

import functools
import itertools
import math
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.colour.space import look_up
from maquette.refining.neighbourhood import Floats
from maquette.refining.threads import at_once


def covered(share: Floats, size: float, angle: float, shape: str, tile: Tile = "") -> Floats:
    """How much of each pixel a screen's ink covers, so that the mean over a dot is the wanted share.

    The screen is a surface with one hill per dot; ink lies where the surface is below the share. The surface's values
    are spread evenly (by its own distribution), so shares come out true; edges are as wide as a pixel.
    """
    height, width = share.shape
    result = np.empty_like(share)
    rows = max(16, 2**16 // width)
    waves = _waves(height, width, size, angle, shape, tile)

    def band(begin: int) -> None:
        result[begin : begin + rows] = _covered(share[begin : begin + rows], waves, begin)

    at_once([partial(band, begin) for begin in range(0, height, rows)], share.size)
    return result


def _waves(height: int, width: int, size: float, angle: float, shape: str, tile: Tile) -> list[tuple[float, float]]:
    """The waves whose sum is the screen, in cycles a pixel to the right and down."""
    turn = np.deg2rad(angle)
    waves = [(np.cos(turn) / size, np.sin(turn) / size), (-np.sin(turn) / size, np.cos(turn) / size)]
    return [_repeating(wave, width, height, tile) for wave in waves[: 1 if shape == "line" else 2]]


def _covered(share: Floats, waves: list[tuple[float, float]], top: int) -> Floats:
    hills, slopes = zip(*(_wave(wave, share.shape[1], top, top + share.shape[0]) for wave in waves), strict=True)
    surface = hills[0] if len(hills) == 1 else (hills[0] + hills[1]) * np.float32(0.5)
    steep = slopes[0] if len(slopes) == 1 else np.hypot(*slopes) * np.float32(0.5)
    even, density = _distribution(len(hills))
    position = (surface + 1) * np.float32((len(even) - 1) / 2)
    index = position.astype(np.int32)
    part = position - index
    low = np.take(even, index)
    value = low + part * (np.take(even, np.minimum(index + 1, len(even) - 1)) - low)
    breadth = np.clip(steep * np.take(density, index), 0.02, 1.0)  # of a pixel, in values of the surface
    return np.asarray(np.clip(np.float32(0.5) + (_true(share, breadth) - value) / breadth, 0, 1))


def _true(share: Floats, breadth: Floats) -> Floats:
    """Where to cut the surface so that with soft edges the mean is the share: nearer to its ends, edges are cut off."""
    small = np.maximum(np.minimum(share, 1 - share), 0)
    cut = np.where(2 * small < breadth, np.sqrt(2 * breadth * small) - np.float32(0.5) * breadth, small)
    return np.asarray(np.where(share < np.float32(0.5), cut, 1 - cut), np.float32)


def _repeating(wave: tuple[float, float], width: int, height: int, tile: Tile) -> tuple[float, float]:
    """The wave with whole cycles along the axes that wrap."""
    across, down = wave
    if "x" in tile:
        across = round(across * width) / width
    if "y" in tile:
        down = round(down * height) / height
    if across == down == 0:
        return (1 / width, 0.0)
    return across, down


def _wave(wave: tuple[float, float], width: int, top: int, end: int) -> tuple[Floats, Floats]:
    """A cosine along a direction, and how steep it is a pixel: from sums of angles, rows times columns."""
    across = np.exp(2j * np.pi * wave[0] * (np.arange(width) + 0.5)).astype(np.complex64)
    down = np.exp(2j * np.pi * wave[1] * (np.arange(top, end) + 0.5)).astype(np.complex64)
    hill = np.outer(down.real, across.real) - np.outer(down.imag, across.imag)
    steep = np.abs(np.outer(down.real, across.imag) + np.outer(down.imag, across.real))
    steep *= np.float32(2 * np.pi * math.hypot(*wave))
    return hill, steep


@functools.cache
def _distribution(waves: int) -> tuple[Floats, Floats]:
    """The share of the plane where the mean of `waves` cosines is below each of 1025 values, and its density there."""
    values = np.linspace(-1, 1, 1025)
    phases = np.cos(np.pi * (np.arange(4096) + 0.5) / 4096)
    if waves == 1:
        even = 1 - np.arccos(values) / np.pi
    else:  # of (a + b) / 2: over all a, the share of b below 2 value - a
        even = np.array([np.mean(1 - np.arccos(np.clip(2 * value - phases, -1, 1)) / np.pi) for value in values])
    density = np.gradient(even, values)
    return even.astype(np.float32), density.astype(np.float32)


def threshold_map(pattern: str, height: int, width: int) -> Floats:
    """Thresholds between 0 and 1, evenly spread: `ordered` (Bayer) or `noise` (blue)."""
    cell = _bayer() if pattern == "ordered" else _blue()
    rows, columns = -(-height // cell.shape[0]), -(-width // cell.shape[1])
    return np.tile(cell, (rows, columns))[:height, :width]


@functools.cache
def _bayer() -> Floats:
    cell = np.zeros((1, 1))
    for _ in range(3):
        cell = np.block([[4 * cell, 4 * cell + 2], [4 * cell + 3, 4 * cell + 1]])
    return ((cell + 0.5) / cell.size).astype(np.float32)


@functools.cache
def _blue(side: int = 64, deviation: float = 1.9) -> Floats:
    """Blue noise by void and cluster (Ulichney 1993): at every share of dots they lie as far apart as they can."""
    away = np.minimum(np.arange(side), side - np.arange(side))
    bell = np.tile(np.exp(-(away[:, None] ** 2 + away**2) / (2 * deviation**2)), (2, 2))
    crowd, dots = np.zeros((side, side)), np.zeros((side, side), bool)

    def put(place: int, sign: int) -> None:
        y, x = divmod(place, side)
        dots[y, x] = sign > 0
        crowd[...] += sign * bell[side - y : 2 * side - y, side - x : 2 * side - x]

    def tightest() -> int:
        return int(np.argmax(np.where(dots, crowd, -1)))

    def emptiest() -> int:
        return int(np.argmin(np.where(dots, np.inf, crowd)))

    for place in np.random.Generator(np.random.SFC64(0xB10E)).permutation(side * side)[: side * side // 10]:
        put(int(place), 1)
    while True:  # a dot moves from the tightest cluster to the largest void, until that is where it was
        moved = tightest()
        put(moved, -1)
        void = emptiest()
        put(void, 1)
        if void == moved:
            break
    ranks = np.zeros(side * side)
    start, crowd_then = dots.copy(), crowd.copy()
    for rank in range(int(dots.sum()) - 1, -1, -1):
        place = tightest()
        put(place, -1)
        ranks[place] = rank
    dots[...], crowd[...] = start, crowd_then
    for rank in range(int(start.sum()), side * side):
        place = emptiest()
        put(place, 1)
        ranks[place] = rank
    return np.asarray((ranks + 0.5) / side**2, np.float32).reshape(side, side)


def diffused(image: Image, place: NDArray[Any], levels: int) -> Image:
    """The image in even tones by error diffusion (Floyd and Steinberg): `place` says where each level lies among them.

    Eight bits go through Pillow, whose loop is compiled (as RGB, since palettes of grey it does not match); sixteen
    through a front of pixels that do not depend on each other (a slanted line), so that nothing of their depth is lost.
    """
    if image.dtype != np.uint8:
        return _front(look_up(image, place.astype(np.float32)), levels)
    placed = look_up(image, np.rint(place * (255 / (levels - 1))).astype(np.uint8))
    planes = [np.ascontiguousarray(placed[..., channel]) for channel in range(image.shape[2])]
    if levels == 2:
        done = at_once([partial(_black_and_white, plane) for plane in planes], image.size)
        return np.stack(done, axis=2)
    if len(planes) == 3 and levels <= 6:  # all colours of these tones fit a palette: channels are still apart
        tones = [round(tone * 255 / (levels - 1)) for tone in range(levels)]
        return _through_palette(placed, [part for colour in itertools.product(tones, repeat=3) for part in colour])
    palette = [round(tone * 255 / (levels - 1)) for tone in range(levels) for _ in range(3)]
    return np.stack([_through_palette(cv2.merge([plane] * 3), palette)[..., 0] for plane in planes], axis=2)


def _black_and_white(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Pillow.fromarray(plane).convert("1").convert("L"))


def _through_palette(image: Image, palette: list[int]) -> Image:
    """The image in the colours of a palette (red, green, blue, red, ...), by error diffusion."""
    holder = Pillow.new("P", (1, 1))
    holder.putpalette(palette)
    done = Pillow.fromarray(image).quantize(palette=holder, dither=Pillow.Dither.FLOYDSTEINBERG)
    return np.asarray(done.convert("RGB"))


def _front(values: Floats, levels: int) -> NDArray[np.uint16]:
    """Error diffusion along slanted lines: pixel (y, x) is done at time x + 2 y, after all that it waits for."""
    height, width, channels = values.shape
    result = np.zeros(values.shape, np.uint16)
    tones = np.rint(np.arange(levels) * (65535 / (levels - 1))).astype(np.uint16)
    # Sums of what came in from above, by row; one row and one column more on each side than the image has.
    carried = np.zeros((height + 1, width + 2, channels), np.float32)
    for time in range(width + 2 * (height - 1)):
        first = max(0, (time - width + 2) // 2)
        rows = np.arange(first, min(height - 1, time // 2) + 1)
        columns = time - 2 * rows
        wanted = values[rows, columns] + carried[rows, columns + 1]
        chosen = np.clip(np.rint(wanted), 0, levels - 1)
        result[rows, columns] = tones[chosen.astype(np.intp)]
        error = (wanted - chosen) * np.float32(1 / 16)
        carried[rows, columns + 2] += 7 * error
        carried[rows + 1, columns] += 3 * error
        carried[rows + 1, columns + 1] += 5 * error
        carried[rows + 1, columns + 2] += error
    return result
