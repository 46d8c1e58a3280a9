"""Drawn slices through a chest, in 16 bits, a few with fluid in a lung: for trials of what medical images need.

They are simple and not like real scans. What makes them hard is real enough: vessels are as bright as fluid, there may
be very little of it, the body is never in the same place, and few images have any at all. Here and there one is odd: a
scan upside down, one with its greys turned around, a metal rod, or one cut off.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.noise import normal
from maquette.data.drawn.drawings import Dice, Drawing

LABELS = ("clear", "fluid")
RARE = 0.08
"""The share of slices with fluid in a lung."""
ODD = 0.01
ODDITIES = ("upside down", "greys turned around", "metal", "cut off")
WINDOW = 1.35
"""How much brighter slices are shown, so that lungs are seen well; bones are white then."""
GRAIN = 0.02
Field = NDArray[np.float64]


def scans(dice: Dice, width: int, height: int) -> Drawing:
    """A slice through a chest; its label says whether there is fluid at the back of a lung."""
    label = LABELS[int(dice.between(0, 1) < RARE)]
    odd = dice.pick(ODDITIES) if dice.between(0, 1) < ODD else ""
    # How far down the chest: high up the lungs are narrow and the heart is not there, low down the liver comes in.
    low, tilt = dice.between(0, 1), dice.between(-0.16, 0.16)
    centre = (0.5 + dice.between(-0.03, 0.03), 0.52 + dice.between(-0.03, 0.03))
    paper = _Paper(width, height, centre, tilt)
    wide, tall = dice.between(0.36, 0.46), dice.between(0.29, 0.39)
    wall = dice.between(0.8, 0.92)
    values = 0.42 * paper.oval(centre, wide, tall) - 0.10 * paper.oval(centre, wide * wall, tall * (wall - 0.02))
    values = _ribs(values, dice, paper, centre, (wide, tall))
    lungs = []
    for side in (-1, 1):
        place = (centre[0] + side * wide * dice.between(0.4, 0.48), centre[1] - tall * dice.between(-0.04, 0.12))
        size = (wide * (dice.between(0.24, 0.3) + 0.09 * low), tall * dice.between(0.52, 0.72))
        lung = paper.oval(place, *size, turn=side * dice.between(-0.15, 0.3))
        values = values * (1 - lung) + dice.between(0.07, 0.11) * lung
        lungs.append((place, size, lung))
    heart = (centre[0] + wide * dice.between(0, 0.2), centre[1] + tall * dice.between(-0.25, 0.1))
    big = 0.3 + 0.7 * low
    values = _upon(
        values, dice.between(0.42, 0.48),
        paper.oval(heart, wide * big * dice.between(0.26, 0.38), tall * big * dice.between(0.34, 0.5), turn=0.4),
    )  # fmt: skip
    if low > 0.8:  # the liver, on one side
        liver = (centre[0] - wide * 0.5, centre[1] + tall * dice.between(-0.2, 0.1))
        values = _upon(values, 0.4, paper.oval(liver, wide * (low - 0.65), tall * (low - 0.6)))
    spine = (centre[0], centre[1] + tall * dice.between(0.55, 0.68))
    values = _upon(values, dice.between(0.66, 0.8), paper.oval(spine, wide * 0.13, tall * dice.between(0.14, 0.2)))
    for place, size, lung in lungs:
        for _ in range(3):
            vessel = _within(dice, place, size, 0.9)
            long = dice.between(0.012, 0.05)
            spot = paper.oval(vessel, long, dice.between(0.01, 0.018), turn=dice.between(0, math.pi))
            values = _upon(values, dice.between(0.3, 0.42), spot * lung)
    facts: dict[str, Any] = {"odd": odd} if odd else {}
    if label == "fluid":
        place, size, lung = lungs[dice.pick((0, 1))]
        filled, slant = dice.between(0.3, 0.8), dice.between(-0.3, 0.3)
        level = place[1] + size[1] * (1 - filled) + slant * (paper.x - place[0])
        values = _upon(values, dice.between(0.5, 0.6), paper.below(level) * lung)
        facts |= {"side": "left" if place[0] < centre[0] else "right", "filled": round(filled / 2, 4)}
    values = _odd((WINDOW * values).clip(0, 1), odd, paper, centre) * dice.between(0.94, 1.06)
    grain = normal(int(dice.between(0, 2**40)), "grain of a scan", height * width).reshape(height, width)
    values = (values + 0.03 + GRAIN * grain).clip(0, 1)
    pixels = np.rint(values * 65535).astype(np.uint16)[..., None]
    return Drawing(image=pixels, conditions={"label": label}, facts={"label": label, **facts})


class _Paper:
    """Where every pixel lies in the body, which may be tilted: in shares of the shorter side's square."""

    def __init__(self, width: int, height: int, centre: tuple[float, float], tilt: float) -> None:
        unit = min(width, height)
        across = 0.5 + ((np.arange(width) + 0.5 - width / 2) / unit)[None, :] - centre[0]
        down = 0.5 + ((np.arange(height) + 0.5 - height / 2) / unit)[:, None] - centre[1]
        self.x = centre[0] + across * math.cos(tilt) + down * math.sin(tilt)
        self.y = centre[1] + down * math.cos(tilt) - across * math.sin(tilt)
        self.soft = 0.7 / unit

    def below(self, level: Field) -> Field:
        """1 below a line, 0 above, soft over a pixel: H W."""
        return np.asarray(1 / (1 + np.exp(((level - self.y) / self.soft).clip(-40, 40))))

    def oval(self, centre: tuple[float, float], wide: float, tall: float, turn: float = 0.0) -> Field:
        """1 inside an oval, 0 outside, soft over a pixel: H W."""
        x, y = self.x - centre[0], self.y - centre[1]
        along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        outside = (np.sqrt((along / wide) ** 2 + (across / tall) ** 2) - 1) * min(wide, tall)
        return np.asarray(1 / (1 + np.exp((outside / self.soft).clip(-40, 40))))


def _upon(values: Field, shade: float, cover: Field) -> Field:
    return values * (1 - cover) + shade * cover


def _ribs(values: Field, dice: Dice, paper: _Paper, centre: tuple[float, float], size: tuple[float, float]) -> Field:
    """Bones in the wall of the chest, where they are cut."""
    count, start = dice.pick((6, 7, 8, 9)), dice.between(0, 2 * math.pi)
    for rib in range(count):
        angle = start + 2 * math.pi * rib / count
        place = (centre[0] + 0.88 * size[0] * math.cos(angle), centre[1] + 0.88 * size[1] * math.sin(angle))
        values = _upon(values, 0.66, paper.oval(place, dice.between(0.03, 0.06), 0.016, turn=angle + math.pi / 2))
    return values


def _within(dice: Dice, place: tuple[float, float], size: tuple[float, float], reach: float) -> tuple[float, float]:
    """A place inside an oval."""
    angle, far = dice.between(0, 2 * math.pi), reach * math.sqrt(dice.between(0, 1))
    return (place[0] + far * size[0] * math.cos(angle), place[1] + far * size[1] * math.sin(angle))


def _odd(values: Field, odd: str, paper: _Paper, centre: tuple[float, float]) -> Field:
    if odd == "upside down":
        return values[::-1]
    if odd == "greys turned around":
        return 1 - values
    if odd == "metal":
        return _upon(values, 1.0, paper.oval((centre[0] + 0.2, centre[1]), 0.16, 0.035, turn=0.6))
    if odd == "cut off":
        cut = values.copy()
        cut[:, values.shape[1] * 3 // 5 :] = 0
        return cut
    return values
