"""The verb `evaluate`: is it good, is it varied, is it a copy?"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError, nearest
from maquette.core.event import Event, Made, Note, Progress, Result, Table, Warning
from maquette.core.settings import argument, dials, parse_count, setting
from maquette.core.workers import FORM, Workers
from maquette.operations._judged_images import FEWEST, MadeImages, cache_of, dataset_of, draw, read, run_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset
    from maquette.features.cache import Cache
    from maquette.features.extractor import Extractor, Make
    from maquette.judge.evidence import Reference
    from maquette.judge.report import Found
    from maquette.operations._judging import Judges
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """What to judge, by which dataset, and where to write the report."""

    what: str = argument("the run to draw images from, or a folder of images", form="RUN|FOLDER")
    against: str = setting("", "the dataset to compare with; the one that the run learned from when left out")
    count: int = setting(2_000, "how many images to draw or to take", read=parse_count, ge=FEWEST, le=1_000_000)
    report: str = setting("", "write a page with pictures", form="FILE.html")
    features: str = setting(
        "scattering",
        "what likeness is measured in: scattering, patches, likeness (a small network that learns from the dataset "
        "first, or likeness=RUN), or a network of yours (inception=FILE, dinov2=FILE)",
        form="KIND[=FILE|RUN]",
    )
    seed: int = setting(1_000_000, "the seed of the first image that is drawn", ge=0)
    copies: bool = setting(True, "also look for copies of training images")
    device: str = setting("cpu", "where to draw images", choices=("cpu", "cuda", "mps"))
    workers: str | int | None = setting(
        None, "processes that draw and look, or a Ray cluster; this one alone when left out", form=FORM
    )
    dials: Mapping[str, str] = dials("the family's own dials, such as --guidance 1.5")


@operation
def evaluate(request: Evaluate, workspace: Workspace) -> Iterator[Event]:
    """Say how good, how varied and how new made images are, with intervals, and show it.

    Everything is measured against the dataset: its training images, its held-out ones, and blurred, noised and random
    images as a scale. Nothing is downloaded.
    """
    from maquette.trust.cards import refresh

    began = time.perf_counter()
    workers = Workers.read(request.workers)
    run = run_of(request, workspace)
    dataset = dataset_of(request, workspace, run)
    make: Any = None
    for make in maker(request.features, workspace, dataset):
        if isinstance(make, Event):
            yield make
    made: MadeImages | None = None
    found: Found | None = None
    cache = cache_of(workspace)
    with contextlib.ExitStack() as stack:
        judges = None
        if workers.many:
            from maquette.operations._judging import Judges

            judges = stack.enter_context(Judges(workers, run, request.features, request.device))
        drawing = draw(request, run, dataset, cache, judges) if run is not None else read(request, dataset, cache)
        for step in drawing:
            if isinstance(step, MadeImages):
                made = step
            else:
                yield step
        assert made is not None
        limits = bounds(request.features, len(made.pictures))
        for event in judged(make, limits, cache, dataset, made, copies=request.copies, judges=judges):
            if isinstance(event, Event):
                yield event
            else:
                found = event
    assert found is not None
    facts = facts_of(found)
    facts["seconds"] = round(time.perf_counter() - began, 2)
    table = _table(found)
    if table.rows:
        yield table
    if request.report:
        from maquette.judge.report import page

        path = page(found).save(Path(request.report).expanduser())
        _write_json(path.with_suffix(".json"), facts)
        facts["report"] = str(path)
        yield Made(path=str(path), what="report")
    if run is not None:
        _write_json(run.path / "evaluation.json", facts)
        trouble = refresh(run.path)
        if trouble:
            yield Warning(text=trouble)
    yield Result(verb="evaluate", facts=facts, summary=_summary(found))


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    from maquette.core.files import write_bytes

    write_bytes(path, (json.dumps(_finite(facts), indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judged(
    make: Make,
    limits: Mapping[str, int],
    cache: Cache,
    dataset: Dataset,
    made: MadeImages,
    *,
    copies: bool,
    judges: Judges | None = None,
) -> Iterator[Event | Found]:
    """Look at everything, measure, and yield what was found last."""
    from maquette.features.extractor import extract
    from maquette.judge.evidence import Looking, look, part, refer
    from maquette.judge.judgement import Judgement, grade, judge
    from maquette.judge.originality import Originality, compare, digest_of
    from maquette.judge.report import Found
    from maquette.judge.restoration import restoration

    reference: Reference | None = None
    began = time.perf_counter()
    what = ""
    through = extract if judges is None else judges.extract
    for step in refer(dataset, make, cache, through, **limits):
        if isinstance(step, Looking):
            began, what = (began, what) if step.what == what else (time.perf_counter(), step.what)
            yield Progress.since(began, "evaluate", step.done, step.total, step.what)
        else:
            reference = step
    assert reference is not None
    began = time.perf_counter()
    mine = None
    pixels = {"pixels": digest_of(made.pictures)}  # the same images are looked at once, wherever they came from
    for seen in look(reference.extractor, made.pictures, "made images", cache, pixels, through):
        if isinstance(seen, Looking):
            yield Progress.since(began, "evaluate", seen.done, seen.total, seen.what)
        else:
            mine = part(reference.space, seen, made.pictures, made.conditions, cache, pixels)
    assert mine is not None
    judgement = None
    for taken in judge(reference, mine):
        if isinstance(taken, Judgement):
            judgement = taken
    assert judgement is not None
    if made.restored is not None:
        judgement.measures.update(restoration(*made.restored))
    originality = Originality(why_not="it was not asked for")
    if copies:
        yield Note(text="comparing every made image with the training images")
        originality = compare(dataset, made.pictures, cache)
    facts = basis(reference, len(mine))
    yield Found(
        made.title, reference, made.pictures, mine, judgement, grade(judgement), originality, facts, _curve(made.run),
        made.names,
    )  # fmt: skip


def maker(features: str, workspace: Workspace, dataset: Dataset) -> Iterator[Event | Make]:
    """How the features that were asked for are made from images of the dataset; a network may have to learn first."""
    from maquette.features import REGISTRY
    from maquette.features.network import NETWORKS

    kind, sign, file = features.partition("=")
    if kind == "likeness":
        from maquette.operations._likeness import likeness

        for step in likeness(file, workspace, dataset):
            yield step if isinstance(step, Event) else _always(step)
    elif kind in NETWORKS.names():
        if not file:
            raise UsageError(f"the features {kind!r} need weights", do=f"write --features {kind}=FILE.safetensors")
        yield _always(NETWORKS.get(kind)(Path(file).expanduser()))
    elif sign:
        raise UsageError(
            f"there is no network {kind!r}", do=f"networks whose weights you may give: {', '.join(NETWORKS.names())}"
        )
    elif features not in REGISTRY.names():
        known = [*REGISTRY.names(), "likeness", *(f"{name}=FILE" for name in NETWORKS.names())]
        raise UsageError(f"there is no kind of features {features!r}", do=nearest(features, known))
    else:
        yield REGISTRY.get(features)


def _always(extractor: Extractor) -> Make:
    """Makes this one whatever the images are."""
    return lambda images: extractor


def bounds(features: str, count: int) -> dict[str, int]:
    """How many images are looked at: networks that enlarge what they see take a second for a dozen or two."""
    from maquette.features.network import NETWORKS

    slow = features.partition("=")[0] in NETWORKS.names()
    return {"largest": max(5_000, count), "anchors": 500} if slow else {}


def basis(reference: Reference, count: int) -> dict[str, str]:
    """What a judgement rests on, for the report and for programs."""
    dataset = reference.dataset
    return {
        "made images": f"{count:,}", "training images": f"{len(reference.train):,}",
        "held-out images": f"{0 if reference.held is None else len(reference.held):,}",
        "dataset": dataset.digest, "features": reference.extractor.name, "features digest": reference.extractor.digest,
        "space digest": reference.space.digest, "resized with": reference.extractor.resize,
    }  # fmt: skip


def _curve(run: Run | None) -> list[dict[str, Any]]:
    from maquette.engine.watch import read_points

    return [] if run is None else read_points(run.path)


def facts_of(found: Found) -> dict[str, Any]:
    """What the result event holds."""
    import numpy as np

    judgement = found.judgement
    metrics = {name: measure.to_json() for name, measure in judgement.measures.items()}
    copies = found.originality.copies
    extra = {"copies": copies.share if copies else None, "duplicates": found.originality.duplicates,
             "membership": found.originality.membership}  # fmt: skip
    for name, estimate in extra.items():
        if estimate is not None:
            metrics[name] = {
                "value": estimate.value, "low": estimate.low, "high": estimate.high, "error": estimate.error,
                "better": "lower", "anchors": {},
            }  # fmt: skip
    if copies is not None:
        metrics["copies"]["anchors"] = {"held-out": copies.expected}
    flagged = [] if copies is None else [found.names[int(k)] for k in np.flatnonzero(copies.flagged)]
    return {
        "metrics": metrics, "headline": judgement.headline, "grade": found.grade.word,
        "said": [found.grade.sentence, *found.grade.reasons], "unmeasured": judgement.unmeasured,
        "labels": {label: {"value": e.value, "low": e.low, "high": e.high} for label, e in judgement.labels.items()},
        "copied": flagged, "no_copies": found.originality.why_not, "basis": found.facts, "report": "",
    }  # fmt: skip


def _table(found: Found) -> Table:
    from maquette.judge.report import interval, number

    shown = ("distance", "kernel-distance", "precision", "density", "coverage", "recall", "variety", "sharpness",
             "label-agreement", "text-agreement", "number-agreement", "restored-psnr", "restored-ssim")  # fmt: skip
    rows = []
    for name in shown:
        if (measure := found.judgement.measures.get(name)) is not None:
            real = measure.anchors.get("held-out")
            rows.append([
                measure.title, number(measure.estimate.value), interval(measure.estimate),
                "" if real is None else number(real), {"like real": "1 is real"}.get(measure.better, measure.better),
            ])  # fmt: skip
    return Table(title=found.title, columns=("measure", "made", "90 % interval", "real", "better"), rows=rows)


def _summary(found: Found) -> str:
    copies = found.originality.copies
    if copies is None:
        said = f"Nothing can be said about copies: {found.originality.why_not}."
    else:
        said = (
            f"{int(copies.flagged.sum()):,} of {len(copies.flagged):,} are too like a training image "
            f"({copies.expected:.1%} of held-out images are)."
        )
    return f"{found.grade.word.capitalize()}: {'; '.join([found.grade.sentence, *found.grade.reasons])}. {said}"
