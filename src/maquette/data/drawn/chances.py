"""Drawings that chance takes part in: what will come is not sure, and how unsure it is is known exactly.

A forecast of them is right when it is as unsure as the drawing is: no more, and no less.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maquette.data.drawn.drawings import COLOURS, SHAPES, Canvas, Dice, Drawing, shape

WAVES = 24
"""Plane waves that make up the weather over a field: enough that each pixel is nearly normally distributed."""
WAVE_LENGTH = 0.35
"""About how long they are, as a share of the image."""


def bounces(dice: Dice, width: int, height: int, past: int) -> Drawing:
    """A shape that flies straight and is thrown back from the borders into a direction that chance decides."""
    kind, colour = dice.pick(SHAPES), dice.pick([name for name in COLOURS if name != "black"])
    unit = min(width, height)
    radius = 0.15 * unit
    room = (width - 2 * radius, height - 2 * radius)
    place = [dice.between(0, room[0]), dice.between(0, room[1])]
    angle, pace = dice.between(0, 2 * math.pi), dice.between(0.06, 0.1) * unit
    film, turns = [], []
    for moment in range(past + 1):
        canvas = Canvas(width, height, "RGB", (24, 24, 28))
        centre = ((place[0] + radius) / width, (place[1] + radius) / height)
        shape(canvas, kind, centre, radius / 1.2 * canvas.unit / unit, COLOURS[colour], (24, 24, 28))
        film.append(canvas.finish())
        left = 1.0  # of the time to the next frame
        while left > 0:
            heading = (math.cos(angle), math.sin(angle))
            until = [_until(p, h * pace, limit) for p, h, limit in zip(place, heading, room, strict=True)]
            step = min(left, *until)
            place = [
                min(max(p + h * pace * step, 0.0), limit) for p, h, limit in zip(place, heading, room, strict=True)
            ]
            left -= step
            if left > 0:  # It is at a border: back into the half of all directions that leads inside.
                axis = 0 if until[0] <= until[1] else 1
                inside = (0.0 if axis == 0 else math.pi / 2) + (math.pi if heading[axis] > 0 else 0.0)
                angle = inside + dice.between(-0.4, 0.4) * math.pi
                turns.append(round(moment + 1 - left, 3))
    facts = {"shape": kind, "colour": colour, "turns": turns}
    return Drawing(image=film[-1], conditions={"frames": np.stack(film[:-1])}, facts=facts)


def _until(place: float, speed: float, limit: float) -> float:
    """After what time a flight between 0 and `limit` is at the border."""
    if abs(speed) < 1e-9:
        return math.inf
    return max(0.0, ((limit if speed > 0 else 0.0) - place) / speed)


def fields(dice: Dice, width: int, height: int) -> Drawing:
    """A map of warmth: a source at a place that two numbers say, and weather as strong as a third says."""
    east, north, unrest = (dice.between(0, 1) for _ in range(3))
    mean, spread = field(east, north, unrest, width, height)
    y, x = _places(width, height)
    weather = np.zeros((height, width))
    for _ in range(WAVES):
        angle, phase = dice.between(0, 2 * math.pi), dice.between(0, 2 * math.pi)
        rate = 2 * math.pi / WAVE_LENGTH * dice.between(0.5, 1.5)
        weather += np.cos(rate * (x * math.cos(angle) + y * math.sin(angle)) + phase)
    weather *= math.sqrt(2 / WAVES)  # variance 1 at every place
    values = np.rint((mean + spread * weather).clip(0, 1) * 255).astype(np.uint8)[..., None]
    numbers = {"east": east, "north": north, "unrest": unrest}
    return Drawing(image=values, conditions=numbers, facts={name: round(value, 4) for name, value in numbers.items()})


def field(
    east: float, north: float, unrest: float, width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What these numbers say about every pixel, H W each: the mean, and the standard deviation, in shares of white."""
    y, x = _places(width, height)
    far = (x - east) ** 2 + (y - (1 - north)) ** 2
    mean = 0.25 + 0.15 * y + 0.35 * np.exp(-far / (2 * 0.15**2))
    spread = (0.015 + 0.055 * unrest) * (0.6 + 0.6 * np.exp(-far / (2 * 0.3**2)))
    return mean, spread


def _places(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far down and to the right each pixel lies, H 1 and 1 W."""
    return ((np.arange(height) + 0.5) / height)[:, None], ((np.arange(width) + 0.5) / width)[None]
