"""What the `drawn` datasets show: shapes, digits in motion, facades, a sun. Each is drawn from random numbers alone.

Everything is drawn four times larger and reduced, so that edges are smooth. Coordinates are shares of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from maquette.core.noise import uniform

OVER = 4
"""How many times larger everything is drawn."""
FRAMES = 4
"""How many frames of a film are known before the one that is to be continued, unless more are asked for."""
T = TypeVar("T")
Point = tuple[float, float]
Colour = tuple[int, ...]


class Dice:
    """Random choices of one item: a stream of numbers that depends on its seed and name alone."""

    def __init__(self, seed: int, name: str) -> None:
        self._numbers = iter(uniform(seed, name, 256).tolist())

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return low + (high - low) * float(next(self._numbers))

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[int(next(self._numbers) * len(choices))]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One image with everything that is true of it."""

    image: NDArray[Any]
    """Height x width x channels, 8 or 16 bits."""
    conditions: dict[str, Any]
    """Values as a person or a dataset would give them."""
    facts: dict[str, Any]
    """Exact facts, for measuring how well a model keeps to what it was asked."""


class Canvas:
    """A picture in the making, `OVER` times too large."""

    def __init__(self, width: int, height: int, mode: str, ground: Colour) -> None:
        self.width, self.height = width * OVER, height * OVER
        self.unit = min(self.width, self.height)
        self.picture = Pillow.new(mode, (self.width, self.height), ground)
        self.draw = ImageDraw.Draw(self.picture)

    def at(self, x: float, y: float) -> Point:
        """The pixel at these shares of width and height."""
        return (x * self.width, y * self.height)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """A filled rectangle from share to share; nothing where it would be empty."""
        left, top, right, bottom = (*self.at(x0, y0), *self.at(x1, y1))
        if right - left >= 1 and bottom - top >= 1:
            self.draw.rectangle((left, top, right - 1, bottom - 1), fill=fill)

    def finish(self) -> NDArray[np.uint8]:
        """The picture at its size: height x width x channels."""
        pixels = np.asarray(self.picture.reduce(OVER))
        return pixels if pixels.ndim == 3 else pixels[..., None]


SHAPES = ("circle", "cross", "ring", "square", "star", "triangle")
COLOURS: dict[str, Colour] = {
    "black": (30, 30, 34), "blue": (38, 84, 200), "green": (36, 150, 70), "orange": (240, 140, 20),
    "pink": (236, 110, 170), "purple": (120, 60, 170), "red": (214, 40, 40), "yellow": (236, 200, 30),
}  # fmt: skip
PLACES: dict[str, Point] = {
    "in the middle": (0.5, 0.5), "on the left": (0.31, 0.5), "on the right": (0.69, 0.5),
    "at the top": (0.5, 0.31), "at the bottom": (0.5, 0.69),
}  # fmt: skip
COUNTS = ("no", "one", "two", "three")


def shapes(dice: Dice, width: int, height: int, *, transparent: bool = False) -> Drawing:
    """One to three equal shapes of one colour somewhere, and the sentence that says so."""
    kind, colour, place = dice.pick(SHAPES), dice.pick(tuple(COLOURS)), dice.pick(tuple(PLACES))
    count = dice.pick((1, 2, 3))
    light = round(dice.between(225, 255))
    ground = (0, 0, 0, 0) if transparent else (light, light, light)
    canvas = Canvas(width, height, "RGBA" if transparent else "RGB", ground)
    x, y = (centre + dice.between(-0.03, 0.03) for centre in PLACES[place])
    radius = dice.between(0.19, 0.23) if count == 1 else dice.between(0.105, 0.125)
    turn = dice.between(0, 2 * math.pi)
    centres = []
    for index in range(count):
        angle, far = turn + 2 * math.pi * index / count, 0.0 if count == 1 else 0.15
        across = canvas.unit / canvas.width, canvas.unit / canvas.height
        centre = (x + far * math.cos(angle) * across[0], y + far * math.sin(angle) * across[1])
        fill = (*COLOURS[colour], 255) if transparent else COLOURS[colour]
        shape(canvas, kind, centre, radius * canvas.unit, fill, ground)
        centres.append([round(value, 4) for value in centre])
    text = f"{COUNTS[count]} {colour} {plural(kind, count)} {place}"
    facts = {"shape": kind, "colour": colour, "count": count, "place": place, "centres": centres}
    return Drawing(image=canvas.finish(), conditions={"label": kind, "text": text}, facts=facts)


def plural(word: str, count: int) -> str:
    """The word as captions have it for so many."""
    return word if count == 1 else word + ("es" if word.endswith("s") else "s")


def shape(canvas: Canvas, kind: str, centre: Point, radius: float, fill: Colour, ground: Colour) -> None:
    """One of `SHAPES` around a centre, in pixels of the canvas."""
    x, y = canvas.at(*centre)

    def around(corners: int, start: float, *radii: float) -> list[Point]:
        angles = [start + 2 * math.pi * k / corners for k in range(corners)]
        far = [radius * radii[k % len(radii)] for k in range(corners)]
        return [(x + r * math.cos(a), y + r * math.sin(a)) for a, r in zip(angles, far, strict=True)]

    def disc(r: float, colour: Colour) -> None:
        canvas.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    if kind in ("circle", "ring"):
        disc(radius, fill)
        if kind == "ring":
            disc(radius * 0.55, ground)
    elif kind == "cross":
        for long, wide in ((1.0, 0.34), (0.34, 1.0)):
            canvas.draw.rectangle((x - radius * long, y - radius * wide, x + radius * long, y + radius * wide), fill)
    elif kind == "square":
        canvas.draw.polygon(around(4, math.pi / 4, 1.15), fill=fill)
    elif kind == "triangle":
        canvas.draw.polygon(around(3, -math.pi / 2, 1.15), fill=fill)
    else:
        canvas.draw.polygon(around(10, -math.pi / 2, 1.2, 0.5), fill=fill)


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Points of an ellipse from one angle to another, in quarter turns clockwise from the right."""
    angles = [math.pi / 2 * (start + (end - start) * k / 15) for k in range(16)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


DIGITS: tuple[tuple[list[Point], ...], ...] = (
    (_arc(0.5, 0.5, 0.34, 0.46, 0, 4),),
    ([(0.3, 0.22), (0.54, 0.05), (0.54, 0.95)],),
    ([*_arc(0.5, 0.32, 0.32, 0.27, -2.1, 0.5), (0.18, 0.93), (0.84, 0.93)],),
    ([*_arc(0.47, 0.28, 0.3, 0.23, -1.9, 1), *_arc(0.47, 0.72, 0.34, 0.23, -1, 2.1)],),
    ([(0.68, 0.95), (0.68, 0.05), (0.14, 0.66), (0.88, 0.66)],),
    ([(0.8, 0.06), (0.28, 0.06), (0.23, 0.46), *_arc(0.48, 0.66, 0.33, 0.29, -1.3, 1.8)],),
    ([(0.7, 0.06), (0.3, 0.42), *_arc(0.5, 0.68, 0.32, 0.27, -2.2, 2)],),
    ([(0.16, 0.06), (0.84, 0.06), (0.42, 0.95)],),
    (_arc(0.5, 0.27, 0.25, 0.22, 0, 4), _arc(0.5, 0.72, 0.32, 0.24, 0, 4)),
    ([*_arc(0.5, 0.32, 0.32, 0.27, 0, 4), (0.68, 0.62), (0.32, 0.95)],),
)
"""The strokes of each digit, in a square of side 1."""


def digits(dice: Dice, width: int, height: int, past: int = FRAMES) -> Drawing:
    """Two digits that fly straight and bounce off the borders: some frames, and the image that comes next."""
    side = 0.42 * min(width, height)
    flights: list[tuple[int, list[float], list[float]]] = []
    for _ in range(2):
        digit = dice.pick(range(10))
        corner = [dice.between(0, width - side), dice.between(0, height - side)]
        angle, pace = dice.between(0, 2 * math.pi), dice.between(0.05, 0.1) * min(width, height)
        flights.append((digit, corner, [pace * math.cos(angle), pace * math.sin(angle)]))
    film = []
    for moment in range(past + 1):
        canvas = Canvas(width, height, "L", (0,))
        for digit, start, speed in flights:
            place = [
                _bounce(s + v * moment, limit - side) for s, v, limit in zip(start, speed, (width, height), strict=True)
            ]
            _digit(canvas, digit, place[0], place[1], side)
        film.append(canvas.finish())
    facts = {
        "digits": [
            {"digit": d, "start": [round(x, 3) for x in s], "speed": [round(x, 3) for x in v], "side": round(side, 3)}
            for d, s, v in flights
        ]
    }
    return Drawing(image=film[-1], conditions={"frames": np.stack(film[:-1])}, facts=facts)


def _bounce(place: float, limit: float) -> float:
    """Where a flight between 0 and `limit` is after it was thrown back at both ends."""
    folded = place % (2 * limit)
    return min(folded, 2 * limit - folded)


def _digit(canvas: Canvas, digit: int, x: float, y: float, side: float) -> None:
    wide = max(OVER, round(side * OVER * 0.13))
    for stroke in DIGITS[digit]:
        points = [((x + side * px) * OVER, (y + side * py) * OVER) for px, py in stroke]
        canvas.draw.line(points, fill=255, width=wide, joint="curve")
        for px, py in (points[0], points[-1]):
            canvas.draw.ellipse((px - wide / 2, py - wide / 2, px + wide / 2, py + wide / 2), fill=255)


FACADE = ("sky", "ground", "wall", "roof", "window", "door")


def facades(dice: Dice, width: int, height: int) -> Drawing:
    """A house from the front: a map of its parts, and the house in colours and light."""
    storeys, columns = dice.pick((1, 2, 3)), dice.pick((2, 3, 4))
    left, right = dice.between(0.06, 0.18), dice.between(0.82, 0.94)
    floor, top = dice.between(0.84, 0.9), {1: 0.52, 2: 0.38, 3: 0.28}[storeys] + dice.between(-0.03, 0.03)
    ridge, gable = top - dice.between(0.12, 0.2), dice.pick((0.0, 0.15, 0.5))
    wall, roof = dice.pick(_WALLS), dice.pick(_ROOFS)
    door, sky = dice.pick(_DOORS), dice.pick(_SKIES)
    entrance, lit = dice.pick(range(columns)), dice.pick((False, False, True))
    colours: dict[str, Colour] = {"ground": dice.pick(_GROUNDS), "wall": wall, "roof": roof, "door": door}
    colours["window"] = (250, 214, 130) if lit else (70, 92, 118)
    names = Canvas(width, height, "L", (0,))
    house = Canvas(width, height, "RGB", sky)
    _sky(house, sky)
    over = 0.03
    parts: list[tuple[str, list[Point]]] = [
        ("ground", _rectangle(0, floor, 1, 1)),
        ("wall", _rectangle(left, top, right, floor)),
        ("roof", [(left - over, top), (left + (right - left) * gable, ridge),
                  (right - (right - left) * gable, ridge), (right + over, top)]),
    ]  # fmt: skip
    cell, storey = (right - left) / columns, (floor - top) / storeys
    for row in range(storeys):
        for column in range(columns):
            x, y = left + cell * (column + 0.5), top + storey * row
            if row == storeys - 1 and column == entrance:
                parts.append(("door", _rectangle(x - cell * 0.22, y + storey * 0.22, x + cell * 0.22, floor)))
            else:
                parts.append(
                    ("window", _rectangle(x - cell * 0.27, y + storey * 0.2, x + cell * 0.27, y + storey * 0.72))
                )
    for part, corners in parts:
        names.draw.polygon([names.at(*corner) for corner in corners], fill=FACADE.index(part))
        house.draw.polygon([house.at(*corner) for corner in corners], fill=colours[part])
        _detail(house, part, corners, colours[part])
    # Each pixel has the name of the part at its centre.
    chosen = np.asarray(names.picture)[OVER // 2 :: OVER, OVER // 2 :: OVER]
    facts = {"storeys": storeys, "columns": columns, "entrance": entrance, "lit": lit}
    return Drawing(image=house.finish(), conditions={"map": chosen}, facts=facts)


_WALLS: tuple[Colour, ...] = ((206, 160, 120), (180, 84, 64), (226, 214, 190), (150, 160, 168), (224, 190, 110))
_ROOFS: tuple[Colour, ...] = ((120, 52, 40), (84, 84, 92), (60, 70, 88))
_DOORS: tuple[Colour, ...] = ((92, 52, 30), (30, 70, 60), (120, 30, 34))
_SKIES: tuple[Colour, ...] = ((130, 180, 230), (236, 180, 140), (180, 190, 200))
_GROUNDS: tuple[Colour, ...] = ((112, 140, 84), (150, 144, 136))


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _shade(colour: Colour, share: float) -> Colour:
    return tuple(min(255, max(0, round(value * share))) for value in colour)


def _sky(canvas: Canvas, colour: Colour) -> None:
    for row in range(16):
        canvas.box(0, row / 16, 1, (row + 1) / 16, _shade(colour, 0.88 + 0.02 * row))


def _detail(canvas: Canvas, part: str, corners: list[Point], colour: Colour) -> None:
    """The lines and shadows that make a part look like what it is."""
    (x0, y0), (x1, y1) = corners[0], corners[2]
    if part == "wall":
        for line in range(1, 14):
            y = y0 + (y1 - y0) * line / 14
            canvas.box(x0, y, x1, y + 0.006, _shade(colour, 0.88))
        canvas.box(x0, y0, x1, y0 + 0.03, _shade(colour, 0.7))
    elif part == "window":
        canvas.box(x0, y0, x1, y0 + (y1 - y0) * 0.4, _shade(colour, 1.25))
        middle, across = (x0 + x1) / 2, (y0 + y1) / 2
        canvas.box(middle - 0.008, y0, middle + 0.008, y1, (240, 238, 230))
        canvas.box(x0, across - 0.008, x1, across + 0.008, (240, 238, 230))
        canvas.box(x0 - 0.012, y1, x1 + 0.012, y1 + 0.016, (236, 232, 222))
    elif part == "door":
        canvas.box(x0, y0, x1, y0 + 0.02, _shade(colour, 1.7))
        canvas.box(x1 - 0.03, (y0 + y1) / 2, x1 - 0.012, (y0 + y1) / 2 + 0.02, (230, 200, 90))


def numbers(dice: Dice, width: int, height: int) -> Drawing:
    """A sun over the sea: how high it stands and how far to the right are two numbers from 0 to 1."""
    sun_height, sun_side = dice.between(0, 1), dice.between(0, 1)
    return Drawing(
        image=sun(sun_height, sun_side, width, height),
        conditions={"sun_height": sun_height, "sun_side": sun_side},
        facts={"centre": [round(0.15 + 0.7 * sun_side, 4), round(0.66 - 0.52 * sun_height, 4)]},
    )


def sun(sun_height: float, sun_side: float, width: int, height: int) -> NDArray[np.uint8]:
    """The image of a sun at this place: what a model conditioned on the two numbers should make."""
    low, high = np.array([250, 120, 60]), np.array([90, 160, 240])
    canvas = Canvas(width, height, "RGB", (0, 0, 0))
    for row in range(32):
        depth = row / 32
        colour = high * sun_height + low * (1 - sun_height) * (0.35 + 0.65 * depth) + 40 * depth * sun_height
        canvas.box(0, row / 32, 1, (row + 1) / 32, _shade(tuple(colour), 1.0))
    x, y = canvas.at(0.15 + 0.7 * sun_side, 0.66 - 0.52 * sun_height)
    radius = 0.1 * canvas.unit
    canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, round(200 + 50 * sun_height), 120))
    sea = _shade((30, 70, 110), 0.5 + 0.7 * sun_height)
    canvas.box(0, 0.76, 1, 1, sea)
    for line in range(4):
        half = 0.1 - 0.015 * line
        middle = 0.15 + 0.7 * sun_side
        canvas.box(middle - half, 0.79 + 0.05 * line, middle + half, 0.805 + 0.05 * line, _shade(sea, 2.2))
    return canvas.finish()
