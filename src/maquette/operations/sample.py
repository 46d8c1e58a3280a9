"""The verb `sample`: make images with a trained model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from maquette.core.errors import ConditionError, DataError, UsageError, nearest
from maquette.core.event import Event, Made, Note, Progress, Result
from maquette.core.settings import argument, dials, parse_pairs, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.engine.refined import Refiner
    from maquette.store.workspace import Workspace
    from maquette.trust.press import Press
    from maquette.trust.signing import Source

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
    count: int = setting(64, "how many images", ge=1, le=MOST)
    seed: int = setting(
        0, "the seed of the first image; the others follow, and image k depends on its seed alone", ge=0
    )
    label: str | None = setting(None, "the label to make, of those the model knows (or NAME=LABEL)")
    text: str | None = setting(None, "what the images are to show, in words")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")
    image: tuple[str, ...] = setting((), "an image file the model needs", repeat=True, form="[NAME=]FILE")
    format: str = setting("png", "the kind of file", choices=("png", "jpeg", "webp", "avif", "tiff"))
    refine: str = setting("", "finish every image by this recipe: words, a name or a file", form="RECIPE")
    sheet: bool = setting(True, "also write a sheet of the first 64 images")
    sign: str = setting("on", "whether images are signed, so that anyone can check them", choices=("on", "off"))
    watermark: str = setting(
        "auto", "how strong the invisible mark in the pixels is; auto marks images from 64 pixels up", form="auto|off|1"
    )
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")
    device: str = setting("cpu", "where to compute", choices=("cpu", "cuda", "mps"))
    dials: Mapping[str, str] = dials("the family's own dials, such as --truncation 0.7")


class Pictures(Sequence["NDArray[Any]"]):
    """The images that were made, read from their files when they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Pictures:
        from maquette.core.image import load

        return Pictures(self.paths[index]) if isinstance(index, slice) else load(self.paths[index])

    def __repr__(self) -> str:
        where = f" in {self.paths[0].parent}" if self.paths else ""
        return f"<{len(self)} images{where}>"


@operation
def sample(request: Sample, workspace: Workspace) -> Iterator[Event]:
    """Make images with a trained model: image k depends on the model, its seed and what was asked for alone."""
    from maquette.core.image import FORMATS, sheet
    from maquette.core.noise import SEED_LIMIT
    from maquette.core.settings import from_json, to_json
    from maquette.engine.load import load
    from maquette.engine.refined import of_one_size
    from maquette.engine.sample import software, vouched, wishes
    from maquette.engine.table import condition_table
    from maquette.store.run import Run
    from maquette.trust.press import Press

    run = Run.open(workspace.run_path(request.run))
    model = load(run, device=request.device)
    options: Any = from_json(model.Options, request.dials, what=f"the dials of {run.facts.get('family')}")
    form = model.made(options)
    given = _given(request, form)
    table = condition_table(run, model.spec)
    optional = {c.name for c in form.conditions if c not in model.spec.conditions}
    to = Path(request.to).expanduser() if request.to else workspace.images / run.path.name
    seeds = range(request.seed, request.seed + request.count)
    if seeds[-1] >= SEED_LIMIT:
        raise UsageError(f"the last seed would be {seeds[-1]}", do=f"the largest is {SEED_LIMIT - 1}")
    press = Press(
        workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker,
        watermark=request.watermark,
    )  # fmt: skip
    source, digests = _sources(request, form)
    shared = {
        "family": str(run.facts.get("family")), "software": software(model), "dials": to_json(options),
        "batch": model.together, "tile": form.tile, **_data_facts(run.facts),
    }  # fmt: skip
    refiner = _refiner(request, press, workspace, form) if request.refine else None
    began = time.perf_counter()
    paths: list[Path] = []
    noted: list[dict[str, Any]] = []
    first: list[NDArray[Any]] = []
    records: dict[str, str] = {}
    while len(paths) < len(seeds):
        # A stretch at a time, so that memory does not grow with the count.
        stretch = seeds[len(paths) : len(paths) + 1024]
        rows = wishes(form.conditions, table, given, stretch, (form.height, form.width), optional)
        done = 0
        for batch in vouched(model, str(run.facts["model"]), stretch, rows, options):
            for made in batch:
                path = to / f"seed-{made.seed:08d}{FORMATS[request.format][1]}"
                asked = {s.name: s.describe(rows[s.name][done]) for s in form.conditions if s.name in rows} | digests
                picture = made.picture
                if refiner is None:
                    manifest = press.generated(path, made, {**shared, "conditions": asked}, source)
                    mark = manifest.mark
                else:
                    refined = refiner.write(path, made, {**shared, "conditions": asked}, source)
                    manifest, picture, mark = refined.manifest, refined.image, refined.mark
                record = {"file": path.name, "seed": made.seed, "conditions": asked, "manifest": manifest.digest}
                records[path.name] = json.dumps(record, ensure_ascii=False)
                noted.append({"run": str(run.path), "seed": made.seed, "manifest": manifest.digest, "mark": mark})
                paths.append(path)
                if len(first) < 64 and (len(first) + 1) * picture.size <= SHEET:
                    first.append(picture)
                done += 1
            spent = time.perf_counter() - began
            yield Progress(
                verb="sample", done=len(paths), total=len(seeds), unit="images", seconds=round(spent, 2),
                eta=round(spent / len(paths) * (len(seeds) - len(paths)), 1),
            )  # fmt: skip
    facts = {"run": str(run.path), "model": run.facts.get("model"), "dials": to_json(options), "given": _words(given)}
    _write_records(to, records, facts)
    if request.sheet and first:
        first = of_one_size(first)
        scale = max(1, 96 // max(first[0].shape))
        path = to / "sheet.png"
        shown = {**shared, "model": str(run.facts["model"]), "seeds": (seeds[0], seeds[len(first) - 1])}
        press.sheet(path, sheet(first, columns=8, scale=scale), shown)
        yield Made(path=str(path), what="sheet")
    if not given and model.spec.conditions:
        names = ", ".join(spec.name for spec in model.spec.conditions)
        yield Note(text=f"nothing was asked for: {names} as in the training images")
    if press.unfit:
        yield Note(text=f"{len(press.unfit):,} images carry no watermark, for example because {press.unfit[0]}")
    workspace.index.add_images(paths, noted)
    result = {"images": [str(path) for path in paths], "seeds": list(seeds), "to": str(to)}
    summary = f"{len(paths):,} images of the seeds {seeds[0]} to {seeds[-1]} in {to}."
    yield Result(verb="sample", facts=result, value=Pictures(paths), summary=summary)


def _refiner(request: Sample, press: Press, workspace: Workspace, spec: DataSpec) -> Refiner:
    """What finishes every image by the recipe that was asked for."""
    import maquette
    from maquette.engine.refined import Refiner
    from maquette.operations.refine import models
    from maquette.refining.named import recipe
    from maquette.trust.press import Press

    parents = Press(
        workspace.home, sign=request.sign == "on", maker=request.maker, watermark=request.watermark
    )  # fmt: skip
    return Refiner(
        recipe(request.refine), press, parents, tile=spec.tile, version=maquette.__version__, hand=models(workspace)
    )


def _data_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the dataset that a run learned from, and of the list of what was left out of it."""
    data = facts.get("dataset")
    known = data if isinstance(data, dict) else {}
    return {"dataset": str(known.get("digest", "")), "set_aside": str(known.get("set_aside", ""))}


def _sources(request: Sample, spec: DataSpec) -> tuple[Source | None, dict[str, str]]:
    """The image that was given, as an ingredient of what is made from it, and the digests of all that were given."""
    from maquette.store.digest import file_digest
    from maquette.trust.press import source_of

    large = {c.name for c in spec.conditions if c.kind in ("image", "map")}
    files: dict[str, str] = {}
    for word in request.image:
        name, sign, file = word.partition("=")
        files |= {name: file} if sign and name in large else {next(iter(large)): word}
    digests = {name: f"sha256:{file_digest(Path(file).expanduser())}" for name, file in files.items()}
    return next((source_of(file) for file in files.values()), None), digests


def _words(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, (str, int, float)) else "image" for name, value in given.items()}


def _write_records(to: Path, records: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """One line an image, beside the images: its seed and what it was asked to be.

    What stands there about other images of the folder stays, each part under the head that says what made it.
    """
    from maquette.core.files import write_bytes

    path = to / "samples.jsonl"
    lines = path.read_text("utf-8", errors="replace").rstrip("\n").split("\n") if path.exists() else []
    kept: list[str] = []
    for line in [*lines, json.dumps({"samples": facts}, ensure_ascii=False)]:
        if line.startswith(_HEAD) and kept and kept[-1].startswith(_HEAD):
            kept.pop()  # nothing is left under that head
        if _file_of(line) not in records:
            kept.append(line)
    write_bytes(path, ("\n".join([*kept, *records.values()]) + "\n").encode())


_HEAD = '{"samples":'


def _file_of(line: str) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    file = record.get("file") if isinstance(record, dict) else None
    return file if isinstance(file, str) else None


def _given(request: Sample, spec: DataSpec) -> dict[str, Any]:
    """What was asked for, by name of condition."""
    given: dict[str, Any] = {}
    if request.label is not None:
        given |= _named(spec, "label", request.label)
    if request.text is not None:
        given |= _named(spec, "text", request.text)
    for name, value in parse_pairs(request.number).items():
        numbers = [c.name for c in spec.conditions if c.kind == "number"]
        if name not in numbers:
            raise ConditionError(f"this model knows no number {name!r}", do=nearest(name, numbers))
        given[name] = value
    for word in request.image:
        given |= _images(spec, word)
    return given


def _named(spec: DataSpec, kind: str, word: str) -> dict[str, str]:
    names = [condition.name for condition in spec.conditions if condition.kind == kind]
    if not names:
        raise ConditionError(
            f"this model was not trained with a {kind}",
            do=f"it can be given: {', '.join(c.name for c in spec.conditions) or 'nothing'}",
        )
    name, sign, value = word.partition("=")
    if sign and name in names:
        return {name: value}
    if len(names) > 1:
        raise UsageError(f"the model knows several conditions of the kind {kind}", do=f"write {names[0]}={word}")
    return {names[0]: word}


def _images(spec: DataSpec, word: str) -> dict[str, Any]:
    from maquette.data.decode import Decoder, Task
    from maquette.data.shape import Form

    large = {c.name: c for c in spec.conditions if c.kind in ("image", "map")}
    if not large:
        raise ConditionError("this model cannot be given an image", do="leave out --image")
    name, sign, file = word.partition("=")
    if not (sign and name in large):
        if len(large) > 1:
            raise UsageError("the model needs several images", do=f"write NAME=FILE; the names are {', '.join(large)}")
        name, file = next(iter(large)), word
    mode: Any = "map" if large[name].kind == "map" else large[name].mode
    form = Form(width=spec.width, height=spec.height, mode=mode, small="enlarge")
    with Decoder(1) as decoder:
        (outcome,) = decoder.decode([Task(content=Path(file), form=form)])
    if outcome.image is None:
        raise DataError(outcome.reason, where=file, do="give an image file")
    return {name: outcome.image}
