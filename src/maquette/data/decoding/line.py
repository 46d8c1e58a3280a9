"""The line to one decoding worker: files go out in one message, answers come back some at a time.

Which file the worker is at stands in a few bytes that both processes share, so that a worker that dies or hangs says
which file did it without a message for each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from maquette.core.errors import DataError
from maquette.core.workers import put_down
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.patience import Patience
from maquette.data.decoding.task import Outcome, Task
from maquette.data.decoding.worker import PIECE_BYTES, PLACE, command, read_message, write_message

_START_SECONDS = 60.0
_STARTS = 12
_PIPE_BYTES = 1 << 18
"""How much may wait in a pipe: a reader waits for Python's lock each time, so each time should bring much."""
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
"""A worker keeps the memory of one file's pixels for the next: to give it back and to be given it again, page by page,
took up to a fifth of its time (for glibc; other systems do not read this)."""
_FILE_SECONDS, _IMAGE_SECONDS = 30.0, 2.0
"""How long a file with many images may take: so long, and so much longer for each image."""
_TYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype(np.uint8), "uint16": np.dtype(np.uint16)}


class Died(Exception):
    """The worker is gone: why, whether it took too long, and at which of the files it was given."""

    def __init__(self, reason: str, late: bool, place: int) -> None:
        self.reason, self.late, self.place = reason, late, place


class Line:
    """The line to one worker process; started when it is needed, and again after a death."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._patience = Patience()
        self._late = False
        self._place = _Place()
        self._seen = 0

    def decode(self, tasks: Sequence[Task], skip: int = 0) -> Iterator[Outcome]:
        """Send files to the worker and hand on its answers; `Died` when it goes before the last one.

        Of the first file, that many images have come before and are left out.
        """
        process = self._process or self._start_patiently()
        assert process.stdin and process.stdout
        self._place.clear()
        try:
            self._allow(self._limits.seconds)
            head, contents = _question(tasks, skip)
            write_message(process.stdin, head, *contents)
            process.stdin.flush()
            yield from self._answers(process.stdout, tasks)
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            late, place = self._late, min(max(self._place.read() - 1, 0), len(tasks) - 1)
            self.end()
            seconds = f"{self._limits.seconds:g} seconds"
            reason = f"it took more than {seconds} to decode" if late else "it crashed the image decoder"
            raise Died(reason, late, place) from None
        finally:
            self._patience.stop()

    def _answers(self, answers: IO[bytes], tasks: Sequence[Task]) -> Iterator[Outcome]:
        """What the worker says: each image in its time, and all of one file in a time that grows with them."""
        most = max(self._most(task) for task in {id(task.form): task for task in tasks}.values())
        at, count, began = 0, 0, time.monotonic()
        while at < len(tasks):
            left = began + _FILE_SECONDS + _IMAGE_SECONDS * count - time.monotonic()
            self._allow(min(self._limits.seconds, left) if count else self._limits.seconds)
            head, body = read_message(answers, most)
            self._allow(None)
            for outcome in _outcomes(head["answers"], body):
                if at == len(tasks):
                    raise ValueError("more answers than files")
                yield outcome
                at, count = (at + 1, 0) if outcome.last else (at, count + 1)
            if not count:
                began = time.monotonic()

    def _most(self, task: Task) -> int:
        """How many bytes a message about such a file can have."""
        form = task.form
        pixels = self._limits.pixels if form.fit == "whole" else form.width * form.height
        return PIECE_BYTES + 8 * pixels * (form.past + 1 if form.frames == "sequences" else 1)

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
        """Kill the worker if its file's time is over. To be asked several times a second."""
        process = self._process
        with self._lock:
            if process is None or not self._patience.waits:
                return
            place = self._place.read()
            if place != self._seen:  # It has gone on to another file.
                self._seen = place
                self._patience.start(self._limits.seconds)
            elif self._patience.is_over(process.pid):
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
            command("maquette.data.decoding.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet, **_KEPT},
            bufsize=_PIPE_BYTES,
            pass_fds=self._place.handles,
        )
        assert process.stdin and process.stdout
        _widen(process.stdin, process.stdout)
        try:
            self._allow(_START_SECONDS)
            write_message(process.stdin, {**dataclasses.asdict(self._limits), "place": self._place.handles})
            process.stdin.flush()
            read_message(process.stdout)
        except (EOFError, OSError, ValueError):
            self.end()
            return None
        finally:
            self._patience.stop()
        return process


class _Place:
    """The bytes in which a worker says which file it is at, counted from 1; none on systems without shared handles.

    They are read as a file, not mapped: a worker that was taken over could cut the file short, which for whoever has it
    mapped is a signal that kills.
    """

    def __init__(self) -> None:
        self.handles: tuple[int, ...] = ()
        if os.name == "posix":
            with tempfile.TemporaryFile(prefix="maquette-") if not hasattr(os, "memfd_create") else _memory() as file:
                file.truncate(PLACE.size)
                self.handles = (os.dup(file.fileno()),)

    def __del__(self) -> None:
        for handle in self.handles:
            os.close(handle)

    def clear(self) -> None:
        """It is at no file."""
        for handle in self.handles:
            os.pwrite(handle, bytes(PLACE.size), 0)

    def read(self) -> int:
        """The file it is at; 0 where that is not known."""
        for handle in self.handles:
            found = os.pread(handle, PLACE.size, 0)
            return int(PLACE.unpack(found)[0]) if len(found) == PLACE.size else 0
        return 0


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("maquette-place"), "r+b", buffering=0)


def _question(tasks: Sequence[Task], skip: int) -> tuple[dict[str, Any], list[bytes]]:
    """The message that asks for these files, and the contents that go with it."""
    forms = list({id(task.form): task.form for task in tasks}.values())
    number = {id(form): place for place, form in enumerate(forms)}
    contents = [task.content for task in tasks if isinstance(task.content, bytes)]
    files = [
        [number[id(task.form)], len(task.content) if isinstance(task.content, bytes) else os.fspath(task.content)]
        for task in tasks
    ]
    return {"forms": [dataclasses.asdict(form) for form in forms], "files": files, "skip": skip}, contents


def _outcomes(answers: Sequence[dict[str, Any]], body: bytes) -> Iterator[Outcome]:
    at = 0
    for head in answers:
        if "reason" in head:
            yield Outcome(reason=str(head["reason"]))
            continue
        shape, dtype, frames = tuple(head["shape"]), _TYPES[head["dtype"]], int(head.get("frames", 0))
        size = math.prod(shape)
        image = np.frombuffer(body, dtype, size, at).reshape(shape)
        at += size * dtype.itemsize
        before = np.frombuffer(body, dtype, size * frames, at).reshape(frames, *shape) if frames else None
        at += size * dtype.itemsize * frames
        yield Outcome(
            image=image,
            frames=before,
            digest=str(head["digest"]),
            pixels=int(head.get("pixels", 0)),
            facts=tuple(head["facts"]),
            scene=int(head.get("scene", 0)),
            last="more" not in head,
            kept=head.get("kept", {}),
            marks=head.get("marks", {}),
        )


def _widen(*pipes: IO[bytes]) -> None:
    """Let more than the usual 64 kB wait in pipes, where the system can."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in pipes:
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
