"""How print and old screens show tones with few: halftone, dither, posterise, pixelate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import cv2
import numpy as np

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.colour.space import from_light, look_up, to_light
from maquette.refining.neighbourhood import on_colour, soft, wrapped_border
from maquette.refining.op import op
from maquette.refining.pixels import largest, rgb_of, to_float
from maquette.refining.schema import Dial
from maquette.refining.screens import covered, diffused, threshold_map
from maquette.refining.threads import at_once, bands

_SCREENS = {"cyan": 15.0, "magenta": 75.0, "yellow": 0.0, "black": 45.0}
"""Degrees by which offset print turns each ink's screen, so that their dots do not beat against each other."""


@op(kind="effect", alpha="own", grey="colour")
def halftone(
    image: Image,
    *,
    size: Annotated[float, Dial("from dot to dot, in pixels", ge=2, le=100, pixels=True)] = 6.0,
    inks: Annotated[Literal["colour", "one"], Dial("the four of colour print, or a single ink on paper")] = "colour",
    shape: Annotated[Literal["dot", "line"], Dial("of what is printed")] = "dot",
    angle: Annotated[float, Dial("by which all screens are turned, in degrees", ge=-360, le=360)] = 0.0,
    ink: Annotated[str, Dial("the colour of the single ink", kind="colour")] = "#16161d",
    paper: Annotated[str, Dial("the colour of the paper", kind="colour")] = "#ffffff",
    tile: Tile = "",
) -> Image:
    """Print with dots of ink on turned screens, as in newspapers and comics (halftone).

    Dots cover as much paper as the tone needs in light, so that from afar the picture keeps its brightness. On a tile
    the screens are turned and stretched a little until they repeat without a seam.
    """

    def work(colour: Image) -> Image:
        light = to_light(colour)
        light = np.clip(soft(light, size / 5), 0, 1)
        sheet = to_light(rgb_of(paper).reshape(1, 1, 3))
        if inks == "one":
            stain = to_light(rgb_of(ink).reshape(1, 1, 3))
            grey = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
            share = covered(1 - grey, size, 45 + angle, shape, tile)[..., None]
            return from_light(sheet + share * (stain - sheet), colour.dtype)
        black = 1 - light.max(axis=2)
        printed = np.empty_like(light)
        for channel, name in enumerate(("cyan", "magenta", "yellow")):
            wanted = 1 - light[..., channel] / np.maximum(1 - black, np.float32(1e-5))
            printed[..., channel] = 1 - covered(wanted, size, _SCREENS[name] + angle, shape, tile)
        printed *= (1 - covered(black, size, _SCREENS["black"] + angle, shape, tile))[..., None]
        return from_light(printed * sheet, colour.dtype)

    return on_colour(image, work)


@op(kind="effect", alpha="keep")
def posterise(
    image: Image,
    *,
    levels: Annotated[int, Dial("how many tones each channel keeps", ge=2, le=64)] = 5,
) -> Image:
    """Reduce each channel to a few even tones (posterise)."""
    top = largest(image)
    if image.dtype == np.float32:
        return np.asarray(np.minimum(np.floor(image * levels), levels - 1) * np.float32(1 / (levels - 1)))
    steps = np.arange(int(top) + 1) * levels // (int(top) + 1)
    return look_up(image, np.rint(steps * (top / (levels - 1))).astype(image.dtype))


@op(kind="effect", alpha="keep")
def dither(
    image: Image,
    *,
    levels: Annotated[int, Dial("how many tones each channel keeps", ge=2, le=64)] = 2,
    pattern: Annotated[
        Literal["noise", "ordered", "diffusion"],
        Dial("even grain (blue noise), the crosshatch of old screens (Bayer), or error diffusion (Floyd-Steinberg)"),
    ] = "noise",
    size: Annotated[int, Dial("of the dots, in pixels", ge=1, le=64, pixels=True)] = 1,
    light: Annotated[bool, Dial("mix dots as light, so that tones keep their brightness from afar")] = True,
    tile: Tile = "",
) -> Image:
    """Show many tones with few, by patterns of dots (dither)."""
    if size > 1:
        small = _blocks(image, size, _shrinking)
        done = dither(small, levels=levels, pattern=pattern, size=1, light=light, tile=tile)
        return _enlarged(done, size, image.shape)
    top = largest(image)
    ends = np.arange(levels) / (levels - 1)
    known = image if image.dtype != np.float32 else np.rint(image * 65535).astype(np.uint16)
    tones = np.arange(int(largest(known)) + 1) / largest(known)
    if light:
        tones, ends = (np.asarray(to_light(part.astype(np.float32)), np.float64) for part in (tones, ends))
    # Where each level lies between the tones that stay: 0 to levels - 1, exactly whole on those tones.
    place = np.interp(tones, ends, np.arange(levels))
    if pattern == "diffusion":
        before, middle = wrapped_border(known, tile, 32)  # the error that arrives from beyond the border
        done = diffused(before, place, levels)[middle]
        return to_float(done) if image.dtype == np.float32 else done
    threshold = threshold_map(pattern, *image.shape[:2])[..., None]
    whole = np.floor(place + 1e-9)
    rest = look_up(known, (place - whole).astype(np.float32))
    steps = look_up(known, whole.astype(np.uint8)) + (rest > threshold)
    values = np.arange(levels) / (levels - 1) * top
    return np.take(
        values.astype(np.float32) if image.dtype == np.float32 else np.rint(values).astype(image.dtype), steps
    )


@op(kind="effect")
def pixelate(
    image: Image,
    *,
    size: Annotated[int, Dial("of the squares, in pixels", ge=1, le=1024, pixels=True)] = 8,
    take: Annotated[
        Literal["mean", "median"], Dial("what a square becomes; the median keeps out what bleeds in at its borders")
    ] = "mean",
) -> Image:
    """Turn the image into large even squares (pixelate)."""
    if size == 1:
        return image
    small = _blocks(image, size, _shrinking if take == "mean" else _medians)
    return _enlarged(small, size, image.shape)


def _blocks(image: Image, size: int, shrinking: Callable[[Image, Image], list[Callable[[], None]]]) -> Image:
    """One pixel for each square; what is left over at the right and below makes smaller ones."""
    height, width, channels = image.shape
    columns, rows = [(0, width - width % size), (width - width % size, width)], [(0, height - height % size)]
    rows.append((height - height % size, height))
    result = np.empty((math.ceil(height / size), math.ceil(width / size), channels), image.dtype)
    for top, bottom in rows:
        for left, right in columns:
            if top < bottom and left < right:
                here = result[top // size : math.ceil(bottom / size), left // size : math.ceil(right / size)]
                at_once(shrinking(image[top:bottom, left:right], here), image.size)
    return result


def _medians(image: Image, into: Image) -> list[Callable[[], None]]:
    """The work of taking the median of each square and channel, in bands of rows; of two in the middle, the lower."""
    (height, width, channels), (rows, columns) = image.shape, into.shape[:2]
    squares = image.reshape(rows, height // rows, columns, width // columns, channels)

    def take(begin: int, end: int) -> None:
        values = squares[begin:end].transpose(0, 2, 4, 1, 3).reshape(end - begin, columns, channels, -1)
        middle = (values.shape[3] - 1) // 2
        into[begin:end] = np.partition(values, middle, axis=3)[..., middle]

    return [partial(take, *edges) for edges in bands(rows, image.size)]


def _shrinking(image: Image, into: Image) -> list[Callable[[], None]]:
    """The work of shrinking by a whole factor, in bands of rows."""
    factor = image.shape[0] // into.shape[0]

    def shrink(begin: int, end: int) -> None:
        size = (into.shape[1], end - begin)
        done = cv2.resize(image[begin * factor : end * factor], size, interpolation=cv2.INTER_AREA)
        into[begin:end] = done.reshape(end - begin, *into.shape[1:])

    return [partial(shrink, *edges) for edges in bands(into.shape[0], image.size)]


def _enlarged(small: Image, size: int, shape: tuple[int, ...]) -> Image:
    """Each pixel as a square; cut to the shape."""
    wide = small.repeat(size, axis=1)[:, : shape[1]]
    tall = np.broadcast_to(wide[:, None], (len(wide), size, *wide.shape[1:]))
    return np.ascontiguousarray(tall).reshape(-1, *wide.shape[1:])[: shape[0]]
