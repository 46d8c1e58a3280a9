"""The verb `export`: a model as a file for other programs, or as a page that makes images by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Note, Progress, Result
from maquette.core.settings import argument, dials, required, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.engine.export.make import Exported
    from maquette.store.workspace import Workspace

STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Export:
    """Which model, and into what file."""

    run: str = argument("the run to export")
    to: str = required("the file to write", form="FILE.onnx|FILE.html")
    what: str = setting(
        "auto", "what the graph does; auto takes the first of these that the model can",
        choices=("auto", "sample", "predict", "encode", "decode", "describe"),
    )  # fmt: skip
    weights: str = setting(
        "auto", "how exactly weights are kept; auto is single, half takes half the room",
        choices=("auto", "single", "half"),
    )  # fmt: skip
    dials: Mapping[str, str] = dials("the family's own dials, which are fixed in the file, such as --steps 12")


@operation
def export(request: Export, workspace: Workspace) -> Iterator[Event]:
    """Write a model as one file for other programs (ONNX), or as a page that makes images in any browser (HTML).

    The graph goes from random numbers and what is asked for to finished pixels. Before anything is written, images are
    made both ways, and a graph that does not agree is refused. A page holds the graph, what runs it, and the model's
    card; it needs no network. What is made with either is not signed.
    """
    import maquette
    from maquette.core.files import write_bytes
    from maquette.engine.export.make import exported
    from maquette.engine.export.page import page
    from maquette.store.run import Run

    to = Path(request.to).expanduser()
    ending = to.suffix.lower()
    if ending not in (".onnx", ".html"):
        raise UsageError(f"{to.name} could be any kind of file", do="give a name that ends in .onnx or .html")
    if ending == ".html" and request.what not in ("auto", "sample"):
        raise UsageError(
            "a page makes images and nothing else", do="leave out --what, or give a name that ends in .onnx"
        )
    if to.is_dir():
        raise UsageError("this is a folder", where=to, do="give the name of a file")
    run = Run.open(workspace.run_path(request.run))
    began, made = time.perf_counter(), None
    steps = exported(
        run, request.what, request.dials, request.weights, maquette.__version__, page=ending == ".html"
    )  # fmt: skip
    for done, step in enumerate(steps):
        if isinstance(step, str):
            spent = round(time.perf_counter() - began, 2)
            yield Progress(verb="export", done=done, total=STEPS, unit="steps", seconds=spent)
            yield Note(text=step)
        else:
            made = step
    assert made is not None
    content = made.content if ending == ".onnx" else page(made.graph, made.content, made.facts, made.table)
    write_bytes(to, content)
    yield Made(path=str(to), what="model" if ending == ".onnx" else "page")
    yield Result(
        verb="export", value=to, summary=_summary(to, made, len(content)),
        facts={
            "file": str(to), "graph": made.graph.what, "family": made.facts["family"], "bytes": len(content),
            "inputs": [given.name for given in made.graph.inputs], "outputs": list(made.graph.outputs),
            "agreement": made.agreement.to_json(), "weights": made.facts["weights"],
            "seconds": round(time.perf_counter() - began, 2),
        },
    )  # fmt: skip


def _summary(to: Path, made: Exported, size: int) -> str:
    found = made.agreement
    pixels = made.graph.outputs in (("image",), ("answer",), ("frames",))
    unit = " of 255 steps" if pixels else ""
    return (
        f"{to}: {size / 1e6:,.1f} MB; of {found.images} images made both ways the largest difference is "
        f"{found.largest:.3g}{unit}. What it makes is not signed."
    )
