"""Bulk work on a Ray cluster: actors that answer tasks as the processes of one machine do (`engine.bulk.bulk`)."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maquette.core.errors import UsageError
from maquette.core.workers import Workers, processors
from maquette.engine.bulk.bulk import AHEAD, Answer, Given, Pool, Task, Work, WorkError, answered, checked, start

ANSWERS = 5.0
"""Seconds in which a Ray cluster must answer."""


class Actor:
    """A worker of a Ray cluster."""

    def __init__(self, settings: str, shared: bytes) -> None:
        self._settings, self._shared = json.loads(settings), shared
        self._work: Work | None = None

    def ask(self, head: str, body: bytes) -> tuple[str, bytes]:
        """The answer to one task."""

        def do(head: Mapping[str, Any], body: bytes) -> Answer:
            self._work = self._work or start(self._settings, self._shared)
            return self._work(head, body)

        found, content = answered(do, json.loads(head), body)
        return json.dumps(found), content


@dataclass
class _Busy:
    """An actor, and the tasks that it was given."""

    actor: Any
    given: dict[Any, Given] = field(default_factory=dict)


class Actors(Pool):
    """Actors, each of which has one task under way and one that waits."""

    def __init__(self, workers: Workers, settings: Mapping[str, Any], shared: bytes) -> None:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(connected(workers))
        self._ray: Any = importlib.import_module("ray")
        self._settings, self._shared = json.dumps(settings), self._ray.put(shared)
        count = int(self._ray.cluster_resources().get("CPU", 1))
        self._actors = [self._start() for _ in range(max(1, count))]

    def _start(self) -> _Busy:
        remote: Any = self._ray.remote(num_cpus=1, max_restarts=0)(Actor)
        return _Busy(remote.remote(self._settings, self._shared))

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        """All answers, in order."""
        done: dict[int, Answer] = {}
        taken = following = 0
        ended = False
        while not ended or taken < following:
            for busy in self._actors:
                while not ended and len(busy.given) < 2 and following - taken < AHEAD * len(self._actors):
                    task = next(tasks, None)
                    if task is None:
                        ended = True
                        break
                    self._give(busy, Given(following, task))
                    following += 1
            if taken not in done and taken < following:
                self._wait(done)
            while taken in done:
                yield checked(done.pop(taken))
                taken += 1

    def _give(self, busy: _Busy, given: Given) -> None:
        busy.given[busy.actor.ask.remote(json.dumps(dict(given.task.head)), given.task.body)] = given

    def _wait(self, done: dict[int, Answer]) -> None:
        """Take the answers that are there, at least one; what a dead actor was given goes to a new one."""
        waiting = {ref: busy for busy in self._actors for ref in busy.given}
        ready, _ = self._ray.wait(list(waiting), num_returns=1)
        for ref in ready:
            busy = waiting[ref]
            given = busy.given.get(ref)
            if given is None:
                continue
            try:
                head, body = self._ray.get(ref)
                done[given.place] = json.loads(head), body
                del busy.given[ref]
            except self._ray.exceptions.RayError as error:
                given.again(type(error).__name__)
                lost = list(busy.given.values())
                place = self._actors.index(busy)
                self._actors[place] = self._start()
                for each in lost:
                    self._give(self._actors[place], each)

    def close(self) -> None:
        """Let the actors go."""
        for busy in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(busy.actor)
        self._stack.close()


@contextlib.contextmanager
def connected(workers: Workers) -> Iterator[None]:
    """Belong to the Ray cluster that is asked for, if one is, until the end of the outermost such context."""
    if workers.ray is None:
        yield
        return
    try:
        ray: Any = importlib.import_module("ray")  # by its name: a type checker would read all of it, for minutes
    except ImportError:
        raise UsageError(
            "Ray is not installed here", do="install it with: pip install 'maquette[ray]', or give --workers N"
        ) from None
    if ray.is_initialized():
        yield
        return
    _connect(ray, workers.ray)
    stream = sys.stdout
    try:
        with contextlib.redirect_stdout(_Ours(stream)):
            yield
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # what it kept back of what it had to say comes now
            ray.shutdown()


class _Ours:
    """Standard output without what Ray's own threads print, such as that a worker died, which is dealt with here."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what is not Ray's."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text) or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _connect(ray: Any, address: str) -> None:
    """Reach the cluster at the address, within seconds, or start one on this machine."""
    shared: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # behind all other programs, workers of a busy machine starve
        ray.init(num_cpus=processors(), include_dashboard=False, _node_ip_address="127.0.0.1", **shared)
        return
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
        except (OSError, OverflowError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise WorkError(
                f"no Ray cluster answers at {address} ({reason})",
                do="start one there with `ray start --head`, or give --workers ray for one of this machine",
            ) from None
    began = time.monotonic()
    try:
        ray.init(address=address, **shared)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise WorkError(
            f"what answers at {address} is no Ray cluster that can be joined ({said}, after "
            f"{time.monotonic() - began:.0f} s)", do="give the address that `ray start --head` printed",
        ) from None  # fmt: skip
