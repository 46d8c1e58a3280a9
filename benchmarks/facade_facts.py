"""What a drawn facade shows, read back from its pixels alone: five facts that are drawn independently of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.data.drawn import drawings

FACTS = ("sky", "ground", "wall", "roof", "light")
COLOURS = {
    "sky": tuple(np.array(colour) for colour in drawings._SKIES),
    "ground": tuple(np.array(colour) for colour in drawings._GROUNDS),
    "wall": tuple(np.array(colour) for colour in drawings._WALLS),
    "roof": tuple(np.array(colour) for colour in drawings._ROOFS),
    "light": (np.array((70, 92, 118)), np.array((250, 214, 130))),
}
"""The colours that each is drawn in; windows are dark or lit."""
PLACES = {"wall": (0.5, 0.84), "roof": (0.1, 0.55), "light": (0.35, 0.8)}
"""Between which heights it is looked for, as shares of the image from the top."""
NEAR = 34.0
"""A pixel farther from all colours than this (of 255, root mean square of the channels) belongs to none."""


@dataclass(frozen=True)
class Facts:
    """The number of the colour that each fact has."""

    values: dict[str, int]
    sure: dict[str, float]
    """By how much that colour is ahead of the next one, from 0 to 1."""


def read_facade(image: np.ndarray) -> Facts:
    """The facts of an image H W 3 of 8 bits."""
    height, width = image.shape[:2]
    pixels = image.astype(np.float64)
    values, sure = {}, {}
    for fact in FACTS:
        shades = [1.0]
        if fact == "sky":
            part = pixels[: max(2, height // 10)].reshape(-1, 3)
            shades = [0.89]
        elif fact == "ground":
            part = pixels[-max(1, height // 16) :].reshape(-1, 3)
        else:
            top, bottom = PLACES[fact]
            edge = width // 5 if fact != "roof" else width // 8
            part = pixels[int(top * height) : int(bottom * height), edge : width - edge].reshape(-1, 3)
            shades = [1.0, 0.94] if fact == "wall" else [1.0, 1.25] if fact == "light" else [1.0]
        known = [(number, shade * colour) for number, colour in enumerate(COLOURS[fact]) for shade in shades]
        others = [] if fact in ("sky", "ground") else [
            shade * colour for other in FACTS if other != fact for colour in COLOURS[other]
            for shade in ((0.9, 1.0) if other == "sky" else (1.0, 1.25) if other == "light" else (1.0, 0.9))
        ]  # fmt: skip
        palette = np.array([colour for _, colour in known] + others)
        far = np.sqrt(np.square(part[:, None] - palette).mean(axis=2))
        best = far.argmin(axis=1)
        counted = np.zeros(len(COLOURS[fact]))
        for place, (number, _) in enumerate(known):
            counted[number] += ((best == place) & (far.min(axis=1) < NEAR)).sum()
        order = np.sort(counted)[::-1]
        values[fact] = int(counted.argmax())
        sure[fact] = float((order[0] - order[1]) / max(order[0], 4.0))
    return Facts(values, sure)
