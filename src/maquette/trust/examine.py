"""Verifying many files in worker processes with limits: every file gets exactly one answer, whatever it holds."""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from maquette.core.errors import TrustError
from maquette.core.workers import processors, put_down
from maquette.trust import verdict
from maquette.trust.keys import Anchor

SECONDS = 10.0
"""The longest that one file may take of a processor's time."""
_BUSY = 6.0
"""How much longer it may take by the clock: the machine may be busy, and one that sleeps for ever uses no processor."""
_SPENT = -getattr(signal, "SIGXCPU", 1000)
"""How a worker ends that has spent its time (`worker`)."""
_COMMAND = "from maquette.trust.worker import main; main()"
_START_SECONDS = 60.0
_AHEAD = 64


def examine(
    files: Iterable[str | os.PathLike[str] | tuple[str, bytes]],
    anchors: Sequence[Anchor],
    *,
    workers: int | None = None,
    seconds: float = SECONDS,
) -> Iterator[dict[str, Any]]:
    """What `verify` says of each file, in order; of a file that lies in another one its name and content are given."""
    count = workers or min(8, processors())
    waiting: deque[Future[dict[str, Any]]] = deque()
    with Examiner(anchors, workers=count, seconds=seconds) as examiner, ThreadPoolExecutor(count) as pool:
        try:
            for file in files:
                path, what = file if isinstance(file, tuple) else (os.fspath(file), os.fspath(file))
                waiting.append(pool.submit(lambda path, what: {"path": path, **examiner.ask(what)}, path, what))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            examiner.close()


class Examiner:
    """A few workers that any thread may ask about a file. Use it as a context: leaving it ends them."""

    def __init__(self, anchors: Sequence[Anchor], *, workers: int = 1, seconds: float = SECONDS) -> None:
        self._free: queue.SimpleQueue[_Line] = queue.SimpleQueue()
        self._lines = [_Line(anchors, seconds) for _ in range(workers)]
        for line in self._lines:
            self._free.put(line)

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, file: str | bytes, *, look: bool = True) -> dict[str, Any]:
        """What `verify` says of a file, by its path or content; of content on wish without a look for its watermark."""
        line = self._free.get()
        try:
            if isinstance(file, str):
                return line.ask(file)
            return line.ask({"content": base64.b64encode(file).decode(), "look": look})
        finally:
            self._free.put(line)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for line in self._lines:
            line.close()


class _Line:
    """The line to one worker, started when it is first needed and again after a death."""

    def __init__(self, anchors: Sequence[Anchor], seconds: float) -> None:
        self._first = json.dumps({"anchors": [anchor.to_json() for anchor in anchors], "seconds": seconds})
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def ask(self, path: str | Mapping[str, Any]) -> dict[str, Any]:
        """What the worker says of the file; a worker that dies at it is tried once more."""
        reason = ""
        for _ in range(2):
            answer, late = self._say(path)
            if answer is not None:
                reason = answer.pop("trouble", "")
                if not reason:
                    return answer
                break
            reason = f"it took more than {self._seconds:g} seconds to read" if late else "it crashed the reader"
            if late:
                break
        return verdict.judge(verdict.Seen(readable=False, reason=reason))

    def _say(self, path: str | Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
        if self._closed:
            raise TrustError("the reading of files was stopped")
        process = self._process or self._start()
        assert process.stdin and process.stdout
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(_BUSY * self._seconds, end)
        timer.start()
        try:
            process.stdin.write(json.dumps(path) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            return (answer if isinstance(answer, dict) else None), False
        except (OSError, ValueError):
            return None, self.end() == _SPENT or late.is_set()
        finally:
            timer.cancel()

    def _start(self) -> subprocess.Popen[str]:
        root = str(Path(__file__).resolve().parents[2])
        command = f"import sys; sys.path.append({root!r}); {_COMMAND}"
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        for _ in range(3):
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env={**os.environ, **quiet}, text=True, encoding="utf-8",
                errors="surrogateescape",
            )  # fmt: skip
            assert process.stdin and process.stdout
            timer = threading.Timer(_START_SECONDS, process.kill)
            timer.start()
            try:
                process.stdin.write(self._first + "\n")
                process.stdin.flush()
                if process.stdout.readline() == "ready\n":
                    return process
            except OSError:
                pass
            finally:
                timer.cancel()
            self.end()
        raise TrustError("the reader of files could not be started", do="free some memory, or install maquette again")

    def close(self) -> None:
        """End the worker for good; whoever waits for it notices."""
        self._closed = True
        self.end()

    def end(self) -> int | None:
        """End the worker and forget it; how it ended."""
        process, self._process = self._process, None
        return None if process is None else put_down(process)
