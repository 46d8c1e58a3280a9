"""Features that a small network learned from the images alone: the family `likeness`, handed to the judge."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from maquette.core.errors import UsageError
from maquette.core.event import Event, Note, Progress
from maquette.data.dataset import Dataset
from maquette.engine.described import Described
from maquette.engine.load import load
from maquette.engine.start import Wish, start
from maquette.engine.train import train
from maquette.features.extractor import Extractor
from maquette.store.run import Run
from maquette.store.workspace import Workspace

FAMILY = "likeness"
LEARNED = 16_000
"""Images that the network of a dataset sees: some three minutes of one processor core at 32 pixels."""


def likeness(name: str, workspace: Workspace, dataset: Dataset) -> Iterator[Event | Extractor]:
    """The network of a run that is named; else the one of this dataset, which learns now if it never did."""
    if name:
        run = Run.open(workspace.run_path(name))
        if run.facts.get("family") != FAMILY:
            raise UsageError(
                f"{name!r} is no network of likeness", do=f"train one: maquette train DATASET --family {FAMILY}"
            )
    else:
        path = workspace.home / "cache" / FAMILY / dataset.digest
        wish = Wish(family=FAMILY, images=LEARNED, scale="micro", given=(), device="cpu")
        session = start(dataset, path, wish, probes=workspace.home / "probes.json")
        run, began, told = session.run, time.perf_counter(), 0.0
        with run.lock(), contextlib.closing(train(session.trainer, run, name=session.name)) as steps:
            for step in steps:
                if not told:
                    yield Note(text="a small network learns what these images are like, once for each dataset")
                if time.perf_counter() - told >= 1 or step.progress >= 1:
                    told = time.perf_counter()
                    yield Progress.since(began, "evaluate", step.images, step.total, "images learned from")
    model = load(run)
    own, other = model.spec, dataset.spec
    if (own.width, own.height, own.mode) != (other.width, other.height, other.mode):
        raise UsageError(
            f"{name!r} knows images of {own.width}x{own.height} {own.mode}, the dataset holds "
            f"{other.width}x{other.height} {other.mode}", do="train one from this dataset",
        )  # fmt: skip
    yield Described(FAMILY, model, str(run.facts["model"]))
