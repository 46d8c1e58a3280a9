"""The verb `use`: one kind of work from beginning to end, on your material."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result, Table
from maquette.core.files import write_json
from maquette.core.settings import Described, argument, dials, parse_seconds, setting
from maquette.operations._uses import REGISTRY, SIGNED, Figure, Outcome, Use, Work
from maquette.operations.operation import more_dials, operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

LOOKED = 256
"""Files that are verified at the end, at most."""


@dataclass(frozen=True, kw_only=True)
class UseRequest:
    """Which use, of what, where to, and for how long."""

    name: str = argument("which use; all are listed when left out", default="")
    source: tuple[str, ...] = argument(
        "your material, such as a folder of images; what ships with Maquette, or is drawn, when left out",
        many=True,
        default=(),
    )
    to: str = setting("", "the folder for everything; `use-` and the name when left out", form="FOLDER")
    time: float | None = setting(
        None, "how long to learn in all; the use's own time when left out", read=parse_seconds, gt=0, form="TIME"
    )
    seed: int = setting(0, "another seed gives another result", ge=0, lt=2**63)
    dials: Mapping[str, str] = dials("the use's own settings, such as --size 64")


@operation
def use(request: UseRequest, workspace: Workspace) -> Iterator[Event]:
    """Do one kind of work from beginning to end: art, advertising, film and more.

    `maquette use` lists the uses; `maquette use NAME --help` says what one takes. Without a SOURCE it shows what it
    does on material of its own. It ends with a contact sheet, a report and signed files; the same command again goes on
    where it was stopped.
    """
    if not request.name:
        yield from _listed()
        return
    chosen = REGISTRY.get(request.name)
    to = Path(request.to or f"use-{chosen.name}").expanduser()
    seconds = request.time if request.time is not None else chosen.seconds
    work = Work(workspace, to=to, source=request.source, seconds=seconds, seed=request.seed)
    events = chosen(request.dials, work)  # settings that are wrong are refused before anything is written
    _same_order(to, {
        "use": chosen.name, "source": [str(Path(word).absolute()) for word in request.source], "seconds": seconds,
        "seed": request.seed, "settings": dict(request.dials),
    })  # fmt: skip
    outcome = yield from events
    yield Made(path=str(outcome.sheet), what="sheet")
    intact = yield from _verified(work, outcome.files)
    yield from _reported(chosen, work, dataclasses.replace(outcome, figures=(*outcome.figures, intact)))


def _listed() -> Iterator[Event]:
    uses = [REGISTRY.get(name) for name in REGISTRY.names()]
    yield Table(title="Uses", columns=("name", "what it does"), rows=[(use.name, use.summary) for use in uses])
    facts = [{"name": use.name, "title": use.title, "summary": use.summary, "seconds": use.seconds} for use in uses]
    yield Result(
        verb="use", facts={"uses": facts}, value=facts, summary="Without material of yours each shows what it does.",
        next=[f"maquette use {use.name}" for use in uses[:1]] + [f"maquette use {use.name} --help" for use in uses[:1]],
    )  # fmt: skip


def _same_order(to: Path, order: Mapping[str, Any]) -> None:
    """Remember what was ordered in this folder; another order is refused there, for the two would mix."""
    path = to / "use.json"
    plain = json.loads(json.dumps(order))
    if path.is_file():
        try:
            before = json.loads(path.read_text("utf-8"))
        except (ValueError, RecursionError):
            before = None
        alone = [path.name for path in to.iterdir()] == ["use.json"]  # it ended before it had begun
        if before != plain and not alone:
            changed = [key for key in plain if not isinstance(before, dict) or before.get(key) != plain[key]]
            raise UsageError(
                f"something else was made there ({', '.join(changed)} differ{'s' if len(changed) == 1 else ''})",
                where=to, do="give another folder with --to, or the same words as before",
            )  # fmt: skip
        if not alone:
            return
    elif to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError("there are other files", where=to, do="give a new folder with --to")
    to.mkdir(parents=True, exist_ok=True)
    write_json(path, plain)


def _verified(work: Work, files: Sequence[Path]) -> Generator[Event, None, Figure]:
    """Whether what was made says where it comes from, and is whole."""
    looked = [str(path) for path in files if path.suffix.lower() != ".svg"][:LOOKED]
    result = yield from work.do("verify", file=looked)
    intact = sum(image["status"] == "intact" for image in result.facts["images"])
    return Figure(
        name=SIGNED, value=intact, goal=f"all {len(looked)}", reached=intact == len(looked),
        says=f"of {len(looked)} files that were looked at, so many are signed, and nothing of them was changed.",
    )  # fmt: skip


def _reported(chosen: Use, work: Work, outcome: Outcome) -> Iterator[Event]:
    """The report, and the end."""
    from maquette.operations import _use_page

    path = _use_page.page(chosen, work, outcome).save(work.to / "report.html")
    yield Made(path=str(path), what="report")
    word, _, reasons = _use_page.verdict(outcome.figures)
    facts = {
        "use": chosen.name, "to": str(work.to), "sheet": str(outcome.sheet), "report": str(path),
        "images": [str(file) for file in outcome.files],
        "figures": {figure.name: figure.to_json() for figure in outcome.figures},
        "not_yet": list(outcome.not_yet), **outcome.facts,
    }  # fmt: skip
    yield Result(
        verb="use", facts=facts, value=facts, next=outcome.next,
        summary=f"{outcome.lead} Of its figures: {word.lower()}"
        f"{'' if all(f.reached for f in outcome.figures if f.reached is not None) else ': ' + '; '.join(reasons)}. "
        f"Look at {outcome.sheet}, and read {path}.",
    )  # fmt: skip


@more_dials
def settings_of(words: Sequence[str]) -> Mapping[str, tuple[Described, ...]]:
    """Titled lists of settings: those of the use that the words name, else of each."""
    names = [word for word in words if word in REGISTRY.names()][:1] or REGISTRY.names()
    uses = [REGISTRY.get(name) for name in names]
    return {f"{use.name}: {use.summary}": use.settings for use in uses}
