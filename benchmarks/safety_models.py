"""Prove that model files and run folders are safe: hostile and damaged files, power cuts, full disks, kills.

    python benchmarks/safety_models.py            the full counts (some minutes)
    python benchmarks/safety_models.py --quick    a hundredth of each

Prints one line a bar: what was tried, how often, the seed, the seconds, and how often it failed. Ends with 1 if
anything failed, after the first failures of each bar in words.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "store"))

import scenarios  # noqa: E402
import trials  # noqa: E402

SEED = 20260101
Bar = Callable[[Path], Iterator[trials.Trial]]


def each_scenario(work: Callable[[scenarios.Scenario, Path], Iterator[trials.Trial]]) -> Bar:
    """Run the trials of one kind for every kind of writing."""

    def bar(place: Path) -> Iterator[trials.Trial]:
        for number, (name, scenario) in enumerate(scenarios.SCENARIOS.items()):
            folder = place / str(number)
            folder.mkdir()
            for trial in work(scenario, folder):
                yield trials.Trial(f"{name}: {trial.what}", trial.wrong)

    return bar


def bars(quick: bool) -> dict[str, Bar]:
    """What is tried."""
    share = 100 if quick else 1
    faults = trials.FAULTS[1:3] if quick else trials.FAULTS
    return {
        "hostile model files refused": trials.hostile_files,
        "mutated model files refused or sound": lambda place: trials.mutated_files(
            place, count=100_000 // share, seed=SEED
        ),
        "corruptions of the newest checkpoint": lambda place: trials.corruptions(place, count=1000 // share, seed=SEED),
        "power cuts, old or new found": each_scenario(
            lambda scenario, place: trials.power_cuts(scenario, place, most=200 // min(share, 50), seed=SEED)
        ),
        "full and failing disks at every operation": each_scenario(
            lambda scenario, place: trials.failures(scenario, place, faults)
        ),
        "kills while saving": lambda place: trials.kills(place, count=300 // share, seed=SEED),
    }


def main() -> int:
    """Try everything and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundredth of each count")
    quick = parser.parse_args().quick
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    print(
        f"{datetime.date.today()}  commit {commit.strip() or 'unknown'}  Python {platform.python_version()}"
        f"  {platform.platform()}  {os.cpu_count()} processors"
    )
    failed = False
    for name, bar in bars(quick).items():
        began, count, wrong = time.monotonic(), 0, []
        with tempfile.TemporaryDirectory() as place:
            for trial in bar(Path(place)):
                count += 1
                if trial.wrong:
                    wrong.append(trial)
        seconds = time.monotonic() - began
        print(f"{name:45}{count:>9,} tried   seed {SEED}   {seconds:7.1f} s   {len(wrong)} failed", flush=True)
        for trial in itertools.islice(wrong, 5):
            print(f"    {trial.what}: {trial.wrong}")
        failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
