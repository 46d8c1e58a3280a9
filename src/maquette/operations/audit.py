"""The verb `audit`: what is wrong with a dataset, how bad it is, and how to mend it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.settings import argument, parse_seconds, setting
from maquette.core.workers import FORM, Workers
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.data.audit.audit import Audit as Audited
    from maquette.data.dataset import Dataset
    from maquette.operations._what_if import WhatIf
    from maquette.store.workspace import Workspace

_SHOWN = 4
"""Examples of each finding that people are told."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Which dataset, and what to do about what is found."""

    dataset: str = argument("the dataset to look at")
    repair: bool = setting(False, "set aside, merge, crop or move what is harmful, as a new edition of the dataset")
    undo: bool = setting(False, "take back the last change of the dataset; nothing is looked at")
    report: str | None = setting(
        None, "write a page to read; for PAGE.html, PAGE.json holds the same", form="FILE.html"
    )
    what_if: float | None = setting(
        None, "show what the repair is worth: learn with and without it for this time in all, such as 5m",
        read=parse_seconds, gt=0, form="TIME",
    )  # fmt: skip
    seeds: int = setting(3, "how many pairs of runs --what-if trains; more make the answer surer", ge=2, le=8)
    family: str = setting("", "the family that is to learn from it, for what is too few")
    only: tuple[str, ...] = setting((), "make only these checks", form="CHECK,...")
    also: tuple[str, ...] = setting((), "repair these findings too, though only a person can tell", form="CHECK,...")
    leave: tuple[str, ...] = setting((), "findings that a repair leaves as they are", form="CHECK,...")
    accept: tuple[str, ...] = setting(
        (), "findings that are as you mean them: remembered, and no longer counted; `none` forgets", form="CHECK,..."
    )
    set: tuple[str, ...] = setting((), "a threshold of a check", repeat=True, form="CHECK.SETTING=VALUE")
    workers: str | int | None = setting(
        None, "processes that look at the images, or a Ray cluster; this one alone when left out", form=FORM
    )


@operation
def audit(request: Audit, workspace: Workspace) -> Iterator[Event]:
    """Find what would hurt a model: copies, blur, wrong labels and more; mend it with --repair.

    Nothing is changed without --repair, and a repair can be taken back with --undo. The checks and their thresholds
    are in the guide.
    """
    from maquette.data.audit.audit import audit as look
    from maquette.data.audit.audit import parse_changes, typed
    from maquette.data.dataset import Dataset

    workers = Workers.read(request.workers)
    data = Dataset.open(workspace.dataset_path(request.dataset))
    if request.undo:
        yield from _undo(data, workspace)
        return
    page = _page_path(request.report)
    for name in ("also", "leave"):
        if getattr(request, name) and not request.repair and request.what_if is None:
            raise UsageError(f"--{name} says what to repair", do="give --repair or --what-if with it")
    if request.only and any(name not in request.only for name in (*request.also, *request.leave)):
        raise UsageError("--also and --leave name checks that --only leaves out", do="name them in --only too")
    if request.accept:
        _accept(data, request.accept)
    result: Audited | None = None
    with contextlib.ExitStack() as stack:
        elsewhere = None
        if workers.many:
            from maquette.engine.bulk.surveying import Surveying

            elsewhere = stack.enter_context(Surveying(workers))
        changes = parse_changes(request.set)
        for event in look(data, family=request.family, only=request.only, changes=changes, elsewhere=elsewhere):
            if isinstance(event, Result):
                result = event.value
            else:
                yield event
    assert result is not None
    _remember(result)
    worth: WhatIf | None = None
    if request.what_if is not None:
        worth = yield from _compare(request, result, workspace)
    if page is not None:
        _write(result, page, worth)
        yield Made(path=str(page), what="report")
    if result.present:
        yield _table(result)
    yield Note(text=f"{result.grade}: {'; '.join(result.reasons()[:2])}")
    facts: dict[str, Any] = {**result.facts(), "report": None if page is None else str(page)}
    if worth is not None:
        facts["what_if"] = worth.facts()
        yield Note(text=worth.sentence())
    steps = result.steps()
    for number, step in enumerate(steps, 1):
        yield Note(text=f"{number}. {step.what}")
    if request.repair:
        yield from _repair(request, result, facts, workspace)
        return
    summary = f"{data.path}: {result.grade.lower()}; {_count(result)} among {len(result.survey):,} images."
    commands = list(dict.fromkeys(step.command for step in steps if step.command))
    if page is None:
        commands.append(f"maquette audit {typed(data.path)} --report {data.name}-audit.html")
    yield Result(verb="audit", facts=facts, value=result, summary=summary, next=commands or ())


def _accept(data: Dataset, names: tuple[str, ...]) -> None:
    """Add these checks to what is accepted, or forget all of it."""
    from maquette.data.audit.audit import accept, accepted

    if "none" in names and len(names) > 1:
        raise UsageError("--accept none forgets everything", do="name checks, or none alone")
    accept(data, {} if names == ("none",) else {**accepted(data), **dict.fromkeys(names, "as it is meant")})


def _count(result: Audited) -> str:
    found = len(result.present)
    return f"{found} kind{'s' if found != 1 else ''} of findings" if found else "nothing was found"


def _table(result: Audited) -> Table:
    rows = []
    for one in result.present:
        some = one.extra[:: max(1, len(one.extra) // 64)]
        items = list(dict.fromkeys([result.survey.path(int(k)) for k in some]))[:_SHOWN]  # crops share a file
        items += [path for path, _ in one.finding.files[: _SHOWN - len(items)]]
        examples = ", ".join(items) + (", ..." if one.finding.count > len(items) > 0 else "")
        rows.append([one.check.name, one.severity, one.sentence, examples])
    return Table(title="Findings", columns=("check", "how bad", "what", "such as"), rows=rows)


def _repair(request: Audit, result: Audited, facts: dict[str, Any], workspace: Workspace) -> Iterator[Event]:
    from maquette.data.audit.audit import typed
    from maquette.data.audit.repair import plan, repair
    from maquette.data.edition import number

    made = plan(result, also=request.also, leave=request.leave)
    data = repair(result, made)
    workspace.index.add_dataset(data)
    facts |= {
        "repaired": bool(made), "edition": number(data), "digest_before": result.survey.data.digest,
        "digest": data.digest, "set_aside": [row for row in data.set_aside() if "item" in row],
        "cropped": len(made.cropped), "moved": len(made.moved), "kept": data.in_use,
    }  # fmt: skip
    if not made:
        summary = f"{data.path}: there was nothing to repair."
        yield Result(verb="audit", facts=facts, value=result, summary=summary)
        return
    yield Result(
        verb="audit",
        facts=facts,
        value=result,
        summary=f"{data.path}: {made.words()}; {data.in_use:,} images are left (edition {number(data)}).",
        next=(f"maquette audit {typed(data.path)} --undo", f"maquette train {typed(data.path)} --time 10m"),
    )


def _undo(data: Dataset, workspace: Workspace) -> Iterator[Event]:
    from maquette.data.edition import go_back, history, number

    what = history(data)[-1].get("what", "")
    before = go_back(data)
    workspace.index.add_dataset(before)
    facts = {
        "dataset": str(before.path), "digest": before.digest, "edition": number(before), "findings": [], "report": None
    }  # fmt: skip
    summary = f"{before.path}: taken back ({what}); it has {before.in_use:,} images again (edition {number(before)})."
    yield Result(verb="audit", facts=facts, summary=summary)


def _remember(result: Audited) -> None:
    """Keep what was found beside the dataset, for `remove --finding`; one that cannot be written stays as it is."""
    from maquette.core.files import write_json

    found = {one.check.name: [int(result.survey.indices[k]) for k in one.extra] for one in result.found if one.finding}
    said = {facts["check"]: {key: facts[key] for key in _SAID} for facts in result.facts()["findings"]}
    with contextlib.suppress(OSError):
        write_json(
            result.survey.data.path / "audit.json",
            {"digest": result.survey.data.digest, "grade": result.grade, "found": found, "said": said},
        )


_SAID = ("title", "severity", "count", "text", "effect", "advice", "action", "accepted")
"""What is kept in words of each finding, so that the studio shows the last audit without making it again."""


def _page_path(name: str | None) -> Path | None:
    """Where the page goes, said to be impossible before any work."""
    if name is None:
        return None
    path = Path(name).expanduser()
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {name} is no name of a page", do="give a name that ends in .html")
    return path


def _compare(request: Audit, result: Audited, workspace: Workspace) -> Generator[Event, None, WhatIf]:
    """Train with and without the repair."""
    from maquette.data.audit.repair import plan
    from maquette.operations._what_if import what_if

    made = plan(result, also=request.also, leave=request.leave)
    assert request.what_if is not None
    return (
        yield from what_if(
            result, made, seconds=request.what_if, seeds=request.seeds, family=request.family or "flow",
            workspace=workspace,
        )
    )  # fmt: skip


def _write(result: Audited, path: Path, worth: WhatIf | None) -> None:
    from maquette.core.errors import DataError
    from maquette.core.files import write_json
    from maquette.data.audit.page import page
    from maquette.store.disk import writing

    with writing("the report", path, DataError):
        made = page(result)
        if worth is not None:
            worth.show(made.section("What the repair is worth", tag="measured"))
        made.save(path)
        write_json(path.with_suffix(".json"), result.facts() | ({"what_if": worth.facts()} if worth else {}))
