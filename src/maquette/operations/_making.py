"""What `sample` makes, pass by pass: in this process, or by the workers of a pool; the files are the same."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.event import Warning
from maquette.core.settings import from_json, to_json
from maquette.core.workers import Workers
from maquette.engine.bulk.bulk import Answer, Task, bulk
from maquette.engine.files.refined import Refiner
from maquette.engine.load import load
from maquette.engine.sample import software, vouched, wishes
from maquette.families.family import Family
from maquette.store.run import Run
from maquette.trust.manifest import Manifest
from maquette.trust.origin import Generated
from maquette.trust.press import Press
from maquette.trust.signing import Source

if TYPE_CHECKING:
    from maquette.operations._inputs import Given, Inputs
    from maquette.operations._release import Gates
    from maquette.operations.sample import Sample
    from maquette.store.workspace import Workspace


IMAGES, PIXELS = 128, 2**19
"""What a worker makes at once at most, so that its answer stays small."""


@dataclass(frozen=True)
class Piece:
    """One image as a file that is not written yet."""

    seed: int
    content: bytes
    manifest: Manifest
    mark: str
    image: NDArray[Any] | None
    """As it is shown on a sheet; None where nobody asked for it."""


@dataclass(frozen=True)
class Pass:
    """The images that went through the model together; None in the place of one that may not leave."""

    givens: Sequence[Given]
    asked: Sequence[Mapping[str, Any]]
    rows: Mapping[str, NDArray[Any]]
    pieces: Sequence[Piece | None]


class Maker:
    """A model, and all that its images need to become files."""

    def __init__(self, request: Sample, workspace: Workspace, run: Run, model: Family, options: Any) -> None:
        self.run, self.model, self.options = run, model, options
        self.digest = str(run.facts["model"])
        self.press = Press(
            workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker,
            watermark=request.watermark,
        )  # fmt: skip
        form = model.made(options)
        self.shared: dict[str, Any] = {
            "family": str(run.facts.get("family")), "software": software(model), "dials": to_json(options),
            "batch": model.together, "tile": form.tile, **data_facts(run.facts),
        }  # fmt: skip
        self.refiner = _refiner(request, self.press, workspace, form.tile) if request.refine else None

    def piece(self, made: Generated, asked: Mapping[str, Any], source: Source | None, name: str) -> Piece:
        """One image that the model has just made as a file of that name."""
        facts = {**self.shared, "conditions": asked}
        if self.refiner is None:
            content, manifest = self.press.fresh(made, facts, source)
            return Piece(made.seed, content, manifest, manifest.mark, made.picture)
        written, refined = self.refiner.file(name, made, facts, source)
        return Piece(made.seed, written, refined.manifest, refined.mark, refined.image)


def here(
    maker: Maker, inputs: Inputs, seeds: Sequence[int], table: Mapping[str, NDArray[Any]], gate: Gates | None
) -> Generator[Pass | Warning, None, None]:
    """Everything that is asked for, made in this process."""
    model, options = maker.model, maker.options
    form, optional = model.made(options), _optional(model, options)
    for stretch in inputs.stretches(seeds):
        if isinstance(stretch, Warning):
            yield stretch
            continue
        size = (form.height, form.width)
        parts = [wishes(form.conditions, table, given.values, part, size, optional) for given, part in stretch]
        rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        owners = [given for given, part in stretch for _ in part]
        at = 0
        for batch in vouched(model, maker.digest, [s for _, part in stretch for s in part], rows, options):
            own = slice(at, at + len(batch))
            mine = {name: values[own] for name, values in rows.items()}
            asked = _asked(form.conditions, mine, owners[own])  # of this pass alone: a stretch may be long
            may = gate([made.picture for made in batch], [made.seed for made in batch]) if gate else [True] * len(batch)
            pieces = [
                maker.piece(made, wish, given.source, f"{given.name}seed-{made.seed:08d}") if passes else None
                for made, wish, given, passes in zip(batch, asked, owners[own], may, strict=True)
            ]
            yield Pass(owners[own], asked, mine, pieces)
            at += len(batch)


def elsewhere(
    maker: Maker, inputs: Inputs, seeds: Sequence[int], table: Mapping[str, NDArray[Any]], workers: Workers,
    request: Sample, workspace: Workspace, shown: int,
) -> Generator[Pass | Warning, None, None]:  # fmt: skip
    """The same, made by workers; the first few images come with their pixels."""
    if inputs.files or inputs.before.values:
        raise UsageError("workers make images of words and numbers alone", do="leave out --workers")
    form, optional, together = (
        maker.model.made(maker.options),
        _optional(maker.model, maker.options),
        maker.model.together,
    )
    # Several passes together: each task has a cost of its own. Fewer where all workers would not get some of each.
    most = min(IMAGES, PIXELS // (form.height * form.width), len(seeds) // (3 * workers.processes))
    several = together * max(1, most // together)
    waiting: deque[tuple[list[Given], list[Mapping[str, Any]], dict[str, NDArray[Any]]]] = deque()

    def tasks() -> Iterator[Task]:
        looked = 0
        for stretch in inputs.stretches(seeds):
            assert not isinstance(stretch, Warning)
            for given, part in stretch:
                rows = wishes(form.conditions, table, given.values, part, (form.height, form.width), optional)
                for at in range(0, len(part), several):
                    own = {name: values[at : at + several] for name, values in rows.items()}
                    chosen = list(part[at : at + several])
                    asked = _asked(form.conditions, own, [given] * len(chosen))
                    waiting.append(([given] * len(chosen), asked, own))
                    head = {
                        "seeds": chosen, "asked": asked, "shown": looked < shown,
                        "rows": {name: [str(values.dtype), list(values.shape)] for name, values in own.items()},
                    }  # fmt: skip
                    looked += len(chosen)
                    yield Task(head, b"".join(np.ascontiguousarray(values).tobytes() for values in own.values()))

    # Where things lie is said in full: a worker of another machine may stand elsewhere.
    settings = {
        "request": to_json(replace(request, run=str(maker.run.path.absolute()), to="", workers=None)),
        "home": str(workspace.home.absolute()), "model": maker.digest,
    }  # fmt: skip
    for head, body in bulk("maquette.operations._making", settings, tasks(), workers):
        givens, asked, own = waiting.popleft()
        maker.press.unfit += head["unfit"]
        yield Pass(givens, asked, own, _unpacked(head, body))


def make(settings: Mapping[str, Any]) -> Any:
    """In a worker: the function that makes the images of some seeds."""
    from maquette.operations.sample import Sample
    from maquette.store.workspace import Workspace

    request = from_json(Sample, settings["request"], what="sample")
    run = Run.open(request.run)
    model = load(run, device=request.device)
    options: Any = from_json(model.Options, request.dials, what="dials")
    maker = Maker(request, Workspace(settings["home"]), run, model, options)
    if maker.digest != settings["model"]:
        raise UsageError("the model changed while images were made", where=run.path, do="make them again")

    def work(head: Mapping[str, Any], body: bytes) -> Answer:
        rows, at = {}, 0
        for name, (kind, shape) in head["rows"].items():
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            rows[name] = np.frombuffer(body[at : at + size], kind).reshape(shape)
            at += size
        maker.press.unfit.clear()
        batches = vouched(model, maker.digest, head["seeds"], rows, options)
        made = [one for batch in batches for one in batch]
        pieces = [
            maker.piece(one, asked, None, f"seed-{one.seed:08d}")
            for one, asked in zip(made, head["asked"], strict=True)
        ]
        return _packed(pieces, shown=bool(head["shown"]), unfit=maker.press.unfit)

    return work


def _packed(pieces: Sequence[Piece], *, shown: bool, unfit: Sequence[str]) -> Answer:
    said, bodies = [], []
    for piece in pieces:
        fact: dict[str, Any] = {
            "seed": piece.seed, "size": len(piece.content), "manifest": piece.manifest.to_json(), "mark": piece.mark
        }  # fmt: skip
        bodies.append(piece.content)
        if shown and piece.image is not None:
            fact["image"] = [str(piece.image.dtype), list(piece.image.shape)]
            bodies.append(np.ascontiguousarray(piece.image).tobytes())
        said.append(fact)
    return {"pieces": said, "unfit": list(unfit)}, b"".join(bodies)


def _unpacked(head: Mapping[str, Any], body: bytes) -> list[Piece]:
    pieces, at = [], 0
    for fact in head["pieces"]:
        content, image = body[at : at + fact["size"]], None
        at += fact["size"]
        if "image" in fact:
            kind, shape = fact["image"]
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            image = np.frombuffer(body[at : at + size], kind).reshape(shape)
            at += size
        pieces.append(Piece(fact["seed"], content, Manifest.from_json(fact["manifest"]), fact["mark"], image))
    return pieces


def _asked(conditions: Sequence[Any], rows: Mapping[str, Any], owners: Sequence[Given]) -> list[Mapping[str, Any]]:
    """What each image is asked to be, in words and digests."""
    return [
        {**{s.name: s.describe(rows[s.name][at]) for s in conditions if s.name in rows}, **given.digests}
        for at, given in enumerate(owners)
    ]


def _optional(model: Family, options: Any) -> set[str]:
    return {c.name for c in model.made(options).conditions if c not in model.spec.conditions}


def _refiner(request: Sample, press: Press, workspace: Workspace, tile: Any) -> Refiner:
    """What finishes every image by the recipe that was asked for."""
    import maquette
    from maquette.operations.refine import models
    from maquette.refining.named import recipe

    parents = Press(workspace.home, sign=request.sign == "on", maker=request.maker, watermark=request.watermark)
    return Refiner(
        recipe(request.refine), press, parents, tile=tile, version=maquette.__version__, hand=models(workspace)
    )


def data_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the dataset that a run learned from, and of the list of what was left out of it."""
    data = facts.get("dataset")
    known = data if isinstance(data, dict) else {}
    return {"dataset": str(known.get("digest", "")), "set_aside": str(known.get("set_aside", ""))}


def record(name: str, seed: int, manifest: str, asked: Mapping[str, Any]) -> str:
    """The line of an image in the record of a folder."""
    facts = {"file": name, "seed": seed, "conditions": asked, "manifest": manifest}
    return json.dumps(facts, ensure_ascii=False)
