"""Saturation, vibrance and hue, in OKLab: lightness stays, hues do not drift, and nothing clips at the edge of sRGB."""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.gamut import chroma_and_hue, grown, in_lab, largest_chroma, with_chroma
from maquette.refining.colour.space import REC601, Floats, in_strips
from maquette.refining.op import op
from maquette.refining.pixels import to_depth
from maquette.refining.schema import Dial

Method = Literal["natural", "plain"]
Hue = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "magenta"]
HUES: dict[str, float] = {
    "red": 29, "orange": 60, "yellow": 105, "green": 142, "cyan": 195, "blue": 262, "purple": 300, "magenta": 342,
}  # fmt: skip
"""The middle of each range of hues, in degrees of OKLab; the primaries and their mixtures as sRGB has them."""


@op(kind="colour", grey="skip")
def saturation(
    image: Image,
    *,
    amount: Annotated[float, Dial("0.25 is a quarter more, -1 leaves grey", ge=-1, le=4)] = 0.25,
    method: Annotated[
        Method,
        Dial("natural: even to the eye, and strong colours bend instead of clipping; plain: away from luma, as CSS"),
    ] = "natural",
) -> Image:
    """Make all colours richer or paler."""
    if amount == 0:
        return image
    if method == "plain":
        return _plain(image, 1 + amount)
    return in_lab(image, lambda lab: _scaled(lab, np.float32(1 + amount)))


@op(kind="colour", grey="skip")
def vibrance(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much; negative makes pale colours paler", ge=-1, le=2)] = 0.4,
    skin: Annotated[float, Dial("how far colours of skin are held back", ge=0, le=1)] = 0.6,
) -> Image:
    """Make pale colours richer, and leave alone those that are rich and those of skin."""
    if amount == 0:
        return image

    def change(lab: Floats) -> Floats:
        chroma, hue = chroma_and_hue(lab)
        pale = 1 - np.minimum(chroma / np.float32(0.2), 1)  # 0.2 is about a ripe tomato's
        spared = 1 - np.float32(skin) * _near(hue, 50, 35)
        return _scaled(lab, 1 + np.float32(amount) * pale * spared, (chroma, hue))

    return in_lab(image, change)


@op(kind="colour", grey="skip")
def hue(image: Image, *, degrees: Annotated[float, Dial("how far round the wheel", ge=-360, le=360)] = 30.0) -> Image:
    """Turn all colours round the colour wheel; lightness stays."""
    if degrees % 360 == 0:
        return image
    turn = np.deg2rad(degrees)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]], np.float32)
    return in_lab(image, lambda lab: cv2.transform(lab, rotation))


@op(kind="colour", grey="skip")
def hue_range(
    image: Image,
    *,
    hue: Annotated[Hue, Dial("which colours")] = "blue",
    width: Annotated[float, Dial("how many degrees of the wheel, soft at both ends", gt=0, le=360)] = 80.0,
    turn: Annotated[float, Dial("degrees round the wheel", ge=-180, le=180)] = 0.0,
    saturation: Annotated[float, Dial("how much richer, or paler", ge=-1, le=4)] = 0.3,
    lightness: Annotated[float, Dial("how much lighter, or darker", ge=-1, le=1)] = 0.0,
) -> Image:
    """Change the colours of one range of hues: turn them, make them richer, paler, lighter or darker."""

    def change(lab: Floats) -> Floats:
        chroma, angle = chroma_and_hue(lab)
        # What is all but neutral has no hue worth the name: noise in greys is left alone.
        share = _near(angle, HUES[hue], width / 2) * np.minimum(chroma / np.float32(0.03), 1)
        if turn:
            by = share * np.float32(np.deg2rad(turn))
            cosine, sine = np.cos(by), np.sin(by)
            first, second = lab[..., 1], lab[..., 2]
            lab = np.dstack([lab[..., 0], first * cosine - second * sine, first * sine + second * cosine])
            angle = angle + by
        if saturation:
            lab = _scaled(lab, 1 + np.float32(saturation) * share, (chroma, angle))
        if lightness:
            # At most half-way to white or black, so that the texture of what is moved stays.
            room = (1 - lab[..., 0]) if lightness > 0 else lab[..., 0]
            lab[..., 0] += np.float32(lightness * 0.5) * share * room
        return np.asarray(lab, np.float32)

    if not (turn or saturation or lightness):
        return image
    return in_lab(image, change)


def _near(hue: Floats, degrees: float, reach: float) -> Floats:
    """1 at the hue in degrees, 0 at `reach` degrees from it and beyond, smooth between."""
    away = np.abs((np.rad2deg(hue) - np.float32(degrees) + 180) % 360 - 180)
    share = np.clip(1 - away / np.float32(reach), 0, 1)
    flat = np.minimum(share * np.float32(1.6), 1)  # the inner third or so is moved in full
    return np.asarray(flat * flat * (3 - 2 * flat), np.float32)


def _scaled(lab: Floats, factor: Floats | np.float32, polar: tuple[Floats, Floats] | None = None) -> Floats:
    """Chroma times a factor; what grows bends so that it stays within sRGB."""
    if np.ndim(factor) == 0 and factor <= 1:
        return lab * np.array([1, factor, factor], np.float32)
    chroma, hue = polar or chroma_and_hue(lab)
    more = grown(chroma, np.maximum(factor, np.float32(1)), largest_chroma(lab[..., 0], hue))
    return with_chroma(lab, chroma, np.where(factor > 1, more, chroma * factor).astype(np.float32))


def _plain(image: Image, factor: float) -> Image:
    """Away from luma, or towards it, in the levels as they are."""
    grey = np.broadcast_to(REC601, (3, 3))
    matrix = np.eye(3) * factor + grey * (1 - factor)
    if image.dtype == np.uint8 and -1 <= factor <= 3:
        return cv2.transform(image, matrix.astype(np.float32))
    return in_strips(image, lambda part: to_depth(cv2.transform(part.astype(np.float32), matrix), part.dtype))
