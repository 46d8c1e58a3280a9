"""Bulk work: many tasks of one kind, done by several processes, answered in the order in which they were given.

The kind of work is a module with a function `make(settings)` that returns the function which answers a task. Settings
and tasks are JSON, with bytes beside it, so that a task means the same whoever does it: processes of this machine (the
default) or of a Ray cluster. A process that dies costs time alone: its task is given to another one. Only a few tasks
are ahead of the last answer that was taken, so that memory does not grow with their number.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import maquette
from maquette.core import errors
from maquette.core.errors import MaquetteError
from maquette.core.workers import Workers, processors, put_down
from maquette.data.decoding.worker import command, read_message, write_message

Answer = tuple[dict[str, Any], bytes]
Work = Callable[[Mapping[str, Any], bytes], Answer]
AHEAD = 3
"""Tasks for each process that may be under way or waiting to be taken."""
TRIES = 4
"""How often a task is given to a process before it is held to be what kills them."""
_FEW = 2**20
"""Bytes of the JSON part of a message."""


@dataclass(frozen=True)
class Task:
    """One piece of work: JSON, and bytes beside it."""

    head: Mapping[str, Any]
    body: bytes = b""


class WorkError(MaquetteError):
    """Bulk work could not be done: processes could not be started or reached, or died again and again."""


def bulk(
    module: str, settings: Mapping[str, Any], tasks: Iterable[Task], workers: Workers, shared: bytes = b""
) -> Generator[Answer, None, None]:
    """The answers to all tasks, in their order. Every worker is given the bytes `shared` once, in its settings."""
    with contextlib.closing(pool(module, settings, workers, shared)) as made:
        yield from made.answers(iter(tasks))


def pool(module: str, settings: Mapping[str, Any], workers: Workers, shared: bytes = b"") -> Pool:
    """Workers for several lots of tasks, one lot after the other; close it. They start when there is a task."""
    given = {**settings, "module": module, "version": maquette.__version__}
    if workers.ray is None:
        threads = max(1, processors() // workers.processes)
        return _Local(workers.processes, {**given, "threads": threads}, shared)
    from maquette.engine.bulk.cluster import Actors

    return Actors(workers, {**given, "threads": 1}, shared)


def start(settings: Mapping[str, Any], shared: bytes = b"") -> Work:
    """In a worker: get ready for the work."""
    if settings["version"] != maquette.__version__:
        raise WorkError(
            f"a worker has Maquette {maquette.__version__}, and {settings['version']} gives it work",
            do="install the same version everywhere",
        )
    name = str(settings["module"])
    if not name.startswith("maquette."):
        raise WorkError(f"{name!r} is no work of Maquette")
    if "torch" in settings.get("needs", ("torch",)):
        import torch

        torch.set_num_threads(int(settings["threads"]))
    work: Work = importlib.import_module(name).make({**settings, "shared": shared})
    return work


def answered(work: Work, head: Mapping[str, Any], body: bytes) -> Answer:
    """In a worker: the answer, or the error as one."""
    try:
        return work(head, body)
    except MaquetteError as error:
        kind = next(k.__name__ for k in type(error).__mro__ if getattr(errors, k.__name__, None) is k)
        return {"error": {"kind": kind, "what": error.what, "where": error.where, "do": error.do}}, b""
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return {"error": {"kind": "MaquetteError", "what": f"this is a fault in Maquette ({said})"}}, b""


def checked(answer: Answer) -> Answer:
    """The answer, unless it tells of a failure, which is raised."""
    said = answer[0].get("error")
    if said is None:
        return answer
    kind = getattr(errors, str(said["kind"]), MaquetteError)
    raise kind(said["what"], where=said.get("where") or None, do=said.get("do", ""))


@dataclass
class Given:
    """A task that is under way."""

    place: int
    task: Task
    tries: int = 0

    def again(self, why: str) -> None:
        """Count another death at it."""
        self.tries += 1
        if self.tries >= TRIES:
            raise WorkError(f"{self.tries} workers died one after the other at the same task ({why})")


class _DiedAtBirth(Exception):
    """A worker ended before it was ready for work."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


def _how(code: int) -> str:
    """How a process ended, in words."""
    return f"signal {-code}" if code < 0 else f"code {code}"


class Pool:
    """Hands out tasks and hands over answers in order."""

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        """All answers, in order. Other tasks may be given when all of them were taken."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the processes go."""
        raise NotImplementedError


# Processes of this machine


class _Local(Pool):
    """A thread for each process waits for it, and starts another one when it has died."""

    def __init__(self, count: int, settings: Mapping[str, Any], shared: bytes) -> None:
        self._settings, self._shared = settings, shared
        self._state = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        self._done: dict[int, Answer] = {}
        self._taken, self._next, self._count = 0, 0, count
        self._ended = False
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._tasks: Iterator[Task] = iter(())
        self._threads: list[threading.Thread] = []

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        """All answers, in order."""
        for thread in self._threads:
            thread.join()  # those of the tasks before, which have all been answered
        self._tasks, self._ended = tasks, False
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), daemon=True) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()
        while True:
            with self._state:
                self._state.wait_for(
                    lambda: (
                        self._error is not None
                        or self._taken in self._done
                        or (self._ended and self._taken == self._next)
                    )
                )
                if self._error is not None:
                    raise self._error
                if self._taken not in self._done:
                    return
                answer = self._done.pop(self._taken)
                self._taken += 1
                self._state.notify_all()
            yield checked(answer)

    def close(self) -> None:
        """End all processes, whatever they are at."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        while any(thread.is_alive() for thread in self._threads):
            for process in list(self._processes.values()):
                process.kill()
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join(0.05)
        for number in list(self._processes):
            self._end(number)

    def _serve(self, number: int) -> None:
        try:
            while (given := self._take()) is not None:
                answer = self._ask(number, given)
                if answer is None:
                    return
                with self._state:
                    self._done[given.place] = answer
                    self._state.notify_all()
        except BaseException as error:
            with self._state:
                self._error = self._error or error
                self._state.notify_all()

    def _take(self) -> Given | None:
        """The next task, when the answers before it have been taken up to a few."""
        with self._state:
            self._state.wait_for(lambda: self._closed or self._ended or self._next - self._taken < AHEAD * self._count)
            if self._closed or self._ended:
                return None
            task = next(self._tasks, None)
            if task is None:
                self._ended = True
                self._state.notify_all()
                return None
            self._next += 1
            return Given(self._next - 1, task)

    def _ask(self, number: int, given: Given) -> Answer | None:
        while not self._closed:
            try:
                process = self._processes.get(number) or self._start(number)
            except _DiedAtBirth as death:
                if not self._closed:
                    given.again(death.how)
                continue
            assert process.stdin and process.stdout
            try:
                write_message(process.stdin, dict(given.task.head), given.task.body)
                process.stdin.flush()
                head, body = read_message(process.stdout)
                return {key: value for key, value in head.items() if key != "size"}, body
            except (OSError, EOFError, ValueError, KeyError):
                how = _how(self._end(number))
                if not self._closed:
                    given.again(how)
        return None

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        few = {name: str(self._settings["threads"]) for name in names}
        process = subprocess.Popen(
            command("maquette.engine.bulk.bulk"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **few}, start_new_session=True,  # Ctrl-C is for this process, which ends its workers
        )  # fmt: skip
        self._processes[number] = process
        assert process.stdin and process.stdout
        try:
            write_message(process.stdin, dict(self._settings), self._shared)
            process.stdin.flush()
            head, _ = read_message(process.stdout)
        except (OSError, EOFError, ValueError, KeyError):
            raise _DiedAtBirth(_how(self._end(number))) from None
        checked((head, b""))
        return process

    def _end(self, number: int) -> int:
        process = self._processes.pop(number, None)
        return 0 if process is None else put_down(process)


def main() -> None:
    """Be a worker of this machine: read settings, then tasks, and answer each, until nobody gives any."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # Whatever a library prints must not get among the answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings, shared = read_message(source)
    ready: dict[str, Any] = {}
    work: Work | None = None

    def begin(_: Mapping[str, Any], __: bytes) -> Answer:
        nonlocal work
        work = start(settings, shared)
        return {}, b""

    ready, _ = answered(begin, {}, b"")
    write_message(answers, ready)
    answers.flush()
    while work is not None:
        try:
            head, body = read_message(source)
        except EOFError:
            return
        write_message(answers, *answered(work, head, body))
        answers.flush()


if __name__ == "__main__":
    main()
