"""Looks: black and white, toning, mixing of channels, and colours for the dark, middle and light parts."""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.colour.gamut import fitted_light
from maquette.refining.colour.space import (
    REC601,
    Floats,
    encoded,
    from_light,
    in_light,
    in_strips,
    look_up,
    to_lab,
    to_light,
    top,
)
from maquette.refining.op import op
from maquette.refining.pixels import rgb_of, to_depth, to_float
from maquette.refining.schema import Dial

Film = Literal["natural", "red-filter", "orange-filter", "yellow-filter", "green-filter", "blue-filter", "infrared"]
_FILMS: dict[str, tuple[float, float, float]] = {
    "natural": (0.2126, 0.7152, 0.0722), "red-filter": (0.85, 0.2, -0.05), "orange-filter": (0.6, 0.4, 0.0),
    "yellow-filter": (0.4, 0.6, 0.0), "green-filter": (0.1, 0.85, 0.05), "blue-filter": (0.05, 0.2, 0.75),
    "infrared": (0.1, 1.5, -0.6),
}  # fmt: skip
Between = Literal["even", "plain"]


@op(kind="colour", grey="skip")
def monochrome(
    image: Image,
    *,
    film: Annotated[Film, Dial("how light each colour becomes, as by a filter before the lens")] = "natural",
) -> Image:
    """Turn colours into greys, in linear light, as black and white film sees them."""
    weights = np.asarray(_FILMS[film], np.float32)[None]

    def mix(light: Floats) -> Floats:
        grey = cv2.transform(light, weights)
        return cv2.merge([grey, grey, grey])

    return in_light(image, mix)


@op(kind="colour", grey="colour")
def duotone(
    image: Image,
    *,
    dark: Annotated[str, Dial("the colour of the shadows", kind="colour")] = "#1b1f4b",
    light: Annotated[str, Dial("the colour of the highlights", kind="colour")] = "#fff1d6",
    between: Annotated[
        Between, Dial("even: steps that look even (OKLab); plain: straight between the levels")
    ] = "even",
) -> Image:
    """Print the image in two colours: one for the shadows, one for the highlights."""
    return toned(image, (dark, light), between)


@op(kind="colour", grey="colour")
def gradient_map(
    image: Image,
    *,
    colours: Annotated[tuple[str, ...], Dial("from the darkest part to the lightest", kind="colours")] = (
        "#10142e",
        "#7a2e5d",
        "#e8794a",
        "#fdeec3",
    ),
    between: Annotated[
        Between, Dial("even: steps that look even (OKLab); plain: straight between the levels")
    ] = "even",
) -> Image:
    """Colour the image by its lightness, along a row of colours."""  # fmt: skip
    if not 2 <= len(colours) <= 64:
        raise UsageError(f"gradient-map: a row of {len(colours)} colours is not possible", do="give 2 to 64")
    return toned(image, colours, between)


@op(kind="colour", grey="colour")
def sepia(
    image: Image,
) -> Image:
    """Tone the image brown, as an old print."""
    matrix = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    # The usual numbers add up to as much as 1.35: divided by it, white is warm paper and nothing clips.
    return mixed(image, matrix / matrix.sum(axis=1).max())


@op(kind="colour", grey="colour")
def channel_mixer(
    image: Image,
    *,
    red: Annotated[tuple[float, ...], Dial("what of red, green and blue makes red", count=3, ge=-4, le=4)] = (1, 0, 0),
    green: Annotated[tuple[float, ...], Dial("what makes green", count=3, ge=-4, le=4)] = (0, 1, 0),
    blue: Annotated[tuple[float, ...], Dial("what makes blue", count=3, ge=-4, le=4)] = (0, 0, 1),
    offset: Annotated[tuple[float, ...], Dial("what is added to each", count=3, ge=-1, le=1)] = (0, 0, 0),
) -> Image:
    """Make each channel anew from shares of all three."""
    return mixed(image, np.array([red, green, blue]), offset)


@op(kind="colour", grey="colour")
def colour_balance(
    image: Image,
    *,
    shadows: Annotated[tuple[float, ...], Dial("red, green and blue added to the dark parts", count=3, ge=-1, le=1)] = (
        0,
        0,
        0,
    ),
    midtones: Annotated[tuple[float, ...], Dial("to the middle tones", count=3, ge=-1, le=1)] = (0, 0, 0),
    highlights: Annotated[tuple[float, ...], Dial("to the light parts", count=3, ge=-1, le=1)] = (0, 0, 0),
) -> Image:
    """Shift the colour of dark, middle and light parts; how light each part is stays."""  # fmt: skip
    shifts = [np.asarray(shift, np.float64) for shift in (shadows, midtones, highlights)]
    if not any(shift.any() for shift in shifts):
        return image
    return _balanced(image, shifts)


@op(kind="colour", grey="colour")
def split_tone(
    image: Image,
    *,
    shadows: Annotated[str, Dial("the tint of the dark parts", kind="colour")] = "#1f5f7a",
    highlights: Annotated[str, Dial("the tint of the light parts", kind="colour")] = "#e8a45c",
    amount: Annotated[float, Dial("how strongly", ge=0, le=1)] = 0.35,
    balance: Annotated[float, Dial("above 0 more of the image counts as light", ge=-1, le=1)] = 0.0,
) -> Image:
    """Tint the shadows with one colour and the highlights with another, as film prints are graded."""
    tints = [_tint(colour) * amount for colour in (shadows, highlights)]

    def change(part: Image) -> Image:
        lab = to_lab(to_light(part))
        share = np.clip(lab[..., 0] + np.float32(0.3 * balance), 0, 1)
        share = share * share * (3 - 2 * share)
        # Black stays black and white white: what is added fades at both ends.
        room = np.minimum(1, 4 * lab[..., 0] * (1 - lab[..., 0]) + np.float32(0.15) * lab[..., 0])
        for axis in (1, 2):
            lab[..., axis] += room * (tints[0][axis] * (1 - share) + tints[1][axis] * share)
        return from_light(fitted_light(lab), part.dtype)

    return image if amount == 0 else in_strips(image, change)


def toned(image: Image, colours: tuple[str, ...], between: Between = "even") -> Image:
    """The image's luma as a place along the row of colours."""
    rgb = np.stack([rgb_of(colour) for colour in colours])
    at, last = np.linspace(0, 1, len(colours)), 65535 if image.dtype.kind == "f" else top(image.dtype)
    steps = np.arange(last + 1) / last
    if between == "plain":
        row = np.stack([np.interp(steps, at, rgb[:, channel]) for channel in range(3)], axis=1)
    else:
        lab = to_lab(to_light(rgb[None]))[0]
        path = np.stack([np.interp(steps, at, lab[:, channel]) for channel in range(3)], axis=1)
        row = encoded(np.clip(fitted_light(path[None].astype(np.float32)), 0, 1))[0]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.dtype.kind == "f":
        return np.asarray(row, np.float32)[np.rint(grey * 65535).astype(np.uint16)]
    levels = np.floor(row * last + 0.5).astype(image.dtype)
    return look_up(cv2.merge([grey, grey, grey]), levels)


def mixed(image: Image, matrix: NDArray[np.float64], offset: tuple[float, ...] = (0, 0, 0)) -> Image:
    """Each pixel times a matrix, plus an offset, in the levels as they are."""
    white = top(image.dtype)
    whole = np.concatenate([matrix, white * np.asarray(offset, np.float64)[:, None]], axis=1)
    if image.dtype == np.uint8:
        return cv2.transform(image, whole.astype(np.float32))

    def mix(part: Image) -> Image:
        return to_depth(cv2.transform(part.astype(np.float32), whole) / np.float32(white), part.dtype)

    return in_strips(image, mix)


def _balanced(image: Image, shifts: list[NDArray[np.float64]]) -> Image:
    """Colour without luma added to the levels, by how dark, middle or light each pixel is."""
    # A whole unit moves a channel by three tenths of the scale.
    shadows, midtones, highlights = ((shift - shift @ REC601) * 0.3 for shift in shifts)

    def change(part: Image) -> Image:
        values = to_float(part)
        luma = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
        dark, light = (1 - luma) ** 2, luma * luma
        weights = np.dstack(
            [dark * np.minimum(1, 6 * luma), 4 * luma * (1 - luma), light * np.minimum(1, 6 - 6 * luma)]
        )
        shift = cv2.transform(weights.astype(np.float32), np.stack([shadows, midtones, highlights], axis=1))
        return to_depth(values + shift, part.dtype)

    return in_strips(image, change)


def _tint(colour: str) -> NDArray[np.float32]:
    """The colour as a step in OKLab away from grey, at most 0.15 long."""
    lab = to_lab(to_light(rgb_of(colour)[None, None]))[0, 0]
    return np.asarray([0, *(lab[1:] * min(1.0, 0.15 / max(float(np.hypot(*lab[1:])), 1e-6)))], np.float32)
