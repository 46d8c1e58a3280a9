"""The use `photographs`: the whole way from your pictures to new ones, and what that can and cannot give."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError
from maquette.core.event import Event
from maquette.core.settings import setting
from maquette.operations._uses import Figure, Outcome, Work, use

if TYPE_CHECKING:
    from maquette.core.page import Page

FEWEST = 10
"""Photographs that there must be at least."""
FEW, MANY = 200, 2000
"""Below the first the model mostly repeats what it saw; from the second on new forms are the rule."""
LARGE = 64
"""The side up to which minutes on a processor are enough for things to be recognised."""


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """How large, how many, and how they are finished."""

    size: int = setting(32, "the side that is learned, in pixels", ge=16, le=256, multiple_of=8)
    family: str = setting("flow", "the kind of model", choices=("flow", "gan"))
    repair: bool = setting(True, "set aside what the audit finds harmful (copies, unreadable and blank pictures)")
    count: int = setting(48, "how many new photographs", ge=4, le=2000)
    label: str = setting("", "the label to make, of those that folders gave; as often as in yours when left out")
    judged: int = setting(600, "how many more are made to be judged", ge=60, le=10_000)
    recipe: str = setting("upscale times=2, sharpen amount=0.4", "how they are finished", form='"OP DIAL=VALUE, ..."')
    crops: int = setting(1, "how many different parts of each picture are learned from", ge=1, le=64)
    shipped: int = setting(5120, "crops of the photographs that ship, when none are given", ge=64, le=5120)


@use(title="Photographs", time="6m", trial={"size": "32", "count": "4", "judged": "60", "shipped": "160"})
def photographs(request: Photographs, work: Work) -> Generator[Event, None, Outcome]:
    """Learn from your photographs of people, things or places, and make new ones: the whole way with its limits.

    Reads, looks for what would hurt, sets that aside, learns, makes, finishes and judges. Folders become labels.
    """
    from maquette.core.image import load
    from maquette.data.dataset import Dataset
    from maquette.uses._measures import evaluated, judged, unmeasured
    from maquette.uses._sheets import beside

    yield work.step("reading the photographs" if work.source else "cutting photographs that ship into crops")
    given: dict[str, Any] = {"count": request.shipped} if work.own else {"crops": request.crops, "mode": "rgb"}
    made = yield from work.do(
        "ingest", source=list(work.source) or ["starter"], to=work.at("photographs.mq"), size=str(request.size), **given
    )
    data: Dataset = made.value
    if len(data) < FEWEST:
        raise DataError(
            f"{len(data)} photographs are too few to learn from", where=data.path, do=f"give at least {FEWEST}, better "
            f"{FEW} and more",
        )  # fmt: skip
    yield work.step("looking for what would hurt a model")
    repair = {"repair": True} if request.repair and not work.own else {}
    audit = yield from work.do("audit", dataset=work.at("photographs.mq"), report=work.at("audit.html"), **repair)
    data = Dataset.open(data.path)
    count = len(data.indices("train"))
    yield work.step(f"learning from {count:,} photographs")
    yield from work.learn(work.at("photographs.mq"), work.at("model"), request.family)
    yield work.step(f"making {request.count:,} new ones, and finishing them")
    wish = {"label": request.label} if request.label else {}
    raw = yield from work.do(
        "sample", run=work.at("model"), to=work.at("raw"), count=request.count, sheet=False, **wish
    )
    done = yield from work.do("refine", source=[work.at("raw")], to=work.at("finished"), **{"with": request.recipe})
    files = [Path(path) for path in done.facts["images"]]
    yield work.step("judging: is it good, is it varied, does it copy?")
    facts = yield from evaluated(work, data, work.at("model"), request.judged, work.at("evaluation.html"))
    shown = data.indices("held-out") if len(data.indices("held-out")) else data.indices("train")
    real = list(data.images(shown[:: max(1, len(shown) // 24)][:24]))
    new = [load(Path(path)) for path in raw.facts["images"]]
    return Outcome(
        lead=f"{len(files):,} new photographs of {request.size} pixels, after {count:,} "
        + ("crops of photographs that ship." if work.own else "of yours."),
        sheet=beside(work, real, new),
        files=files,
        figures=[*_figures(facts), *judged(facts)],
        not_yet=[*limits(count, request.size, facts), *unmeasured(facts)],
        more=lambda page: _sections(page, audit.facts, facts),
        facts={
            "dataset": work.at("photographs.mq"), "run": work.at("model"), "audit": audit.facts["report"],
            "evaluation": facts["report"], "grade": facts["grade"],
        },
        next=(f"maquette train {work.at('photographs.mq')} --from {work.at('model')} --to longer --time 1h",),
    )  # fmt: skip


def _figures(facts: Mapping[str, Any]) -> list[Figure]:
    """How far from real photographs, beside photographs that were only blurred."""
    metric = facts["metrics"].get(facts["headline"])
    if metric is None:
        return []
    blurred = metric["anchors"].get("blurred")
    says = "how unlike the new photographs are to those held back, as a whole (0 is alike)."
    if blurred is not None:
        says += f" The same photographs, only blurred, are {blurred:.3g} away: closer than that is the goal."
    return [Figure(
        name="distance", value=metric["value"], low=metric["low"], high=metric["high"],
        goal="" if blurred is None else f"under {blurred:.3g}",
        reached=None if blurred is None else metric["value"] < blurred, says=says,
    )]  # fmt: skip


def limits(count: int, size: int, facts: Mapping[str, Any]) -> list[str]:
    """What is not yet good, from the figures: number, size, sharpness, variety."""
    said = []
    if count < FEW:
        said.append(
            f"{count:,} photographs are few: below about {FEW} a model mostly gives back what it saw, changed a bit. "
            "More photographs help more than more time; several --crops of each stretch them."
        )
    elif count < MANY:
        said.append(
            f"{count:,} photographs carry forms and colours; faces and things with parts want {MANY:,} and more."
        )
    if size > LARGE:
        said.append(f"{size} pixels a side want hours on a processor; at 32 or 64 minutes are enough to see something.")
    sharpness = facts["metrics"].get("sharpness")
    if sharpness is not None and sharpness["value"] < 0.9:
        said.append(f"They are softer than yours: fine steps have {sharpness['value']:.0%} of the strength they had.")
    variety = facts["metrics"].get("variety")
    if variety is not None and variety["low"] < 0.8:
        said.append("They are less varied than yours: learn longer, or from more photographs.")
    said.append(
        f"The judge's word for them: {facts['grade']}. People are the hardest: a face that is nearly right looks "
        "wrong, and whoever is shown in your photographs must have agreed to it."
    )
    return said


def _sections(page: Page, audit: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    page.section("How to read the sheet").text(
        "Photographs that the model has never seen are on the left, new ones on the right, as the model made them."
    )
    section = page.section("What the audit found", count=len(audit["findings"]))
    rows = [(finding["check"].replace("_", " "), len(finding["items"])) for finding in audit["findings"]]
    if rows:
        section.table(("check", "photographs"), rows)
    section.text(f"The whole of it, with pictures: `{Path(audit['report']).name}`.")
    section = page.section("What the judge says")
    section.points(facts["said"])
    if facts["report"]:
        section.text(f"With pictures of the best, the worst and the nearest pairs: `{Path(facts['report']).name}`.")
