"""Geometry: size, part, angle and ground of an image."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.core.choices import Tile
from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.op import op
from maquette.refining.schema import Dial
from maquette.refining.threads import at_once, bands

Method = Literal["lanczos", "bicubic", "bilinear", "area", "nearest"]
Ground = Literal["colour", "transparent", "edge", "mirror", "wrap"]
Box = tuple[float, float, float, float]
_FILTERS = {
    "lanczos": Pillow.Resampling.LANCZOS, "bicubic": Pillow.Resampling.BICUBIC, "bilinear": Pillow.Resampling.BILINEAR,
    "area": Pillow.Resampling.BOX, "nearest": Pillow.Resampling.NEAREST,
}  # fmt: skip
_BORDERS = {
    "colour": cv2.BORDER_CONSTANT, "transparent": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101, "wrap": cv2.BORDER_WRAP,
}  # fmt: skip
_MARGIN = 16
"""Pixels of a tile's other side that a resize sees."""


@op(kind="geometry", alpha="own")
def resize(
    image: Image,
    *,
    width: Annotated[
        int | None, Dial("in pixels; follows from the height when left out", ge=1, le=32767, pixels=True)
    ] = None,
    height: Annotated[
        int | None, Dial("in pixels; follows from the width when left out", ge=1, le=32767, pixels=True)
    ] = None,
    scale: Annotated[float, Dial("times the size there is, where neither is given", gt=0, le=64)] = 1.0,
    fit: Annotated[
        Literal["stretch", "inside", "cover"],
        Dial("with both: exactly so, as large as fits in, or just covering and cut to it"),
    ] = "stretch",
    method: Annotated[Method, Dial("how pixels are made of others")] = "lanczos",
    enlarge: Annotated[bool, Dial("whether smaller images grow")] = True,
    tile: Tile = "",
) -> Image:
    """Change the size in pixels.

    All methods average when they shrink, so nothing flickers or turns jagged. `nearest` keeps the colours of pixel art.
    """
    have = (image.shape[1], image.shape[0])
    want, whole = _sizes(have, width, height, scale, fit)
    if not enlarge and (whole[0] > have[0] or whole[1] > have[1]):
        return image
    pixels.bounded(*whole)
    if whole != have:
        image = pixels.without_fringe(image, lambda part: resized(part, whole, method, tile))
    if want != whole:
        left, top = (whole[0] - want[0]) // 2, (whole[1] - want[1]) // 2
        image = image[top : top + want[1], left : left + want[0]]
    return np.clip(image, 0, 1) if image.dtype == np.float32 else image


def _sizes(
    have: tuple[int, int], width: int | None, height: int | None, scale: float, fit: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size that is asked for, and that of the whole image before it is cut."""
    if width is None and height is None:
        size = (max(1, round(have[0] * scale)), max(1, round(have[1] * scale)))
        return size, size
    if width is None or height is None or fit == "inside":
        ratio = min(
            (width or math.inf) / have[0],
            (height or math.inf) / have[1],
        )
        size = (max(1, round(have[0] * ratio)), max(1, round(have[1] * ratio)))
        return size, size
    if fit == "cover":
        ratio = max(width / have[0], height / have[1])
        return (width, height), (max(width, round(have[0] * ratio)), max(height, round(have[1] * ratio)))
    return (width, height), (width, height)


def resized(image: Image, size: tuple[int, int], method: str = "lanczos", tile: Tile = "") -> Image:
    """The image of 1, 3 or 4 channels, alpha premultiplied, in another width and height; averaged where it shrinks."""
    height, width = image.shape[:2]
    rows, columns = (min(_MARGIN, side) if axis in tile else 0 for axis, side in (("y", height), ("x", width)))
    if method == "nearest":
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT)).reshape(*size[::-1], -1)
    if rows or columns:
        image = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="wrap")
    box = (columns, rows, columns + width, rows + height)

    if image.dtype == np.uint8 and image.shape[2] in (1, 3):
        return _in_passes(image, size, _FILTERS[method], box)

    def one(part: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(Pillow.fromarray(part).resize(size, _FILTERS[method], box))

    jobs = [partial(one, np.ascontiguousarray(image[..., k], np.float32)) for k in range(image.shape[2])]
    whole = np.stack(at_once(jobs, image.size), axis=2)
    if image.dtype == np.float32:
        return whole  # overshoots stay, so that colours can still be divided by their alpha
    return np.asarray(np.clip(np.rint(whole), 0, pixels.largest(image)).astype(image.dtype))


def _in_passes(image: Image, size: tuple[int, int], method: Pillow.Resampling, box: Box) -> Image:
    """What Pillow makes of 8 bits, in bands side by side: along rows, then along columns, or the other way round.

    Between the two it rounds, so the order is its own: the one that computes less comes first.
    """
    height, width = box[3] - box[1], box[2] - box[0]

    def across(part: Image) -> Image:
        rows = len(part)
        return _by_pillow(part, (size[0], rows), method, (box[0], 0, box[2], rows))

    def down(part: Image) -> Image:
        columns = part.shape[1]
        return _by_pillow(part, (columns, size[1]), method, (0, box[1], columns, box[3]))

    steps = [across, down] if size[0] * height <= width * size[1] else [down, across]
    for step in steps:
        axis = 0 if step is across else 1
        edges = bands(image.shape[axis], max(image.size, image.shape[2] * size[0] * size[1]))
        parts = [image[begin:end] if axis == 0 else image[:, begin:end] for begin, end in edges]
        done = at_once([partial(step, part) for part in parts], image.size)
        image = done[0] if len(done) == 1 else np.concatenate(done, axis=axis)
    return image


def _by_pillow(image: Image, size: tuple[int, int], method: Pillow.Resampling, box: Box) -> Image:
    plane = np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(Pillow.fromarray(plane).resize(size, method, box)).reshape(*size[::-1], -1)


@op(kind="geometry", alpha="own", tiles=False)
def crop(
    image: Image,
    *,
    width: Annotated[int | None, Dial("in pixels; all of it when left out", ge=1, le=32767, pixels=True)] = None,
    height: Annotated[int | None, Dial("in pixels; all of it when left out", ge=1, le=32767, pixels=True)] = None,
    aspect: Annotated[str, Dial("the shape, as large as it fits", kind="text", form="WIDTH:HEIGHT")] = "free",
    x: Annotated[float, Dial("where the part lies: 0 is left, 1 is right", ge=0, le=1)] = 0.5,
    y: Annotated[float, Dial("where the part lies: 0 is the top, 1 is the bottom", ge=0, le=1)] = 0.5,
) -> Image:
    """Keep a part of the image."""
    wide, high = min(width or image.shape[1], image.shape[1]), min(height or image.shape[0], image.shape[0])
    if aspect != "free":
        ratio = ratio_of(aspect)
        wide, high = min(wide, max(1, round(high * ratio))), min(high, max(1, round(wide / ratio)))
    left, top = round((image.shape[1] - wide) * x), round((image.shape[0] - high) * y)
    return image[top : top + high, left : left + wide]


def ratio_of(aspect: str) -> float:
    """Width by height of a shape such as 16:9 or 1.5."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:[:/x](\d+(?:\.\d+)?))?", aspect)
    ratio = float(found[1]) / float(found[2] or 1) if found and float(found[2] or 1) else 0.0
    if not 1e-3 <= ratio <= 1e3:
        raise UsageError(f"aspect = {aspect!r} is not possible", do="write for example 16:9")
    return ratio


@op(kind="geometry", alpha="own", tiles=False)
def trim(
    image: Image,
    *,
    tolerance: Annotated[
        float, Dial("how different from the corners a pixel is that counts", ge=0, le=1, pixels=True)
    ] = 0.06,
    margin: Annotated[int, Dial("pixels that are left around", ge=0, le=10000, pixels=True)] = 0,
) -> Image:
    """Cut away an empty border: transparent, or of the colour of the corners.

    Single specks on the border do not stop it: a row counts once one pixel in two hundred of it differs.
    """
    if not pixels.is_opaque(image):
        different = image[..., 3] > pixels.largest(image) * 0.01
        needed = (1, 1)
    else:
        colour = pixels.to_float(image[..., :3])
        corners = np.stack([colour[row, column] for row in (0, -1) for column in (0, -1)])
        different = np.abs(colour - np.median(corners, axis=0)).max(axis=2) > tolerance
        needed = (max(1, image.shape[1] // 200), max(1, image.shape[0] // 200))
    rows = np.flatnonzero(different.sum(axis=1) >= needed[0])
    columns = np.flatnonzero(different.sum(axis=0) >= needed[1])
    if not len(rows) or not len(columns):
        return image
    top, bottom = max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin
    left, right = max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin
    return image[top:bottom, left:right]


@op(kind="geometry", alpha="own")
def flip(
    image: Image,
    *,
    axis: Annotated[Literal["x", "y", "xy"], Dial("x swaps left and right, y swaps top and bottom")] = "x",
) -> Image:
    """Mirror the image."""
    return np.asarray(cv2.flip(image, {"x": 1, "y": 0, "xy": -1}[axis])).reshape(image.shape)


@op(kind="geometry", alpha="own", tiles=False)
def rotate(
    image: Image,
    *,
    angle: Annotated[float, Dial("in degrees, against the clock", ge=-360, le=360)] = 90.0,
    canvas: Annotated[
        Literal["grow", "same", "crop"], Dial("all is kept, the size is kept, or corners that would be empty are cut")
    ] = "grow",
    ground: Annotated[Ground, Dial("what empty corners become")] = "transparent",
    colour: Annotated[str, Dial("of the ground", kind="colour")] = "#ffffff",
) -> Image:
    """Turn the image. Quarter turns are exact."""
    quarters = angle / 90
    if quarters == round(quarters) and (canvas != "same" or round(quarters) % 2 == 0):
        return np.rot90(image, round(quarters) % 4)
    return turned(image, angle, canvas, ground, colour)


def turned(image: Image, angle: float, canvas: str, ground: str, colour: str) -> Image:
    """The image turned by any angle, resampled once."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    size = {"grow": _grown, "crop": _inscribed}.get(canvas, lambda w, h, a: (w, h))(width, height, math.radians(angle))
    pixels.bounded(*size)
    matrix[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    if ground == "transparent" and canvas != "crop":
        image = pixels.with_channels(image, 4)
        made = cv2.warpAffine(pixels.premultiplied(image), matrix, size, flags=cv2.INTER_CUBIC)
        work = np.asarray(made, np.float32)
        return pixels.to_depth(pixels.straight(work), image.dtype)
    fill = pixels.rgb_of(colour)

    def warp(part: Image) -> Image:
        tone = [float(fill @ pixels.REC709)] if part.shape[2] == 1 else [*map(float, fill), 1.0]
        border = [value * pixels.largest(part) for value in tone]
        kind = _BORDERS["mirror" if ground == "transparent" else ground]
        made = cv2.warpAffine(part, matrix, size, flags=cv2.INTER_CUBIC, borderMode=kind, borderValue=border)
        return np.asarray(made).reshape(*size[::-1], part.shape[2])

    return pixels.without_fringe(image, warp)


def _grown(width: int, height: int, angle: float) -> tuple[int, int]:
    """The size that holds the whole turned image."""
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    return math.ceil(width * cosine + height * sine - 1e-9), math.ceil(width * sine + height * cosine - 1e-9)


def _inscribed(width: int, height: int, angle: float) -> tuple[int, int]:
    """The largest upright rectangle inside the turned image."""
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-10:
        half = 0.5 * short
        wide, high = (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    else:
        double = cosine * cosine - sine * sine
        wide, high = (width * cosine - height * sine) / double, (height * cosine - width * sine) / double
    return max(1, math.floor(wide)), max(1, math.floor(high))


@op(kind="geometry", alpha="own", tiles=False)
def straighten(
    image: Image,
    *,
    most: Annotated[float, Dial("the largest angle that is looked for, in degrees", gt=0, le=30)] = 10.0,
    canvas: Annotated[
        Literal["grow", "same", "crop"], Dial("all is kept, the size is kept, or corners that would be empty are cut")
    ] = "crop",
    ground: Annotated[Ground, Dial("what empty corners become")] = "mirror",
    colour: Annotated[str, Dial("of the ground", kind="colour")] = "#ffffff",
) -> Image:
    """Turn a scan, a page or a building upright, by its own lines.

    The angle is the one at which rows and columns of edges line up best. Without clear lines nothing is done.
    """
    angle = skew(image, most)
    return image if angle == 0 else turned(image, angle, canvas, ground, colour)


def skew(image: Image, most: float = 10.0) -> float:
    """The angle in degrees by which to turn the image so that its lines stand upright; 0 where none are clear."""
    if min(image.shape[:2]) < 32:
        return 0.0
    rough, fine = (_lines(image, side) for side in (300, 900))
    angles = np.arange(-most, most + 0.1, 0.2)
    found = np.array([_alignment(rough, angle) for angle in angles])
    at = int(found.argmax())
    # A peak that stands out of the angles around it; what rises towards the ends lies further away or nowhere.
    if found[at] < _CLEAR * np.median(found) or at in (0, len(found) - 1):
        return 0.0
    best = float(angles[at])
    for step in (0.1, 0.02):
        near = best + step * np.arange(-4, 5)
        best = float(near[int(np.argmax([_alignment(fine, angle) for angle in near]))])
    return best if abs(best) > 0.04 else 0.0


_CLEAR = 1.65


def _lines(image: Image, side: int) -> NDArray[np.float32]:
    """Where edges run across and where they run down, in two channels, in the disc inside a smaller image.

    Only the disc counts, so that no angle sees more of the image than another.
    """
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = pixels.to_float(resized(pixels.luminance(image), size, "area"))[..., 0]
    across, down = (np.abs(cv2.Sobel(small, cv2.CV_32F, *order)) for order in ((0, 1), (1, 0)))
    edges = np.minimum(np.dstack([across * (across > 2 * down), down * (down > 2 * across)]), 1.0)
    edges = np.asarray(cv2.GaussianBlur(edges, (0, 0), 1.0))  # else the one angle that needs no interpolation wins
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    return np.asarray(edges * np.clip(8 * (1 - np.hypot(x, y)), 0, 1)[..., None], np.float32)


def _alignment(edges: NDArray[np.float32], angle: float) -> float:
    """How sharply the sums over rows and over columns change once the edges are turned by the angle."""
    height, width = edges.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    turned_edges = np.asarray(cv2.warpAffine(edges, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float64)
    sums = (turned_edges[..., kind].sum(axis=1 - kind) for kind in (0, 1))
    return sum(float(np.square(np.diff(line)).sum()) for line in sums)


@op(kind="geometry", alpha="own", tiles=False)
def pad(
    image: Image,
    *,
    margin: Annotated[int, Dial("pixels on every side", ge=0, le=16000, pixels=True)] = 0,
    width: Annotated[int | None, Dial("at least so wide afterwards, in pixels", ge=1, le=32767, pixels=True)] = None,
    height: Annotated[int | None, Dial("at least so high afterwards, in pixels", ge=1, le=32767, pixels=True)] = None,
    aspect: Annotated[str, Dial("the shape afterwards", kind="text", form="WIDTH:HEIGHT")] = "free",
    ground: Annotated[Ground, Dial("what is around the image")] = "colour",
    colour: Annotated[str, Dial("of the ground", kind="colour")] = "#ffffff",
    x: Annotated[float, Dial("where the image lies: 0 is left, 1 is right", ge=0, le=1)] = 0.5,
    y: Annotated[float, Dial("where the image lies: 0 is the top, 1 is the bottom", ge=0, le=1)] = 0.5,
) -> Image:
    """Put ground around the image: a margin, a size or a shape."""
    wide = max(image.shape[1] + 2 * margin, width or 1)
    high = max(image.shape[0] + 2 * margin, height or 1)
    if aspect != "free":
        ratio = ratio_of(aspect)
        wide, high = max(wide, round(high * ratio)), max(high, round(wide / ratio))
    pixels.bounded(wide, high)
    left, top = round((wide - image.shape[1]) * x), round((high - image.shape[0]) * y)
    sides = (top, high - image.shape[0] - top, left, wide - image.shape[1] - left)
    if ground in ("colour", "transparent"):
        return _on_ground(image, (wide, high), (left, top), None if ground == "transparent" else colour)
    mode: Any = {"edge": "edge", "mirror": "symmetric", "wrap": "wrap"}[ground]
    return np.pad(image, (sides[:2], sides[2:], (0, 0)), mode=mode)


def _on_ground(image: Image, size: tuple[int, int], place: tuple[int, int], colour: str | None) -> Image:
    if colour is None:
        image = pixels.with_channels(image, 4)
        ground = np.zeros((size[1], size[0], 4), image.dtype)
    else:
        fill = pixels.rgb_of(colour)
        if image.shape[2] == 1 and len(set(fill.tolist())) > 1:
            image = pixels.with_channels(image, 3)
        tone = [float(fill[0])] if image.shape[2] == 1 else [*map(float, fill), 1.0][: image.shape[2]]
        ground = np.empty((size[1], size[0], image.shape[2]), image.dtype)
        ground[:] = pixels.to_depth(np.array(tone, np.float32), image.dtype)
    left, top = place
    ground[top : top + image.shape[0], left : left + image.shape[1]] = image
    return ground
