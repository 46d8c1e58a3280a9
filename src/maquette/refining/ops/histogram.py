"""Spreading of levels by their histogram: automatic levels, equalisation, and CLAHE."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.colour.measure import Weights, apart, histogram, histograms, together
from maquette.refining.colour.relight import relit
from maquette.refining.colour.space import Floats, look_up, tabulate_each, top
from maquette.refining.op import op
from maquette.refining.pixels import to_depth, to_float
from maquette.refining.schema import Dial

On = Literal["lightness", "channels"]


@op(kind="colour", alpha="own")
def auto_levels(
    image: Image,
    *,
    clip: Annotated[float, Dial("the share of pixels at each end that may clip", ge=0, lt=0.5)] = 0.002,
    channels: Annotated[bool, Dial("spread each channel by itself, which also moves colours")] = False,
) -> Image:
    """Spread the levels so that the darkest part is black and the lightest white."""
    colour, weights, alpha = apart(image)
    ends = np.array([_ends(counts, clip) for counts in _counts(colour, weights, channels)])
    low, high = ends[:, 0], ends[:, 1]
    if (low <= 0).all() and (high >= 1).all():
        return image
    if (high - low < 1.5 / 255).any():  # flat: there is nothing to spread
        return image
    wide = high - low
    return together(tabulate_each(colour, lambda values: np.clip((values - low) / wide, 0, 1)), alpha)


@op(kind="colour", alpha="own")
def equalise(
    image: Image,
    *,
    on: Annotated[On, Dial("lightness: colours stay what they are; channels: each by itself, which moves them")] = (
        "lightness"
    ),
) -> Image:
    """Make every level about equally common: the most contrast that one curve can give."""
    colour, weights, alpha = apart(image)
    if on == "channels" or colour.shape[2] == 1:
        eight = colour if colour.dtype == np.uint8 else to_depth(to_float(colour), np.uint8)
        tables = [_flattening(counts) for counts in histograms(eight, weights)]
        return together(through(colour, np.stack(tables, axis=1)), alpha)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[..., None]
    return together(relit(colour, grey, through(grey, _flattening(_coarse(grey[..., 0], weights)))), alpha)


@op(kind="colour", alpha="own")
def clahe(
    image: Image,
    *,
    clip: Annotated[float, Dial("how far contrast may be raised; 1 hardly, 4 strongly", ge=1, le=40)] = 2.0,
    grid: Annotated[int, Dial("into how many parts each side is cut", ge=1, le=64)] = 8,
    tile: Tile = "",
) -> Image:
    """Raise local contrast, part by part, within a limit that keeps noise down (CLAHE)."""
    colour, _, alpha = apart(image)
    if colour.shape[2] == 1:
        return _equalised(colour, clip, grid, tile)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[..., None]
    return together(relit(colour, grey, _equalised(grey, clip, grid, tile)), alpha)


def through(image: Image, table: NDArray[np.float64]) -> Image:
    """The image through a table of 256 numbers from 0 to 1, (256,) or (256, channels); read between them if deeper."""
    steps = np.linspace(0, 1, 256)
    if image.dtype == np.uint16:
        deep = np.linspace(0, 1, 65536)
        columns = [np.interp(deep, steps, column) for column in np.atleast_2d(table.T)]
        table = np.stack(columns, axis=1) if table.ndim == 2 else columns[0]
    if image.dtype.kind != "f":
        return look_up(image, np.floor(table * top(image.dtype) + 0.5).astype(image.dtype))
    columns = [table[:, at] if table.ndim == 2 else table for at in range(image.shape[2])]
    return np.stack([np.interp(image[..., at], steps, column) for at, column in enumerate(columns)], axis=2).astype(
        np.float32
    )


def _coarse(plane: NDArray[Any], weights: Weights) -> NDArray[np.float64]:
    """256 counts in any depth, so that images of 8 bits and deeper ones come out alike."""
    eight = plane if plane.dtype == np.uint8 else to_depth(to_float(plane), np.uint8)
    return histogram(eight, weights)


def _flattening(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The table that makes levels equally common: the first level that occurs becomes 0, the last one 1."""
    total = np.cumsum(counts)
    first = counts[np.argmax(counts > 0)]
    if total[-1] <= first:
        return np.arange(len(counts)) / (len(counts) - 1)
    return np.asarray(np.clip((total - first) / (total[-1] - first), 0, 1))


def _equalised(plane: Image, clip: float, grid: int, tile: Tile) -> Image:
    """CLAHE of height x width x 1. OpenCV's where it has it: 8 bits, and no edge that meets the opposite one."""
    if plane.dtype == np.uint8 and not tile:
        return cv2.createCLAHE(clip, (grid, grid)).apply(plane[..., 0])[..., None]
    return equalised_by_parts(to_float(plane), clip, grid, tile, plane.dtype)


def equalised_by_parts(values: Floats, clip: float, grid: int, tile: Tile, dtype: np.dtype[Any]) -> Image:
    """CLAHE in any depth (Zuiderveld, 1994, with OpenCV's limits): tables of 256 levels, read between their entries.

    Where the image is a tile, parts at one edge have those at the other as neighbours.
    """
    height, width = values.shape[:2]
    tall, wide = -(-height // grid), -(-width // grid)
    padded = _extended(values[..., 0], tall * grid - height, wide * grid - width, tile)
    eight = np.rint(padded * 255).astype(np.intp).reshape(grid, tall, grid, wide).transpose(0, 2, 1, 3)
    parts = np.arange(grid * grid).reshape(grid, grid, 1, 1) * 256
    counts = np.bincount((eight + parts).ravel(), minlength=grid * grid * 256).reshape(grid * grid, 256)
    limit = max(1, int(clip * tall * wide / 256))
    tables = (np.cumsum(_limited(counts, limit), axis=1) / (tall * wide)).astype(np.float32)

    def places(count: int, size: int, axis: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        at = (np.arange(count, dtype=np.float32) / size) - np.float32(0.5)
        low = np.floor(at).astype(np.intp)
        share = at - low
        if axis in tile:
            return low % grid, (low + 1) % grid, share
        return np.maximum(low, 0), np.minimum(low + 1, grid - 1), share

    top_, bottom, down = places(height, tall, "y")
    left, right, across = places(width, wide, "x")
    flat = tables.ravel()

    def change(row: int, level: Floats) -> Floats:
        low = np.minimum(level.astype(np.intp), 254)
        between = level - low
        mixed: Any = 0
        for part, by in ((top_[row], 1 - down[row]), (bottom[row], down[row])):
            for column, along in ((left, 1 - across), (right, across)):
                at = (part * grid + column) * 256 + low
                mixed = mixed + by * along * (flat[at] * (1 - between) + flat[at + 1] * between)
        return np.asarray(mixed, np.float32)

    rows = [change(row, values[row, :, 0] * np.float32(255)) for row in range(height)]
    return to_depth(np.stack(rows)[..., None], dtype)


def _extended(plane: Floats, below: int, right: int, tile: Tile) -> Floats:
    """The plane made larger so that the parts come out even: by what follows in a tile, else mirrored."""
    for axis, (more, word) in enumerate(((below, "y"), (right, "x"))):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, more)
        plane = np.pad(plane, pad, mode="wrap" if word in tile else "symmetric")
    return plane


def _limited(counts: NDArray[np.intp], limit: int) -> NDArray[np.intp]:
    """Counts cut at the limit, with what was cut spread over all levels."""
    kept = np.minimum(counts, limit)
    over = (counts - kept).sum(axis=1)
    kept = kept + (over // 256)[:, None]
    rest = over % 256
    step = np.maximum(256 // np.maximum(rest, 1), 1)
    level = np.arange(256)
    extra = (level[None] % step[:, None] == 0) & (level[None] // step[:, None] < rest[:, None])
    return np.asarray(kept + extra)


def _counts(colour: Image, weights: Weights, channels: bool) -> list[NDArray[np.float64]]:
    """Histograms of the channels, or one of all of them together."""
    each = histograms(colour, weights)
    return each if channels else [np.sum(each, axis=0)] * len(each)


def _ends(counts: NDArray[np.float64], clip: float) -> tuple[float, float]:
    """The levels beyond which lies the share `clip` of the pixels, at either end."""
    total = np.cumsum(counts)
    low = int(np.argmax(total > clip * total[-1]))
    high = int(np.argmax(total >= (1 - clip) * total[-1]))
    return low / (len(counts) - 1), high / (len(counts) - 1)
