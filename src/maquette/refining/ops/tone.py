"""Tone: how light and dark an image is, and how its levels are spread. Every op here treats each pixel by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cv2
import numpy as np

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.colour.curve import Curve, s_curve
from maquette.refining.colour.gamut import in_lab
from maquette.refining.colour.space import REC601, Floats, decoded, encoded, tabulate, tabulate_each, top
from maquette.refining.op import op
from maquette.refining.schema import Dial

Method = Literal["natural", "plain"]
On = Literal["colours", "lightness"]


@op(kind="colour")
def exposure(
    image: Image,
    *,
    stops: Annotated[float, Dial("by how many stops; 1 doubles the light, -1 halves it", ge=-8, le=8)] = 0.5,
    method: Annotated[Method, Dial("natural: highlights bend like film; plain: they clip")] = "natural",
) -> Image:
    """Give the image more or less light, as a camera would."""
    gain = 2.0**stops

    def expose(values: Any) -> Any:
        light = gain * decoded(values)
        if method == "natural" and gain > 1:
            # From x to g x in the shadows, and to 1 at 1: nothing clips, and no two levels of light become one.
            light = light / np.sqrt(1 + (gain**2 - 1) * (light / gain) ** 2)
        return encoded(np.minimum(light, 1))

    return tabulate(image, expose)


@op(kind="colour")
def brightness(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much brighter; 0.2 is a fifth, negative is darker", ge=-1, le=1)] = 0.15,
    method: Annotated[
        Method, Dial("natural: black and white stay, what lies between moves; plain: all levels are multiplied")
    ] = "natural",
) -> Image:
    """Make the image brighter or darker."""
    if method == "plain":
        return _scaled(image, 1 + amount, 0)
    # A quarter circle's worth of bend: slope 4^amount at black and 4^-amount at white; its inverse is -amount.
    bend = 4.0**amount
    return tabulate(image, lambda values: bend * values / (1 + (bend - 1) * values))


@op(kind="colour")
def contrast(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much more; negative is less", ge=-1, le=1)] = 0.2,
    pivot: Annotated[float, Dial("the level that stays (natural)", gt=0, lt=1)] = 0.5,
    method: Annotated[
        Method,
        Dial("natural: an S-curve that keeps black and white; plain: levels move from the mean and clip, as in Pillow"),
    ] = "natural",
    on: Annotated[On, Dial("colours: richer colours too; lightness: colours keep theirs (natural)")] = "colours",
) -> Image:
    """Spread light and dark apart, or draw them together."""
    if amount == 0:
        return image
    if method == "plain":
        mean = _mean(image)
        return _scaled(image, 1 + amount, -mean * amount)
    return _on(image, lambda values: s_curve(values, amount, pivot), on)


@op(kind="colour")
def gamma(
    image: Image,
    *,
    value: Annotated[float, Dial("above 1 lightens the middle tones, below 1 darkens them", ge=0.1, le=10)] = 1.2,
) -> Image:
    """Lighten or darken the middle tones; black and white stay."""
    return tabulate(image, lambda values: values ** (1 / value))


@op(kind="colour")
def levels(
    image: Image,
    *,
    black: Annotated[float, Dial("the level that becomes black", ge=0, le=1)] = 0.0,
    white: Annotated[float, Dial("the level that becomes white", ge=0, le=1)] = 1.0,
    gamma: Annotated[float, Dial("above 1 lightens the middle tones", ge=0.1, le=10)] = 1.0,
    darkest: Annotated[float, Dial("the level that black becomes", ge=0, le=1)] = 0.0,
    lightest: Annotated[float, Dial("the level that white becomes", ge=0, le=1)] = 1.0,
) -> Image:
    """Set the black point, the white point and the middle."""
    if white <= black:
        raise UsageError(f"levels: white = {white:g} must lie above black = {black:g}")

    def spread(values: Any) -> Any:
        inside = np.clip((values - black) / (white - black), 0, 1) ** (1 / gamma)
        return darkest + (lightest - darkest) * inside

    return tabulate(image, spread)


@op(kind="colour")
def curves(
    image: Image,
    *,
    points: Annotated[tuple[float, ...], Dial("for all channels", form="IN:OUT:IN:OUT", ge=0, le=1)] = (0, 0, 1, 1),
    red: Annotated[tuple[float, ...], Dial("for red alone", form="IN:OUT:IN:OUT", ge=0, le=1)] = (0, 0, 1, 1),
    green: Annotated[tuple[float, ...], Dial("for green alone", form="IN:OUT:IN:OUT", ge=0, le=1)] = (0, 0, 1, 1),
    blue: Annotated[tuple[float, ...], Dial("for blue alone", form="IN:OUT:IN:OUT", ge=0, le=1)] = (0, 0, 1, 1),
    on: Annotated[On, Dial("what `points` moves: the colours, or their lightness alone")] = "colours",
) -> Image:
    """Draw tone curves through points, without overshoot between them.

    Points are pairs of levels from 0 to 1: `0:0:0.25:0.2:0.75:0.8:1:1` is a gentle S.
    """
    whole, *single = (
        Curve.of(given, name) for given, name in ((points, "points"), (red, "red"), (green, "green"), (blue, "blue"))
    )
    if on == "lightness" and not whole.is_straight:
        image = _on(image, whole, "lightness")
        whole = Curve.of((0, 0, 1, 1), "points")
    if image.shape[2] < 3 or all(curve.is_straight for curve in single):
        return image if whole.is_straight else tabulate(image, whole)

    def bend(values: Any) -> Any:
        return np.stack([curve(whole(values[..., at])) for at, curve in enumerate(single)], axis=-1)

    return tabulate_each(image, bend)


@op(kind="colour")
def invert(image: Image) -> Image:
    """Turn light into dark and every colour into its opposite, as a negative."""
    if image.dtype.kind == "f":
        return np.float32(1) - image
    return cv2.bitwise_not(image).reshape(image.shape)


@op(kind="colour")
def solarise(image: Image, *, level: Annotated[float, Dial("what is lighter is inverted", ge=0, le=1)] = 0.5) -> Image:
    """Invert what is lighter than a level, as an overexposed print."""
    return tabulate(image, lambda values: np.where(values < level, values, 1 - values))


def _scaled(image: Image, factor: float, offset: float) -> Image:
    """All levels times a factor, plus an offset; what leaves the range clips."""
    if image.dtype.kind == "f":
        return np.asarray(np.clip(image * np.float32(factor) + np.float32(offset), 0, 1))
    channels = image.shape[2]
    matrix = np.eye(channels, channels + 1) * factor
    matrix[:, channels] = offset * top(image.dtype)
    return np.asarray(cv2.transform(image, matrix)).reshape(image.shape)  # quicker than a table, and it saturates


def _on(image: Image, curve: Any, on: On) -> Image:
    """The curve on all channels, or on lightness (in OKLab) alone."""
    if on == "colours" or image.shape[2] < 3:
        return tabulate(image, curve)
    # 4,096 steps of lightness, read between them, are finer than 16 bits need where images have detail.
    steps = np.linspace(0, 1, 4097)
    table = np.asarray(curve(steps), np.float64)

    def change(lab: Floats) -> Floats:
        before = lab[..., 0]
        after = np.interp(before, steps, table).astype(np.float32)
        # Chroma moves with lightness, half-way: colours that are lifted out of the dark are not left dull.
        ratio = np.sqrt(np.maximum(after, 1e-3) / np.maximum(before, 1e-3))
        return np.dstack([after, lab[..., 1] * ratio, lab[..., 2] * ratio]).astype(np.float32)

    return in_lab(image, change)


def _mean(image: Image) -> float:
    """The mean luma of the image as Pillow reckons it: of whole levels, rounded to a whole level of 8 bits."""
    if image.shape[2] == 1:
        mean = float(image.mean()) / top(image.dtype)
    else:
        mean = float(np.dot(cv2.mean(image)[:3], REC601)) / top(image.dtype)
    return int(mean * 255 + 0.5) / 255
