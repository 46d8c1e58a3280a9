"""What the verbs of editing share: a model that can be steered, images and seeds as points in it, and writing."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress, Warning
from maquette.core.settings import argument, parse_seconds, required, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.noise import Mix
    from maquette.data.dataset import Dataset
    from maquette.engine.latent.latents import Found, Latents
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace
    from maquette.trust.origin import Generated
    from maquette.trust.press import Press
    from maquette.trust.signing import Source

MOST = 10_000
"""Images that one command edits."""


@dataclass(frozen=True, kw_only=True)
class Editing:
    """What every verb of editing is given."""

    run: str = argument("the run of a generator")
    source: tuple[str, ...] = argument(
        "images, folders of images, or patterns such as 'faces/*.png'", many=True, default=()
    )
    to: str = required("the folder for the images", form="FOLDER")
    seeds: tuple[int, ...] = setting((), "seeds of the model, in place of images or beside them", form="N,N")
    label: str | None = setting(None, "the label of the images, of those the model knows (or NAME=LABEL)")
    text: str | None = setting(None, "what the images show, in words")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")
    refine: int = setting(
        0, "steps that look for latents which give more of each image back, such as 200", ge=0, le=10_000
    )
    fit: float = setting(
        60.0, "how long to train the encoder of a run that has none yet", read=parse_seconds, gt=0, le=86400,
        form="TIME",
    )  # fmt: skip
    format: str = setting("png", "the kind of file", choices=("png", "jpeg", "webp", "avif", "tiff"))
    sheet: bool = setting(True, "also write a sheet to look at")
    sign: str = setting("on", "whether images are signed as edits, or as made by the model", choices=("on", "off"))
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")


@dataclass
class Point:
    """One image that was given, or one seed."""

    name: str
    found: Found
    """Of one row."""
    image: NDArray[Any] | None = None
    """As it was given, in the form of the model."""
    seed: int | None = None
    digest: str = ""
    source: Source | None = None


@dataclass
class Bench:
    """A model on the bench."""

    run: Run
    latents: Latents
    table: Mapping[str, NDArray[Any]]
    given: dict[str, Any]
    """Conditions that were asked for."""
    dataset: Dataset | None
    press: Press
    to: Path
    began: float = field(default_factory=time.perf_counter)
    written: list[Path] = field(default_factory=list)
    noted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def model_digest(self) -> str:
        """Of the model file."""
        return str(self.run.facts.get("model"))

    def rows_of(self, seeds: Sequence[int | Mix]) -> dict[str, NDArray[Any]]:
        """Conditions of the images of these seeds."""
        from maquette.engine.sample import wishes

        spec = self.latents.model.spec
        return wishes(spec.conditions, self.table, self.given, seeds, (spec.height, spec.width))

    # Writing

    def edited(self, name: str, image: NDArray[Any], points: Sequence[Point], step: Mapping[str, Any]) -> Path:
        """Write an image that was made of points; the first image among them is its ingredient."""
        from maquette.core.image import FORMATS
        from maquette.engine.latent.edited import Edits

        path = self.to / f"{name}{FORMATS[self.press.format][1]}"
        first = next((point for point in points if point.source is not None), None)
        sources = [point.digest or f"seed {point.seed}" for point in points]
        said = {**step, "model": self.model_digest, **({"of": sources} if len(points) > 1 else {})}
        digest = points[0].digest or f"seed {points[0].seed}"
        Edits(self.press, said).write(path, image, digest, first.source if first else None)
        self._note(path, points[0].seed)
        return path

    def generated(self, name: str, made: Generated, rows: Mapping[str, NDArray[Any]], row: int) -> Path:
        """Write an image that the model made of seeds alone."""
        from maquette.core.image import FORMATS
        from maquette.core.settings import to_json
        from maquette.engine.sample import software
        from maquette.operations._making import data_facts

        model = self.latents.model
        asked = {s.name: s.describe(rows[s.name][row]) for s in model.spec.conditions if s.name in rows}
        facts = {
            "family": str(self.run.facts.get("family")), "software": software(model), "batch": model.together,
            "dials": to_json(self.latents.options), "tile": model.spec.tile, **data_facts(self.run.facts),
            "conditions": asked,
        }  # fmt: skip
        path = self.to / f"{name}{FORMATS[self.press.format][1]}"
        manifest = self.press.generated(path, made, facts)
        self._note(path, None if made.mix else made.seed, manifest.digest)
        return path

    def _note(self, path: Path, seed: int | None, manifest: str = "") -> None:
        self.written.append(path)
        self.noted.append({"run": str(self.run.path), "seed": seed, "manifest": manifest})

    def progress(self, verb: str, done: int, total: int, unit: str = "images") -> Progress:
        """How far it is."""
        return Progress.since(self.began, verb, done, total, unit)

    def finish(self, workspace: Workspace) -> Iterator[Event]:
        """Remember what was written."""
        workspace.index.add_images(self.written, self.noted)
        yield from ()

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One line an image, beside the images."""
        from maquette.operations._output import write_records

        lines = {str(row["file"]): json.dumps(dict(row), ensure_ascii=False) for row in rows}
        write_records(self.to, lines, {"run": str(self.run.path), "model": self.model_digest})


def bench(request: Any, workspace: Workspace, verb: str, *, images: bool) -> Generator[Event, None, Bench]:
    """Open the run; where images are to be found in it, with its encoder, which is trained if there is none yet."""
    from maquette.engine.latent import encoder as encoders
    from maquette.engine.latent.latents import Latents
    from maquette.engine.load import load
    from maquette.engine.table import condition_table
    from maquette.operations._inputs import flat
    from maquette.store.run import Run
    from maquette.trust.press import Press

    run = Run.open(workspace.run_path(request.run))
    model = load(run)
    Latents(model)  # says at once if it cannot be steered
    dataset = encoders.dataset_of(run)
    encoder = None
    if images and encoders.needs_encoder(model):
        encoder = encoders.read(run, model)
        if encoder is None:
            yield Note(text=f"the run has no encoder yet: training one, for about {request.fit:.0f} s, kept with it")
            if dataset is None:
                yield Warning(text="the dataset is not there: the encoder learns from images of the model alone")
            for event in encoders.train(run, model, dataset, request.fit):
                if isinstance(event, encoders.Learned):
                    left = event.seconds / event.images * (event.total - event.images)
                    yield Progress(
                        verb=verb, done=event.images, total=event.total, unit="images for the encoder",
                        seconds=round(event.seconds, 2), eta=round(left, 1), numbers={"error": event.error},
                    )  # fmt: skip
                else:
                    encoder = event
    sign, maker = getattr(request, "sign", "on"), getattr(request, "maker", "")
    press = Press(workspace.home, format=getattr(request, "format", "png"), sign=sign == "on", maker=maker)
    to = Path(request.to).expanduser()
    return Bench(
        run, Latents(model, encoder), condition_table(run, model.spec), flat(request, model.spec), dataset, press, to
    )


def points_of(request: Any, on: Bench, verb: str, *, alike: bool = False) -> Generator[Event, None, list[Point]]:
    """Every image and seed that was given, found among the model's latents.

    `alike`: all as what the first one is (its label, its text), so that a way can lead from one to the other.
    """
    import numpy as np

    from maquette.core.noise import Noise
    from maquette.engine.files.fitted import Files
    from maquette.store.digest import content_name
    from maquette.trust.press import source_bytes

    points: list[Point] = []
    Noise(request.seeds)  # says at once what is no seed
    if request.source:
        files = Files(request.source, on.latents.model.spec)
        if len(files) > MOST:
            raise UsageError(f"{len(files):,} images are too many at once", do=f"give at most {MOST:,}")
        refused = [f"{trouble}" for trouble in files.troubles]
        waiting: list[Point] = []
        for fitted in files:
            if fitted.image is None:
                refused.append(f"{fitted.source}: {fitted.reason}")
                yield Warning(text=f"left out: {fitted.source} ({fitted.reason})")
                continue
            content = fitted.content if isinstance(fitted.content, bytes) else Path(fitted.content).read_bytes()
            waiting.append(
                Point(fitted.name.replace("/", "-"), _EMPTY, fitted.image, None,
                      content_name(content), source_bytes(content))
            )  # fmt: skip
            if len(waiting) == on.latents.model.together:
                points += _found(waiting, on, points[0] if alike and points else None, alike)
                waiting = []
                yield on.progress(verb, len(points), len(files), "images found")
        points += _found(waiting, on, points[0] if alike and points else None, alike) if waiting else []
        if not points:
            raise DataError(f"none of the images can be used ({refused[0] if refused else 'there is none'})")
        if request.refine:
            everything = type(points[0].found).together([point.found for point in points])
            targets = np.stack([point.image for point in points if point.image is not None])
            for step in on.latents.refined(everything, targets, request.refine):
                if isinstance(step, int):
                    yield on.progress(verb, step, len(points), "images refined")
                else:
                    for row, point in enumerate(points):
                        point.found = step[row : row + 1]
    if request.seeds:
        rows = on.rows_of(request.seeds)
        if alike:
            first = points[0].found.rows if points else {name: value[:1] for name, value in rows.items()}
            rows = {name: np.repeat(value, len(request.seeds), 0) for name, value in first.items()}
        every = on.latents.of_seeds(request.seeds, rows)
        points += [
            Point(f"seed-{seed:08d}", every[row : row + 1], None, seed) for row, seed in enumerate(request.seeds)
        ]
    if not points:
        raise UsageError(f"{verb} needs images or seeds", do="give image files, or --seeds 1,5")
    return points


_EMPTY: Any = None


def _found(points: list[Point], on: Bench, first: Point | None, alike: bool) -> list[Point]:
    import numpy as np

    images = np.stack([point.image for point in points if point.image is not None])
    if alike:
        rows = (first.found if first else on.latents.guess(images[:1], on.table, on.given)).rows
        found = on.latents.of_images(images, {name: np.repeat(v, len(images), 0) for name, v in rows.items()})
    else:
        found = on.latents.guess(images, on.table, on.given)
    for row, point in enumerate(points):
        point.found = found[row : row + 1]
    return points
