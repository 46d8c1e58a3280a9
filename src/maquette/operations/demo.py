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

CROPS = 4_800
"""Images of the starter dataset."""
EACH = 8
"""Images of every material on the sheet."""
RECIPE = "upscale times=2, sharpen amount=0.4"
JUDGED = 500
"""Images that are drawn to be judged."""
GUIDANCE = "1.5"
"""A little guidance: grass and gravel are told apart more surely (docs/log.md)."""
MATERIAL, SIDE, SHARE = "gravel", 512, 0.4
"""The photograph that becomes a texture, its side, and how much of the training time that takes on top."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where to, and for how long."""

    to: str = setting("maquette-demo", "the folder for everything the demo makes")
    time: str = setting("2m", "how long to train")
    seed: int = setting(0, "another seed gives another model", ge=0, lt=2**63)


@operation
def demo(request: Demo, workspace: Workspace) -> Iterator[Event]:
    """Show the whole journey: photographs, a dataset, a model learned on this machine, new images.

    What is there already is not made again: run it again and it goes on where it was.
    """
    to = Path(request.to)
    dataset, model, images, finished = to / "starter.mq", to / "model", to / "images", to / "finished"
    yield Note(text="1 of 8: cutting photographs that ship with scikit-image into a small labelled dataset")
    made = yield from _do("ingest", workspace, source=["starter"], to=str(dataset), size="32", count=CROPS)
    data: Dataset = made.value
    yield Note(text="2 of 8: looking for what would hurt a model")
    audit = yield from _do("audit", workspace, dataset=str(dataset), report=str(to / "audit.html"))
    yield Note(text=f"3 of 8: learning from {len(data.indices('train')):,} crops of 8 materials, for {request.time}")
    yield from _do(
        "train", workspace, dataset=str(dataset), to=str(model), family="flow", time=request.time, seed=request.seed
    )
    yield Note(text="4 of 8: making new images of every material, and laying them beside photographs never seen")
    labels = next(c.classes for c in data.spec.conditions if c.name == "label")
    drawn: list[Result] = []
    for label in labels:
        values = {"run": str(model), "to": str(images / label), "label": label, "count": EACH, "sheet": False}
        drawn.append((yield from _do("sample", workspace, **values, dials={"guidance": GUIDANCE})))
    sheet = _compare(data, labels, [each.value for each in drawn], to / "demo.png")
    yield Made(path=str(sheet), what="sheet")
    yield Note(text=f"5 of 8: finishing them: {RECIPE}")
    yield from _do("refine", workspace, source=[str(images)], to=str(finished), **{"with": RECIPE}, sheet=True)
    yield Note(text="6 of 8: judging the model: is it good, is it varied, is it a copy?")
    judged = yield from _do(
        "evaluate", workspace, what=str(model), count=JUDGED, report=str(to / "evaluation.html"),
        dials={"guidance": GUIDANCE},
    )  # fmt: skip
    yield Note(text="7 of 8: checking where the images say that they come from")
    files = [path for each in drawn for path in each.facts["images"]]
    verified = yield from _do("verify", workspace, file=files)
    intact = sum(image["status"] == "intact" for image in verified.facts["images"])
    yield Note(text=f"8 of 8: from one photograph of {MATERIAL} alone, a texture without seams, as large as you like")
    texture = yield from _texture(request, to, workspace)
    yield Made(path=str(texture), what="texture")
    grade = str(judged.facts["grade"])
    facts = {
        "sheet": str(sheet), "texture": str(texture), "dataset": str(dataset), "run": str(model), "images": str(images),
        "finished": str(finished), "audit": audit.facts["report"], "report": judged.facts["report"], "grade": grade,
        "intact": intact,
    }  # fmt: skip
    yield Result(
        verb="demo",
        facts=facts,
        value=sheet,
        summary=f"Look at {sheet}: each row is one material, photographs on the left, made images on the right. The "
        f"judge calls the model {grade} ({to / 'evaluation.html'}); {intact} of {len(files)} images are signed and "
        f"whole; what is in the data: {to / 'audit.html'}. And look at {texture}: one photograph, "
        "and beside it what was made of it, which goes on over its edges.",
        next=(
            f"maquette sample {model} --to {to / 'more'} --label {labels[0]} --count 64 --seed 100",
            f"maquette sample {to / 'texture'} --to {to / 'ground'} --count 1 --width 1536 --height 768 --tile x",
            f"maquette refine {images} --to {to / 'prints'} --recipe print",
            "maquette ingest FOLDER-OF-YOUR-IMAGES --to mine --size 32",
            "maquette train mine --time 10m",
            "maquette use art --to stickers",
            "maquette studio",
        ),
    )


def _texture(request: Demo, to: Path, workspace: Workspace) -> Generator[Event, None, Path]:
    """Learn one photograph, make one tile, and lay both side by side."""
    import numpy as np

    from maquette.core.image import load, save, sheet
    from maquette.core.settings import parse_seconds
    from maquette.data.starter import photograph

    source, data, model = photograph(MATERIAL), to / f"{MATERIAL}.mq", to / "texture"
    yield from _do("ingest", workspace, source=[str(source)], to=str(data), size=str(SIDE))
    time = f"{max(1.0, SHARE * parse_seconds(request.time)):g}s"
    wish = {"dataset": str(data), "to": str(model), "family": "texture", "scale": "small", "seed": request.seed}
    yield from _do("train", workspace, **wish, time=time)
    values = {"run": str(model), "to": str(to / "tile"), "count": 1, "sheet": False}
    made = yield from _do("sample", workspace, **values, dials={"tile": "xy"})
    pictures = [np.asarray(image) for image in (load(source), made.value[0])]
    return save(sheet(pictures, columns=2, gap=8), to / "texture.png")


def _do(verb: str, workspace: Workspace, **values: Any) -> Generator[Event, None, Result]:
    """Do another verb's work as part of this one; its result stays inside."""
    for event in run(verb, workspace, values):
        if isinstance(event, Result):
            return event
        yield event
    raise AssertionError(f"{verb} ended without a result")  # the table sees to it


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
