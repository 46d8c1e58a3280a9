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

from maquette.core.errors import DataError, UsageError, nearest
from maquette.core.event import Event, Made, Note, Progress, Result, Table, Warning
from maquette.core.settings import argument, dials, parse_count, setting
from maquette.core.workers import FORM, Workers
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset
    from maquette.families.family import Family
    from maquette.features.cache import Cache
    from maquette.features.extractor import Pictures
    from maquette.judge.evidence import Reference
    from maquette.judge.report import Found
    from maquette.operations._judging import Judges
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace

FEWEST = 10
"""Fewer made images than this are not judged at all."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """What to judge, by which dataset, and where to write the report."""

    what: str = argument("the run to draw images from, or a folder of images", form="RUN|FOLDER")
    against: str = setting("", "the dataset to compare with; the one that the run learned from when left out")
    count: int = setting(2_000, "how many images to draw or to take", read=parse_count, ge=FEWEST, le=1_000_000)
    report: str = setting("", "write a page with pictures", form="FILE.html")
    features: str = setting(
        "scattering",
        "what likeness is measured in: scattering, patches, or a network of yours (inception=FILE, dinov2=FILE)",
        form="KIND[=FILE]",
    )
    seed: int = setting(1_000_000, "the seed of the first image that is drawn", ge=0)
    copies: bool = setting(True, "also look for copies of training images")
    device: str = setting("cpu", "where to draw images", choices=("cpu", "cuda", "mps"))
    workers: str | int | None = setting(
        None, "processes that draw and look, or a Ray cluster; this one alone when left out", form=FORM
    )
    dials: Mapping[str, str] = dials("the family's own dials, such as --guidance 1.5")


@dataclass
class MadeImages:
    """Images to be judged, from wherever they came."""

    pictures: Pictures
    conditions: dict[str, NDArray[Any]]
    names: list[str]
    title: str
    run: Run | None = None
    restored: tuple[NDArray[Any], NDArray[Any]] | None = None
    """Held-out images, and the same after the model turned them into numbers and back."""


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
    made: MadeImages | None = None
    found: Found | None = None
    cache = cache_of(workspace)
    with contextlib.ExitStack() as stack:
        judges = None
        if workers.many:
            from maquette.operations._judging import Judges

            judges = stack.enter_context(Judges(workers, run, request.features, request.device))
        drawing = draw(request, run, dataset, cache, judges) if run is not None else read(request, dataset)
        for step in drawing:
            if isinstance(step, MadeImages):
                made = step
            else:
                yield step
        assert made is not None
        for event in judged(request.features, cache, dataset, made, copies=request.copies, judges=judges):
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


def run_of(request: Evaluate, workspace: Workspace) -> Run | None:
    """The run that is meant, or None when a folder of images is."""
    from maquette.store.run import Run

    path = workspace.run_path(request.what)
    if Run.exists(path):
        return Run.open(path)
    if Path(request.what).expanduser().is_dir():
        return None
    raise UsageError(f"{request.what!r} is neither a run nor a folder of images", do="see what there is: maquette list")


def dataset_of(request: Evaluate, workspace: Workspace, run: Run | None) -> Dataset:
    """The dataset that was given, else the one that the run learned from."""
    from maquette.data.dataset import Dataset

    if request.against:
        return Dataset.open(workspace.dataset_path(request.against))
    known = run.facts.get("dataset") if run is not None else None
    path = known.get("path") if isinstance(known, Mapping) else None
    if not isinstance(path, str):
        raise UsageError("there is nothing to compare with", do="give a dataset with --against")
    if not Path(path).exists():
        raise DataError("the dataset that the run learned from is not there", where=path, do="give it with --against")
    return Dataset.open(Path(path))


def cache_of(workspace: Workspace) -> Cache:
    """Where it is remembered what was drawn, looked at and compared."""
    from maquette.features.cache import Cache

    return Cache(workspace.home / "cache" / "features")


def draw(
    request: Evaluate, run: Run, dataset: Dataset, cache: Cache, judges: Judges | None = None
) -> Iterator[Event | MadeImages]:
    """Images of the run, as many as were asked for."""
    from maquette.core.noise import SEED_LIMIT
    from maquette.core.settings import from_json
    from maquette.engine.judging import Drawn, Memory, draw_many
    from maquette.engine.load import load
    from maquette.engine.sample import draw as drawing
    from maquette.engine.table import condition_table

    model = load(run, device=request.device)
    options: Any = from_json(model.Options, request.dials, what=f"the dials of {run.facts.get('family')}")
    form, other = model.made(options), dataset.spec
    if (form.width, form.height, form.mode) != (other.width, other.height, other.mode):
        raise DataError(
            f"the run makes {form.width}x{form.height} {form.mode}, the dataset holds "
            f"{other.width}x{other.height} {other.mode}", where=dataset.path, do="give a dataset of the same form",
        )  # fmt: skip
    if request.seed + request.count > SEED_LIMIT:
        raise UsageError("the last seed would be too large", do=f"the largest is {SEED_LIMIT - 1}")
    known = dataset.digest == (run.facts.get("dataset") or {}).get("digest")
    if not known:
        yield Warning(text="the run learned from another dataset than the one it is compared with")
    began = time.perf_counter()
    table, drawer = condition_table(run, model.spec), drawing if judges is None else judges.draw
    memory = Memory.of(cache, run)
    for step in draw_many(model, table, request.count, request.seed, options, drawer=drawer, memory=memory):
        if isinstance(step, Drawn):
            conditions = {
                c.name: step.conditions[c.name] for c in model.spec.conditions if c in dataset.spec.conditions
            }
            names = [f"seed {request.seed + k}" for k in range(request.count)]
            yield MadeImages(
                step.pictures, conditions, names, f"Evaluation of {run.path.name}", run, _restored(model, dataset)
            )
        else:
            yield tell("images drawn", step, request.count, began)


def _restored(model: Family, dataset: Dataset) -> tuple[NDArray[Any], NDArray[Any]] | None:
    from maquette.engine.judging import restore
    from maquette.judge.evidence import pick
    from maquette.judge.restoration import MOST

    images = dataset.images(pick(dataset.indices("held-out"), MOST, seed=8))
    restored = restore(model, images) if len(images) else None
    return None if restored is None else (images, restored)


def read(request: Evaluate, dataset: Dataset) -> Iterator[Event | MadeImages]:
    """Images of a folder in the form of the dataset; foreign files are counted, not believed."""
    import numpy as np

    from maquette.data.decode import Decoder, Task
    from maquette.data.shape import Form

    spec = dataset.spec
    if request.dials:
        raise UsageError("a folder of images has no dials", do=f"leave out --{next(iter(request.dials))}")
    folder = Path(request.what).expanduser()
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)
    files = [path for path in files if path.stem != "sheet"][: request.count]
    form = Form(width=spec.width, height=spec.height, mode=spec.mode, small="enlarge")
    images, names, refused = [], [], []
    began = time.perf_counter()
    with Decoder() as decoder:
        tasks = (Task(content=path, form=form) for path in files)
        outcomes = (outcome for outcome in decoder.decode(tasks) if outcome.last)
        for path, outcome in zip(files, outcomes, strict=True):
            if outcome.image is None:
                refused.append(f"{path.name} ({outcome.reason})")
            else:
                images.append(outcome.image)
                names.append(path.name)
            if len(images) % 256 == 0:
                yield tell("images read", len(images) + len(refused), len(files), began)
    if refused:
        yield Warning(text=f"{len(refused):,} of {len(files):,} files are no images, the first is {refused[0]}")
    if len(images) < FEWEST:
        raise DataError(
            f"{len(images)} images are too few to judge", where=folder, do=f"give at least {FEWEST}",
        )  # fmt: skip
    conditions = _asked(folder, names, dataset)
    yield MadeImages(np.stack(images), conditions, names, f"Evaluation of {folder.name}")


SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff"})


def _asked(folder: Path, names: list[str], dataset: Dataset) -> dict[str, NDArray[Any]]:
    """What the images were asked to be, where `samples.jsonl` says it of all of them."""
    import numpy as np

    try:
        lines = (folder / "samples.jsonl").read_text("utf-8").splitlines()
        records = [json.loads(line) for line in lines]
    except (OSError, ValueError, RecursionError):
        return {}
    by_file = {
        r["file"]: r.get("conditions") for r in records if isinstance(r, dict) and isinstance(r.get("file"), str)
    }
    conditions: dict[str, NDArray[Any]] = {}
    for spec in dataset.spec.conditions:
        if spec.kind not in ("label", "text", "number"):
            continue
        said = [by_file.get(name) for name in names]
        if all(isinstance(value, dict) and spec.name in value for value in said):
            try:
                conditions[spec.name] = np.stack([spec.encode(value[spec.name]) for value in said])  # type: ignore[index]
            except (TypeError, ValueError, DataError, UsageError):
                continue
    return conditions


def judged(
    features: str, cache: Cache, dataset: Dataset, made: MadeImages, *, copies: bool, judges: Judges | None = None
) -> Iterator[Event | Found]:
    """Look at everything, measure, and yield what was found last."""
    from maquette.features.extractor import extract
    from maquette.judge.evidence import Looking, look, part, refer
    from maquette.judge.judgement import Judgement, grade, judge
    from maquette.judge.originality import Originality, compare, digest_of
    from maquette.judge.report import Found
    from maquette.judge.restoration import restoration

    make = maker(features)
    reference: Reference | None = None
    began = time.perf_counter()
    what = ""
    through = extract if judges is None else judges.extract
    for step in refer(dataset, make, cache, through, **bounds(features, len(made.pictures))):
        if isinstance(step, Looking):
            began, what = (began, what) if step.what == what else (time.perf_counter(), step.what)
            yield tell(step.what, step.done, step.total, began)
        else:
            reference = step
    assert reference is not None
    began = time.perf_counter()
    mine = None
    pixels = {"pixels": digest_of(made.pictures)}  # the same images are looked at once, wherever they came from
    for seen in look(reference.extractor, made.pictures, "made images", cache, pixels, through):
        if isinstance(seen, Looking):
            yield tell(seen.what, seen.done, seen.total, began)
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


def maker(features: str) -> Any:
    """How the features that were asked for are made from images of the dataset."""
    from maquette.features import REGISTRY
    from maquette.features.network import NETWORKS

    kind, sign, file = features.partition("=")
    if kind in NETWORKS.names():
        if not file:
            raise UsageError(f"the features {kind!r} need weights", do=f"write --features {kind}=FILE.safetensors")
        extractor = NETWORKS.get(kind)(Path(file).expanduser())
        return lambda images: extractor
    if sign:
        raise UsageError(
            f"there is no network {kind!r}", do=f"networks whose weights you may give: {', '.join(NETWORKS.names())}"
        )
    if features not in REGISTRY.names():
        known = [*REGISTRY.names(), *(f"{name}=FILE" for name in NETWORKS.names())]
        raise UsageError(f"there is no kind of features {features!r}", do=nearest(features, known))
    return REGISTRY.get(features)


def bounds(features: str, count: int) -> dict[str, int]:
    """How many images are looked at: networks that enlarge what they see take a second for a dozen or two."""
    return {"largest": max(5_000, count), "anchors": 500} if "=" in features else {}


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


def tell(what: str, done: int, total: int, began: float, *, verb: str = "evaluate") -> Progress:
    """How far the work is."""
    spent = time.perf_counter() - began
    eta = round(spent / done * (total - done), 1) if done else None
    return Progress(verb=verb, done=done, total=total, unit=what, seconds=round(spent, 2), eta=eta)
