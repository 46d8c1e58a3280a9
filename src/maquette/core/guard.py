"""Limits that the system itself holds a process to that reads strangers' files."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

_RENEW_SECONDS = 0.5
_SLACK = 3
"""Seconds of processor time beyond what a file may take: whoever waits for the worker kills it before."""


class Guard:
    """Memory, time and no files written (on Windows, which has no such limits, nothing)."""

    def __init__(self, memory: int, seconds: float) -> None:
        """So many bytes beyond what the libraries have by now, and so many seconds of a processor for each file."""
        self._seconds = seconds
        self._resource: Any = None
        self._renewed = 0.0
        try:
            import resource
        except ImportError:
            return
        self._resource = resource
        most = memory + _mapped(resource.getpagesize())
        for name, value in (("RLIMIT_AS", most), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, name), (value, value))

    def renew(self) -> None:
        """Allow processor time for one more file. Ends a worker that hangs after its parent has died."""
        now = time.monotonic()
        if self._resource is not None and now - self._renewed > _RENEW_SECONDS:
            self._renewed = now
            used = sum(self._resource.getrusage(self._resource.RUSAGE_SELF)[:2])
            _, hard = self._resource.getrlimit(self._resource.RLIMIT_CPU)
            with contextlib.suppress(ValueError, OSError):
                self._resource.setrlimit(self._resource.RLIMIT_CPU, (int(used + self._seconds) + _SLACK, hard))


def _mapped(page: int) -> int:
    """Bytes of address space that this process has already: its libraries are not what a file needs."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * page
    except (OSError, ValueError):
        return 0
