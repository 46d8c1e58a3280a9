"""A worker process that reads untrusted files for `verify`, one line of JSON in, one out. It may be killed any time."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sys
import warnings

from maquette.core.guard import Guard

MEMORY = 4 << 30
"""Bytes of address space beyond those of the libraries that are loaded by then; of it most is never touched."""


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
    guard = Guard(MEMORY, first["seconds"])
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


if __name__ == "__main__":
    main()
