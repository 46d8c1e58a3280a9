"""A child that trains, watched through a pipe: when it saves, and at which file operation of a save it is."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from maquette.store.run import Run

OPERATIONS = frozenset({"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"})
"""What the interpreter reports before it asks the system; flushing (`os.fsync`) is counted beside them."""


class Child:
    """A process that trains, and what it says: S and E around every save, o at every operation inside, T in between."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid, self.pipe = pid, pipe
        self.saves, self.inside, self.ended, self.training = 0, False, False, False
        self.operations: list[int] = []
        self.lengths: list[float] = []

    def read(self, seconds: float | None) -> None:
        """Wait for news, at most so long."""
        if not select.select([self.pipe], [], [], seconds)[0]:
            return
        news = os.read(self.pipe, 4096)
        self.ended = not news
        for letter in news.decode():
            if letter == "S":
                self.saves, self.inside, self._began = self.saves + 1, True, time.perf_counter()
                self.operations.append(0)
            elif letter == "E":
                self.inside = False
                self.lengths.append(time.perf_counter() - self._began)
            elif letter == "o":
                self.operations[-1] += 1
            else:
                self.training = True


def watch(pipe: int, at: tuple[int, int] | None) -> None:
    """In the child: report every save and every file operation inside one, and die at the one that was chosen."""
    place = [-1, -1]  # save, operation; -1 outside

    def count() -> None:
        if place[1] < 0:
            return
        if at == (place[0], place[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        place[1] += 1
        os.write(pipe, b"o")

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def saving(*args: Any) -> Any:
            place[0], place[1] = place[0] + 1, 0
            os.write(pipe, b"S")
            found = real(*args)
            place[1] = -1
            os.write(pipe, b"E")
            return found

        return saving

    sync = os.fsync

    def fsync(handle: int) -> None:
        count()
        sync(handle)
        count()

    os.fsync = fsync
    Run.save, Run.save_model = wrap(Run.save), wrap(Run.save_model)  # type: ignore[method-assign]
    sys.addaudithook(lambda event, _: count() if event in OPERATIONS else None)
