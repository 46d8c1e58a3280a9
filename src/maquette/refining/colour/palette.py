"""Palettes: the few colours that an image is made of, and images made of few colours."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.colour.gamut import chroma_and_hue, in_lab
from maquette.refining.colour.measure import Weights, sample
from maquette.refining.colour.space import Floats, in_strips, to_lab, to_light
from maquette.refining.pixels import rgb_of, to_depth, to_float

Dither = Literal["none", "ordered", "diffuse"]
MOST = 256
_SAMPLES = 60_000


def extract(image: Image, weights: Weights = None, count: int = 6) -> tuple[Floats, Floats]:
    """The image's main colours, (at most count, 3) in sRGB from 0 to 1, and the share of each; the commonest first.

    Clusters in OKLab. A cluster's colour is the one that most of it has, as in flat graphics, or else its mean.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"a palette of {count} colours is not possible", do=f"choose 1 to {MOST}")
    pixels, counts = sample(image, weights, _SAMPLES)
    eight = to_depth(to_float(pixels), np.uint8).astype(np.int64)
    packed = (eight[:, 0] << 16) | (eight[:, 1] << 8) | eight[:, 2]
    known, inverse = np.unique(packed, return_inverse=True)
    weight = np.bincount(inverse, counts.astype(np.float64)).astype(np.float64)
    known, weight = known[weight > 0], weight[weight > 0]
    if not len(known):
        return np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    colours = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1).astype(np.float32) / np.float32(255)
    lab = seen(colours[None])[0]
    # What is common in one small part of colour space counts less than its number: accents get a place, too.
    cell = (known >> 19) << 10 | (known >> 11 & 31) << 5 | (known >> 3 & 31)
    crowd = np.bincount(cell, weight, minlength=1 << 15)[cell]
    member, centres = _clusters(lab, weight / crowd**0.4, min(count, len(known)))
    found, shares = [], []
    for at in range(len(centres)):
        inside = member == at
        if inside.any():
            commonest = np.argmax(weight * inside)
            mean = (colours[inside] * weight[inside, None]).sum(axis=0) / weight[inside].sum()
            found.append(colours[commonest] if weight[commonest] > 0.3 * weight[inside].sum() else mean)
            shares.append(weight[inside].sum())
    order = np.argsort(shares)[::-1]
    total = np.asarray(shares, np.float32)[order]
    return np.asarray(found, np.float32)[order], total / total.sum()


def seen(colours: Image) -> Floats:
    """OKLab with its opponents doubled: then distances are nearest to what the eye sees as different."""
    return to_lab(to_light(np.ascontiguousarray(colours))) * np.array([1, 2, 2], np.float32)


def _clusters(lab: Floats, weight: NDArray[np.float64], count: int) -> tuple[NDArray[np.intp], Floats]:
    """Weighted k-means whose first centres are, one after another, what is common and far from the others."""
    centres = [lab[np.argmax(weight)]]
    distance = np.full(len(lab), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((lab - centres[-1]) ** 2).sum(axis=1))
        # The root of the weight: a small but different colour is seen, too. Ties go to the first.
        centres.append(lab[np.argmax(distance * np.sqrt(weight))])
    middle = np.asarray(centres, np.float32)
    member = nearest(lab, middle)
    for _ in range(25):
        sums = np.stack([np.bincount(member, weight * lab[:, axis], minlength=count) for axis in range(3)], axis=1)
        totals = np.bincount(member, weight, minlength=count)
        middle = np.where(totals[:, None] > 0, sums / np.maximum(totals, 1e-12)[:, None], middle).astype(np.float32)
        before, member = member, nearest(lab, middle)
        if np.array_equal(before, member):
            break
    return member, middle


def nearest(lab: Floats, palette: Floats) -> NDArray[np.intp]:
    """Which colour of the palette, (k, 3) in OKLab, is nearest to each of the colours, (n, 3)."""
    # |x - c|^2 without |x|^2, which is the same for all c.
    distance = lab @ (-2 * palette.T)
    distance += (palette**2).sum(axis=1)
    return np.asarray(distance.argmin(axis=1))


def hexadecimal(colours: Floats) -> list[str]:
    """Colours as designers write them: #rrggbb."""
    return ["#" + "".join(f"{level:02x}" for level in to_depth(colour, np.uint8)) for colour in colours]


def from_hexadecimal(colours: tuple[str, ...]) -> Floats:
    """Colours such as #ff8800 as rows of three numbers."""
    if not 1 <= len(colours) <= MOST:
        raise UsageError(f"a palette of {len(colours)} colours is not possible", do=f"give 1 to {MOST}")
    return np.stack([rgb_of(colour) for colour in colours])


def reduced(image: Image, colours: Floats, dither: Dither = "none") -> Image:
    """The image in the palette's colours alone."""
    levels = to_depth(colours, image.dtype)
    if dither == "diffuse":
        return levels[_diffused(to_depth(to_float(image), np.uint8), to_depth(colours, np.uint8))]
    lab = seen(levels[None])[0]
    if dither == "ordered":
        return levels[_ordered(image, lab)]

    def change(part: Image) -> Image:
        flat = seen(part).reshape(-1, 3)
        return levels[nearest(flat, lab)].reshape(part.shape)

    return in_strips(image, change)


def _ordered(image: Image, lab: Floats) -> NDArray[np.intp]:
    """Nearest colours after a fixed pattern of 8 by 8 steps was added, as wide as colours of the palette are apart."""
    order = np.zeros((1, 1))
    for _ in range(3):
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    pattern = ((order + 0.5) / 64 - 0.5).astype(np.float32)
    apart = np.sqrt(((lab[:, None] - lab[None]) ** 2).sum(axis=2) + np.eye(len(lab)) * 9).min(axis=1)
    height, width = image.shape[:2]
    tiled = np.tile(pattern, (-(-height // 8), -(-width // 8)))[:height, :width]
    found = seen(image)
    found[..., 0] += tiled * np.float32(min(0.5, np.median(apart)))
    return nearest(found.reshape(-1, 3), lab).reshape(height, width)


def _diffused(image: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Floyd and Steinberg's error diffusion (Pillow's)."""
    from PIL import Image as Pillow

    palette = Pillow.new("P", (1, 1))
    # The first colour again and again behind the palette: what is not in it cannot be chosen.
    rows = [*levels.ravel().tolist(), *levels[0].tolist() * (256 - len(levels))]
    palette.putpalette(rows)
    made = Pillow.fromarray(np.ascontiguousarray(image)).quantize(palette=palette, dither=Pillow.Dither.FLOYDSTEINBERG)
    index = np.asarray(made).astype(np.intp)
    return np.where(index < len(levels), index, 0)


def towards(image: Image, colours: Floats, amount: float) -> Image:
    """Hues drawn to those of the palette; lightness and greys stay."""
    lab = to_lab(to_light(colours[None]))[0]
    coloured = lab[np.hypot(lab[:, 1], lab[:, 2]) > 0.02]
    if not len(coloured):
        return in_lab(image, lambda part: part * np.array([1, 1 - amount, 1 - amount], np.float32))
    goals = np.arctan2(coloured[:, 2], coloured[:, 1])
    strong = np.hypot(coloured[:, 1], coloured[:, 2])
    directions = np.stack([np.cos(goals), np.sin(goals)], axis=1)
    reach, turn = np.float32(0.35), np.float32(2 * np.pi)

    def change(part: Floats) -> Floats:
        have, hue = chroma_and_hue(part)
        # Each pixel's goal is a mean of the palette's hues, in which the nearest counts by far the most.
        away = (np.abs((hue[..., None] - goals + turn / 2) % turn - turn / 2) / reach) ** 2
        share = np.exp(away.min(axis=2, keepdims=True) - away)
        share /= share.sum(axis=2, keepdims=True)
        goal = share @ directions
        goal /= np.maximum(np.hypot(goal[..., :1], goal[..., 1:]), np.float32(1e-6))
        # As colourful as it was, or somewhat nearer to what the palette has.
        richer = np.minimum(share @ strong / np.maximum(have, np.float32(0.02)), 2)
        wanted = have * (1 + np.float32(amount * 0.5) * (richer - 1))
        made = np.dstack([part[..., 0], goal[..., 0] * wanted, goal[..., 1] * wanted])
        return np.asarray(part + np.float32(amount) * (made - part), np.float32)

    return in_lab(image, change)


def cells(colours: Floats, shares: Floats, width: int = 480, height: int = 80) -> NDArray[np.uint8]:
    """The palette as a picture: each colour as wide as its share."""
    edges = np.rint(np.concatenate([[0], np.cumsum(shares)]) * width).astype(int)
    picture = np.zeros((height, width, 3), np.uint8)
    for colour, left, right in zip(to_depth(colours, np.uint8), edges, edges[1:], strict=False):
        cv2.rectangle(picture, (int(left), 0), (int(right) - 1, height - 1), tuple(int(v) for v in colour), -1)
    return picture
