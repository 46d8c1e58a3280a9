"""Drawn rooms, empty and furnished: for trials of filling in what a picture lacks."""

from __future__ import annotations

from maquette.data.drawn.drawings import Canvas, Colour, Dice, Drawing

LABELS = ("empty", "furnished")
FURNITURE = (0.08, 0.42, 0.92, 0.97)
"""Where furniture stands, in shares of width and height: left, top, right, bottom."""
_WALLS: tuple[Colour, ...] = ((232, 224, 210), (206, 218, 214), (222, 206, 196), (196, 206, 222))
_FLOORS: tuple[Colour, ...] = ((176, 132, 92), (150, 112, 82), (170, 166, 158))
_CLOTHS: tuple[Colour, ...] = ((60, 98, 132), (150, 66, 60), (86, 120, 84), (190, 150, 70), (90, 84, 96))
_RUGS: tuple[Colour, ...] = ((208, 190, 160), (120, 60, 60), (80, 100, 130))


def rooms(dice: Dice, width: int, height: int) -> Drawing:
    """A room from the front; half of them have a sofa, a rug, a lamp or a table, and a picture on the wall."""
    label = dice.pick(LABELS)
    wall, floor = dice.pick(_WALLS), dice.pick(_FLOORS)
    canvas = Canvas(width, height, "RGB", wall)
    edge, inner = dice.between(0.62, 0.68), dice.between(0.1, 0.16)
    _shell(canvas, dice, wall, floor, edge, inner)
    facts: dict[str, object] = {"label": label}
    if label == "furnished":
        facts |= _furnish(canvas, dice, edge)
    return Drawing(image=canvas.finish(), conditions={"label": label}, facts=facts)


def _shell(canvas: Canvas, dice: Dice, wall: Colour, floor: Colour, edge: float, inner: float) -> None:
    """Walls, floor and a window."""

    def polygon(points: list[tuple[float, float]], fill: Colour) -> None:
        canvas.draw.polygon([canvas.at(*point) for point in points], fill=fill)

    polygon([(0, 1), (inner, edge), (1 - inner, edge), (1, 1)], floor)
    for board in range(1, 8):
        share = board / 8
        start, end = canvas.at(inner + (1 - 2 * inner) * share, edge), canvas.at(share, 1)
        canvas.draw.line([start, end], fill=_shade(floor, 0.9), width=2)
    polygon([(0, 0), (inner, 0), (inner, edge), (0, 1)], _shade(wall, 0.88))
    polygon([(1, 0), (1 - inner, 0), (1 - inner, edge), (1, 1)], _shade(wall, 0.8))
    canvas.box(inner, edge - 0.025, 1 - inner, edge, _shade(wall, 1.08))
    left = dice.pick((0.2, 0.56))
    canvas.box(left, 0.1, left + 0.24, 0.36, (250, 250, 250))
    canvas.box(left + 0.015, 0.115, left + 0.225, 0.345, (178, 212, 240))
    canvas.box(left + 0.113, 0.1, left + 0.127, 0.36, (250, 250, 250))


def _furnish(canvas: Canvas, dice: Dice, edge: float) -> dict[str, object]:
    """Rug, sofa, and a lamp or a table beside it."""
    cloth, rug, side = dice.pick(_CLOTHS), dice.pick(_RUGS), dice.pick((-1, 1))
    x = 0.5 + dice.between(-0.12, 0.12)
    canvas.draw.ellipse((*canvas.at(x - 0.34, 0.8), *canvas.at(x + 0.34, 0.95)), fill=rug)
    half, top = dice.between(0.2, 0.26), edge - dice.between(0.12, 0.16)
    canvas.box(x - half, top, x + half, 0.78, _shade(cloth, 0.86))
    canvas.box(x - half, top + 0.12, x + half, 0.82, cloth)
    for end in (-1, 1):
        canvas.box(x + end * half - 0.035, top + 0.08, x + end * half + 0.035, 0.84, _shade(cloth, 0.76))
    canvas.box(x - 0.006, top + 0.02, x + 0.006, 0.8, _shade(cloth, 0.8))
    stand = x + side * (half + 0.12)
    lamp = dice.pick((True, False))
    if lamp:
        canvas.box(stand - 0.008, 0.5, stand + 0.008, 0.84, (70, 66, 62))
        points = [(stand - 0.07, 0.52), (stand - 0.04, 0.42), (stand + 0.04, 0.42), (stand + 0.07, 0.52)]
        canvas.draw.polygon([canvas.at(*point) for point in points], fill=(250, 226, 160))
    else:
        canvas.box(stand - 0.07, 0.7, stand + 0.07, 0.725, (96, 66, 44))
        for leg in (-0.06, 0.05):
            canvas.box(stand + leg, 0.72, stand + leg + 0.012, 0.86, (96, 66, 44))
    return {"sofa": round(x, 3), "beside": "lamp" if lamp else "table", "cloth": list(cloth)}


def _shade(colour: Colour, share: float) -> Colour:
    return tuple(min(255, max(0, round(value * share))) for value in colour)
