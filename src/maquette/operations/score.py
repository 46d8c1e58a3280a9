"""The verb `score`: how usual or odd images are to a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, MaquetteError
from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.settings import argument, setting
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec
    from maquette.data.dataset import Dataset
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace

SHOWN = 12
"""Rows of the table for people; the file and the result hold all of them."""
BESIDE = 1000
"""Images of the dataset that others are held against."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """With which model, which images, beside what, and where the numbers go."""

    run: str = argument("the run of an autoencoder, or of another family that can score")
    source: tuple[str, ...] = argument("images, folders of images, or patterns such as 'scans/*.png'", many=True)
    against: str = setting(
        "", "say how odd they are beside images of this dataset; the run's own when left out", form="DATASET"
    )
    to: str = setting("", "a CSV file for the numbers, the oddest first", form="FILE.csv")


@operation
def score(request: Score, workspace: Workspace) -> Iterator[Event]:
    """Find odd images: how unlike what the model learned each one is, the oddest first.

    `odd` is the share of usual images that are less odd: 99 % and above is worth a look. `score` rises with
    how probable the model finds the image (of the recurrent family it is the logarithm of that); it compares images
    under one model and says nothing by itself.
    """
    import numpy as np

    from maquette.core.files import write_new
    from maquette.engine.likely import scores
    from maquette.engine.load import load
    from maquette.operations._reading import Reading
    from maquette.store.run import Run

    run = Run.open(workspace.run_path(request.run))
    model = load(run)
    files = Reading(request.source, model.spec)
    beside, about = _beside(request, run, model.spec, workspace)
    yield Note(text=about)
    usual = None if beside is None else np.sort(scores(model, beside))
    found: list[float] = []
    yield from files.through(lambda images: found.extend(scores(model, images).tolist()), "score")
    names = files.names
    odd = [None] * len(found) if usual is None else (1 - np.searchsorted(usual, found) / len(usual)).tolist()
    rows = sorted(zip(names, found, odd, strict=True), key=lambda row: row[1])
    words = [(name, f"{value:.2f}", "" if share is None else f"{share:.1%}") for name, value, share in rows]
    columns = ("image", "score", "odd")
    if request.to:
        path = Path(request.to).expanduser()
        write_new(path, _csv(columns, words))
        yield Made(path=str(path), what="table")
    else:
        yield Table(title="The oddest first", columns=columns, rows=words[:SHOWN])
    facts = {
        "images": [{"path": name, "score": value, "odd": share} for name, value, share in rows],
        "beside": 0 if usual is None else len(usual), "file": request.to or None,
        "set_aside": files.set_aside,
    }  # fmt: skip
    strange = sum(share is not None and share >= 0.99 for share in odd)
    told = "" if usual is None else f"; {strange:,} of them are odder than 99 % of {len(usual):,} usual images"
    yield Result(verb="score", facts=facts, value=facts["images"], summary=f"{plural(len(names), 'image')}{told}.")


def _csv(columns: tuple[str, ...], rows: list[tuple[str, str, str]]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _beside(request: Score, run: Run, spec: DataSpec, workspace: Workspace) -> tuple[NDArray[Any] | None, str]:
    """Images that are usual, and a line about where they are from."""
    from maquette.data.dataset import Dataset
    from maquette.engine.start import same_form

    if request.against:
        dataset = Dataset.open(workspace.dataset_path(request.against))
        if not same_form(dataset.spec, spec):
            raise DataError("its images have another form than the model's", where=dataset.path)
    else:
        facts = run.facts.get("dataset")
        known = facts if isinstance(facts, dict) else {}
        try:
            dataset = Dataset.open(Path(str(known.get("path", ""))))
            right = dataset.digest == known.get("digest") and same_form(dataset.spec, spec)
        except (MaquetteError, OSError):
            right = False
        if not right:
            return None, "the run's dataset is not where it was, so only the order is known (--against DATASET)"
    return _some(dataset)


def _some(dataset: Dataset) -> tuple[NDArray[Any], str]:
    import numpy as np

    part = "held-out" if len(dataset.indices("held-out")) >= 100 else "training"
    rows = dataset.indices("held-out" if part == "held-out" else "train")
    rows = rows[np.linspace(0, len(rows) - 1, min(BESIDE, len(rows))).astype(int)]
    return dataset.images(rows), f"held against {len(rows):,} {part} images of {dataset.name}"
