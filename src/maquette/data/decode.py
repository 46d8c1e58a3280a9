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
import dataclasses
import itertools
import math
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.workers import processors, put_down
from maquette.data.limits import Limits
from maquette.data.patience import Patience
from maquette.data.shape import Form
from maquette.data.worker import command, read_message, write_message

_START_SECONDS = 60.0
_STARTS = 12
_CHUNK_SECONDS = 0.1
"""About how long a worker should be busy with one message."""
_CHUNK_FILES = 128
_CHUNK_BYTES = 8 << 20
_HOLD_BYTES, _HOLD_PIECES = 4 << 20, 2
"""How much of one chunk's images may wait to be taken."""
_PIPE_BYTES = 1 << 18
"""How much may wait in a pipe: a reader waits for Python's lock each time, so each time should bring much."""
_FILE_SECONDS, _IMAGE_SECONDS = 30.0, 2.0
"""How long a file with many images may take: so long, and so much longer for each image."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file to decode: where it lies or what it holds, and the form it is to get."""

    content: bytes | str | Path
    form: Form


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one image of a file: pixels, the digest of the file and facts about it, or a reason."""

    image: NDArray[Any] | None = None
    digest: str = ""
    reason: str = ""
    facts: tuple[Any, ...] = ()
    """See `data.origin`."""
    scene: int = 0
    frames: NDArray[Any] | None = None
    """In sequences: the images before it."""
    last: bool = True
    """Whether this is the last that is heard of its file."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What the file says beside its pixels, where it was decoded whole; see `data.kept`."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of its origin and of training on it; see `trust.incoming`."""


class Decodes(Protocol):
    """What decodes files: `Decoder`, or whatever stands in its place."""

    def decode(self, tasks: Iterable[Task | None], first: int = 8) -> Iterator[Outcome]:
        """The outcomes of each task, in order."""
        ...


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
        self._lines = [_Line(self.limits) for _ in range(self._count)]
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

    def _serve(self, line: _Line) -> None:
        while (chunk := self._waiting.get()) is not None and not self._closed.is_set():
            began, error = time.monotonic(), None
            try:
                self._work(line, chunk)
            except BaseException as caught:
                error = caught
            chunk.seconds = time.monotonic() - began
            chunk.end(error, self._closed)

    def _work(self, line: _Line, chunk: _Chunk) -> None:
        at = given = 0  # The file that is being decoded, and how many of its images have come.
        suspect = False  # Whether a worker died at this file: then it is tried alone, once.
        while at < len(chunk.tasks):
            run = list(itertools.takewhile(lambda task: task is not None, chunk.tasks[at:]))
            if not run:
                chunk.add(Outcome(), self._closed)
                at += 1
                continue
            before = (at, given)
            try:
                for outcome in line.decode(cast("list[Task]", run[:1] if suspect else run), given):
                    chunk.add(outcome, self._closed)
                    at, given = (at + 1, 0) if outcome.last else (at, given + 1)
                suspect = False
            except _Died as death:
                if self._closed.is_set():
                    raise DataError("the decoding was stopped") from None
                if death.late or (suspect and (at, given) == before):
                    rest = f" (from image {given + 1} on)" if given else ""
                    chunk.add(Outcome(reason=death.reason + rest), self._closed)
                    at, given, suspect = at + 1, 0, False
                else:
                    suspect = True

    def _watch(self) -> None:
        """End workers that are at one file for too long."""
        while not self._closed.wait(0.1):
            for line in self._lines:
                line.end_if_late()


class _Died(Exception):
    def __init__(self, reason: str, late: bool) -> None:
        self.reason, self.late = reason, late


class _Line:
    """The line to one worker process; started when it is needed, and again after a death."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._patience = Patience()
        self._late = False

    def decode(self, tasks: list[Task], skip: int = 0) -> Iterator[Outcome]:
        """Send files to the worker and hand on its answers; `_Died` when it goes before the last one.

        Of the first file, that many images have come before and are left out.
        """
        process = self._process or self._start_patiently()
        assert process.stdin and process.stdout
        try:
            self._allow(self._limits.seconds)
            forms = list({id(task.form): task.form for task in tasks}.values())
            number = {id(form): place for place, form in enumerate(forms)}
            write_message(process.stdin, {"count": len(tasks), "forms": [dataclasses.asdict(form) for form in forms]})
            for place, task in enumerate(tasks):
                head: dict[str, Any] = {"form": number[id(task.form)]}
                if skip and not place:
                    head["skip"] = skip
                if isinstance(task.content, bytes):
                    write_message(process.stdin, head, task.content)
                else:
                    write_message(process.stdin, {**head, "path": os.fspath(task.content)})
            process.stdin.flush()
            for task in tasks:
                yield from self._images(process.stdout, task)
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            late = self._late
            self.end()
            seconds = f"{self._limits.seconds:g} seconds"
            reason = f"it took more than {seconds} to decode" if late else "it crashed the image decoder"
            raise _Died(reason, late) from None
        finally:
            self._patience.stop()

    def _images(self, answers: IO[bytes], task: Task) -> Iterator[Outcome]:
        """What the worker says of one file, each image in its time, and all of them in a time that grows with them."""
        form, began = task.form, time.monotonic()
        pixels = self._limits.pixels if form.fit == "whole" else form.width * form.height
        most = 8 * pixels * (form.past + 1 if form.frames == "sequences" else 1)
        for number in itertools.count():
            left = began + _FILE_SECONDS + _IMAGE_SECONDS * number - time.monotonic()
            self._allow(min(self._limits.seconds, left))
            outcome = _outcome(*read_message(answers, most))
            self._allow(None)
            yield outcome
            if outcome.last:
                return

    def _allow(self, seconds: float | None) -> None:
        """Set the time for what comes next. A kill that came too late for the last file is not this one's fault."""
        with self._lock:
            if self._late:
                self._late = False
                raise EOFError
            if seconds is None:
                self._patience.stop()
            else:
                self._patience.start(seconds)

    def end_if_late(self) -> None:
        """Kill the worker if its file's time is over."""
        process = self._process
        with self._lock:
            if process is not None and self._patience.is_over(process.pid):
                self._late = True
                self._patience.stop()
                self.kill()

    def kill(self) -> None:
        """End the worker; the thread that listens to it will notice."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """End the worker and forget it."""
        process, self._process = self._process, None
        if process is not None:
            put_down(process)

    def _start_patiently(self) -> subprocess.Popen[bytes]:
        """A worker that is ready. One that dies at birth may have been killed by chance: then another is tried."""
        for _ in range(_STARTS):
            process = self._start()
            if process is not None:
                return process
        raise DataError(
            "the image decoder could not be started", do="free some memory; if it stays so, install maquette again"
        )

    def _start(self) -> subprocess.Popen[bytes] | None:
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._late = False
        process = self._process = subprocess.Popen(
            command("maquette.data.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
            bufsize=_PIPE_BYTES,
        )
        assert process.stdin and process.stdout
        widen(process.stdin, process.stdout)
        try:
            self._allow(_START_SECONDS)
            write_message(process.stdin, dataclasses.asdict(self._limits))
            process.stdin.flush()
            read_message(process.stdout)
        except (EOFError, OSError, ValueError):
            self.end()
            return None
        finally:
            self._patience.stop()
        return process


def _outcome(head: dict[str, Any], body: bytes) -> Outcome:
    if "reason" in head:
        return Outcome(reason=str(head["reason"]))
    shape, frames = tuple(head["shape"]), int(head.get("frames", 0))
    values = np.frombuffer(body, {"uint8": np.uint8, "uint16": np.uint16}[head["dtype"]])
    size = math.prod(shape)
    return Outcome(
        image=values[:size].reshape(shape),
        frames=values[size:].reshape(frames, *shape) if frames else None,
        digest=str(head["digest"]),
        facts=tuple(head["facts"]),
        scene=int(head.get("scene", 0)),
        last="more" not in head,
        kept=head.get("kept", {}),
        marks=head.get("marks", {}),
    )


def widen(*pipes: IO[bytes]) -> None:
    """Let more than the usual 64 kB wait in pipes, where the system can."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in pipes:
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
