"""Where things stand on a banner: the product on one side, words on the other, and never one over the other.

Everything is in whole pixels. Of every side and share the layout with the largest words that fit is made; the best of
them shows much of the product and large words, and keeps the second line and the button where there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["left", "right", "top", "bottom"]
SIDES: tuple[Side, ...] = ("left", "right", "top", "bottom")
SMALLEST = 9
"""Pixels: smaller words cannot be read."""
LARGEST_SHARE = 0.3
"""Of the banner's shorter side, that one line of words is high at most."""
Measure = Callable[[str, int], tuple[int, int]]
"""How wide and high a line of words is at this size of the font, in pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The column after the last one."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The row after the last one."""
        return self.top + self.height

    def inside(self, other: Box) -> bool:
        """Whether it lies wholly in the other."""
        return (
            self.left >= other.left and self.top >= other.top
            and self.right <= other.right and self.bottom <= other.bottom
        )  # fmt: skip

    def touches(self, other: Box) -> bool:
        """Whether they have a pixel in common."""
        return (
            self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom
        )  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of words: what, where, how large, and what it is."""

    text: str
    box: Box
    size: int
    kind: Literal["headline", "second", "action"]


@dataclass(frozen=True)
class Words:
    """What a banner says; the second line and the action may be empty, and are left out where there is no room."""

    headline: str
    second: str = ""
    action: str = ""


@dataclass(frozen=True)
class Layout:
    """One way to fill a banner."""

    width: int
    height: int
    side: Side
    """Where the product stands."""
    product: Box
    lines: tuple[Line, ...]
    score: float

    @property
    def button(self) -> Box | None:
        """The box around the action, if it is there."""
        for line in self.lines:
            if line.kind == "action":
                pad = max(2, round(line.size * 0.45))
                b = line.box
                return Box(b.left - 2 * pad, b.top - pad, b.width + 4 * pad, b.height + 2 * pad)
        return None


def best(
    width: int, height: int, aspect: float, words: Words, measure: Measure, side: Side | None = None
) -> Layout | None:
    """The best layout, of all sides or of one; None where not even the headline fits. `aspect`: width over height."""
    found = [
        layout
        for each in (SIDES if side is None else (side,))
        for share in (0.25, 0.3, 0.36, 0.42, 0.48, 0.54, 0.6)
        if (layout := _one(width, height, aspect, words, measure, each, share)) is not None
    ]
    return max(found, key=lambda layout: layout.score, default=None)


def _one(
    width: int, height: int, aspect: float, words: Words, measure: Measure, side: Side, share: float
) -> Layout | None:
    margin = max(3, round(0.05 * min(width, height)))
    inner = Box(margin, margin, width - 2 * margin, height - 2 * margin)
    if inner.width < 8 or inner.height < 8:
        return None
    zone, room = _split(inner, side, share, margin)
    if min(zone.width, zone.height, room.width, room.height) < 4:
        return None
    product = _fitted(zone, aspect)
    for said in _shorter(words):
        lines = _filled(room, said, measure, min(width, height))
        if lines is not None:
            return Layout(width, height, side, product, tuple(lines), _score(width, height, product, lines))
    return None


def _split(inner: Box, side: Side, share: float, margin: int) -> tuple[Box, Box]:
    """The part of the product and the part of the words, a margin apart."""
    across = side in ("left", "right")
    whole = inner.width if across else inner.height
    first = round((whole - margin) * (share if side in ("left", "top") else 1 - share))
    if across:
        parts = (
            Box(inner.left, inner.top, first, inner.height),
            Box(inner.left + first + margin, inner.top, inner.width - first - margin, inner.height),
        )
    else:
        parts = (
            Box(inner.left, inner.top, inner.width, first),
            Box(inner.left, inner.top + first + margin, inner.width, inner.height - first - margin),
        )
    return parts if side in ("left", "top") else (parts[1], parts[0])


def _fitted(zone: Box, aspect: float) -> Box:
    """The product as large as the zone allows, in its middle."""
    wide = max(1, min(zone.width, round(zone.height * aspect)))
    high = max(1, min(zone.height, round(wide / aspect)))
    return Box(zone.left + (zone.width - wide) // 2, zone.top + (zone.height - high) // 2, wide, high)


def _shorter(words: Words) -> Iterator[Words]:
    """The words, and what is left when there is less room: the second line goes first."""
    yield words
    if words.second:
        yield Words(words.headline, "", words.action)
    if words.action:
        yield Words(words.headline)


def _filled(room: Box, words: Words, measure: Measure, short: int) -> list[Line] | None:
    """The words in the largest size that fits, or None."""
    low, high = SMALLEST, max(SMALLEST, round(LARGEST_SHARE * short))
    found = None
    while low <= high:  # what fits at one size fits at all smaller ones, nearly: a search in halves is near enough
        size = (low + high) // 2
        lines = _set(room, words, measure, size)
        if lines is None:
            high = size - 1
        else:
            found, low = lines, size + 1
    return found


def _set(room: Box, words: Words, measure: Measure, size: int) -> list[Line] | None:
    """The words in this size, ranged left, in the middle of the room's height; None where they do not fit."""
    small = max(SMALLEST, round(size * 0.48))
    parts: list[tuple[str, int, Literal["headline", "second", "action"]]] = []
    for text, at, kind in ((words.headline, size, "headline"), (words.second, small, "second")):
        wrapped = wrap(text, at, room.width, measure)
        if wrapped is None:
            return None
        parts += [(line, at, kind) for line in wrapped]  # type: ignore[misc]
    pad = max(2, round(small * 0.45))
    if words.action:
        if measure(words.action, small)[0] + 4 * pad > room.width:
            return None
        parts.append((words.action, small, "action"))
    lines: list[Line] = []
    top = 0
    for number, (text, at, kind) in enumerate(parts):
        wide, high = measure(text, at)
        new = number > 0 and parts[number - 1][2] != kind
        top += round(at * (0.25 if kind == "headline" else 0.35)) if number else 0
        top += round(small * 0.5) if new else 0
        indent = 2 * pad if kind == "action" else 0
        top += pad if kind == "action" else 0
        lines.append(Line(text, Box(room.left + indent, top, wide, high), at, kind))
        top += high + (pad if kind == "action" else 0)
    if top > room.height:
        return None
    down = room.top + (room.height - top) // 2
    return [
        Line(line.text, Box(line.box.left, line.box.top + down, line.box.width, line.box.height), line.size, line.kind)
        for line in lines
    ]


def wrap(text: str, size: int, width: int, measure: Measure) -> list[str] | None:
    """The text in lines that are no wider than this, or None where a word alone is."""
    lines: list[str] = []
    for word in text.split():
        if measure(word, size)[0] > width:
            return None
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer, size)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _score(width: int, height: int, product: Box, lines: Sequence[Line]) -> float:
    whole = width * height
    shown = (product.width * product.height / whole) ** 0.5
    said = sum(line.box.width * line.box.height for line in lines if line.kind == "headline") / whole
    kinds = {line.kind for line in lines}
    return float(shown) + 1.3 * float(said**0.5) + 0.1 * ("second" in kinds) + 0.25 * ("action" in kinds)
