"""The audit: every check over a dataset, the grade with its reasons, and the three things to do first.

    for event in audit(data): ...        # the last event is the Result; its value is the Audit

Nothing is changed by an audit; `data/audit/repair.py` acts on what it found.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, UsageError, nearest
from maquette.core.event import Event, Result
from maquette.core.files import write_json
from maquette.core.settings import from_json, to_json
from maquette.core.words import plural
from maquette.data.audit import check as checks
from maquette.data.audit.check import Check, Finding, Severity
from maquette.data.audit.stage import Through
from maquette.data.audit.surveyed import Survey
from maquette.data.dataset import Dataset

GRADES = ("Very good", "Good", "Fair", "Poor")
_BARS: Mapping[str, tuple[float, float, float]] = {
    "harmful": (0.004, 0.02, 0.10),
    "doubtful": (0.03, 0.12, 0.40),
}
"""The largest share of images with harmful (or doubtful) findings in a dataset that is very good, good, fair."""
_WEIGHT: Mapping[Severity, float] = {"harmful": 4.0, "doubtful": 1.0, "note": 0.1}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One check and what it found."""

    check: Check
    settings: Any
    finding: Finding
    accepted: str = ""
    """Why it is as it is meant to be, in the words of whoever accepted it."""

    @property
    def severity(self) -> Severity:
        """How bad it is here; what was accepted is worth a note."""
        return "note" if self.accepted else self.finding.severity or self.check.severity

    @property
    def extra(self) -> NDArray[np.int64]:
        """The images that are too many: of groups that are to be merged, all but the first."""
        if self.finding.extra is not None:
            return self.finding.extra
        if self.check.action == "merge":
            groups = [np.asarray(group[1:], np.int64) for group in self.finding.groups]
            return np.concatenate(groups) if groups else np.zeros(0, np.int64)
        return self.finding.all_items

    @property
    def sentence(self) -> str:
        """What was found."""
        finding = self.finding
        if finding.skipped:
            return f"not looked for: {finding.skipped}"
        said = finding.text or (plural(finding.count, "image") if finding.count else "none")
        if finding.groups and not finding.text:
            said = f"{plural(len(finding.groups), 'group')} of together {plural(finding.count, 'image')}"
        elif finding.files and not finding.text:
            said = plural(finding.count, "file")
        return f"{said}; accepted: {self.accepted}" if self.accepted and finding else said


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to do: what, why, and the command if there is one."""

    what: str
    why: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What all checks found in one edition of a dataset."""

    survey: Survey
    found: Sequence[Found]
    seconds: float

    def __getitem__(self, name: str) -> Found:
        """What the check of that name found."""
        for one in self.found:
            if one.check.name == name:
                return one
        raise KeyError(name)

    @property
    def present(self) -> list[Found]:
        """What was found, the worst first."""
        return sorted((one for one in self.found if one.finding), key=self._weight, reverse=True)

    def _weight(self, one: Found) -> float:
        share = (len(one.extra) + len(one.finding.files)) / max(1, len(self.survey))
        return _WEIGHT[one.severity] * (0.02 + share)

    def share(self, severity: Severity) -> float:
        """The share of the images that have a finding of that severity."""
        touched = np.zeros(len(self.survey), bool)
        for one in self.found:
            if one.severity == severity and one.finding:
                touched[one.extra] = True
        return float(touched.mean()) if len(touched) else 0.0

    @property
    def grade(self) -> str:
        """The state of the dataset in a word."""
        worst = 0
        for severity, bars in _BARS.items():
            share = self.share(severity)  # type: ignore[arg-type]
            worst = max(worst, sum(share > bar for bar in bars))
        whole = any(one.severity == "harmful" and one.finding.text and not one.finding.count for one in self.found)
        return GRADES[max(worst, 2) if whole else worst]

    def reasons(self) -> list[str]:
        """Why the grade is what it is."""
        said = []
        for one in self.present[:4]:
            if one.severity != "note":
                said.append(f"{one.check.title.lower()}: {one.sentence}")
        quiet = [one.check.title.lower() for one in self.found if not one.finding and not one.finding.skipped]
        if quiet:
            said.append(f"nothing found by {plural(len(quiet), 'check')}, such as {', '.join(quiet[:4])}")
        return said

    def steps(self) -> list[Step]:
        """The three things to do first."""
        name = typed(self.survey.data.path)
        steps = []
        mendable = [one for one in self.present if one.severity == "harmful" and one.check.action]
        if mendable:
            touched = np.unique(np.concatenate([one.extra for one in mendable]))
            what = ", ".join(f"{one.check.title.lower()} ({one.sentence})" for one in mendable[:4])
            more = f", and {len(mendable) - 4} more kinds" if len(mendable) > 4 else ""
            steps.append(
                Step(
                    what=f"Repair {plural(len(touched), 'image')}: {what}{more}",
                    why=mendable[0].check.effect,
                    command=f"maquette audit {name} --repair",
                )
            )
        for one in self.present:
            if one in mendable or one.severity == "note":
                continue
            command = f"maquette remove {name} --finding {one.check.name}" if one.check.action else ""
            steps.append(
                Step(
                    what=f"{one.check.title} ({one.sentence}): {one.finding.advice or one.check.advice}",
                    why=one.check.effect,
                    command=command,
                )
            )
        return steps[:3]

    def facts(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "dataset": str(self.survey.data.path), "digest": self.survey.data.digest, "images": len(self.survey),
            "grade": self.grade, "reasons": self.reasons(), "seconds": round(self.seconds, 2),
            "shares": {severity: round(self.share(severity), 4) for severity in checks.SEVERITIES},
            "steps": [vars(step) for step in self.steps()],
            "findings": [self._facts(one) for one in self.found if one.finding],
            "clean": [one.check.name for one in self.found if not one.finding and not one.finding.skipped],
            "skipped": {one.check.name: one.finding.skipped for one in self.found if one.finding.skipped},
            "settings": {one.check.name: to_json(one.settings) for one in self.found},
        }  # fmt: skip

    def _facts(self, one: Found) -> dict[str, Any]:
        path = self.survey.path
        return {
            "check": one.check.name, "title": one.check.title, "severity": one.severity, "count": one.finding.count,
            "text": one.sentence, "effect": one.check.effect, "advice": one.finding.advice or one.check.advice,
            "action": one.check.action, "accepted": one.accepted,
            "items": [path(int(k)) for k in one.finding.all_items] + [path for path, _ in one.finding.files],
            "groups": [[path(int(k)) for k in group] for group in one.finding.groups],
            "reasons": {path(k): why for k, why in one.finding.why.items()} | dict(one.finding.files),
        }  # fmt: skip


def audit(
    data: Dataset, *, family: str = "", only: Sequence[str] = (),
    changes: Mapping[str, Mapping[str, str]] | None = None, elsewhere: Through | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Look at every image in use and let every check judge. The last event is the `Result`; its value is the `Audit`.

    `changes` holds other settings than the usual ones: check -> setting -> value. `elsewhere` takes the place of the
    threads that look at the images.
    """
    began = time.monotonic()
    chosen = _chosen(only, changes or {})
    survey = Survey(data, family=family, elsewhere=elsewhere)
    yield from survey.measure([check.name for check, _ in chosen])
    needed = {need for check, _ in chosen for need in check.needs}
    if "pairs" in needed:
        yield from survey.compare()
    if "features" in needed:
        yield from survey.describe()
    meant = accepted(data)
    found = [
        Found(
            check=check, settings=settings, finding=check.function(survey, settings), accepted=meant.get(check.name, "")
        )
        for check, settings in chosen
    ]
    result = Audit(survey=survey, found=found, seconds=time.monotonic() - began)
    yield Result(verb="audit", facts={}, value=result)


ACCEPTED = "accepted.json"
"""Beside a dataset: the checks whose findings are as they are meant to be, and why."""


def accepted(data: Dataset) -> dict[str, str]:
    """The checks whose findings somebody looked at and accepted, with the reason."""
    path = data.path / ACCEPTED
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or not all(isinstance(why, str) for why in read.values()):
        raise DataError("this does not say which findings are accepted", where=path, do="remove it")
    return read


def accept(data: Dataset, reasons: Mapping[str, str]) -> None:
    """Remember that what these checks find is meant; it takes the place of what was accepted before."""
    known = checks.names()
    for name in reasons:
        if name not in known:
            raise UsageError(f"there is no check {name!r}", do=nearest(name, known))
    write_json(data.path / ACCEPTED, dict(reasons))


def _chosen(only: Sequence[str], changes: Mapping[str, Mapping[str, str]]) -> list[tuple[Check, Any]]:
    """The checks that are to be made, with their settings; names that do not exist fail before any work."""
    known = checks.names()
    for name in (*only, *changes):
        if name not in known:
            raise UsageError(f"there is no check {name!r}", do=nearest(name, known))
    chosen = [checks.get(name) for name in known if not only or name in only]
    return [(one, from_json(one.settings, changes.get(one.name, {}), what=one.name)) for one in chosen]


def parse_changes(pairs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Words such as `too-dark.most=60` as check -> setting -> value."""
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        place, sign, value = pair.partition("=")
        name, dot, key = place.strip().partition(".")
        if not (sign and dot and key):
            raise UsageError(
                f"{pair!r} is not of the form CHECK.SETTING=VALUE", do="write for example too-dark.most=60"
            )
        found.setdefault(name, {})[key.replace("-", "_")] = value.strip()
    return found


def typed(path: Path) -> str:
    """The path as one would type it here."""
    near = os.path.relpath(path)
    return shlex.quote(str(path) if near.startswith("..") else near)
