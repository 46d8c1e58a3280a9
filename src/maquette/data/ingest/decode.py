"""Decoding of files that nobody vouches for: in worker processes with limits, so that a bad file costs one file.

    with Decoder() as decoder:
        for outcome in decoder.decode(Task(content=path, form=form) for path in paths):
            ...

Outcomes come in the order of the tasks: one for each image of a file (most files hold one), or a reason in plain
words. A worker that crashes, hangs or asks for too much memory is replaced, and the file it was at is tried once more
alone before it is given up.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

from maquette.core.errors import DataError
from maquette.core.workers import processors
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.line import Died, Line
from maquette.data.decoding.task import Decodes, Outcome, Task

__all__ = ["Decoder", "Decodes", "Outcome", "Task"]

_CHUNK_SECONDS = 0.1
"""About how long a worker should be busy with one message."""
_CHUNK_FILES = 128
_CHUNK_BYTES = 8 << 20
_HOLD_BYTES, _HOLD_PIECES = 4 << 20, 2
"""How much of one chunk's images may wait to be taken."""


class _Chunk:
    """Some files that one worker is given at once, and what became of them, handed over piece by piece."""

    def __init__(self) -> None:
        self.tasks: list[Task | None] = []
        self.seconds = 0.0
        self._pieces: queue.Queue[list[Outcome] | None] = queue.Queue(_HOLD_PIECES)
        self._piece: list[Outcome] = []
        self._size = 0
        self._error: BaseException | None = None

    def add(self, outcome: Outcome, closed: threading.Event) -> None:
        """Take one outcome; waits while too many images lie here that nobody has taken."""
        self._piece.append(outcome)
        for array in (outcome.image, outcome.frames):
            self._size += 0 if array is None else array.nbytes
        if self._size > _HOLD_BYTES:
            self._hand_over(self._piece, closed)
            self._piece, self._size = [], 0

    def end(self, error: BaseException | None, closed: threading.Event) -> None:
        """No more outcomes come."""
        self._error = error
        if self._piece:
            self._hand_over(self._piece, closed)
        self._hand_over(None, closed)

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes, as they come."""
        while (piece := self._pieces.get()) is not None:
            yield from piece
        if self._error is not None:
            raise self._error

    def _hand_over(self, piece: list[Outcome] | None, closed: threading.Event) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=0.2)
                return


class Decoder:
    """A pool of decoding workers. Use it as a context: leaving it ends the workers."""

    def __init__(self, workers: int | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._count = workers or min(8, processors())
        self._waiting: queue.SimpleQueue[_Chunk | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lines = [Line(self.limits) for _ in range(self._count)]
        self._threads = [threading.Thread(target=self._serve, args=(line,), daemon=True) for line in self._lines]
        self._threads.append(threading.Thread(target=self._watch, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, whatever they are at."""
        self._closed.set()
        for _ in self._lines:
            self._waiting.put(None)
        while any(thread.is_alive() for thread in self._threads):
            for line in self._lines:
                line.kill()
            for thread in self._threads:
                thread.join(0.05)
        for line in self._lines:
            line.end()

    def decode(self, tasks: Iterable[Task | None], first: int = 8) -> Iterator[Outcome]:
        """The outcomes of each task, in order. Only a few chunks of tasks are taken ahead, of `first` files at first.

        None stands for a file that needs no decoding: it gets an empty outcome in its place.
        """
        ahead: deque[_Chunk] = deque()
        chunk, size, most = _Chunk(), 0, first
        for task in tasks:
            chunk.tasks.append(task)
            size += len(task.content) if task is not None and isinstance(task.content, bytes) else 0
            if len(chunk.tasks) < most and size < _CHUNK_BYTES:
                continue
            self._waiting.put(chunk)
            ahead.append(chunk)
            chunk, size = _Chunk(), 0
            if len(ahead) > 2 * self._count:
                done = ahead.popleft()
                yield from done.outcomes()
                # Few large files or many small ones: messages of about equal work.
                most = min(_CHUNK_FILES, max(1, int(_CHUNK_SECONDS * len(done.tasks) / max(done.seconds, 1e-6))))
        if chunk.tasks:
            self._waiting.put(chunk)
            ahead.append(chunk)
        while ahead:
            yield from ahead.popleft().outcomes()

    def _serve(self, line: Line) -> None:
        while (chunk := self._waiting.get()) is not None and not self._closed.is_set():
            began, error = time.monotonic(), None
            try:
                self._work(line, chunk)
            except BaseException as caught:
                error = caught
            chunk.seconds = time.monotonic() - began
            chunk.end(error, self._closed)

    def _work(self, line: Line, chunk: _Chunk) -> None:
        at = given = 0  # The file that is next, and how many of its images have come.
        suspect = -1  # The file at which a worker died: it is tried alone, once.
        condemned: dict[int, str] = {}
        while at < len(chunk.tasks):
            if chunk.tasks[at] is None or at in condemned:
                rest = f" (from image {given + 1} on)" if given else ""
                chunk.add(Outcome(reason=condemned[at] + rest) if at in condemned else Outcome(), self._closed)
                at, given = at + 1, 0
                continue
            run = [task for task in itertools.takewhile(lambda task: task is not None, chunk.tasks[at:])]
            stops = [place - at for place in (*condemned, suspect) if place > at]
            run = run[: min(stops, default=len(run))] if at != suspect else run[:1]
            first, before = at, given
            try:
                for outcome in line.decode(cast("list[Task]", run), given):
                    chunk.add(outcome, self._closed)
                    at, given = (at + 1, 0) if outcome.last else (at, given + 1)
            except Died as death:
                if self._closed.is_set():
                    raise DataError("the decoding was stopped") from None
                guilty = max(at, first + death.place)
                if death.late or (guilty == suspect and (guilty, given) == (first, before)):
                    condemned[guilty] = death.reason
                else:
                    suspect = guilty

    def _watch(self) -> None:
        """End workers that are at one file for too long."""
        while not self._closed.wait(0.1):
            for line in self._lines:
                line.end_if_late()
