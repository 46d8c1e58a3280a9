"""A worker process that reads untrusted files for `verify`, one line of JSON in, one out. It may be killed any time."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import sys
import warnings
from typing import Any

MEMORY = 4 << 30
"""Bytes of address space, most of which libraries reserve and never touch."""


def main() -> None:
    """Read the first line (whom to believe), then a path a line, and answer each in order."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogateescape")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints must not get among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    from PIL import Image as Pillow

    from maquette.trust.inspect import Trust, inspect, inspect_file
    from maquette.trust.keys import Anchor

    Pillow.MAX_IMAGE_PIXELS = None  # inspect.MOST_PIXELS says it
    first = json.loads(sys.stdin.readline())
    trust = Trust.of([Anchor.from_json(one) for one in first["anchors"]])
    guard = _Guard(first["seconds"])
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        guard.renew()
        try:
            asked = json.loads(line)
            if isinstance(asked, str):
                report = inspect_file(asked, trust)
            else:
                report = inspect(io.BytesIO(base64.b64decode(asked["content"])), trust, look=asked["look"])
        except MemoryError:
            report = {"trouble": "it needs too much memory"}
        except Exception as error:  # one file's fault, whatever it is
            report = {"trouble": f"it cannot be made sense of ({type(error).__name__})"}
        print(json.dumps(report), file=answers, flush=True)


class _Guard:
    """Limits that the system holds this process to, where it has them (not on Windows)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._resource: Any = None
        with contextlib.suppress(ImportError):
            import resource

            self._resource = resource
            for name, value in (("RLIMIT_AS", MEMORY), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
                with contextlib.suppress(ValueError, OSError, AttributeError):
                    resource.setrlimit(getattr(resource, name), (value, value))

    def renew(self) -> None:
        """Allow processor time for one more file: the system ends a worker that takes more."""
        if self._resource is not None:
            used = sum(self._resource.getrusage(self._resource.RUSAGE_SELF)[:2])
            hard = self._resource.getrlimit(self._resource.RLIMIT_CPU)[1]
            with contextlib.suppress(ValueError, OSError):
                self._resource.setrlimit(self._resource.RLIMIT_CPU, (int(used + self._seconds) + 1, hard))


if __name__ == "__main__":
    main()
