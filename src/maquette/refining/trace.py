"""From a flat image to a drawing of shapes (SVG): each colour as polygons along the borders of its pixels.

Colours lie in layers, the one with the most pixels lowest, and each layer goes on under those above it, so that no gap
shows between two shapes, however much their borders are simplified. Without simplifying, the drawing is the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.image import Image, convert

Labels = NDArray[np.int32]
Loop = NDArray[np.float32]
"""A closed border: (n, 2) corners as x, y; outer borders and holes go round in opposite ways."""
MOST_COLOURS = 64
MOST_PIXELS = 4_000_000


@dataclass(frozen=True)
class Layer:
    """One colour and the borders that it fills (even-odd)."""

    colour: str
    loops: tuple[Loop, ...]


def layers(image: Image, tolerance: float = 0.0) -> list[Layer]:
    """The layers of a flat image, lowest first. `tolerance`: how far borders may move, in pixels.

    What is more than half transparent is left out.
    """
    if image.shape[0] * image.shape[1] > MOST_PIXELS:
        raise DataError("the image is too large to trace", do="make it smaller first, such as 512 pixels a side")
    rgba = convert(image, "rgba")
    labels, colours = _labelled(rgba)
    found = []
    for rank, colour in enumerate(colours):
        mask = labels >= rank  # what lies above goes on below
        if rank and not (labels == rank).any():
            continue
        loops = tuple(_simple(loop, tolerance) for loop in borders(mask))
        found.append(Layer(colour, tuple(loop for loop in loops if len(loop) >= 3)))
    return found


def to_svg(image: Image, tolerance: float = 0.0, title: str = "") -> str:
    """The image as the text of an SVG file."""
    import html

    height, width = image.shape[:2]
    paths = "".join(
        f'<path fill="{layer.colour}" d="{_path(layer.loops)}"/>\n' for layer in layers(image, tolerance) if layer.loops
    )
    named = f"<title>{html.escape(title)}</title>\n" if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'fill-rule="evenodd">\n{named}{paths}</svg>\n'
    )


def _labelled(rgba: Image) -> tuple[Labels, list[str]]:
    """The rank of each pixel's colour (0 is the commonest, -1 transparent), and the colours by rank."""
    seen = rgba[..., 3] >= 128
    packed = (rgba[..., 0].astype(np.int64) << 16) | (rgba[..., 1].astype(np.int64) << 8) | rgba[..., 2]
    known, inverse, counts = np.unique(packed[seen], return_inverse=True, return_counts=True)
    if len(known) > MOST_COLOURS:
        raise DataError(
            f"the image has {len(known):,} colours, and can be traced with at most {MOST_COLOURS}",
            do="reduce them first, for example with the op palette",
        )
    rank = np.empty(len(known), np.int32)
    order = np.argsort(-counts, kind="stable")
    rank[order] = np.arange(len(known))
    labels = np.full(rgba.shape[:2], -1, np.int32)
    labels[seen] = rank[inverse]
    return labels, [f"#{known[at]:06x}" for at in order]


def borders(mask: NDArray[np.bool_]) -> Iterator[Loop]:
    """The closed borders of a mask along the edges of its pixels, with the mask on the right of the way."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    steps: list[tuple[NDArray[np.intp], tuple[int, int], tuple[int, int]]] = [
        (np.argwhere(inner & ~padded[:-2, 1:-1]), (0, 0), (1, 0)),  # the upper edge, to the right
        (np.argwhere(inner & ~padded[1:-1, 2:]), (1, 0), (1, 1)),  # the right edge, down
        (np.argwhere(inner & ~padded[2:, 1:-1]), (1, 1), (0, 1)),  # the lower edge, to the left
        (np.argwhere(inner & ~padded[1:-1, :-2]), (0, 1), (0, 0)),  # the left edge, up
    ]
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for places, begin, end in steps:
        for y, x in places.tolist():
            onward.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    while onward:
        start = next(iter(onward))
        at, before, loop = start, None, []
        while True:
            choices = onward[at]
            to = choices.pop(_turn(before, at, choices) if len(choices) > 1 else 0)
            if not choices:
                del onward[at]
            loop.append(at)
            before, at = at, to
            if at == start:
                break
        yield np.asarray(loop, np.float32)


def _turn(before: tuple[int, int] | None, at: tuple[int, int], choices: Sequence[tuple[int, int]]) -> int:
    """At a corner where two pixels touch: the way that turns right, so that they stay two shapes."""
    if before is None:
        return 0
    going = (at[0] - before[0], at[1] - before[1])
    right = (at[0] - going[1], at[1] + going[0])
    return choices.index(right) if right in choices else 0


def _simple(loop: Loop, tolerance: float) -> Loop:
    """The border with fewer corners: only where it turns, and none that may move less than `tolerance`."""
    before, after = np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0)
    turns = np.any((loop - before) != (after - loop), axis=1)
    corners = loop[turns]
    if tolerance <= 0 or len(corners) <= 4:
        return corners
    # Steps of one pixel are cut at their middles first: a slanting line then is straight, not a stair.
    middles = (loop + after) / 2
    return np.asarray(cv2.approxPolyDP(middles[:, None], tolerance, True)[:, 0], np.float32)


def _path(loops: Sequence[Loop]) -> str:
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in np.round(loop, 2).tolist()) + "Z" for loop in loops)
