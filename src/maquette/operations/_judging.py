"""Drawing and looking in workers, for verbs that judge: the same images, and the same rows of features."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.settings import from_json, to_json
from maquette.core.workers import Workers
from maquette.engine.bulk.bulk import Answer, Pool, Task, Work, pool
from maquette.engine.bulk.cluster import connected
from maquette.engine.bulk.packed import pack, unpack
from maquette.engine.load import load
from maquette.engine.sample import draw
from maquette.families.family import Family
from maquette.features import REGISTRY
from maquette.features.extractor import Extractor, Features, Pictures, blocks, extract
from maquette.features.network import NETWORKS
from maquette.store.run import Run


class Judges:
    """Workers in the place of `draw` and `extract`; they start when there is something to do. Use it as a context."""

    def __init__(self, workers: Workers, run: Run | None, features: str, device: str) -> None:
        kind, _, file = features.partition("=")
        self._settings = {
            "run": "" if run is None else str(run.path.absolute()), "device": device, "kind": kind,
            "file": str(Path(file).expanduser().absolute()) if file else "",
        }  # fmt: skip
        self._model = None if run is None else str(run.facts["model"])
        self._workers, self._stack = workers, contextlib.ExitStack()

    def __enter__(self) -> Judges:
        self._stack.enter_context(connected(self._workers))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @functools.cached_property
    def _pool(self) -> Pool:
        return self._stack.enter_context(contextlib.closing(pool(__name__, self._settings, self._workers)))

    def draw(
        self, family: Family, seeds: Sequence[int], conditions: Mapping[str, NDArray[Any]], options: Any, *, micro: int
    ) -> Iterator[NDArray[Any]]:
        """As `engine.sample.draw`."""

        def tasks() -> Iterator[Task]:
            for start in range(0, len(seeds), micro):
                chosen = seeds[start : start + micro]
                said, body = pack({name: values[start : start + micro] for name, values in conditions.items()})
                head = {"do": "draw", "seeds": list(chosen), "micro": micro, "rows": said}
                yield Task({**head, "dials": to_json(options), "model": self._model}, body)

        for head, body in self._pool.answers(tasks()):
            yield unpack(head["found"], body)["images"]

    def extract(self, extractor: Extractor, pictures: Pictures) -> Iterator[Features]:
        """As `features.extractor.extract`; an extractor that cannot travel looks here."""
        if not (self._settings["kind"] in NETWORKS.names() or hasattr(extractor, "arrays")):
            yield from extract(extractor, pictures)
            return
        fitted = extractor.arrays() if hasattr(extractor, "arrays") else {}

        def tasks() -> Iterator[Task]:
            for images in blocks(pictures):
                said, body = pack({**fitted, "images": images})
                yield Task({"do": "look", "digest": extractor.digest, "arrays": said}, body)

        for head, body in self._pool.answers(tasks()):
            yield unpack(head["found"], body)["features"]


def make(settings: Mapping[str, Any]) -> Work:
    """In a worker: the function that draws or looks."""
    drawing: deque[Callable[[Mapping[str, Any], bytes], Answer]] = deque()
    known: dict[str, Extractor] = {}

    def work(head: Mapping[str, Any], body: bytes) -> Answer:
        if head["do"] == "draw":
            if not drawing:
                drawing.append(_drawing(settings))
            return drawing[0](head, body)
        arrays = unpack(head["arrays"], body)
        images = arrays.pop("images")
        if head["digest"] not in known:
            known[head["digest"]] = _extractor(settings, arrays)
        extractor = known[head["digest"]]
        if extractor.digest != head["digest"]:
            raise UsageError("a worker looks at images in another way", do="install the same versions everywhere")
        said, found = pack({"features": extractor(images)})
        return {"found": said}, found

    return work


def _drawing(settings: Mapping[str, Any]) -> Callable[[Mapping[str, Any], bytes], Answer]:
    run = Run.open(settings["run"])
    model = load(run, device=settings["device"])

    def work(head: Mapping[str, Any], body: bytes) -> Answer:
        if head["model"] != run.facts["model"]:
            raise UsageError("the model changed while it was judged", where=run.path, do="judge it again")
        options: Any = from_json(model.Options, head["dials"], what="dials")
        (images,) = draw(model, head["seeds"], unpack(head["rows"], body), options, micro=head["micro"])
        said, found = pack({"images": images})
        return {"found": said}, found

    return work


def _extractor(settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Extractor:
    if settings["kind"] in NETWORKS.names():
        return NETWORKS.get(settings["kind"])(Path(settings["file"]))
    module = importlib.import_module(REGISTRY.get(settings["kind"]).__module__)
    made: Extractor = module.restore(arrays)
    return made
