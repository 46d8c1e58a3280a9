"""Looking at a dataset in bulk: blocks of images are read here and sent to workers, which do a stage of the survey."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.workers import Workers
from maquette.data.audit.similar import WIDTH
from maquette.data.audit.stage import Arrays, Stage
from maquette.engine.bulk import bulk
from maquette.engine.bulk.cluster import connected
from maquette.engine.bulk.packed import pack, unpack


class Surveying:
    """As the threads of a survey, with workers anywhere. Use it as a context."""

    def __init__(self, workers: Workers) -> None:
        self._workers, self._stack = workers, contextlib.ExitStack()
        self._stage: Stage | None = None
        self._pool: bulk.Pool | None = None

    def __enter__(self) -> Surveying:
        self._stack.enter_context(connected(self._workers))
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._stack.close()

    def __call__(self, stage: Stage, blocks: Iterable[tuple[int, NDArray[Any]]]) -> Iterator[Arrays]:
        """What the stage finds in each block, in order."""
        for head, body in self._for(stage).answers(_tasks(blocks)):
            yield unpack(head["found"], body)

    def _for(self, stage: Stage) -> bulk.Pool:
        """Workers that are ready for this stage: those of the one before, if that was the same."""
        if self._pool is None or stage is not self._stage:
            self._end()
            settings = {
                "kind": stage.kind, "names": list(stage.names), "needs": ["torch"] if stage.kind == "describe" else [],
            }  # fmt: skip
            self._pool = bulk.pool(__name__, settings, self._workers, stage.known.tobytes())
            self._stage = stage
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = self._stage = None


def _tasks(blocks: Iterable[tuple[int, NDArray[Any]]]) -> Iterator[bulk.Task]:
    for start, images in blocks:
        said, body = pack({"images": images})
        yield bulk.Task({"start": start, "images": said}, body)


def make(settings: Mapping[str, Any]) -> bulk.Work:
    """In a worker: the function that looks at a block."""
    import cv2

    cv2.setNumThreads(int(settings["threads"]))
    known = np.frombuffer(settings["shared"], np.float16).reshape(-1, WIDTH)
    look = Stage(settings["kind"], tuple(settings["names"]), known).work()

    def work(head: Mapping[str, Any], body: bytes) -> bulk.Answer:
        said, found = pack(look(head["start"], unpack(head["images"], body)["images"]))
        return {"found": said}, found

    return work
