"""Drawn series and fields of which it is known how sure anybody can be: rust that spreads, and stations in the weather.

growth      specks that grow frame by frame, and new ones that come by chance         frames
stations    a field of values, and what eight stations read of it                     eight numbers
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maquette.core.noise import normal
from maquette.data.drawn.drawings import Dice, Drawing

SPECKS, COME = 6, 0.35
"""Specks at most, and the chance that one more comes between two frames."""
PLACES = ((0.15, 0.2), (0.5, 0.12), (0.85, 0.25), (0.3, 0.5), (0.7, 0.55), (0.12, 0.85), (0.5, 0.82), (0.88, 0.85))
"""Where the stations stand, in shares of width and height."""
STATIONS = tuple(f"station_{k + 1}" for k in range(len(PLACES)))
WAVES, LENGTH, STRENGTH, MIDDLE, READING = 32, 0.9, 0.16, 0.5, 0.01
"""Waves that make up a field; their length as a share of the side; how far values stray from their middle; and how far
a reading strays from the value."""
Field = NDArray[np.float64]


def growth(dice: Dice, width: int, height: int, past: int) -> Drawing:
    """A sheet of metal on which rust spreads: some frames, and the one that comes next."""
    unit = min(width, height)
    ground = 0.62 + 0.1 * (np.arange(height)[:, None] / height) + 0.0 * np.arange(width)[None]
    grain = normal(int(dice.between(0, 2**40)), "grain of a sheet", height * width).reshape(height, width)
    specks: list[list[float]] = []
    film = []
    for moment in range(past + 1):
        if len(specks) < SPECKS and (not specks or dice.between(0, 1) < COME):
            specks.append([dice.between(0.1, 0.9), dice.between(0.1, 0.9), float(moment), dice.between(0.02, 0.05)])
        values = ground + 0.015 * grain
        for across, down, born, pace in specks:
            radius = pace * (moment - born + 1) ** 0.8
            far = np.hypot((np.arange(width)[None] + 0.5) / unit - across * width / unit,
                           (np.arange(height)[:, None] + 0.5) / unit - down * height / unit)  # fmt: skip
            cover = 1 / (1 + np.exp(((far - radius) * unit / 0.8).clip(-40, 40)))
            values = values * (1 - cover) + 0.22 * cover
        film.append(np.rint(values.clip(0, 1) * 255).astype(np.uint8)[..., None])
    facts = {"specks": [[round(value, 3) for value in speck] for speck in specks]}
    return Drawing(image=film[-1], conditions={"frames": np.stack(film[:-1])}, facts=facts)


def stations(dice: Dice, width: int, height: int) -> Drawing:
    """A field (of rain, ozone, heat) and what eight stations read of it."""
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width
    field = np.zeros((height, width))
    at = np.zeros(len(PLACES))
    for _ in range(WAVES):
        angle, phase, rate = dice.between(0, 2 * math.pi), dice.between(0, 2 * math.pi), 2 * math.pi / LENGTH
        rate *= dice.between(0.5, 1.5)
        field += np.cos(rate * (x * math.cos(angle) + y * math.sin(angle)) + phase)
        at += [math.cos(rate * (a * math.cos(angle) + b * math.sin(angle)) + phase) for a, b in PLACES]
    scale = STRENGTH * math.sqrt(2 / WAVES)
    off = normal(int(dice.between(0, 2**40)), "readings", len(PLACES))
    readings = MIDDLE + scale * at + READING * off
    values = np.rint((MIDDLE + scale * field).clip(0, 1) * 255).astype(np.uint8)[..., None]
    numbers = {name: float(reading) for name, reading in zip(STATIONS, readings, strict=True)}
    return Drawing(image=values, conditions=numbers, facts={name: round(value, 4) for name, value in numbers.items()})


def best(readings: Field, width: int, height: int) -> tuple[Field, Field]:
    """What these readings (N stations) say about every pixel at best, N H W and H W: mean and standard deviation.

    The field is nearly normally distributed, so that this is the linear answer: kriging with the true covariance, and
    nothing can be nearer on average. Readings that are not a number are left out (of all rows, if of one).
    """
    from scipy.special import j0

    known = np.isfinite(readings).all(0)
    places = np.array(PLACES)[known]
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    rates = 2 * math.pi / LENGTH * (0.5 + (np.arange(64) + 0.5) / 64)

    def covariance(one: Field, other: Field) -> Field:
        far = np.hypot(one[:, None, 0] - other[None, :, 0], one[:, None, 1] - other[None, :, 1])
        return np.asarray(STRENGTH**2 * np.mean([j0(rate * far) for rate in rates], axis=0))

    between = covariance(places, places) + READING**2 * np.eye(len(places))
    across = covariance(pixels, places)
    weights = np.linalg.solve(between, across.T).T
    mean = MIDDLE + (readings[:, known] - MIDDLE) @ weights.T
    left = np.sqrt((STRENGTH**2 - (weights * across).sum(1)).clip(0))
    return mean.reshape(-1, height, width), left.reshape(height, width)
