"""Banners: a background in the brand's colours, the product with its shadow, and words that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.uses._layout import Layout, Measure
from maquette.uses._measures import difference, lab

READABLE = 4.5
"""The contrast that words need at least (as the guidelines for accessible pages, WCAG 2, have it)."""
Colour = tuple[int, int, int]
KEPT = 0.55
"""How much of a background's own differences stays when its mean becomes a brand's colour."""


@dataclass(frozen=True)
class Banner:
    """A finished banner, and what was measured in it."""

    picture: Image
    contrast: float
    """Of the words with what lies behind them: what all but one in twenty of their pixels reach."""
    overlap: int
    """Pixels in which words or button lie over the product."""
    colour_distance: float
    """From the mean of the background that is seen bare to the brand's colour (CIEDE2000)."""
    text_colour: Colour


class Font:
    """One font file, or the one that comes with Pillow, at any size."""

    def __init__(self, file: str = "") -> None:
        self.file = file
        self.at = lru_cache(maxsize=256)(self._at)

    def _at(self, size: int) -> Any:
        from PIL import ImageFont

        return ImageFont.truetype(self.file, size) if self.file else ImageFont.load_default(size=size)

    def measure(self) -> Measure:
        """How wide and high a line is."""

        @lru_cache(maxsize=65536)
        def wide(text: str, size: int) -> tuple[int, int]:
            up, down = self.at(size).getmetrics()
            return int(np.ceil(self.at(size).getlength(text))), int(up + down)

        return wide


def luminance(colours: Any) -> NDArray[np.float64]:
    """Relative luminance of 8-bit sRGB colours."""
    part = np.asarray(colours, np.float64) / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return np.asarray(light @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(one: Any, other: Any) -> NDArray[np.float64]:
    """The contrast ratio of colours, from 1 to 21."""
    first, second = luminance(one), luminance(other)
    return np.asarray((np.maximum(first, second) + 0.05) / (np.minimum(first, second) + 0.05))


def held(picture: Image, colour: Colour) -> Image:
    """The picture with its mean moved to a colour and its differences damped, so that the eye sees that colour."""
    import warnings

    from skimage.color import lab2rgb

    have = lab(picture)
    goal = lab(np.asarray(colour, np.uint8).reshape(1, 1, 3))[0, 0]
    spread = have - have.mean((0, 1))
    offset = np.zeros(3)
    made = picture
    for _ in range(4):  # what leaves the gamut is cut off, and moves the mean: corrected a few times
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there are colours which no screen shows: that is known
            colours = lab2rgb(goal + offset + KEPT * spread)
        made = np.asarray(np.rint(np.clip(colours, 0, 1) * 255), np.uint8)
        offset += goal - lab(made).mean((0, 1))
    return made


def far_from(picture: Image, colour: Colour) -> float:
    """How far the mean colour of a picture is from a colour, to the eye."""
    mean = lab(picture).mean((0, 1))
    return float(difference(mean[None], lab(np.asarray(colour, np.uint8).reshape(1, 1, 3))[0])[0])


def cropped(texture: Image, width: int, height: int, left: int, top: int) -> Image:
    """A window of a texture without seams, which goes on over its edges."""
    rows = (np.arange(height) + top) % texture.shape[0]
    columns = (np.arange(width) + left) % texture.shape[1]
    return np.asarray(texture[rows[:, None], columns])


def compose(
    layout: Layout, background: Image, product: Image, brand: Colour, inks: Sequence[Colour], font: Font
) -> Banner:
    """The banner: background held at the brand's colour, shadow, product, words. `inks`: colours words may have."""
    ground = held(background, brand)
    box = layout.product
    small = cv2.resize(
        _premultiplied(product), (box.width, box.height),
        interpolation=cv2.INTER_AREA if product.shape[0] > box.height else cv2.INTER_CUBIC,
    )  # fmt: skip
    small = np.clip(small, 0, 1)
    alpha = np.zeros((layout.height, layout.width), np.float32)
    alpha[box.top : box.bottom, box.left : box.right] = small[..., 3]
    words = _words(layout, font)
    ink, ground, veiled = _readable(ground, words > 0, inks)
    picture = np.asarray(ground, np.float32) / np.float32(255)
    reach = max(1.0, 0.03 * box.height)
    shadow = cv2.GaussianBlur(alpha, (0, 0), reach)
    shift = np.array([[1, 0, 0], [0, 1, 0.6 * reach]], np.float32)
    shadow = np.asarray(cv2.warpAffine(shadow, shift, (layout.width, layout.height)))
    clear = cv2.dilate((words > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    picture *= 1 - 0.45 * np.where(clear, 0, shadow)[..., None]
    part = picture[box.top : box.bottom, box.left : box.right]
    part *= 1 - small[..., 3:]
    part += small[..., :3]
    behind = np.rint(picture * 255).astype(np.uint8)
    button = layout.button
    over = (words > 0) & (alpha > 1 / 255)
    if button is not None:
        fill = max(
            inks,
            key=lambda each: float(
                contrast(each, behind[button.top : button.bottom, button.left : button.right]).mean()
            ),
        )
        _rounded(picture, button, fill)
        zone = np.zeros_like(over)
        zone[button.top : button.bottom, button.left : button.right] = True
        over |= zone & (alpha > 1 / 255)
    else:
        fill = ink
    label = max(inks, key=lambda each: float(contrast(each, fill)))
    inside = np.zeros(words.shape, bool)
    if button is not None:
        inside[button.top : button.bottom, button.left : button.right] = True
    behind = np.rint(picture * 255).astype(np.uint8)
    colours = np.where(inside[..., None], np.asarray(label), np.asarray(ink)).astype(np.float32) / 255
    picture += words[..., None] * (colours - picture)
    solid = words > 0.5
    ratios = contrast(np.where(inside[..., None], np.asarray(label), np.asarray(ink))[solid], behind[solid])
    worst = float(np.quantile(ratios, 0.05)) if solid.any() else 21.0
    finished = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    bare = ~(veiled | inside | (words > 0) | (alpha > 0) | (shadow > 0.02))
    seen = finished[bare] if bare.mean() > 0.02 else ground.reshape(-1, 3)
    away = far_from(seen[None], brand)
    return Banner(finished, worst, int(over.sum()), away, ink)


def _premultiplied(image: Image) -> NDArray[np.float32]:
    part = image.astype(np.float32) / 255
    return np.concatenate([part[..., :3] * part[..., 3:], part[..., 3:]], axis=2, dtype=np.float32)


def _words(layout: Layout, font: Font) -> NDArray[np.float32]:
    """How much of each pixel the words cover."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    picture = Pillow.new("L", (layout.width, layout.height), 0)
    draw = ImageDraw.Draw(picture)
    for line in layout.lines:
        draw.text((line.box.left, line.box.top), line.text, fill=255, font=font.at(line.size))
    return np.asarray(picture, np.float32) / np.float32(255)


def _readable(
    ground: Image, words: NDArray[np.bool_], inks: Sequence[Colour]
) -> tuple[Colour, Image, NDArray[np.bool_]]:
    """The ink that stands out most, the ground, calmed behind the words as far as that is needed, and where it was."""
    nowhere = np.zeros(words.shape, bool)
    if not words.any():
        return inks[0], ground, nowhere

    def worst(ink: Colour, picture: Image) -> float:
        return float(np.quantile(contrast(ink, picture[words]), 0.03))

    ink = max(inks, key=lambda each: worst(each, ground))
    if worst(ink, ground) >= READABLE:
        return ink, ground, nowhere
    height, width = words.shape
    rows, columns = np.flatnonzero(words.any(1)), np.flatnonzero(words.any(0))
    patch = np.zeros((height, width), np.float32)
    pad = max(3, round(0.04 * min(height, width)))
    patch[max(0, rows[0] - pad) : rows[-1] + pad + 1, max(0, columns[0] - pad) : columns[-1] + pad + 1] = 1
    veil = np.asarray(cv2.GaussianBlur(patch, (0, 0), pad / 2), np.float32)[..., None]
    dark = luminance(ink) > 0.18
    goal = np.asarray(min(inks, key=lambda each: float(luminance(each)) * (1 if dark else -1)), np.float32)
    for amount in (0.3, 0.45, 0.6, 0.75, 0.9, 1.0):
        calmer = np.rint(ground + amount * veil * (goal - ground)).astype(np.uint8)
        if worst(ink, calmer) >= READABLE * 1.05:
            break
    return ink, calmer, veil[..., 0] > 0.02


def _rounded(picture: NDArray[Any], box: Any, colour: Colour) -> None:
    """A button: a rectangle with round corners, its edges smooth."""
    times = 4
    mask = np.zeros((box.height * times, box.width * times), np.uint8)
    radius = min(mask.shape) // 3
    cv2.rectangle(mask, (radius, 0), (mask.shape[1] - radius - 1, mask.shape[0] - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (mask.shape[1] - 1, mask.shape[0] - radius - 1), 255, -1)
    for x in (radius, mask.shape[1] - radius - 1):
        for y in (radius, mask.shape[0] - radius - 1):
            cv2.circle(mask, (x, y), radius, 255, -1)
    share = cv2.resize(mask, (box.width, box.height), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    part = picture[box.top : box.bottom, box.left : box.right]
    part += share[: part.shape[0], : part.shape[1]] * (np.asarray(colour, np.float32) / 255 - part)
