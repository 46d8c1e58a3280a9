"""The audit as a page: the verdict, what to do first, and every finding with its pictures and distributions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maquette.core import plot
from maquette.core.image import Image, convert, mode_of
from maquette.core.page import Page, Picture, Section, Tone, part
from maquette.core.words import plural
from maquette.data.audit.audit import Audit, Found, typed
from maquette.data.audit.check import Chart, Severity

_TONES: dict[Severity, Tone] = {"harmful": "poor", "doubtful": "fair", "note": "info"}
_TAGS: dict[Severity, str] = {"harmful": "harms the model", "doubtful": "look at it", "note": "good to know"}
_GRADES: dict[str, Tone] = {"Very good": "good", "Good": "good", "Fair": "fair", "Poor": "poor"}
_GROUPS, _MORE_GROUPS = 8, 24
_MEMBERS = 7
_ITEMS, _MORE_ITEMS = 16, 48
_FILES = 100


def page(audit: Audit) -> Page:
    """The report of an audit."""
    survey = audit.survey
    spec, count = survey.data.spec, len(survey)
    held = int(survey.held_out.sum())
    lead = (
        f"{count:,} images of {spec.width}x{spec.height} {spec.mode}, {held:,} of them held out; "
        f"looked at in {audit.seconds:.0f} s by {plural(len(audit.found), 'check')}."
    )
    made = Page(f"Audit of {survey.data.name}", lead=lead)
    made.verdict(audit.grade, audit.reasons(), tone=_GRADES[audit.grade])
    _first(audit, made.section("To do first"))
    _overview(audit, made.section("At a glance"))
    for one in audit.present:
        section = made.section(
            one.check.title, tone=_TONES[one.severity], count=one.finding.count or None, tag=_TAGS[one.severity]
        )
        _finding(audit, one, section)
    _spread(audit, made.section("How the images are spread"))
    _settings(audit, made.section("What was looked for"))
    return made


def _first(audit: Audit, section: Section) -> None:
    steps = [(step.what, step.why, step.command) for step in audit.steps()]
    if steps:
        section.steps(steps)
        section.text(
            "A repair is a new edition of the dataset: `--undo` takes it back, and no file is touched.", soft=True
        )
    else:
        section.text("Nothing has to be done. Train.")


def _overview(audit: Audit, section: Section) -> None:
    rows = []
    for one in audit.present:
        share = len(one.finding.all_items) / max(1, len(audit.survey))
        percent = "" if not share else "<0.1\u00a0%" if share < 0.001 else f"{100 * share:.1f}\u00a0%"
        rows.append([one.check.title, one.severity, one.finding.count or "", percent, one.sentence])
    if rows:
        section.table(["finding", "how bad", "images", "share", "what"], rows)
    clean = [one.check.title.lower() for one in audit.found if not one.finding and not one.finding.skipped]
    if clean:
        section.text(f"Looked for and not found: {', '.join(clean)}.")


def _finding(audit: Audit, one: Found, section: Section) -> None:
    finding = one.finding
    section.text(f"{one.sentence[:1].upper()}{one.sentence[1:]}. {one.check.effect}")
    if not one.accepted:
        section.note(finding.advice or one.check.advice)
    if not one.accepted and one.severity != "harmful" and one.check.action == "set-aside":
        section.code(f"maquette remove {typed(audit.survey.data.path)} --finding {one.check.name}")
    if finding.bars:
        rows = [plot.Bar(name, value) for name, value in finding.bars[:30]]
        section.plot(plot.bars(rows, label="images a label"), title="Images to train on a label")
    if finding.files:
        section.table(["file", "why"], list(finding.files[:_FILES]))
        if len(finding.files) > _FILES:
            section.text(f"And {len(finding.files) - _FILES:,} more.", soft=True)
    if finding.groups:
        _groups(audit, one, section)
    elif finding.beside:
        _beside(audit, one, section)
    elif len(finding.items):
        _grid(audit, one, section)
    section.plots([(chart.title, _chart(chart)) for chart in finding.charts])


def _grid(audit: Audit, one: Found, section: Section) -> None:
    """The worst ones first."""
    items = one.finding.all_items
    fixed = one.check.fix
    if fixed is not None:
        for k in items[:_GROUPS]:
            before = audit.survey.images([k])[0]
            pair = [
                _picture(audit, one, int(k), "poor"),
                Picture(fixed(before, audit.survey, int(k)), "repaired", "good"),
            ]
            section.pictures(pair, title=audit.survey.path(int(k)), side=_side(audit))
        items = items[_GROUPS:]
    if len(items):
        section.pictures([_picture(audit, one, int(k)) for k in items[:_ITEMS]], side=_side(audit))
    rest = items[_ITEMS : _ITEMS + _MORE_ITEMS]
    if len(rest):
        inner = part().pictures([_picture(audit, one, int(k)) for k in rest], side=_side(audit))
        left = len(items) - _ITEMS - len(rest)
        section.more(f"{len(rest)} more" + (f" (of {left + len(rest):,})" if left else ""), inner)


def _groups(audit: Audit, one: Found, section: Section) -> None:
    """Groups with the image that is kept first, and what differs between it and the second."""
    groups = sorted(one.finding.groups, key=len, reverse=True)
    # The largest and, from all over the rest, some usual ones.
    largest, rest = groups[:2], groups[2:]
    shown = [*largest, *rest[:: max(1, -(-len(rest) // (_GROUPS - 2)))]][:_GROUPS]
    known = {id(group) for group in shown}
    later = [group for group in groups if id(group) not in known][:_MORE_GROUPS]
    for group in shown:
        _group(audit, one, group, section)
    if later:
        inner = part()
        for group in later:
            _group(audit, one, group, inner)
        left = len(groups) - len(shown) - len(later)
        section.more(f"{len(later)} more groups" + (f" (of {left + len(later):,})" if left else ""), inner)


def _group(audit: Audit, one: Found, group: NDArray[np.int64], section: Section) -> None:
    merge = one.check.action == "merge"
    members = [int(k) for k in group[:_MEMBERS]]
    pictures = [_picture(audit, one, k, "good" if merge and place == 0 else "") for place, k in enumerate(members)]
    if merge and len(members) > 1:
        difference = _difference(audit, members, one)
        if difference.any():
            pictures.append(Picture(difference, "difference of the first two, x 4"))
    more = f", {len(group) - len(members)} not shown" if len(group) > len(members) else ""
    kept = "; the first one is kept" if merge else ""
    section.pictures(pictures, title=f"{plural(len(group), 'image')}{more}{kept}", side=_side(audit))


def _difference(audit: Audit, members: Sequence[int], one: Found) -> Image:
    first, second = (_rgb(image).astype(np.int16) for image in audit.survey.images(members[:2]))
    if "mirrored" in one.finding.why.get(members[1], ""):
        plain, turned = np.abs(first - second), np.abs(first - second[:, ::-1])
        difference = turned if turned.mean() < plain.mean() else plain
    else:
        difference = np.abs(first - second)
    return np.asarray(np.clip(4 * difference, 0, 255), np.uint8)


def _rgb(image: Image) -> Image:
    return convert(image, "grey" if mode_of(image) in ("grey", "grey16") else "rgb")


def _beside(audit: Audit, one: Found, section: Section) -> None:
    """Each image beside those that it is like."""
    items = [int(k) for k in one.finding.items]

    def show(some: Sequence[int], into: Section) -> None:
        for k in some:
            near = [
                Picture(image, audit.survey.path(j), "good") for j, image in _with_images(audit, one.finding.beside[k])
            ]
            into.pictures([_picture(audit, one, k, "poor"), *near], title=one.finding.why.get(k, ""), side=_side(audit))

    show(items[:_GROUPS], section)
    if len(items) > _GROUPS:
        inner = part()
        show(items[_GROUPS : _GROUPS + _MORE_GROUPS], inner)
        section.more(f"{min(_MORE_GROUPS, len(items) - _GROUPS)} more (of {len(items) - _GROUPS:,})", inner)


def _with_images(audit: Audit, positions: Sequence[int]) -> list[tuple[int, Image]]:
    return list(zip(positions, audit.survey.images(list(positions)), strict=True))


def _picture(audit: Audit, one: Found, position: int, tone: Tone = "") -> Picture:
    words = [short(audit.survey.path(position))]
    if why := one.finding.why.get(position):
        words.append(why)
    if audit.survey.held_out[position]:
        words.append("held out")
    return Picture(audit.survey.images([position])[0], "\n".join(words), tone)


def short(path: str) -> str:
    """The part of a path that tells images apart under a small picture: the name that a table gives, else the end."""
    if path.endswith(")") and "(" in path:
        return re.sub(r"\.\w{1,5}$", "", path[path.rindex("(") + 1 : -1])  # An ending takes a line of its own.
    return path if len(path) <= 24 else "…" + path[-23:]


def _side(audit: Audit) -> int:
    spec = audit.survey.data.spec
    return 96 if spec.width <= 96 else 128


def _spread(audit: Audit, section: Section) -> None:
    """Every distribution that has not been shown with a finding, so that a good dataset is seen to be good."""
    section.text(
        "One bar holds images of about one value; the dashed line is the threshold, and heights are square roots."
    )
    charts = [chart for one in audit.found if not one.finding for chart in one.finding.charts]
    section.plots([(chart.title, _chart(chart)) for chart in charts])
    labels = [one for one in audit.found if one.finding.bars and not one.finding]
    for one in labels:
        rows = [plot.Bar(name, value) for name, value in one.finding.bars[:30]]
        section.plot(plot.bars(rows, label="images a label"), title="Images to train on a label")


def _chart(chart: Chart) -> str:
    return plot.histogram(chart.values, mark=chart.mark, bad=chart.bad, label=chart.label)


def _settings(audit: Audit, section: Section) -> None:
    section.text("Every threshold can be set, for example `--set too-dark.most=60`.")
    rows = []
    for one in audit.found:
        state = "not looked for: " + one.finding.skipped if one.finding.skipped else one.sentence
        thresholds = "\n".join(
            f"{one.check.name}.{setting.option} = {getattr(one.settings, setting.name):g}: {setting.help}"
            for setting in one.check.described
        )
        rows.append([one.check.title, state, thresholds])
    section.table(["check", "found", "thresholds"], rows)
