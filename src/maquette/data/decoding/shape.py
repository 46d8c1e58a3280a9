"""How a picture of any shape becomes one of the dataset's: which part of it is used, and what it is resized to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.core.choices import Frames, Position
from maquette.core.image import Mode
from maquette.data.decoding.limits import Refused

Fit = Literal["crop", "pad", "stretch", "whole"]
Small = Literal["set-aside", "enlarge"]
Half = Literal["", "left", "right"]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")
"""How an image gets the size of a dataset."""
SMALLS: tuple[Small, ...] = ("set-aside", "enlarge")
MOST_CROPS = 64
_LOOK = 96
"""The longer side of the small picture on which saliency is measured."""
_CLOSEST = 0.6
"""Further crops show at least this share of the picture's shorter side."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a file is to become."""

    width: int
    height: int
    mode: Mode | Literal["auto", "map"] = "rgb"
    """`auto` keeps what the file holds (as grey, grey16, rgb or rgba); `map` keeps integers and never mixes them."""
    fit: Fit = "crop"
    """`whole` leaves the size as it is in the file, whatever it is."""
    small: Small = "set-aside"
    position: Position = "centre"
    """Which part a crop keeps."""
    crops: int = 1
    """How many different parts of one picture are taken."""
    half: Half = ""
    """Only the left or right half of a picture that holds two side by side."""
    frames: Frames = "auto"
    """Which images of a file with several. `auto`: the first of an animation, all of a film at the rate, all slices."""
    rate: float = 1.0
    """Frames a second that are taken of a film; 0 takes all."""
    past: int = 4
    """In sequences: how many frames come before each image."""
    glance: bool = False
    """Only whether it can be transparent is asked: what cannot, by its head, is answered by one red pixel."""
    heed: bool = False
    """Files whose makers forbid training on them are refused (see `trust.incoming`)."""

    @property
    def central(self) -> bool:
        """Whether one part of a picture is asked for, and that of the middle."""
        return self.crops == 1 and self.position == "centre"


WHOLE = Form(width=0, height=0, mode="auto", fit="whole", frames="first")
"""The pixels of a file as they are: upright, in sRGB, in their own size and mode."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, in the pixels of the file (before it is turned upright), and what becomes of it."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom of what is used."""
    size: tuple[int, int]
    """Width and height it is resized to, before it is turned upright."""
    whole: tuple[int, int]
    """The size of the whole picture at that scale."""
    enlarged: bool = False


def window(width: int, height: int, form: Form, turned: bool) -> Window:
    """The part in the middle. `turned`: the file lies on its side, so its width becomes the image's height."""
    if form.fit == "whole":
        return Window((0.0, 0.0, float(width), float(height)), (width, height), (width, height))
    target = (form.height, form.width) if turned else (form.width, form.height)
    scales = (target[0] / width, target[1] / height)
    scale = {"crop": max(scales), "pad": min(scales), "stretch": max(scales)}[form.fit]
    if scale > 1 and form.small == "set-aside":
        seen = (height, width) if turned else (width, height)
        raise Refused(f"{seen[0]}x{seen[1]} is smaller than {form.width}x{form.height}")
    box, size = (0.0, 0.0, float(width), float(height)), target
    if form.fit == "crop":
        used = (min(width, target[0] / scale), min(height, target[1] / scale))
        left, top = (width - used[0]) / 2, (height - used[1]) / 2
        box = (left, top, left + used[0], top + used[1])
    elif form.fit == "pad":
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    whole = (max(size[0], round(width * scale)), max(size[1], round(height * scale)))
    return Window(box, size, whole, scale > 1)


def windows(picture: Any, form: Form, turned: bool) -> list[Window]:
    """All parts of a loaded picture that the form asks for, the best one first; they differ from each other."""
    width, height = picture.size
    first = window(width, height, form, turned)
    if form.fit != "crop":
        return [first]
    if form.position == "salient":
        first = _moved(first, _salient_place(picture, first))
    found = [first]
    if form.crops > 1:
        target = first.size
        used = (first.box[2] - first.box[0], first.box[3] - first.box[1])
        closest = max(_CLOSEST, target[0] / used[0], target[1] / used[1])
        for number in range(1, 4 * form.crops):
            # A sequence that fills the space of places and sizes evenly (Roberts' R3).
            across, down, zoom = ((0.5 + number * step) % 1 for step in (0.8191725134, 0.6710436067, 0.5497004779))
            share = min(1.0, closest + (1 - closest) * zoom) if closest < 1 else 1.0
            side = (used[0] * share, used[1] * share)
            left, top = across * (width - side[0]), down * (height - side[1])
            box = (left, top, left + side[0], top + side[1])
            if all(_overlap(box, other.box) < 0.9 for other in found):
                found.append(Window(box, target, first.whole, first.enlarged))
            if len(found) == form.crops:
                break
    return found


def _moved(place: Window, to: tuple[float, float]) -> Window:
    left, top = to
    box = (left, top, left + place.box[2] - place.box[0], top + place.box[3] - place.box[1])
    return Window(box, place.size, place.whole, place.enlarged)


def _overlap(one: tuple[float, float, float, float], two: tuple[float, float, float, float]) -> float:
    """The shared area of two boxes as a share of what both cover."""
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, wide) * max(0.0, high)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return shared / max(1e-9, areas - shared)


def _salient_place(picture: Any, place: Window) -> tuple[float, float]:
    """Left and top of the window of that size that holds most of what stands out."""
    wide, high = place.box[2] - place.box[0], place.box[3] - place.box[1]
    free = (picture.width - wide, picture.height - high)
    if max(free) < 1:
        return place.box[0], place.box[1]
    map_ = saliency(picture)
    rows, columns = map_.shape
    result = list(place.box[:2])
    for axis, (line, length, extent, room) in enumerate(
        ((map_.sum(0), wide, picture.width, free[0]), (map_.sum(1), high, picture.height, free[1]))
    ):
        if room < 1:
            continue
        # The mass inside a window that slides along this axis, with a slight wish for the middle.
        edges = np.concatenate([[0.0], np.cumsum(line)])
        cells = columns if axis == 0 else rows
        starts = np.linspace(0.0, room, 65)
        inside = [np.interp((s + length) / extent * cells, np.arange(cells + 1), edges) for s in starts]
        inside -= np.interp(starts / extent * cells, np.arange(cells + 1), edges)
        inside = inside * (1 - 0.1 * (2 * starts / room - 1) ** 2)
        # Of windows that are nearly as good as the best, the one in whose middle its mass lies.
        places = (np.arange(cells) + 0.5) * extent / cells
        good = [s for s, mass in zip(starts.tolist(), inside.tolist(), strict=True) if mass >= 0.95 * inside.max()]
        result[axis] = min(good, key=lambda start: _lopsided(line, places, start, length))
    return result[0], result[1]


def _lopsided(line: NDArray[Any], places: NDArray[Any], start: float, length: float) -> float:
    """How far the centre of mass inside a window lies from its middle."""
    there = (places >= start) & (places <= start + length)
    mass = line[there]
    return abs(float((mass * places[there]).sum() / max(float(mass.sum()), 1e-12)) - start - length / 2)


def saliency(picture: Any) -> NDArray[np.float64]:
    """Where the eye goes first, on a small grid, summing to 1: contrast of colour with the rest, times detail.

    Colours that differ from those of the border stand out (most borders are ground), and so do edges; flat areas do
    not. Cheap on purpose: less than a millisecond.
    """
    scale = _LOOK / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Pillow.Resampling.BOX, None, 2.0)
    if small.mode == "F":
        values = np.asarray(small)[..., None] / 257.0
    else:
        if small.mode in ("LA", "RGBA"):  # What is transparent does not stand out.
            ground = Pillow.new("RGBA", small.size, (255, 255, 255, 255))
            ground.alpha_composite(small.convert("RGBA"))
            small = ground
        values = np.asarray(small.convert("RGB"), np.float64)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    contrast = np.sqrt(((values - np.median(border, 0)) ** 2).sum(2))
    grey = values.mean(2)
    detail = np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else np.zeros_like(grey)
    found = _blurred(contrast / (contrast.mean() + 1.0)) * (0.25 + _blurred(detail) / (detail.mean() + 1.0))
    found = found**1.5
    total = float(found.sum())
    return found / total if total > 0 else np.full(found.shape, 1.0 / found.size)


def _blurred(values: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over 5 x 5 cells."""
    radius = 2
    padded = np.pad(values.astype(np.float64), radius, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(padded, axis)
        length = padded.shape[axis]
        high = np.take(sums, range(2 * radius, length), axis)
        low = np.take(sums, range(0, length - 2 * radius), axis) - np.take(padded, range(0, length - 2 * radius), axis)
        padded = (high - low) / (2 * radius + 1)
    return padded
