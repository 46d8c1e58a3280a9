"""Images to be judged, drawn from a run or read from a folder, and the dataset that they are held against."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Progress, Warning

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from maquette.data.dataset import Dataset
    from maquette.data.decoding.shape import Form
    from maquette.families.family import Family
    from maquette.features.cache import Cache
    from maquette.features.extractor import Pictures
    from maquette.operations._judging import Judges
    from maquette.operations.evaluate import Evaluate
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace

FEWEST = 10
"""Fewer made images than this are not judged at all."""


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
            yield Progress.since(began, "evaluate", step, request.count, "images drawn")


def _restored(model: Family, dataset: Dataset) -> tuple[NDArray[Any], NDArray[Any]] | None:
    from maquette.engine.judging import restore
    from maquette.judge.evidence import pick
    from maquette.judge.restoration import MOST

    images = dataset.images(pick(dataset.indices("held-out"), MOST, seed=8))
    restored = restore(model, images) if len(images) else None
    return None if restored is None else (images, restored)


def read(request: Evaluate, dataset: Dataset, cache: Cache) -> Iterator[Event | MadeImages]:
    """Images of a folder in the form of the dataset; foreign files are counted, not believed."""
    from maquette.core.image import CHANNELS, dtype
    from maquette.data.decoding.shape import Form

    spec = dataset.spec
    if request.dials:
        raise UsageError("a folder of images has no dials", do=f"leave out --{next(iter(request.dials))}")
    folder = Path(request.what).expanduser()
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)
    files = [path for path in files if path.stem != "sheet"][: request.count]
    form = Form(width=spec.width, height=spec.height, mode=spec.mode, small="enlarge")
    shape, kind = (len(files), spec.height, spec.width, CHANNELS[spec.mode]), dtype(spec.mode)
    key = _contents(files, form)
    known = None if key is None else cache.array(key, shape, kind)
    if known is not None:
        pictures, names = known, [path.name for path in files]
    else:
        for step in _decoded(files, form, shape, kind):
            if isinstance(step, Event):
                yield step
            else:
                pictures, names = step
        if key is not None and len(names) == len(files) >= FEWEST:
            cache.put_array(key, pictures)
    if len(names) < FEWEST:
        raise DataError(
            f"{len(names)} images are too few to judge", where=folder, do=f"give at least {FEWEST}",
        )  # fmt: skip
    yield MadeImages(pictures, _asked(folder, names, dataset), names, f"Evaluation of {folder.name}")


def _decoded(
    files: list[Path], form: Form, shape: tuple[int, ...], kind: DTypeLike
) -> Iterator[Event | tuple[NDArray[Any], list[str]]]:
    """The images of these files, in a file that goes away with them, and the names of those that are images."""
    import tempfile

    import numpy as np

    from maquette.data.ingest.decode import Decoder, Task

    names, refused = list[str](), list[str]()
    began = time.perf_counter()
    with tempfile.TemporaryFile(prefix="maquette-") as stream:
        images = np.memmap(stream, kind, "w+", shape=(max(1, shape[0]), *shape[1:]))
    with Decoder() as decoder:
        tasks = (Task(content=path, form=form) for path in files)
        outcomes = (outcome for outcome in decoder.decode(tasks) if outcome.last)
        for path, outcome in zip(files, outcomes, strict=True):
            if outcome.image is None:
                refused.append(f"{path.name} ({outcome.reason})")
            else:
                images[len(names)] = outcome.image
                names.append(path.name)
            if len(names) % 256 == 0:
                yield Progress.since(began, "evaluate", len(names) + len(refused), len(files), "images read")
    if refused:
        yield Warning(text=f"{len(refused):,} of {len(files):,} files are no images, the first is {refused[0]}")
    yield images[: len(names)], names


MOST_READ = 1 << 30
"""Bytes of files that are read to see whether they were decoded before."""


def _contents(files: list[Path], form: Form) -> dict[str, Any] | None:
    """What the decoded images depend on: what is in the files, their form, and the programs that decode."""
    from importlib.metadata import version

    from maquette.core.settings import to_json
    from maquette.engine.team.distributed import programs
    from maquette.store.digest import file_digest

    if sum(path.stat().st_size for path in files) > MOST_READ:
        return None
    return {
        "read": [file_digest(path) for path in files], "form": to_json(form), "program": programs(),
        "decoder": version("pillow"),
    }  # fmt: skip


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
