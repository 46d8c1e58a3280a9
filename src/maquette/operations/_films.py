"""What `sample` makes of films: their files, and a sheet of the futures one below the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from maquette.core.errors import DataError
from maquette.core.event import Event, Made, Note, Progress, Result, Warning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.engine.files.refined import Refiner
    from maquette.families.family import Family
    from maquette.operations._inputs import Inputs
    from maquette.operations.sample import Sample
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace
    from maquette.trust.press import Press

ROWS = 12
"""Films of which a sheet shows something."""
_WIDE = 1400
"""About how many pixels a sheet is wide."""


class Films(Sequence["NDArray[Any]"]):
    """The films that were made, T x height x width x channels, read from the files of their frames when asked for."""

    def __init__(self, paths: Sequence[Sequence[Path]]) -> None:
        self.paths = [list(frames) for frames in paths]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Films: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Films:
        from maquette.core.image import load

        if isinstance(index, slice):
            return Films(self.paths[index])
        return np.stack([load(path) for path in self.paths[index]])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} films of {len(self.paths[0]) if self.paths else 0} frames>"


@dataclass(frozen=True)
class Filming:
    """What all films of one command share."""

    run: Run
    model: Family
    options: Any
    table: Mapping[str, NDArray[Any]]
    to: Path
    press: Press
    refiner: Refiner | None
    shared: Mapping[str, Any]
    """Facts of the manifest that all images share."""


def make(request: Sample, filming: Filming, inputs: Inputs, seeds: range, workspace: Workspace) -> Iterator[Event]:
    """A folder of frames and a film for every seed, and a sheet: `sample` for families that make films."""
    from maquette.core.film import FILMS
    from maquette.core.image import FORMATS
    from maquette.core.settings import to_json
    from maquette.engine.sample import film_length, filmed, wishes
    from maquette.families.family import Continues
    from maquette.operations._output import write_records
    from maquette.operations.sample import SHEET

    model, options, to, press = filming.model, filming.options, filming.to, filming.press
    assert isinstance(model, Continues)
    length, form, digest = film_length(model, options), model.made(options), str(filming.run.facts["model"])
    optional = {c.name for c in form.conditions if c not in model.spec.conditions}
    total, began = len(seeds) * max(1, len(inputs.files)), time.perf_counter()
    paths: list[list[Path]] = []
    films: list[Path] = []
    used: list[int] = []
    noted: list[dict[str, Any]] = []
    records: dict[str, str] = {}
    first: list[list[NDArray[Any]]] = []
    shown: list[Mapping[str, NDArray[Any]]] = []
    for given, piece in _few(inputs, seeds, model.together):
        if isinstance(given, Warning):
            total -= len(seeds)
            yield given
            continue
        rows = wishes(form.conditions, filming.table, given.values, piece, (form.height, form.width), optional)
        (made,) = filmed(model, digest, piece, rows, options)
        for row, frames in enumerate(made):
            seed = frames[0].seed
            asked = {s.name: s.describe(rows[s.name][row]) for s in form.conditions if s.name in rows} | given.digests
            name = f"{given.name}seed-{seed:08d}"
            pictures: list[NDArray[Any]] = []
            paths.append([])
            for moment, one in enumerate(frames, start=1):
                path = to / name / f"{moment:04d}{FORMATS[request.format][1]}"
                # A frame is the image of a film that ends with it: so it can be made again by itself.
                facts = {**filming.shared, "conditions": asked, "dials": to_json(model.until(options, moment))}
                picture = one.picture
                if filming.refiner is None:
                    manifest = press.generated(path, one, facts, given.source)
                    mark = manifest.mark
                else:
                    refined = filming.refiner.write(path, one, facts, given.source)
                    manifest, picture, mark = refined.manifest, refined.image, refined.mark
                file = f"{name}/{path.name}"
                record = {"file": file, "seed": seed, "conditions": asked, "manifest": manifest.digest}
                records[file] = json.dumps(record, ensure_ascii=False)
                noted.append({"run": str(filming.run.path), "seed": seed, "manifest": manifest.digest, "mark": mark})
                paths[-1].append(path)
                pictures.append(picture)
            if request.film != "none":
                films.append(to / f"{name}{FILMS[request.film]}")
                facts = {**filming.shared, "model": digest, "conditions": asked, "seeds": (seed, seed)}
                press.film(films[-1], pictures, request.film, request.rate, facts)
            used.append(seed)
            if len(first) < ROWS and (len(first) + 1) * length * pictures[0].size <= SHEET:
                first.append(pictures)
                shown.append({name: values[row] for name, values in rows.items()})
        yield Progress.since(began, "sample", len(paths), total, "films")
    if not paths:
        raise DataError(f"none of the {len(inputs.files):,} images can be used (for example {inputs.refused[0]})")
    told = {"run": str(filming.run.path), "model": digest, "dials": to_json(options), "given": inputs.asked}
    write_records(to, records, told)
    if request.sheet and first:
        known = {name: np.stack([row[name] for row in shown]) for name in shown[0]}
        drawn = contact_sheet(form, known, first, used)
        facts = {**filming.shared, "model": digest, "seeds": (used[0], used[len(first) - 1])}
        press.sheet(to / "sheet.png", drawn, facts)
        yield Made(path=str(to / "sheet.png"), what="sheet")
    if press.unfit:
        yield Note(text=f"{len(press.unfit):,} frames carry no watermark, for example because {press.unfit[0]}")
    every = [path for frames in paths for path in frames]
    workspace.index.add_images(every, noted)
    workspace.index.add_images(
        films, [{"run": str(filming.run.path), "seed": seed, "kind": "film"} for seed in used[: len(films)]]
    )
    result = {
        "images": [str(path) for path in every], "seeds": used, "to": str(to), "set_aside": inputs.refused,
        "films": [str(path) for path in films], "frames": length,
    }  # fmt: skip
    summary = f"{len(paths):,} films of {length:,} frames, of the seeds {seeds[0]} to {seeds[-1]}, in {to}."
    yield Result(verb="sample", facts=result, value=Films(paths), summary=summary)


def _few(inputs: Inputs, seeds: range, most: int) -> Iterator[tuple[Any, Sequence[int]]]:
    """Every input with a few of its seeds at a time: one pass of the model."""
    for stretch in inputs.stretches(seeds):
        if isinstance(stretch, Warning):
            yield stretch, ()
            continue
        for given, part in stretch:
            for start in range(0, len(part), most):
                yield given, part[start : start + most]


def contact_sheet(
    spec: DataSpec, rows: Mapping[str, NDArray[Any]], films: Sequence[Sequence[NDArray[Any]]], seeds: Sequence[int]
) -> NDArray[Any]:
    """What was given in the first row, where all were given the same; below it one future a row.

    Where each was given frames of its own they stand before it.
    """
    from maquette.core.image import convert, mode_of, sheet

    known = [rows[condition.name] for condition in spec.conditions if condition.kind == "frames"]
    films = films[:ROWS]
    mode = mode_of(films[0][0])
    mode = "grey" if mode == "grey16" else mode

    def shown(frames: Sequence[NDArray[Any]], length: int, *, late: bool = False) -> list[NDArray[Any]]:
        blank = np.full((*films[0][0].shape[:2], 3), 118, np.uint8)
        tiles = [convert(convert(frame, mode), "rgb") if mode != "rgba" else convert(frame, "rgba") for frame in frames]
        empty = [convert(blank, "rgba") if mode == "rgba" else blank] * (length - len(tiles))
        return empty + tiles if late else tiles + empty

    given = [list(frames) for frames in known[0][: len(films)]] if known else []
    given = given if given and given[0][0].shape[:2] == films[0][0].shape[:2] else []  # not when they were refined
    same = bool(given) and all(np.array_equal(frames, given[0]) for frames in given)
    names, tiles = [], []
    if same:
        columns = max(len(given[0]), len(films[0]))
        names, tiles = ["given"], shown(given[0], columns, late=True)
        lines: list[list[NDArray[Any]]] = [shown(film, columns) for film in films]
    else:
        before = given or [[] for _ in films]
        columns = len(before[0]) + len(films[0])
        lines = [shown([*own, *film], columns) for own, film in zip(before, films, strict=True)]
    for seed, line in zip(seeds, lines, strict=False):
        names.append(f"seed {seed}")
        tiles += line
    scale = max(1, _WIDE // (columns * spec.width))
    return sheet(tiles, columns=columns, scale=scale, names=names)
