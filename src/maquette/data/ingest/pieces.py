"""Pieces in one hand that the project draws itself: stickers with alpha, and abstract compositions, in flat colours.

They stand in for an artist's folder where none is given, and every fact about them is known.
"""

from __future__ import annotations

import math

from maquette.data.drawn.drawings import Canvas, Colour, Dice, Drawing, Point

STICKERS = ("blob", "box", "cat", "drop", "star")
INK: Colour = (44, 36, 62)
CREAM: Colour = (252, 246, 232)
STICKER_COLOURS: tuple[Colour, ...] = ((238, 108, 90), (64, 156, 150), (242, 186, 72), (150, 124, 204))
PAPER: Colour = (240, 230, 210)
COMPOSITION_COLOURS: tuple[Colour, ...] = ((214, 64, 46), (30, 62, 120), (236, 178, 44), (26, 26, 30), (122, 168, 160))


def stickers(dice: Dice, width: int, height: int) -> Drawing:
    """A small creature with a face, cut out: a dark outline, one flat colour, eyes, cheeks and a mouth."""
    kind, colour = dice.pick(STICKERS), dice.pick(STICKER_COLOURS)
    canvas = Canvas(width, height, "RGBA", (0, 0, 0, 0))
    centre = (0.5 + dice.between(-0.03, 0.03), 0.53 + dice.between(-0.03, 0.03))
    radius = dice.between(0.33, 0.39)
    turn, lobes = dice.between(-0.12, 0.12), dice.pick((5, 6, 7))
    for reach, fill in ((radius + 0.045, INK), (radius, colour)):
        canvas.draw.polygon(_outline(canvas, kind, centre, reach, turn, lobes), fill=(*fill, 255))
    x, y = centre
    apart, size = dice.between(0.1, 0.15), dice.between(0.045, 0.065)
    level = y - dice.between(0.0, 0.06) + (0.06 if kind in ("drop", "star") else 0.0)
    look = dice.between(-0.015, 0.015)
    for side in (-1, 1):
        _disc(canvas, (x + side * apart, level), size, CREAM)
        _disc(canvas, (x + side * apart + look, level), size * 0.6, INK)
    mouth = dice.pick(("smile", "open", "line"))
    _mouth(canvas, mouth, (x, level + 0.1), dice.between(0.05, 0.08))
    facts = {"kind": kind, "colour": list(colour), "mouth": mouth}
    return Drawing(image=canvas.finish(), conditions={"label": kind}, facts=facts)


def _outline(canvas: Canvas, kind: str, centre: Point, radius: float, turn: float, lobes: int) -> list[Point]:
    """The body's border in pixels of the canvas."""
    x, y = canvas.at(*centre)
    points = []
    for step in range(96):
        angle = 2 * math.pi * step / 96
        far = {
            "blob": 1 + 0.1 * math.sin(lobes * angle + 9 * turn),
            "box": min(1.22, 0.9 / max(abs(math.cos(angle)), abs(math.sin(angle)))),
            "cat": 1 + 0.42 * max(0.0, 1 - abs(abs(angle - 1.5 * math.pi) - 0.72) / 0.34),
            "drop": 0.86 + 0.34 * max(0.0, 1 - abs(angle - 1.5 * math.pi) / 0.8) ** 1.4,
            "star": 0.94 + 0.22 * math.cos(5 * (angle + math.pi / 2)),
        }[kind]
        reach = radius * canvas.unit * far
        points.append((x + reach * math.cos(angle + turn), y + reach * math.sin(angle + turn)))
    return points


def _disc(canvas: Canvas, centre: Point, radius: float, colour: Colour) -> None:
    (x, y), reach = canvas.at(*centre), radius * canvas.unit
    canvas.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255))


def _mouth(canvas: Canvas, kind: str, centre: Point, half: float) -> None:
    (x, y), reach = canvas.at(*centre), half * canvas.unit
    ink = (*INK, 255)
    if kind == "open":
        canvas.draw.ellipse((x - reach * 0.7, y - reach * 0.6, x + reach * 0.7, y + reach * 0.8), fill=ink)
    elif kind == "smile":
        canvas.draw.chord((x - reach, y - reach, x + reach, y + reach), 0, 180, fill=ink)
    else:
        canvas.draw.rectangle((x - reach, y - reach * 0.22, x + reach, y + reach * 0.22), fill=ink)


def compositions(dice: Dice, width: int, height: int) -> Drawing:
    """An abstract painting: cells of a grid with quarter circles, discs, halves and stripes in five colours."""
    canvas = Canvas(width, height, "RGB", PAPER)
    cells = dice.pick((2, 3, 3))
    shown = []
    for row in range(cells):
        for column in range(cells):
            kind = dice.pick(("quarter", "quarter", "disc", "half", "stripes", "empty"))
            ground = dice.pick((PAPER, PAPER, *COMPOSITION_COLOURS))
            colour = dice.pick([each for each in COMPOSITION_COLOURS if each != ground])
            _cell(canvas, kind, (column / cells, row / cells), 1 / cells, dice.pick(range(4)), colour, ground)
            shown.append(kind)
    return Drawing(image=canvas.finish(), conditions={}, facts={"cells": cells, "shown": shown})


def _cell(canvas: Canvas, kind: str, corner: Point, side: float, turn: int, colour: Colour, ground: Colour) -> None:
    x, y = corner
    canvas.box(x, y, x + side, y + side, ground)
    (left, top), (right, bottom) = canvas.at(x, y), canvas.at(x + side, y + side)
    wide, high = right - left, bottom - top
    if kind == "quarter":
        across, down = (right if turn in (1, 2) else left), (bottom if turn in (2, 3) else top)
        box = (across - wide, down - high, across + wide - 1, down + high - 1)
        start = {0: 0, 1: 90, 2: 180, 3: 270}[turn]
        canvas.draw.pieslice(box, start, start + 90, fill=colour)
    elif kind == "disc":
        canvas.draw.ellipse((left + wide * 0.12, top + high * 0.12, right - wide * 0.12, bottom - high * 0.12), colour)
    elif kind == "half":
        half = ((x, y, x + side / 2, y + side), (x, y, x + side, y + side / 2))[turn % 2]
        canvas.box(*half, colour)
    elif kind == "stripes":
        for line in range(3):
            at = side * (line + 0.25) / 3
            if turn % 2:
                canvas.box(x, y + at, x + side, y + at + side / 6, colour)
            else:
                canvas.box(x + at, y, x + at + side / 6, y + side, colour)
