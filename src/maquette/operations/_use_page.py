"""The report of a use: what was made, the figures, what is not yet good, and how to do it by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maquette.core.image import load
from maquette.core.page import Page, Picture, Tone
from maquette.operations._uses import SIGNED, Figure, Outcome, Use, Work, kind_of

SHOWN = 900
"""Pixels of the page that the contact sheet takes at most."""


def page(use: Use, work: Work, outcome: Outcome) -> Page:
    """The whole report."""
    made = Page(use.title, lead=outcome.lead)
    word, tone, reasons = verdict(outcome.figures)
    made.verdict(word, reasons, tone=tone)
    sheet = load(outcome.sheet)
    section = made.section("What was made", count=len(outcome.files))
    section.pictures([Picture(sheet, outcome.sheet.name)], side=min(SHOWN, sheet.shape[1]))
    if outcome.more is not None:
        outcome.more(made)
    if outcome.figures:
        rows = [(f.name, _number(f.value), _interval(f), f.goal, _KINDS[kind_of(f)]) for f in outcome.figures]
        section = made.section("Figures", tone=tone)
        section.table(("what", "value", "interval", "goal", ""), rows)
        section.points(f"{figure.name}: {figure.says}" for figure in outcome.figures)
    made.section("What is not yet good", tone="fair").points(outcome.not_yet)
    made.section("By hand").text(
        "What this use did, as single commands; change what you like. The rest was laid out, measured and signed here."
    ).code("\n".join(work.commands))
    where = made.section("Where things are")
    where.text("Every file is signed: `maquette verify` says where it comes from and whether it is whole.", soft=True)
    where.table(("folder", "files"), _folders(outcome.files, work.to))
    return made


def verdict(figures: Sequence[Figure]) -> tuple[str, Tone, list[str]]:
    """The whole in words: how many of the figures are where they should be, and those that are not."""
    judged = [figure for figure in figures if figure.reached is not None]
    if all(figure.name == SIGNED and figure.reached for figure in judged):
        return "Made", "info", ["nothing could be measured that has a goal; what was made is signed"]
    missed = [figure for figure in judged if not figure.reached]
    reasons = [f"{f.name} is {_number(f.value)}, and should be {f.goal}" for f in missed]
    if not missed:
        return "All reached", "good", [f"{f.name}: {_number(f.value)} ({f.goal})" for f in judged]
    return f"{len(judged) - len(missed)} of {len(judged)} reached", "fair", reasons


_KINDS = {"reached": "reached", "missed": "not reached", "measured": ""}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{_number(figure.low)} to {_number(figure.high)}"


def _folders(files: Sequence[Path], to: Path) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for file in files:
        name = str(file.parent.relative_to(to)) if file.is_relative_to(to) else str(file.parent)
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items())
