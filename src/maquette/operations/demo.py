"""The verb `demo`: the whole journey on the built-in starter dataset."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.event import Event, Made, Note, Result
from maquette.core.settings import setting
from maquette.operations.operation import operation, run

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset
    from maquette.store.workspace import Workspace

EACH = 8
"""Images of every material on the sheet."""
GUIDANCE = "1.5"
"""A little guidance: grass and gravel are told apart more surely (docs/log.md)."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where to, and for how long."""

    to: str = setting("maquette-demo", "the folder for everything the demo makes")
    time: str = setting("2m", "how long to train")
    seed: int = setting(0, "another seed gives another model", ge=0, lt=2**63)


@operation
def demo(request: Demo, workspace: Workspace) -> Iterator[Event]:
    """Show the whole journey: photographs, a dataset, a model learned on this machine, new images.

    Run it again and what is there already is not made again.
    """
    to = Path(request.to)
    dataset, model, images = to / "starter.mq", to / "model", to / "images"
    yield Note(text="1 of 4: cutting photographs that ship with scikit-image into a small labelled dataset")
    data: Dataset = yield from _do("ingest", workspace, source=["starter"], to=str(dataset), size="32")
    yield Note(text=f"2 of 4: learning from {len(data.indices('train')):,} crops of 8 materials, for {request.time}")
    yield from _do(
        "train", workspace, dataset=str(dataset), to=str(model), family="flow", time=request.time, seed=request.seed
    )
    yield Note(text="3 of 4: making new images of every material")
    labels = next(c.classes for c in data.spec.conditions if c.name == "label")
    made = []
    for label in labels:
        made.append(
            (
                yield from _do(
                    "sample",
                    workspace,
                    run=str(model),
                    to=str(images / label),
                    label=label,
                    count=EACH,
                    dials={"guidance": GUIDANCE},
                )
            )
        )
    yield Note(text="4 of 4: laying them beside photographs that the model has never seen")
    sheet = _compare(data, labels, made, to / "demo.png")
    yield Made(path=str(sheet), what="sheet")
    name = labels[0]
    yield Result(
        verb="demo",
        facts={"sheet": str(sheet), "dataset": str(dataset), "run": str(model), "images": str(images)},
        value=sheet,
        summary=f"Look at {sheet}: each row is one material, photographs on the left, made images on the right.",
        next=(
            f"maquette sample {model} --to {to / 'more'} --label {name} --count 64 --seed 100",
            f"maquette sample {model} --to {to / 'plainer'} --guidance 2",
            "maquette ingest FOLDER-OF-YOUR-IMAGES --to mine --size 32",
            "maquette train mine --time 10m",
        ),
    )


def _do(verb: str, workspace: Workspace, **values: Any) -> Generator[Event, None, Any]:
    """Do another verb's work as part of this one; its result stays inside."""
    for event in run(verb, workspace, values):
        if isinstance(event, Result):
            return event.value
        yield event
    return None


def _compare(data: Dataset, labels: tuple[str, ...], made: list[Any], path: Path) -> Path:
    """Rows of materials: held-out photographs, then made images."""
    import numpy as np

    from maquette.core.image import save, sheet

    held = data.indices("held-out")
    known = data.conditions(held, ["label"])["label"]
    gap = np.full((data.spec.height, data.spec.width, 3), 118, np.uint8)
    rows = []
    for number in range(len(labels)):
        real = data.images(held[known == number][:EACH])
        rows += [*real, gap, *made[number][:EACH]]
    return save(sheet(rows, columns=2 * EACH + 1, scale=2, names=labels), path)
