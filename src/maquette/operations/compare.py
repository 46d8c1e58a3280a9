"""The verb `compare`: which of several models is the better one, and whether that is sure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Progress, Result, Table, Warning
from maquette.core.settings import argument, parse_count, setting
from maquette.operations._judged_images import MadeImages, cache_of, dataset_of, draw, read, run_of
from maquette.operations.evaluate import Evaluate, bounds, maker
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset
    from maquette.judge.contest import Standing
    from maquette.judge.evidence import Reference
    from maquette.judge.metric import Part
    from maquette.store.workspace import Workspace

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Which models, and by which dataset."""

    what: tuple[str, ...] = argument("two or more runs, or folders of images", many=True, form="RUN|FOLDER")
    against: str = setting("", "the dataset to compare with; the one that the first run learned from when left out")
    count: int = setting(2_000, "how many images to draw of each", read=parse_count, ge=20, le=100_000)
    report: str = setting("", "write a page with pictures", form="FILE.html")
    features: str = setting(
        "scattering",
        "what likeness is measured in: scattering, patches, likeness (a small network that learns from the dataset "
        "first, or likeness=RUN), or a network of yours (inception=FILE, dinov2=FILE)",
        form="KIND[=FILE|RUN]",
    )
    seed: int = setting(1_000_000, "the seed of the first image that is drawn of each", ge=0)
    device: str = setting("cpu", "where to draw images", choices=("cpu", "cuda", "mps"))


@operation
def compare(request: Compare, workspace: Workspace) -> Iterator[Event]:
    """Rank models by how far their images are from the real ones, and say which differences are sure.

    Every model draws the same seeds and is held against the same real images, so that differences are surer than the
    figures themselves.
    """
    from maquette.judge.contest import contest

    if len(request.what) < 2:
        raise UsageError("comparing needs at least two runs or folders", do="give two or more")
    if len(set(request.what)) < len(request.what):
        raise UsageError("the same run was given twice", do="give different ones")
    began = time.perf_counter()
    requests = [
        Evaluate(
            what=what, against=request.against, count=request.count, features=request.features, seed=request.seed,
            device=request.device,
        )
        for what in request.what
    ]  # fmt: skip
    runs = [run_of(each, workspace) for each in requests]
    dataset = dataset_of(requests[0], workspace, next((run for run in runs if run is not None), None))
    reference, parts, pictures = None, {}, {}
    for event in _look(request, requests, runs, dataset, workspace):
        if isinstance(event, Event):
            yield event
        elif len(event) == 1:
            (reference,) = event
        else:
            name, parts[name], pictures[name] = event
    assert reference is not None
    measure, standings = contest(reference.train, parts)
    floor = _floor(reference, measure)
    yield _table(measure, standings, floor)
    facts: dict[str, Any] = {
        "measure": measure, "floor": floor, "report": "", "seconds": round(time.perf_counter() - began, 2),
        "dataset": dataset.digest, "features digest": reference.extractor.digest,
        "ranking": [
            {"what": s.name, "value": s.value.value, "low": s.value.low, "high": s.value.high,
             "behind": s.behind.value, "behind_low": s.behind.low, "behind_high": s.behind.high, "worse": s.is_worse}
            for s in standings
        ],
    }  # fmt: skip
    if request.report:
        path = _page(request, dataset, measure, standings, pictures, floor)
        facts["report"] = str(path)
        yield Made(path=str(path), what="report")
    yield Result(verb="compare", facts=facts, summary=_summary(standings))


def _look(request: Compare, requests: Any, runs: Any, dataset: Dataset, workspace: Workspace) -> Iterator[Any]:
    """Events; the reference as a tuple of one, and (name, part, pictures) of every entrant."""
    from maquette.judge.evidence import Looking, look, part, refer
    from maquette.judge.originality import digest_of

    make: Any = None
    for make in maker(request.features, workspace, dataset):
        if isinstance(make, Event):
            yield make
    cache, names = cache_of(workspace), set[str]()
    entrants: list[tuple[str, MadeImages]] = []
    for each, run in zip(requests, runs, strict=True):
        for step in draw(each, run, dataset, cache) if run is not None else read(each, dataset, cache):
            if isinstance(step, MadeImages):
                short = Path(each.what).name or each.what
                name = short if short not in names else each.what
                names.add(name)
                entrants.append((name, step))
            elif isinstance(step, Warning):
                yield Warning(text=f"{each.what}: {step.text}")
            else:
                yield step
    began, reference, limits = time.perf_counter(), None, bounds(request.features, request.count)
    for found in refer(dataset, make, cache, **{**limits, "anchors": 0}):
        if isinstance(found, Looking):
            yield Progress.since(began, "compare", found.done, found.total, found.what)
        else:
            reference = found
    assert reference is not None
    yield (reference,)
    for name, made in entrants:
        began = time.perf_counter()
        pixels = {"pixels": digest_of(made.pictures)}
        for seen in look(reference.extractor, made.pictures, f"images of {name}", cache, pixels):
            if isinstance(seen, Looking):
                yield Progress.since(began, "compare", seen.done, seen.total, seen.what)
            else:
                yield name, part(reference.space, seen, None), made.pictures


def _floor(reference: Reference, measure: str) -> float | None:
    """What held-out real images have."""
    from maquette.judge.metric import Sides, Unmeasured, all_metrics

    held: Part | None = reference.held
    if held is None:
        return None
    try:
        return all_metrics()[measure](Sides(reference.train, held)).value
    except Unmeasured:
        return None


def _table(measure: str, standings: list[Standing], floor: float | None) -> Table:
    from maquette.judge.report import interval, number

    rows = [
        [
            str(place), standing.name, number(standing.value.value), interval(standing.value),
            "" if place == 1 else interval(standing.behind), _verdict(place, standing),
        ]
        for place, standing in enumerate(standings, 1)
    ]  # fmt: skip
    if floor is not None:
        rows.append(["", "held-out real images", number(floor), "", "", ""])
    title = f"By {measure.replace('-', ' ')}, lower is better"
    return Table(title=title, columns=("", "model", "value", "90 % interval", "behind the best", ""), rows=rows)


def _verdict(place: int, standing: Standing) -> str:
    if place == 1:
        return "best"
    return "worse" if standing.is_worse else "perhaps as good"


def _summary(standings: list[Standing]) -> str:
    best = standings[0].name
    worse = [standing.name for standing in standings[1:] if standing.is_worse]
    unsure = [standing.name for standing in standings[1:] if not standing.is_worse]
    parts = []
    if worse:
        parts.append(f"{best} is better than {', '.join(worse)}")
    if unsure:
        parts.append(f"between {best} and {', '.join(unsure)} these images cannot decide")
    text = "; ".join(parts) + "."
    return text[:1].upper() + text[1:]


def _page(
    request: Compare, dataset: Dataset, measure: str, standings: list[Standing], pictures: dict[str, Any],
    floor: float | None,
) -> Path:  # fmt: skip
    from maquette.core.page import Page, Picture
    from maquette.core.plot import Bar, bars
    from maquette.judge.report import interval, number

    page = Page("Comparison", lead=f"{len(standings)} models, {request.count:,} images each, against {dataset.name}")
    page.verdict(f"Best: {standings[0].name}", [_summary(standings)], tone="info")
    section = page.section("The ranking")
    rows = [
        Bar(name=s.name, value=max(0.0, s.value.value), low=max(0.0, s.value.low), high=max(0.0, s.value.high),
            words=number(s.value.value))
        for s in standings
    ]  # fmt: skip
    if floor is not None:
        rows.append(Bar(name="held-out real", value=max(0.0, floor), words=number(floor)))
    section.plot(bars(rows, label=measure.replace("-", " ")))
    section.table(
        ("model", measure.replace("-", " "), "90 % interval", "behind the best", ""),
        [
            [s.name, number(s.value.value), interval(s.value), "" if k == 1 else interval(s.behind), _verdict(k, s)]
            for k, s in enumerate(standings, 1)
        ],
    )
    section = page.section("The same seeds side by side")
    for standing in standings:
        section.pictures([Picture(image) for image in pictures[standing.name][:SHOWN]], title=standing.name)
    return page.save(Path(request.report).expanduser())
