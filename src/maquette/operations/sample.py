"""The verb `sample`: make images with a trained model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Made, Note, Progress, Result, Warning
from maquette.core.settings import argument, dials, setting
from maquette.core.words import plural
from maquette.core.workers import FORM
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.store.workspace import Workspace

MOST = 10_000_000
SHEET = 3 * 64 * 512**2
"""Numbers of which a sheet is made at most: 64 colour images of 512 pixels."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Which model, how many images, of what, and where to."""

    run: str = argument("the run to sample from")
    to: str = setting(
        "", "the folder for the images; a folder of the run's name in the workspace when left out", form="FOLDER"
    )
    count: int | None = setting(
        None,
        "how many images; when left out 64, 8 films, or one of each of several images that are given",
        ge=1,
        le=MOST,
    )
    seed: int = setting(
        0, "the seed of the first image; the others follow, and image k depends on its seed alone", ge=0
    )
    best: int | None = setting(
        None, "make only so many, the best of those that are drawn: likely to be real, and varied", ge=1, le=100_000
    )
    of: int | None = setting(None, "how many are drawn for --best; four times as many when left out", ge=1, le=100_000)
    label: str | None = setting(None, "the label to make, of those the model knows (or NAME=LABEL)")
    text: str | None = setting(None, "what the images are to show, in words")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")
    image: tuple[str, ...] = setting(
        (), "an image file that the model is given, or a folder of them; each makes images of its own", repeat=True,
        form="[NAME=]FILE",
    )  # fmt: skip
    frames: str = setting(
        "", "what came before, to go on from: a film, an animation, or a folder of numbered images", form="FILE|FOLDER"
    )
    film: str = setting("webp", "what a film is written as, beside its frames", choices=("webp", "gif", "mp4", "none"))
    rate: float = setting(10.0, "frames a second of a film", gt=0, le=50)
    format: str = setting("png", "the kind of file", choices=("png", "jpeg", "webp", "avif", "tiff"))
    refine: str = setting("", "finish every image by this recipe: words, a name or a file", form="RECIPE")
    sheet: bool = setting(True, "also write a sheet of the first 64 images")
    release: bool = setting(False, "leave out images that are too like one training image, for handing on to others")
    sign: str = setting("on", "whether images are signed, so that anyone can check them", choices=("on", "off"))
    watermark: str = setting(
        "auto", "how strong the invisible mark in the pixels is; auto marks images from 64 pixels up", form="auto|off|1"
    )
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")
    device: str = setting("cpu", "where to compute", choices=("cpu", "cuda", "mps"))
    shards: int | None = setting(
        None, "so many images in one tar file (WebDataset), with their lines beside it; one file each when left out",
        ge=1, le=1_000_000, form="N",
    )  # fmt: skip
    workers: str | int | None = setting(
        None, "processes that make images, or a Ray cluster; this one alone when left out", form=FORM
    )
    dials: Mapping[str, str] = dials("the family's own dials, such as --truncation 0.7")


class Pictures(Sequence["NDArray[Any]"]):
    """The images that were made, read from their files when they are asked for."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._files = paths

    @property
    def paths(self) -> list[Path]:
        """Where they are."""
        return [Path(file) for file in self._files]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Pictures:
        from maquette.core.image import load

        return Pictures(self._files[index]) if isinstance(index, slice) else load(Path(self._files[index]))

    def __repr__(self) -> str:
        where = f" in {Path(self._files[0]).parent}" if self._files else ""
        return f"<{len(self)} images{where}>"


@operation
def sample(request: Sample, workspace: Workspace) -> Iterator[Event]:
    """Make images with a trained model: image k depends on the model, its seed and what was asked for alone."""
    from maquette.core.image import FORMATS, sheet
    from maquette.core.noise import SEED_LIMIT
    from maquette.core.settings import from_json, to_json
    from maquette.core.workers import Workers
    from maquette.engine.files.refined import of_one_size
    from maquette.engine.load import load
    from maquette.engine.sample import beside, film_length
    from maquette.engine.table import condition_table
    from maquette.operations import _films
    from maquette.operations._choosing import Choice, choose, wanted
    from maquette.operations._inputs import Inputs
    from maquette.operations._making import Maker, elsewhere, here
    from maquette.operations._output import Files, Output, Shards
    from maquette.operations._release import Gates
    from maquette.store.run import Run

    run = Run.open(workspace.run_path(request.run))
    model = load(run, device=request.device)
    options: Any = from_json(model.Options, request.dials, what=f"the dials of {run.facts.get('family')}")
    form = model.made(options)
    inputs = Inputs(request, form)
    table = condition_table(run, model.spec)
    for text in _remarks(model.spec, table, inputs.common):
        yield Note(text=text)
    to = Path(request.to).expanduser() if request.to else workspace.images / run.path.name
    length = film_length(model, options)
    count = request.count or (1 if inputs.many else 64 if length == 1 else 8)
    choosing = request.best is not None or request.of is not None
    if choosing:
        _, count = wanted(request)
    drawn = range(request.seed, request.seed + count)
    seeds: Sequence[int] = drawn
    total = len(seeds) * max(1, len(inputs.files))
    if total > MOST:
        raise UsageError(f"{total:,} images are too many at once", do=f"make at most {MOST:,}")
    if seeds[-1] >= SEED_LIMIT:
        raise UsageError(f"the last seed would be {seeds[-1]}", do=f"the largest is {SEED_LIMIT - 1}")
    maker = Maker(request, workspace, run, model, options)
    press, shared = maker.press, maker.shared
    workers = Workers.read(request.workers)
    if request.shards and (length > 1 or request.release or inputs.files):
        raise UsageError("tar files are for single images of seeds alone", do="leave out --shards")
    if workers.many and (length > 1 or request.release):
        raise UsageError("films and --release are for one process", do="leave out --workers")
    if choosing and (length > 1 or request.shards):
        raise UsageError("films and tar files are not chosen from", do="leave out --best")
    if length > 1 and request.release:
        raise UsageError(
            "the frames of films are not compared with training images", do="leave out --release, knowing that nothing "
            "is checked",
        )  # fmt: skip
    if length > 1:
        filming = _films.Filming(run, model, options, table, to, press, maker.refiner, shared)
        yield from _films.make(request, filming, inputs, drawn, workspace)
        return
    chose = ""
    if choosing:
        for step in choose(request, run, model, options, table, inputs):
            if isinstance(step, Choice):
                seeds, total = step.seeds, len(step.seeds)
                chose = f", the best of {step.of:,}"
            else:
                yield step
    gate: Gates | None = None
    if request.release:
        yield Note(text="looking at the images that the model learned from")
        gate = Gates(run, workspace, to)
    began, kept, last, rest = time.perf_counter(), 0, seeds[0], seeds
    first: list[NDArray[Any]] = []
    facts = {"run": str(run.path), "model": run.facts.get("model"), "dials": to_json(options), "given": inputs.asked}
    if chose:
        facts["chosen"] = {"of": count, "from": request.seed}
    output: Output
    if request.shards is None:
        output = Files(to, press, run, workspace)
    else:
        output = shards = Shards(to, request.shards, FORMATS[request.format][1], {**facts, **_finish(request)})
        rest = shards.finished(drawn)
        kept = output.count
    making = (
        elsewhere(maker, inputs, rest, table, workers, request, workspace, shown=64 if request.sheet else 0)
        if workers.many
        else here(maker, inputs, rest, table, gate)
    )
    with contextlib.closing(making), output:
        for done in making:
            if isinstance(done, Warning):
                total -= len(seeds)
                yield done
                continue
            for at, (given, asked, piece) in enumerate(zip(done.givens, done.asked, done.pieces, strict=True)):
                if piece is None:
                    continue
                output.add(f"{given.name}seed-{piece.seed:08d}{FORMATS[request.format][1]}", piece, asked)
                if piece.image is None or len(first) >= 64:
                    continue
                shown = {name: done.rows[name][at : at + 1] for name in given.digests}
                tiles = beside([piece.image], shown, form.conditions)
                if len(first) + len(tiles) <= 64 and (len(first) + len(tiles)) * piece.image.size <= SHEET:
                    first, last = first + tiles, piece.seed
            looked = output.count + len(gate.left_out if gate else [])
            yield Progress.since(began, "sample", looked, total, before=kept)
        if gate:
            facts["release"] = gate.facts()
        if output.count:
            output.finish(facts)
    if not output.count and gate and gate.left_out:
        raise DataError(
            f"none of the {len(gate.left_out):,} images may be released: each is too like a training image",
            where=run.path, do="train on more images, or for a shorter time",
        )  # fmt: skip
    if not output.count:
        raise DataError(f"none of the {len(inputs.files):,} images can be used (for example {inputs.refused[0]})")
    path = to / "sheet.png"
    if request.sheet and first and not (kept and path.exists()):
        first = of_one_size(first)
        scale = max(1, 96 // max(first[0].shape))
        said = {
            **shared,
            "model": str(run.facts["model"]),
            "seeds": (min(rest), max(rest)) if chose else (rest[0], last),
        }
        press.sheet(path, sheet(first, columns=min(8, len(first)), scale=scale), said)
        yield Made(path=str(path), what="sheet")
    if not inputs.asked and model.spec.conditions:
        names = ", ".join(spec.name for spec in model.spec.conditions)
        yield Note(text=f"nothing was asked for: {names} as in the training images")
    if press.unfit:
        many = f"{len(press.unfit):,} images carry" if len(press.unfit) > 1 else "1 image carries"
        yield Note(text=f"{many} no watermark, for example because {press.unfit[0]}")
    result = {
        "images": output.files, "seeds": output.seeds, "count": output.count, "to": str(to),
        "set_aside": inputs.refused,
    }  # fmt: skip
    which = f"seeds {min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
    summary = f"{plural(output.count, 'image')} of the {which}{chose} in {to}."
    if request.shards:
        summary = f"{summary[:-1]}, in {len(output.files):,} tar files."
    if gate:
        result |= {"left_out": gate.left_out, "release": gate.facts()}
        summary += f" {gate.said()}"
    value = [Path(name) for name in output.files] if request.shards else Pictures(output.files)
    yield Result(verb="sample", facts=result, value=value, summary=summary)


def _finish(request: Sample) -> dict[str, str]:
    """What else decides what the files hold."""
    return {name: str(getattr(request, name)) for name in ("format", "refine", "sign", "watermark", "maker")}


def _remarks(spec: DataSpec, table: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of prompts that are unlike all captions the model learned from."""
    from maquette.engine.prompts import unlike

    for condition in spec.conditions:
        if condition.kind == "text" and isinstance(given.get(condition.name), str):
            captions = (condition.describe(row) or "" for row in table[condition.name])
            if said := unlike(given[condition.name], captions):
                yield said
