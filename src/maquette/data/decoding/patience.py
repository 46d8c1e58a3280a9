"""How long a worker process may take, fairly: a busy machine, or one that slept, is not the fault of a file."""

from __future__ import annotations

import os
import time

_SHARE, _MOST = 1 / 3, 6.0
"""A process is late when its time is over and it has had this share of it, or after so many times its time."""


class Patience:
    """The time of what one process is at now. Started and stopped by one thread, asked by another."""

    def __init__(self) -> None:
        self._now: tuple[float, float] | None = None
        self._mark: tuple[float, float | None] = (0.0, None)

    def start(self, seconds: float) -> None:
        """From now on, so many seconds."""
        self._now = (time.monotonic(), seconds)

    def stop(self) -> None:
        """Nothing is waited for."""
        self._now = None

    @property
    def waits(self) -> bool:
        """Whether anything is waited for."""
        return self._now is not None

    def is_over(self, process: int) -> bool:
        """Whether the process has had its time. To be asked several times a second."""
        now = self._now
        if now is None:
            return False
        began, seconds = now
        if self._mark[0] != began:
            self._mark = (began, processor_seconds(process))
        passed = time.monotonic() - began
        if passed <= seconds:
            return False
        used, before = processor_seconds(process), self._mark[1]
        if used is None or before is None:
            return True
        return used - before >= _SHARE * seconds or passed > _MOST * seconds


def processor_seconds(process: int) -> float | None:
    """How much processor time a process has had so far; None where the system does not say."""
    try:
        with open(f"/proc/{process}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
