"""Decoding in bulk: files are read here and decoded by workers, each of which has a bounded process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.workers import Workers
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.shape import Form
from maquette.data.ingest.decode import Decoder, Outcome, Task
from maquette.engine.bulk import bulk
from maquette.engine.bulk.cluster import connected

FILES, BYTES = 64, 8 << 20
"""How much a worker is given at once."""
_LARGEST = 32 << 20
"""Bytes of a file that is sent. A larger one is read where it lies, which workers of other machines must see."""


class Spread:
    """As `data.decode.Decoder`, with workers anywhere. Use it as a context."""

    def __init__(self, workers: Workers, limits: Limits) -> None:
        self._workers, self._limits = workers, limits
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Spread:
        self._stack.enter_context(connected(self._workers))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def decode(self, tasks: Iterable[Task | None], first: int = 8) -> Iterator[Outcome]:
        """The outcomes of each task, in order; None stands for a file that needs no decoding."""
        nothing: deque[list[bool]] = deque()
        settings = {"limits": dataclasses.asdict(self._limits), "needs": ()}
        for head, body in bulk.bulk(__name__, settings, self._chunks(tasks, nothing, first), self._workers):
            outcomes = _outcomes(head, body)
            for empty in nothing.popleft():
                if empty:
                    yield Outcome()
                    continue
                for outcome in outcomes:
                    yield outcome
                    if outcome.last:
                        break

    def _chunks(self, tasks: Iterable[Task | None], nothing: deque[list[bool]], first: int) -> Iterator[bulk.Task]:
        """Tasks in pieces; `nothing` says for each piece which of its files need no decoding."""
        forms: list[Form] = []
        files: list[dict[str, Any]] = []
        contents: list[bytes] = []
        empty: list[bool] = []
        most = first

        def piece() -> bulk.Task:
            nothing.append(list(empty))
            made = bulk.Task({"forms": [dataclasses.asdict(form) for form in forms], "files": list(files)},
                             b"".join(contents))  # fmt: skip
            for kept in (forms, files, contents, empty):
                kept.clear()
            return made

        for task in tasks:
            empty.append(task is None)
            if task is not None:
                if task.form not in forms:
                    forms.append(task.form)
                content = _content(task)
                said: dict[str, Any] = {"form": forms.index(task.form)}
                if isinstance(content, bytes):
                    said["size"] = len(content)
                    contents.append(content)
                else:
                    said["path"] = content
                files.append(said)
            if len(empty) >= most or sum(map(len, contents)) >= BYTES:
                yield piece()
                most = FILES
        if empty:
            yield piece()


def _content(task: Task) -> bytes | str:
    """What is sent: the file's bytes, or where it lies if it is large or cannot be read (the worker says why)."""
    if isinstance(task.content, bytes):
        return task.content
    path = Path(task.content)
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST:
            return path.read_bytes()
    except OSError:
        pass
    return str(path.absolute())


def make(settings: Mapping[str, Any]) -> bulk.Work:
    """In a worker: the function that decodes a piece."""
    decoder = Decoder(1, Limits(**settings["limits"]))

    def work(head: Mapping[str, Any], body: bytes) -> bulk.Answer:
        forms = [Form(**form) for form in head["forms"]]
        tasks, at = [], 0
        for said in head["files"]:
            content: bytes | str = said.get("path", "")
            if "size" in said:
                content = body[at : at + said["size"]]
                at += said["size"]
            tasks.append(Task(content=content, form=forms[said["form"]]))
        facts, arrays = [], []
        for outcome in decoder.decode(tasks):
            fact = dataclasses.asdict(dataclasses.replace(outcome, image=None, frames=None))
            for name in ("image", "frames"):
                array: NDArray[Any] | None = getattr(outcome, name)
                fact[name] = None if array is None else [str(array.dtype), list(array.shape)]
                arrays.append(b"" if array is None else np.ascontiguousarray(array).tobytes())
            facts.append(fact)
        return {"outcomes": facts}, b"".join(arrays)

    return work


def _outcomes(head: Mapping[str, Any], body: bytes) -> Iterator[Outcome]:
    at = 0
    for fact in head["outcomes"]:
        arrays: dict[str, NDArray[Any] | None] = {}
        for name in ("image", "frames"):
            arrays[name] = None
            if fact[name] is not None:
                kind, shape = fact[name]
                size = int(np.prod(shape)) * np.dtype(kind).itemsize
                arrays[name] = np.frombuffer(body[at : at + size], kind).reshape(shape)
                at += size
        yield Outcome(**{**fact, **arrays, "facts": tuple(fact["facts"])})
