"""How quickly the command line answers. The promise: `--help` under 0.3 s, without loading torch.

make bench only=start
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = (["--help"], ["--version"], ["train", "--help"], ["sample", "--help"], ["list"])
REPEATS = 10
PROMISED = {"--help": 0.3}


def seconds(words: list[str], home: str) -> float:
    """The median time of one command, from the start of its process to its end."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "maquette", *words],
            check=True, capture_output=True, env={**os.environ, "MAQUETTE_HOME": home},
        )  # fmt: skip
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> int:
    """Measure every command; fails when a promise is broken."""
    print(f"median of {REPEATS} starts each, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    broken = 0
    with tempfile.TemporaryDirectory() as home:
        for words in COMMANDS:
            line, taken = " ".join(words), seconds(words, home)
            promise = PROMISED.get(line)
            kept = "" if promise is None else f"  promised {promise} s: {'kept' if taken < promise else 'BROKEN'}"
            broken += promise is not None and taken >= promise
            print(f"maquette {line:<16} {taken:6.3f} s{kept}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
