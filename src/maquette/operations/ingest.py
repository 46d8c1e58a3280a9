"""The verb `ingest`: make a dataset from files."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.choices import FRAMES, MODES, POSITIONS
from maquette.core.errors import UsageError
from maquette.core.event import Event, Result, Warning
from maquette.core.settings import argument, parse_count, setting
from maquette.core.workers import FORM, Workers
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """What to read, and the form that all images are to get."""

    source: tuple[str, ...] = argument(
        "folders, images, archives, Parquet files, NumPy arrays, DICOM files, films; or starter, drawn:shapes, "
        "drawn:digits, drawn:bounces, drawn:facades, drawn:numbers, drawn:fields, drawn:scans, "
        "drawn:growth, drawn:stations, drawn:rooms",
        many=True,
    )
    to: str = setting("", "the dataset: a name, or a folder; the first source's name when left out", form="DATASET")
    size: Any = setting(None, "width and height in pixels, multiples of 8; 64 when left out", form="64|96x64")
    mode: str = setting("auto", "what a pixel is; auto does as the files do", choices=("auto", *MODES))
    fit: str = setting("crop", "how other shapes become this one", choices=("crop", "pad", "stretch"))
    opt_outs: str = setting(
        "honour", "whether images whose makers forbid training on them are set aside", choices=("honour", "ignore")
    )
    small: str = setting("set-aside", "what happens to images smaller than the size", choices=("set-aside", "enlarge"))
    position: str = setting("centre", "what a crop keeps: the middle, or what stands out", choices=POSITIONS)
    crops: int = setting(1, "how many different parts of each picture are taken", ge=1, le=64)
    input: str = setting("", "pairs: a folder whose files of equal names are the inputs", form="FOLDER")
    side_by_side: str = setting("", "pairs: pictures hold two; which half is the input", choices=("", "left", "right"))
    frames: str = setting(
        "auto", "which images of films, animations and DICOM series; sequences are for forecasting", choices=FRAMES
    )
    rate: float | None = setting(
        None, "frames a second taken of films, 0 for all; 1 when left out, all for sequences", ge=0, le=1000
    )
    past: int = setting(4, "in sequences, how many frames come before each image", ge=1, le=64)
    labels: str = setting(
        "auto", "whether folders are labels; auto says no beside DICOM files", choices=("auto", "folders", "none")
    )
    add: bool = setting(False, "add these sources to a dataset that is there")
    held_out: float | None = setting(
        None, "the share that is never trained on, for honest measures; 0.1 when left out", ge=0, le=0.9
    )
    count: int | None = setting(
        None, "how many images, for starter and drawn datasets", read=parse_count, ge=1, le=10**9
    )
    seed: int = setting(0, "another seed holds out other images", ge=0, lt=2**63)
    workers: str | int | None = setting(
        None, "processes that decode, one a processor when left out; or a Ray cluster", form=FORM
    )


@operation
def ingest(request: Ingest, workspace: Workspace) -> Iterator[Event]:
    """Make a dataset from folders, archives, Parquet, arrays, DICOM, films, or from what the program brings along.

    Subfolders are labels; columns of a metadata.csv or metadata.jsonl and texts beside the images say more. Files that
    cannot be used are set aside by name and reason. The same command again reads only what is new, and goes on where
    it was stopped; --add adds other sources.
    """
    from maquette.trust.cards import refresh

    for event in _work(request, workspace):
        if isinstance(event, Result):
            trouble = refresh(event.value.path)
            if trouble:
                yield Warning(text=trouble)
            event = _introduced(event, workspace)
        yield event


def _work(request: Ingest, workspace: Workspace) -> Iterator[Event]:
    from maquette.data.ingest.ingest import Settings, ingest, parse_size

    words = request.source
    own = [word for word in words if word == "starter" or word.startswith("drawn:")]
    if own and len(words) > 1:
        raise UsageError(f"{own[0]} cannot be mixed with other sources", do="make a dataset of each")
    if not words or not all(words):
        raise UsageError("there is nothing to ingest", do="give a folder, an image, an archive or a Parquet file")
    to = workspace.dataset_path(request.to) if request.to else workspace.datasets / _name(words[0])
    if own:
        yield from _own(own[0], request, to)
        return
    if request.count is not None:
        raise UsageError("--count is for starter and drawn datasets", do="leave it out: all images are taken")
    width, height = parse_size(request.size or 64)
    workers = Workers.read(request.workers)
    settings = Settings(
        width=width, height=height, mode=request.mode, fit=request.fit, small=request.small, opt_outs=request.opt_outs,
        position=request.position,
        crops=request.crops, input=request.input, half=request.side_by_side, frames=request.frames, rate=request.rate,
        past=request.past, labels=request.labels, held_out=0.1 if request.held_out is None else request.held_out,
        seed=request.seed, workers=workers.count,
    )  # fmt: skip
    decoder = None
    if workers.ray is not None:
        from maquette.engine.bulk.spread import Spread

        decoder = functools.partial(Spread, workers)
    yield from ingest(words, to, settings=settings, add=request.add, decoder=decoder)


def _own(word: str, request: Ingest, to: Path) -> Iterator[Event]:
    """Datasets that the program makes itself."""
    from maquette.data.drawn.drawn import make_drawn
    from maquette.data.ingest.ingest import parse_size
    from maquette.data.starter import make_starter

    width, height = parse_size(request.size or 32)
    given: dict[str, Any] = {"seed": request.seed}
    if request.count is not None:
        given["count"] = request.count
    if request.mode != "auto":
        given["mode"] = request.mode
    if word == "starter":
        if request.held_out is not None:
            raise UsageError("the starter dataset always holds out a quarter of each photograph", do="omit --held-out")
        if width != height:
            raise UsageError("the images of the starter dataset are square", do="choose --size 32 or --size 64")
        yield from make_starter(to, size=width, **given)
        return
    if request.held_out is not None:
        given["held_out"] = request.held_out
    yield from make_drawn(word.removeprefix("drawn:"), to, width=width, height=height, past=request.past, **given)


def _introduced(result: Result, workspace: Workspace) -> Result:
    """The result with what people want to know next; the dataset is known to the workspace from now on."""
    data: Dataset = result.value
    workspace.index.add_dataset(data)
    known = f", with {', '.join(c.name for c in data.spec.conditions)}" if data.spec.conditions else ""
    held = len(data.indices("held-out"))
    size = f"{data.spec.width}x{data.spec.height} {data.spec.mode}"
    return Result(
        verb="ingest",
        facts=result.facts,
        value=data,
        summary=f"{data.path}: {len(data):,} images of {size}{known}; {held:,} of them are held out.",
        next=(f"maquette audit {data.path}", f"maquette train {data.path} --time 10m"),
    )


def _name(word: str) -> str:
    """A dataset's name after its source: photos for some/photos."""
    return Path(word.removeprefix("drawn:")).absolute().stem
