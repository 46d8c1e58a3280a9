"""Prove that training survives: kill -9 at random moments, SIGTERM, and numbers that are not finite.

    python benchmarks/safety_training.py                 300 kills over three families (some minutes)
    python benchmarks/safety_training.py --count 30      fewer
    python benchmarks/safety_training.py --quick         one trial of each kind

At least a third of the kills hit while a checkpoint or the model is being written. After every kill the same command
goes on; weights, averages, optimizers, log and decisions must then be those of a run that nobody disturbed, bit for
bit. Runs that decide by the clock (a given time, or going back) are compared with one that follows their decisions.
Ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "engine"))

import kills  # noqa: E402

SEED = 20260101
PROMISED_SECONDS = 30
"""From SIGTERM to the end of the process."""


def fast_folder() -> str | None:
    """Memory instead of a disk where there is some: a kill loses nothing that was written, flushed or not."""
    memory = Path("/dev/shm")
    free = shutil.disk_usage(memory).free if memory.is_dir() and os.access(memory, os.W_OK) else 0
    return str(memory) if free > 2**30 else None


class Report:
    """Prints one line a bar and remembers whether anything failed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.failed, self.kills, self.inside = seed, False, 0, 0

    def line(self, what: str, trials: Iterator[kills.Trial], more: str = "") -> list[kills.Trial]:
        """Do the trials and say what came of them."""
        began, done = time.monotonic(), list(trials)
        wrong = [trial.wrong for trial in done if trial.wrong]
        killed, inside = sum(trial.kills for trial in done), sum(trial.inside for trial in done)
        if "{longest}" in more:
            more = more.format(longest=f"{max(trial.seconds for trial in done):.2f}")
        print(
            f"{what:40} {killed:4} kills, {inside:3} inside a save, {len(done) - len(wrong):4} of {len(done):4} runs "
            f"exact, {len(wrong)} failed, {time.monotonic() - began:6.1f} s, seed {self.seed}{more}",
            flush=True,
        )
        for text in wrong[:5]:
            print(f"    {text}")
        self.failed = self.failed or bool(wrong) or not done
        self.kills, self.inside = self.kills + killed, self.inside + inside
        return done


def dice_of(case: kills.Case, seed: int) -> random.Random:
    """The chances of one case: the same whatever the other cases do."""
    return random.Random(f"{seed} {case.name}")


def others(yard: kills.Yard, report: Report, number: int, quick: bool) -> None:
    """What is not a plain kill: signals, numbers that break, and the clock."""
    case, count = yard.case, 1 if quick else 3
    ended = report.line(
        f"{case.name}, SIGTERM", kills.terminate_trials(yard, 1 if quick else 10), ", longest {longest} s"
    )
    report.failed = report.failed or max(trial.seconds for trial in ended) > PROMISED_SECONDS
    for index in range(1 if quick else len(kills.PLACES)):
        broken = kills.broken_yard(case, yard.place, yard.dice, index + number)
        broken.measure(1)
        name = kills.PLACES[(index + number) % len(kills.PLACES)]
        report.line(f"{case.name}, {name} not finite", kills.kill_trials(broken, count))
    timed = kills.timed_yard(case, yard.place, yard.dice)
    timed.measure(1)
    report.line(f"{case.name}, with --time", kills.kill_trials(timed, count))


def main() -> int:
    """Try everything and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="kills over all families")
    parser.add_argument("--quick", action="store_true", help="one trial of each kind")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    quick, report = arguments.quick, Report(arguments.seed)
    cases = kills.cases(quick)
    count = 1 if quick else -(-arguments.count // len(cases))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    print(
        f"{datetime.date.today()}  commit {commit.strip() or 'unknown'}  Python {platform.python_version()}"
        f"  {platform.platform()}  {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        place = Path(folder)
        yards = [kills.Yard(case, place / case.family, dice_of(case, arguments.seed)) for case in cases]
        for yard in yards:
            yard.measure(1 if quick else 2)
            report.line(yard.case.name, kills.kill_trials(yard, count, 1.0 if quick else 0.5))
        total, inside = report.kills, report.inside
        print(f"together {total} kills, {inside} of them inside a save")
        if not quick and 3 * inside < total:
            print("    too few of them inside a save")
            report.failed = True
        for number, yard in enumerate(yards[:1] if quick else yards):
            others(yard, report, number, quick)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
