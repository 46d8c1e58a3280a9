"""Ways through the latents of a model: stops, the curve between them, and steps that look equally long."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.motion import apart, looks

GRID = 24
"""Pictures that are looked at between two stops to find how long the way is."""
FAST, CLOSER = 2.0, 8
"""Where pictures change so many times as fast as on average, so many times as many are looked at."""
LONGEST = 200_000
"""Frames of a walk."""
Weights = tuple[float, ...]


class Route(Protocol):
    """A way: at every place from 0 to `length`, how much each of some points counts."""

    @property
    def length(self) -> int:
        """Stretches between stops."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it ends where it begins."""
        ...

    def weights(self, place: float) -> Weights:
        """One number for each point."""
        ...


class Curve:
    """From stop to stop without a corner: the curve of Catmull and Rom."""

    def __init__(self, stops: int, *, closed: bool) -> None:
        if stops < 2:
            raise UsageError("a way needs two stops", do="give another image or seed")
        self.stops, self.closed = stops, closed
        self.length = stops if closed else stops - 1

    def weights(self, place: float) -> Weights:
        """Of the stops before and after the place, and a little of those beside them."""
        start = min(int(place), self.length - 1)
        t = place - start
        parts = (
            -0.5 * t + t**2 - 0.5 * t**3, 1 - 2.5 * t**2 + 1.5 * t**3, 0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        )  # fmt: skip
        found = [0.0] * self.stops
        for beside, part in zip(range(start - 1, start + 3), parts, strict=True):
            if self.closed:
                found[beside % self.stops] += part
            elif 0 <= beside < self.stops:
                found[beside] += part
            else:  # beyond an end the way would go on straight
                end, inner = (0, 1) if beside < 0 else (self.stops - 1, self.stops - 2)
                found[end] += 2 * part
                found[inner] -= part
        return tuple(found)


class Circle:
    """Round about one point, through two others, and back: never further from it than `reach` (1: another image)."""

    length, closed = 4, True

    def __init__(self, reach: float) -> None:
        self.reach = reach * math.pi / 2

    def weights(self, place: float) -> Weights:
        """Of the point in the middle and of the two that span the circle."""
        turn = 2 * math.pi * place / self.length
        return math.cos(self.reach), math.sin(self.reach) * math.cos(turn), math.sin(self.reach) * math.sin(turn)


class Swing:
    """Along a direction: from one side to the other, or out and back on both sides."""

    def __init__(self, *, closed: bool) -> None:
        self.length, self.closed = (4, True) if closed else (2, False)

    def weights(self, place: float) -> Weights:
        """How far along, from -1 to 1."""
        return (math.sin(2 * math.pi * place / self.length) if self.closed else place - 1,)


def places(
    route: Route, count: int, *, smooth: bool, look: Callable[[Sequence[float]], NDArray[Any]] | None
) -> list[float]:
    """Where on the way each frame lies.

    With `look` (places -> pictures N H W C), steps look equally long; without, they are equally long in latents. With
    `smooth`, the walk slows down at every stop. A closed way has no frame at its end, which is its beginning.
    """
    if not 2 <= count <= LONGEST:
        raise UsageError(f"a walk of {count} frames is not possible", do=f"give 2 to {LONGEST:,}")
    shares = np.arange(count) / (count if route.closed else count - 1)
    if look is None:
        inner = shares * route.length
        return [min(_eased(place, smooth), float(route.length)) for place in inner.tolist()]
    grid, walked = _measured(route, look)
    at_stops = np.interp(np.arange(route.length + 1), grid, walked)  # how long the way is at every stop
    along = np.interp(shares, np.linspace(0, 1, 2), at_stops[[0, -1]])
    if smooth:
        stop = np.interp(along, at_stops, np.arange(len(at_stops)))
        along = np.interp([_eased(place, True) for place in stop.tolist()], np.arange(len(at_stops)), at_stops)
    return [float(place) for place in np.interp(along, walked, grid)]


def _measured(
    route: Route, look: Callable[[Sequence[float]], NDArray[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on the way, and how long it is there: closer together where pictures change fast.

    A few pictures are looked at a time, so that memory does not grow with the way.
    """
    grid = np.linspace(0, route.length, route.length * GRID + 1)
    steps: list[float] = []
    last: NDArray[np.float32] | None = None
    for start in range(0, len(grid), GRID):
        for row in looks(look(grid[start : start + GRID].tolist())):
            if last is not None:
                steps.append(float(apart(row, last)))
            last = row
    places_, lengths = [0.0], [0.0]
    for cell, step in enumerate(steps):
        inner = [float(grid[cell + 1])]
        parts = [step]
        if step > FAST * float(np.mean(steps)):
            inner = np.linspace(grid[cell], grid[cell + 1], CLOSER + 1).tolist()
            rows = looks(look(inner))
            parts = [float(part) for part in apart(rows[1:], rows[:-1])]
            inner = inner[1:]
        for place, part in zip(inner, parts, strict=True):
            places_.append(place)
            lengths.append(lengths[-1] + max(part, 1e-9))
    return np.array(places_), np.array(lengths)


def _eased(place: float, smooth: bool) -> float:
    whole, t = divmod(place, 1.0)
    return whole + (t * t * (3 - 2 * t) if smooth else t)
