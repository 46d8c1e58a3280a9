"""Who does bulk work: processes of this machine, or those of a Ray cluster, as `--workers` says."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError

if TYPE_CHECKING:
    import subprocess

MOST = 256
FORM = "N|ray[=ADDRESS]"
_DO = "give a number of processes, ray, or ray=HOST:PORT"


@dataclass(frozen=True)
class Workers:
    """How many processes, and where."""

    count: int | None = None
    """None means as many as there are processors."""
    ray: str | None = None
    """None means processes of this machine; else the address of a Ray cluster, or "" for one of this machine alone."""

    @classmethod
    def read(cls, value: str | int | None) -> Workers:
        """What a word of the command line, or a number, means."""
        if value is None or value == "":
            return cls()
        word = str(value).strip()
        if word == "ray":
            return cls(ray="")
        if word.startswith("ray="):
            address = word.removeprefix("ray=")
            if not re.fullmatch(r"auto|(ray://)?[\w.\-\[\]:]+:\d{1,5}", address):
                raise UsageError(f"{address[:80]!r} is not the address of a Ray cluster", do=_DO)
            return cls(ray=address)
        if not word.isdecimal() or not 1 <= int(word) <= MOST:
            raise UsageError(f"{word[:80]!r} workers are not possible", do=f"{_DO}; at most {MOST}")
        return cls(count=int(word))

    @property
    def processes(self) -> int:
        """How many processes of this machine."""
        return self.count or processors()

    @property
    def many(self) -> bool:
        """Whether processes beside this one were asked for."""
        return self.ray is not None or (self.count or 1) > 1


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def put_down(process: subprocess.Popen[Any]) -> int:
    """Kill a process, close what led to it and from it, and say how it ended."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError, ValueError):
            if pipe:
                pipe.close()
    return process.returncode
