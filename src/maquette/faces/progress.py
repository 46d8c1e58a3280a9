"""What people see while a verb works: a moving bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, TextIO

from maquette.core.event import Event, Made, Note, Progress, Ready, Result, Table, Warning

EVERY = 5.0
"""Seconds between two progress lines where there is no terminal."""
WINDOW = 10.0
"""Seconds over which the rate is measured."""
NARROWEST = 24
"""Letters below which a column of a table is not broken: then it stands beneath, or the terminal breaks whole lines."""
INDENT = "    "
"""Before what stands beneath its row."""


class Pace:
    """The rate of the last seconds, and from it the time that is left."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, event: Progress) -> tuple[float | None, float | None]:
        """Units a second and seconds left, where they can be told."""
        if self._seen and (event.done < self._seen[-1][1] or event.seconds < self._seen[-1][0]):
            self._seen.clear()
        self._seen.append((event.seconds, event.done))
        while len(self._seen) > 2 and self._seen[0][0] < event.seconds - WINDOW:
            self._seen.popleft()
        # At the end the rate of all of it: what stands beside it is the time of all of it.
        start = (0.0, 0) if event.done == event.total else self._seen[0]
        seconds, done = event.seconds - start[0], event.done - start[1]
        rate = done / seconds if seconds > 0 and done > 0 else None
        left = event.eta
        if left is None and rate and event.total is not None:
            left = max(0, event.total - event.done) / rate
        return rate, left


class People:
    """Shows events to people. Use it as a context, so that the terminal is left in order."""

    def __init__(self, stream: TextIO, out: TextIO, *, quiet: bool = False, tables: bool = True) -> None:
        self.stream, self.out, self.quiet, self.tables = stream, out, quiet, tables
        self._tabled = False

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Warning):
            self.say(f"warning: {event.text}")
        elif isinstance(event, Table):
            self._table(event)
        elif isinstance(event, Ready):
            self.say(f"The studio is open. Go to: {event.url}?token={event.token}")
            self.say("Ctrl-C closes it; what is in work goes on.")
        elif self.quiet:
            return
        elif isinstance(event, Progress):
            self.advance(event)
        elif isinstance(event, Note):
            self.note(event.text)
        elif isinstance(event, Made):
            if event.what != "image":
                self.say(f"{event.what}: {event.path}")
        elif isinstance(event, Result):
            self.stop()
            for line in ending(event):
                self.say(line)

    def _table(self, event: Table) -> None:
        """A table is what was asked for: it goes to standard output, where it can be piped on, a line a row.

        On a terminal it is made to fit.
        """
        if self.tables:
            self.stop()
            most = shutil.get_terminal_size().columns if self.out.isatty() else None
            lines = aligned(event.title, event.columns, event.rows, most)
            for line in ["", *lines] if self._tabled else lines:
                print(line, file=self.out)
            self.out.flush()
            self._tabled = True

    def note(self, text: str) -> None:
        """Show what is worth knowing."""
        self.say(text)

    def say(self, text: str) -> None:
        """Show one line."""
        print(text, file=self.stream, flush=True)

    def advance(self, event: Progress) -> None:
        """Show how far the work is."""

    def stop(self) -> None:
        """Put away what moves."""


class Lines(People):
    """Plain lines, one every few seconds."""

    def __init__(self, stream: TextIO, out: TextIO, *, quiet: bool = False, tables: bool = True) -> None:
        super().__init__(stream, out, quiet=quiet, tables=tables)
        self._pace, self._last, self._task, self._said = Pace(), -EVERY, ("", ""), ""

    def advance(self, event: Progress) -> None:
        """A line at the start, at the end, and every few seconds between."""
        rate, left = self._pace.update(event)
        now, task = time.monotonic(), (event.verb, event.unit)
        if now - self._last >= EVERY or task != self._task or event.done == event.total:
            self._last, self._task = now, task
            line = progress_line(event, rate, left)
            if line != self._said:  # the end may be told twice
                self.say(line)

    def say(self, text: str) -> None:
        """Show one line."""
        super().say(text)
        self._said = text


class Bar(People):
    """A bar that moves, for terminals."""

    def __init__(self, stream: TextIO, out: TextIO, *, quiet: bool = False, tables: bool = True) -> None:
        super().__init__(stream, out, quiet=quiet, tables=tables)
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._pace, self._task, self._bar = Pace(), ("", ""), None

    _bar: Any

    def note(self, text: str) -> None:
        """Text above the bar, broken between words."""
        self._console.print(text)

    def say(self, text: str) -> None:
        """One line above the bar, which the terminal breaks: so paths can be copied."""
        style = "yellow" if text.startswith("warning: ") else None
        self._console.print(text, style=style, soft_wrap=True)

    def advance(self, event: Progress) -> None:
        """Move the bar; another kind of work gets a bar of its own."""
        if self._bar is None or self._task != (event.verb, event.unit):
            self.stop()
            self._task, self._pace, self._bar = (event.verb, event.unit), Pace(), self._new()
            self._bar.add_task(event.verb, total=event.total, words="")
            self._bar.start()
        rate, left = self._pace.update(event)
        words = "  ".join(facts(event, rate, left))
        self._bar.update(self._bar.task_ids[0], completed=event.done, total=event.total, words=words)

    def _new(self) -> Any:
        from rich import progress as bars

        return bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[words]}", markup=False),
            console=self._console,
            refresh_per_second=8,
        )

    def stop(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def people(stream: TextIO, out: TextIO, *, quiet: bool = False, tables: bool = True) -> People:
    """The display that fits the stream."""
    chosen = Bar if stream.isatty() and not quiet else Lines
    return chosen(stream, out, quiet=quiet, tables=tables)


def progress_line(event: Progress, rate: float | None, left: float | None) -> str:
    """One line about how far the work is."""
    share = f"{100 * event.done / event.total:3.0f} %" if event.total else ""
    return "  ".join(part for part in (event.verb, share, *facts(event, rate, left)) if part)


def facts(event: Progress, rate: float | None, left: float | None) -> list[str]:
    """Done of total, rate, time left and the latest numbers, as words."""
    done = f"{event.done:,}" if event.total is None else f"{event.done:,} of {event.total:,}"
    found = [f"{done} {event.unit}"]
    if rate is not None:
        found.append(f"{short(rate)} {event.unit}/s")
    if event.done == event.total:
        found.append(f"{duration(event.seconds)} in all")
    else:
        found.append(f"{duration(event.seconds)} so far" if left is None else f"{duration(left)} left")
    numbers = [(name, value) for name, value in event.numbers.items() if name != f"{event.unit}/s"]
    found += [f"{name} {short(value)}" for name, value in numbers[:4]]
    return found


def ending(event: Result) -> list[str]:
    """What was made and what to try next."""
    lines = [event.summary] if event.summary else [f"{name}: {_brief(fact)}" for name, fact in event.facts.items()]
    return [*lines, *(f"next: {as_typed(command)}" for command in event.next)]


def as_typed(command: str) -> str:
    """The command as it works here: by the path by which it was started, where its name alone would not be found."""
    started = sys.argv[0]
    if os.path.basename(started) == "maquette" and shutil.which("maquette") is None:
        return command.replace("maquette", started, 1)
    return command


def _brief(fact: Any) -> str:
    if isinstance(fact, (list, tuple)) and len(fact) > 4:
        return f"{len(fact)} of them, such as {fact[0]}"
    if isinstance(fact, (list, tuple)):
        return ", ".join(str(item) for item in fact) or "none"
    return short(fact) if isinstance(fact, float) else str(fact)


def aligned(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], most: int | None = None) -> list[str]:
    """A table as lines of text with columns of equal width.

    Where a line would have more than `most` letters, the widest column is broken between its words; where too little
    room is left for that and it is the last one, it stands beneath its row.
    """
    cells = [list(columns), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    over = sum(widths) + 2 * (len(widths) - 1) - most if most else 0
    widest = widths.index(max(widths))
    if over > 0 and widths[widest] - over >= NARROWEST:
        widths[widest] -= over
        cells = [part for row in cells for part in _broken(row, widest, widths[widest])]
    elif most and over > 0 and widest == len(widths) - 1 > 0:
        head, *lines = aligned(title, columns[:-1], [row[:-1] for row in rows], most)[bool(title) :]
        beneath = [textwrap.wrap(row[-1], max(most - len(INDENT), NARROWEST)) for row in cells[1:]]
        rest = [[line, *(INDENT + part for part in parts)] for line, parts in zip(lines[1:], beneath, strict=True)]
        return [*([title] if title else []), head, lines[0], *(line for part in rest for line in part)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [*([title] if title else []), lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _broken(row: list[str], column: int, width: int) -> list[list[str]]:
    """A row as several, of which the first has all cells and the others the rest of one."""
    parts = textwrap.wrap(row[column], width) or [""]
    first = [*row[:column], parts[0], *row[column + 1 :]]
    return [first, *[["" if at != column else part for at in range(len(row))] for part in parts[1:]]]


def short(value: float) -> str:
    """A number in as few digits as say enough."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
