"""What a mask holds: its connected parts, each with its size, place and shape, as numbers and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining import pixels


@dataclass(frozen=True, kw_only=True)
class Part:
    """One connected part of a mask. Lengths and places are in pixels; a pixel's place is its middle."""

    number: int
    area: int
    left: int
    top: int
    width: int
    height: int
    x: float
    """The middle of its area."""
    y: float
    length: float
    """The longer axis of the ellipse that has the same second moments."""
    breadth: float
    angle: float
    """Of the longer axis in degrees, -90 to 90; 0 lies flat, positive rises to the right."""
    outline: float
    roundness: float
    """1 for a disc, less for what has a longer outline than it needs."""
    holes: int
    red: float
    """The mean colour, 0 to 255."""
    green: float
    blue: float


def count(mask: Image, *, smallest: int = 1) -> int:
    """How many connected parts the mask has."""
    return len(parts(mask, smallest=smallest))


def parts(mask: Image, image: Image | None = None, *, smallest: int = 1) -> list[Part]:
    """The connected parts (8 neighbours) of what is above one half, the largest first; specks are left out.

    The colours are those of `image`, of the same size; of the mask itself where it is left out.
    """
    values = pixels.to_float(pixels.luminance(pixels.checked(mask)))[..., 0]
    found = (values > 0.5).astype(np.uint8)
    number, where, facts, centres = cv2.connectedComponentsWithStats(found, connectivity=8)
    labels = np.asarray(where, np.int32)
    colours = _colours(labels, number, pixels.checked(mask if image is None else image))
    axes = _axes(labels, number, facts[:, cv2.CC_STAT_AREA], centres)
    outlines = _outlines(labels, number)
    holes = _holes(found, labels, number)
    kept = [k for k in range(1, number) if facts[k, cv2.CC_STAT_AREA] >= smallest]
    kept.sort(key=lambda k: (-int(facts[k, cv2.CC_STAT_AREA]), k))
    rows = []
    for place, k in enumerate(kept, 1):
        area, outline = int(facts[k, cv2.CC_STAT_AREA]), float(outlines[k])
        rows.append(
            Part(
                number=place, area=area, left=int(facts[k, cv2.CC_STAT_LEFT]), top=int(facts[k, cv2.CC_STAT_TOP]),
                width=int(facts[k, cv2.CC_STAT_WIDTH]), height=int(facts[k, cv2.CC_STAT_HEIGHT]),
                x=float(centres[k, 0]), y=float(centres[k, 1]), length=float(axes[0][k]), breadth=float(axes[1][k]),
                angle=float(axes[2][k]), outline=outline,
                roundness=min(1.0, 4 * math.pi * area / outline**2) if outline else 1.0, holes=int(holes[k]),
                red=float(colours[k, 0]), green=float(colours[k, 1]), blue=float(colours[k, 2]),
            )
        )  # fmt: skip
    return rows


def to_csv(rows: Sequence[tuple[str, Part]]) -> str:
    """Parts as CSV, each with the name of its image."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", *(field.name for field in fields(Part))])
    for name, part in rows:
        values = asdict(part).values()
        writer.writerow([name, *(f"{value:.3f}" if isinstance(value, float) else value for value in values)])
    return stream.getvalue()


def _colours(labels: NDArray[np.int32], number: int, image: Image) -> NDArray[np.float64]:
    """Mean red, green and blue of every label, 0 to 255."""
    rgb = pixels.with_channels(image, 3)[..., :3]
    flat = labels.ravel()
    sizes = np.maximum(np.bincount(flat, minlength=number), 1)
    sums = [np.bincount(flat, weights=rgb[..., k].ravel(), minlength=number) for k in range(3)]
    return np.asarray(np.stack(sums, axis=1) / sizes[:, None] * (255 / pixels.largest(image)))


def _axes(labels: NDArray[np.int32], number: int, areas: NDArray[Any], centres: NDArray[Any]) -> list[NDArray[Any]]:
    """Longer and shorter axis, and angle, of the ellipse of the same second moments; pixels count as points."""
    flat = labels.ravel()
    rows, columns = (axis.ravel().astype(np.float64) for axis in np.indices(labels.shape))
    across, down = columns - centres[flat, 0], rows - centres[flat, 1]

    def moment(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.bincount(flat, weights=values, minlength=number) / np.maximum(areas, 1))

    xx, yy, xy = moment(across * across), moment(down * down), moment(across * down)
    middle, apart = (xx + yy) / 2, np.sqrt(np.square(xx - yy) / 4 + np.square(xy))
    angle = np.degrees(np.arctan2(-2 * xy, xx - yy) / 2)  # rows count downwards
    return [4 * np.sqrt(middle + apart), 4 * np.sqrt(np.maximum(middle - apart, 0)), angle]


def _outlines(labels: NDArray[np.int32], number: int) -> NDArray[np.float64]:
    """The length of every label's outline, by how the pixels on it lie beside each other (as scikit-image has it)."""
    wide = np.pad(labels, 1)
    inner = wide[1:-1, 1:-1]

    def beside(down: int, right: int, of: NDArray[Any]) -> NDArray[Any]:
        return of[1 + down : of.shape[0] - 1 + down, 1 + right : of.shape[1] - 1 + right]

    straight, slanted = ((0, 1), (0, -1), (1, 0), (-1, 0)), ((1, 1), (1, -1), (-1, 1), (-1, -1))
    inside = np.logical_and.reduce([beside(*step, wide) == inner for step in straight])
    rim = np.pad((inner > 0) & ~inside, 1)
    code = np.ones(labels.shape, np.int64)
    for steps, weight in ((straight, 2), (slanted, 10)):
        for step in steps:
            code += weight * (beside(*step, rim) & (beside(*step, wide) == inner))
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = math.sqrt(2)
    lengths[[13, 23]] = (1 + math.sqrt(2)) / 2
    each = np.where(rim[1:-1, 1:-1], lengths[np.minimum(code, 49)], 0)
    return np.asarray(np.bincount(labels.ravel(), weights=each.ravel(), minlength=number))


def _holes(found: NDArray[np.uint8], labels: NDArray[np.int32], number: int) -> NDArray[np.int64]:
    """How many holes every label has: parts of the ground that touch no border, by the label on their left."""
    count, ground = cv2.connectedComponents(np.pad(1 - found, 1, constant_values=1), connectivity=4)[:2]
    flat = np.asarray(ground, np.int64).ravel()
    first = np.full(count, flat.size, np.int64)
    np.minimum.at(first, flat, np.arange(flat.size))
    outer = ground[0, 0]
    wide = np.pad(labels, 1).ravel()
    owners = [int(wide[first[k] - 1]) for k in range(1, count) if k != outer]
    return np.bincount(np.array(owners, np.int64), minlength=number)
