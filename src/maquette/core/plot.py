"""Plots as SVG that stands in a page (`core.page`): histogram, bars, lines with bands, points. Colours are the page's.

Every function returns the text of one drawing with a description for those who cannot see it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from maquette.core.page import Tone

WIDTH, HEIGHT = 420, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 12, 32
COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6")


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its value, the interval of the value if it has one, and the words at its end."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    words: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Line:
    """One line: places along x, values, and the interval of each value if it has one."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def histogram(
    values: Any,
    *,
    bins: int = 40,
    mark: float | None = None,
    bad: Literal["below", "above", ""] = "",
    label: str = "",
    span: tuple[float, float] | None = None,
) -> str:
    """How values are spread. `mark` draws a threshold, `bad` colours what lies on its wrong side."""
    import numpy as np

    array = np.asarray(values, np.float64).reshape(-1)
    array = array[np.isfinite(array)]
    if not array.size:
        return _drawing("no values", "", WIDTH, 24)
    low, high = span or (float(array.min()), float(array.max()))
    if mark is not None and span is None:
        low, high = min(low, mark), max(high, mark)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(array, low, high), bins=bins, range=(low, high))
    # Square root: a few bad images among thousands of good ones must still be seen.
    tall = np.sqrt(counts / max(1, counts.max()))
    across = _Scale(low, high, _LEFT, WIDTH - _RIGHT)
    floor = HEIGHT - _BOTTOM
    parts = []
    for k, height in enumerate(tall):
        if not counts[k]:
            continue
        middle = (edges[k] + edges[k + 1]) / 2
        wrong = mark is not None and ((bad == "below" and middle < mark) or (bad == "above" and middle > mark))
        left, right = across(edges[k]), across(edges[k + 1])
        size = max(1.5, float(height) * (floor - _TOP))
        words = f"{counts[k]:,} from {_short(edges[k])} to {_short(edges[k + 1])}"
        parts.append(
            f'<rect class="bar {"poor" if wrong else "c1"}" x="{left + 0.5:.1f}" y="{floor - size:.1f}" '
            f'width="{max(1.0, right - left - 1):.1f}" height="{size:.1f}"><title>{words}</title></rect>'
        )
    parts += _across(across, floor, label)
    if mark is not None:
        x = across(mark)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{floor}"/>')
    said = f"Histogram of {array.size:,} values from {_short(float(array.min()))} to {_short(float(array.max()))}"
    return _drawing(said + (f", threshold {_short(mark)}" if mark is not None else ""), "".join(parts), WIDTH, HEIGHT)


def bars(rows: Sequence[Bar], *, highest: float | None = None, label: str = "") -> str:
    """Horizontal bars with their names; an interval is drawn as a whisker."""
    if not rows:
        return _drawing("no bars", "", WIDTH, 24)
    width, pitch = 520, 26
    left = min(200, 16 + max(7 * len(row.name) for row in rows))
    top = highest or max(max(row.value, row.high or 0.0) for row in rows) or 1.0
    scale = _Scale(0.0, top, left, width - 110)
    parts, height = [], len(rows) * pitch + 8
    for k, row in enumerate(rows):
        y = 4 + k * pitch
        end = scale(min(top, max(0.0, row.value)))
        words = row.words or _short(row.value)
        name = row.name if len(row.name) <= 27 else row.name[:26] + "…"
        parts.append(f'<text class="ink" x="{left - 8}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(
            f'<rect class="bar {row.tone or "c1"}" x="{left}" y="{y + 2}" rx="2" width="{max(1.0, end - left):.1f}" '
            f'height="{pitch - 9}"><title>{html.escape(f"{row.name}: {words}")}</title></rect>'
        )
        tip = end
        if row.low is not None and row.high is not None:
            a, b, m = scale(max(0.0, row.low)), scale(min(top, row.high)), y + 2 + (pitch - 9) / 2
            parts.append(f'<path class="whisker" d="M{a:.1f} {m - 4}v8M{a:.1f} {m}H{b:.1f}M{b:.1f} {m - 4}v8"/>')
            tip = max(tip, b)
        parts.append(f'<text x="{tip + 7:.1f}" y="{y + 14}">{html.escape(words)}</text>')
    said = f"Bars{f' of {label}' if label else ''}: " + ", ".join(
        f"{r.name} {r.words or _short(r.value)}" for r in rows[:12]
    )
    return _drawing(said, "".join(parts), width, height)


def lines(
    series: Mapping[str, Line], *, label: str = "", across_label: str = "", from_zero: bool = False,
    powers: bool = False,
) -> str:  # fmt: skip
    """Lines by name, with bands where intervals are given, and a key. With `powers`, both axes go by powers of ten."""
    xs = [float(x) for line in series.values() for x in line.x]
    ys = [float(y) for line in series.values() for y in (*line.y, *line.low, *line.high) if math.isfinite(y)]
    if not xs or not ys:
        return _drawing("no lines", "", WIDTH, 24)
    kind = _Powers if powers else _Scale
    across = kind(min(xs), max(xs), _LEFT + 8, WIDTH - _RIGHT)
    up = kind(min(0.0, *ys) if from_zero else min(ys), max(ys), HEIGHT - _BOTTOM, _TOP)
    parts = [*_up(up, label), *_across(across, HEIGHT - _BOTTOM, across_label)]
    for colour, line in zip(_colours(len(series)), series.values(), strict=True):
        points = [(across(float(x)), up(float(y))) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
        if line.low and line.high:
            there = [(across(float(x)), up(float(h))) for x, h in zip(line.x, line.high, strict=True)]
            back = [(across(float(x)), up(float(v))) for x, v in zip(line.x, line.low, strict=True)][::-1]
            parts.append(f'<polygon class="band {colour}" points="{_points(there + back)}"/>')
        parts.append(f'<polyline class="line {colour}" points="{_points(points)}"/>')
    said = f"Lines of {label or 'values'}: {', '.join(series)}"
    return _key(list(series)) + _drawing(said, "".join(parts), WIDTH, HEIGHT)


def points(series: Mapping[str, tuple[Any, Any]], *, label: str = "", across_label: str = "", most: int = 1500) -> str:
    """Points by name, each pair an array of x and one of y; of very many, evenly chosen ones are drawn."""
    import numpy as np

    pairs = {
        name: np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], 1) for name, (x, y) in series.items()
    }
    whole = np.concatenate(list(pairs.values())) if pairs else np.zeros((0, 2))
    if not len(whole):
        return _drawing("no points", "", WIDTH, 24)
    height = HEIGHT + 60
    across = _Scale(float(whole[:, 0].min()), float(whole[:, 0].max()), _LEFT + 8, WIDTH - _RIGHT)
    up = _Scale(float(whole[:, 1].min()), float(whole[:, 1].max()), height - _BOTTOM, _TOP)
    parts = [*_up(up, label), *_across(across, height - _BOTTOM, across_label)]
    for colour, pair in zip(_colours(len(pairs)), pairs.values(), strict=True):
        step = max(1, -(-len(pair) * len(pairs) // most))
        for x, y in pair[::step]:
            parts.append(f'<circle class="point {colour}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.6"/>')
    said = f"Points: {', '.join(f'{len(pair):,} {name}' for name, pair in pairs.items())}"
    return (_key(list(series)) if len(series) > 1 else "") + _drawing(said, "".join(parts), WIDTH, height)


class _Scale:
    """From values to places in the drawing."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if high <= low:
            low, high = low - 0.5, high + 0.5
        self.low, self.high, self._start, self._end = low, high, start, end

    def __call__(self, value: float) -> float:
        return self._start + (float(value) - self.low) / (self.high - self.low) * (self._end - self._start)

    def words(self, tick: float) -> str:
        """What stands at a tick."""
        return _short(tick)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values inside the scale."""
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, first + 2 * wanted + 2) if k * step <= self.high + 1e-9 * step]


class _Powers(_Scale):
    """From values above zero to places by their powers of ten."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        super().__init__(math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9), start, end)

    def __call__(self, value: float) -> float:
        return super().__call__(math.log10(value))

    def words(self, tick: float) -> str:
        """What stands at a tick."""
        return f"{tick:,.0f}" if tick >= 1 else _short(tick)

    def ticks(self, wanted: int = 5) -> list[float]:
        """All powers of ten."""
        return [10.0**power for power in range(int(self.low), int(self.high) + 1)]


def _across(scale: _Scale, floor: float, label: str) -> list[str]:
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>']
    for tick in scale.ticks():
        x = scale(tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 4}"/>')
        words = scale.words(tick)
        anchor = "end" if x + 3.2 * len(words) > WIDTH else "middle"  # about half of what the words take
        x = WIDTH - 1 if anchor == "end" else x
        parts.append(f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="{anchor}">{words}</text>')
    if label:
        parts.append(f'<text x="{WIDTH - _RIGHT}" y="{floor + 28}" text-anchor="end">{html.escape(label)}</text>')
    return parts


def _up(scale: _Scale, label: str) -> list[str]:
    parts = []
    for tick in scale.ticks(4):
        y = scale(tick)
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{scale.words(tick)}</text>')
    if label:
        parts.append(f'<text x="{_LEFT + 4}" y="{_TOP + 2}">{html.escape(label)}</text>')
    return parts


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _key(names: Sequence[str]) -> str:
    items = "".join(
        f'<span><i class="{c}"></i>{html.escape(n)}</span>' for c, n in zip(_colours(len(names)), names, strict=True)
    )
    return f'<div class="key">{items}</div>'


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def _short(value: float) -> str:
    """A number in as few digits as say enough."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _drawing(said: str, inner: str, width: int, height: float) -> str:
    return f'<svg viewBox="0 0 {width} {height:g}" role="img" aria-label="{html.escape(said)}">{inner}</svg>'
