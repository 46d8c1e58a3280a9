"""Decoding of files that nobody vouches for: in worker processes with limits, so that a bad file costs one file.

    with Decoder() as decoder:
        for outcome in decoder.decode(Task(content=path, form=form) for path in paths):
            ...

Outcomes come in the order of the tasks, exactly one each: pixels, or a reason in plain words. A worker that crashes,
hangs or asks for too much memory is replaced, and the file it was at is tried once more alone before it is given up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.data.picture import Form, Limits
from maquette.data.worker import read_message, write_message

_START_SECONDS = 60.0
_STARTS = 5
_CHUNK_SECONDS = 0.1
"""About how long a worker should be busy with one message."""
_CHUNK_FILES = 128
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file to decode: where it lies or what it holds, and the form it is to get."""

    content: bytes | Path
    form: Form


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file: an image and the digest of the file, or a reason."""

    image: NDArray[Any] | None = None
    digest: str = ""
    reason: str = ""


@dataclass
class _Chunk:
    tasks: list[Task]
    outcomes: list[Outcome] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    seconds: float = 0.0


class Decoder:
    """A pool of decoding workers. Use it as a context: leaving it ends the workers."""

    def __init__(self, workers: int | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._count = workers or min(8, _processors())
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

    def decode(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """One outcome for each task, in order. Only a few chunks of tasks are taken ahead."""
        ahead: deque[_Chunk] = deque()
        chunk, size, most = _Chunk([]), 0, 8
        for task in tasks:
            chunk.tasks.append(task)
            size += len(task.content) if isinstance(task.content, bytes) else 0
            if len(chunk.tasks) < most and size < _CHUNK_BYTES:
                continue
            self._waiting.put(chunk)
            ahead.append(chunk)
            chunk, size = _Chunk([]), 0
            if len(ahead) > 2 * self._count:
                first = ahead.popleft()
                yield from self._finished(first)
                # Few large files or many small ones: messages of about equal work.
                most = min(_CHUNK_FILES, max(1, int(_CHUNK_SECONDS * len(first.tasks) / max(first.seconds, 1e-6))))
        if chunk.tasks:
            self._waiting.put(chunk)
            ahead.append(chunk)
        while ahead:
            yield from self._finished(ahead.popleft())

    @staticmethod
    def _finished(chunk: _Chunk) -> list[Outcome]:
        chunk.done.wait()
        if chunk.error is not None:
            raise chunk.error
        return chunk.outcomes

    def _serve(self, line: _Line) -> None:
        while (chunk := self._waiting.get()) is not None and not self._closed.is_set():
            began = time.monotonic()
            try:
                self._work(line, chunk)
            except BaseException as error:
                chunk.error = error
            chunk.seconds = time.monotonic() - began
            chunk.done.set()

    def _work(self, line: _Line, chunk: _Chunk) -> None:
        suspect = False  # Whether a worker died at the next file: then it is tried alone, once.
        while (at := len(chunk.outcomes)) < len(chunk.tasks):
            try:
                for outcome in line.decode(chunk.tasks[at : at + 1] if suspect else chunk.tasks[at:]):
                    chunk.outcomes.append(outcome)
                suspect = False
            except _Died as death:
                if self._closed.is_set():
                    raise DataError("the decoding was stopped") from None
                if death.late or (suspect and len(chunk.outcomes) == at):
                    chunk.outcomes.append(Outcome(reason=death.reason))
                    suspect = False
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
        self._deadline: float | None = None
        self._late = False

    def decode(self, tasks: list[Task]) -> Iterator[Outcome]:
        """Send files to the worker and hand on its answers; `_Died` when it goes before the last one."""
        process = self._process or self._start_patiently()
        assert process.stdin and process.stdout
        try:
            self._allow(self._limits.seconds)
            write_message(process.stdin, {"count": len(tasks)})
            for task in tasks:
                form = dataclasses.asdict(task.form)
                if isinstance(task.content, bytes):
                    write_message(process.stdin, {"form": form}, task.content)
                else:
                    write_message(process.stdin, {"form": form, "path": os.fspath(task.content)})
            process.stdin.flush()
            for task in tasks:
                self._allow(self._limits.seconds)
                outcome = _outcome(*read_message(process.stdout, 8 * task.form.width * task.form.height))
                self._allow(None)
                yield outcome
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            late = self._late
            self.end()
            seconds = f"{self._limits.seconds:g} seconds"
            reason = f"it took more than {seconds} to decode" if late else "it crashed the image decoder"
            raise _Died(reason, late) from None
        finally:
            self._deadline = None

    def _allow(self, seconds: float | None) -> None:
        """Set the time for what comes next. A kill that came too late for the last file is not this one's fault."""
        with self._lock:
            if self._late:
                self._late = False
                raise EOFError
            self._deadline = None if seconds is None else time.monotonic() + seconds

    def end_if_late(self) -> None:
        """Kill the worker if its file's time is over."""
        with self._lock:
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._late, self._deadline = True, None
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
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()

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
        # A command of its own, not multiprocessing: that would run the caller's script again.
        root = str(Path(__file__).resolve().parents[2])
        command = f"import sys; sys.path.append({root!r}); from maquette.data.worker import main; main()"
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._late = False
        process = self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
        )
        assert process.stdin and process.stdout
        try:
            self._allow(_START_SECONDS)
            write_message(process.stdin, dataclasses.asdict(self._limits))
            process.stdin.flush()
            read_message(process.stdout)
        except (EOFError, OSError, ValueError):
            self.end()
            return None
        finally:
            self._deadline = None
        return process


def _outcome(head: dict[str, Any], body: bytes) -> Outcome:
    if "reason" in head:
        return Outcome(reason=str(head["reason"]))
    pixels = np.frombuffer(body, {"uint8": np.uint8, "uint16": np.uint16}[head["dtype"]]).reshape(head["shape"])
    return Outcome(image=pixels, digest=str(head["digest"]))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
