"""Prove that files from anywhere cannot harm: mutants, hostile files, and patients' names.

    python benchmarks/safety_data.py            20,000 mutants, all hostile files, 500 planted names (some 20 minutes)
    python benchmarks/safety_data.py --quick    a hundredth of the mutants, a tenth of the names
    python benchmarks/safety_data.py --only mutants --mutants 4000 --seed 2     a part of them, from another seed

Mutants of more than 200 good files of every kind are ingested from folders, by two worker processes. Each file must
have an outcome (its images are kept, or it is set aside with a reason), nothing may take longer than ten seconds, no
worker may hold more than a gigabyte, and nothing may appear outside the dataset. Prints one line a bar; ends with 1 if
one is missed, after the first failures in words.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "data"))

import seeds  # noqa: E402
from makers import png  # noqa: E402
from test_dicom import PLANTED, patient  # noqa: E402

from maquette.core.errors import MaquetteError  # noqa: E402
from maquette.core.event import Result  # noqa: E402
from maquette.data.ingest.ingest import Settings, ingest  # noqa: E402

SEED = 20260101
SLOWEST, LARGEST = 10.0, 1 << 30


class Watch:
    """Looks at the worker processes, many times a second: the most memory that one has held."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for entry in os.scandir("/proc") if sys.platform == "linux" else ():
                if entry.name.isdigit():
                    try:
                        if b"maquette.data" not in Path(entry.path, "cmdline").read_bytes():
                            continue
                        text = Path(entry.path, "status").read_text()
                    except OSError:
                        continue
                    if f"\nPPid:\t{os.getpid()}\n" in text and (found := re.search(r"VmHWM:\s+(\d+) kB", text)):
                        self.most = max(self.most, int(found[1]) * 1024)


def outcomes(folder: Path, to: Path, **settings: Any) -> tuple[Counter[str], Counter[str], float]:
    """Images kept and reasons by file, and the longest time between two signs of life."""
    chosen = Settings(**{"width": 16, "height": 16, "workers": 2, "small": "enlarge", "mode": "rgb", **settings})
    kept: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    longest, last = 0.0, time.monotonic()
    data = None
    for event in ingest([folder], to, settings=chosen):
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if isinstance(event, Result):
            data = event.value
    assert data is not None
    for k in range(len(data)):
        kept[re.split(r"[/,]", data.item(k)["path"])[0]] += 1
    for item in data.set_aside():
        aside[re.split(r"[/,]", item["path"])[0]] += 1
    return kept, aside, longest


def mutants(place: Path, count: int, seed: int) -> tuple[int, list[str], dict[str, Any]]:
    """Damaged files in batches; DICOM apart from the others, whose names would not be told otherwise."""
    good = seeds.seeds()
    dice, wrong, slowest, tried, kept_total = random.Random(seed), [], 0.0, 0, 0
    plain = [name for name in good if not name.startswith("dicom")]
    medical = [name for name in good if name.startswith("dicom")]
    ways = [{"frames": "auto"}, {"frames": "all", "rate": 0.0}, {"frames": "auto", "position": "salient", "crops": 3}]
    number = 0
    while tried < count:
        folder = place / f"batch-{number}"
        folder.mkdir()
        some = medical if number % 25 == 24 else plain
        size = min(count - tried, 400)
        for k in range(size):
            content = seeds.mutant(good[some[(seed + tried + k) % len(some)]], good[dice.choice(some)], dice)
            (folder / f"m{k:04d}").write_bytes(content)
        (folder / "zz-good").write_bytes(png(number))
        before = sorted(os.listdir(place))
        kept, aside, longest = outcomes(folder, place / "out.mq", **ways[number % len(ways)])
        slowest = max(slowest, longest)
        kept_total += kept.total()
        if some is medical:
            if kept.total() + aside.total() < size + 1:
                wrong.append(f"batch {number}: {kept.total() + aside.total()} outcomes of {size + 1} DICOM files")
        else:
            for name in (f"m{k:04d}" for k in range(size)):
                if not kept[name] and not aside[name]:
                    wrong.append(f"batch {number}, {name}: no outcome")
            if kept["zz-good"] < 1:
                wrong.append(f"batch {number}: the good file was lost")
        if sorted(os.listdir(place)) != sorted([*before, "out.mq"]):
            wrong.append(f"batch {number}: something appeared beside the dataset")
        for path in (folder, place / "out.mq"):
            subprocess.run(["rm", "-r", path], check=True)
        tried, number = tried + size, number + 1
    if slowest > SLOWEST:
        wrong.append(f"{slowest:.1f} s without a sign of life")
    return tried, wrong, {"slowest s": round(slowest, 1), "kept images": kept_total, "seeds": len(good)}


def hostile(place: Path) -> tuple[int, list[str], dict[str, Any]]:
    """Hostile files beside one good one: all are refused, nothing appears anywhere else."""
    files, wrong, slowest = seeds.hostile(), [], 0.0
    (place / "in").mkdir()
    for name, content in files.items():
        (place / "in" / name).write_bytes(content)
    (place / "in" / "good.png").write_bytes(png(1))
    for number, frames in enumerate(("auto", "all")):
        kept, aside, longest = outcomes(place / "in", place / f"{number}.mq", frames=frames)
        slowest = max(slowest, longest)
        if kept.total() != 1 or len(aside) < len(files):
            wrong.append(f"frames {frames}: {kept.total()} kept of 1, {len(aside)} refused of {len(files)}")
        if set(os.listdir(place)) != {"in", *(f"{k}.mq" for k in range(number + 1))}:
            wrong.append(f"frames {frames}: something appeared beside the dataset")
    for name, content in files.items():
        if (place / "in" / name).read_bytes() != content:
            wrong.append(f"{name} was changed")
        try:
            list(ingest([place / "in" / name], place / "single.mq", settings=Settings(width=16, height=16, workers=1)))
            wrong.append(f"{name} alone made a dataset")
        except MaquetteError:
            pass
    if slowest > SLOWEST:
        wrong.append(f"{slowest:.1f} s without a sign of life")
    return 2 * len(files), wrong, {"files": len(files), "slowest s": round(slowest, 1)}


def patients(place: Path, count: int) -> tuple[int, list[str], dict[str, Any]]:
    """DICOM files that name a patient in tags, UIDs and names; all that is written and said is searched."""
    wrong, told = [], []
    for k in range(count):
        path = place / f"{PLANTED} scans" / f"{PLANTED}^Ann {k // 20}" / f"{PLANTED}_1.2.826.777333111.{k}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = patient(k)
        path.write_bytes(content[: 500 + k] if k % 10 == 9 else content)
    settings = Settings(width=24, height=16, workers=2)
    for event in ingest([place / f"{PLANTED} scans"], place / "out.mq", settings=settings):
        told.append(str(event.to_json()))
    written = [file for file in (place / "out.mq").rglob("*") if file.is_file()]
    names = [str(file) for file in written]
    everything = b"\n".join(file.read_bytes() for file in written) + "\n".join([*told, *names]).encode()
    for secret in (PLANTED, "777333111", "19010203"):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            if secret.encode(encoding) in everything:
                wrong.append(f"{secret} was found")
    return count, wrong, {"bytes searched": len(everything)}


def main() -> int:
    """Try everything and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the mutants, a tenth of the names")
    parser.add_argument("--mutants", type=int, help="so many mutants")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", choices=("mutants", "hostile", "patients"))
    given = parser.parse_args()
    many = given.mutants or (200 if given.quick else 20_000)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    print(
        f"{datetime.date.today()}  commit {commit.strip() or 'unknown'}  Python {platform.python_version()}"
        f"  {platform.platform()}  {os.cpu_count()} processors  seed {given.seed}"
    )
    bars = {
        "mutants: an outcome each": lambda place: mutants(place, many, given.seed),
        "hostile files: all refused": hostile,
        "patients' names: none found": lambda place: patients(place, 50 if given.quick else 500),
    }
    failed = False
    for name, bar in bars.items():
        if given.only and not name.startswith(given.only):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="maquette-bench-") as folder, Watch() as watch:
            tried, wrong, facts = bar(Path(folder))
        if watch.most > LARGEST:
            wrong.append(f"a worker held {watch.most / 2**20:.0f} MB")
        numbers = ", ".join(f"{value} {key}" for key, value in facts.items())
        seconds, most = time.monotonic() - began, watch.most / 2**20
        print(f"{name}: {tried} tried, {len(wrong)} failed; {numbers}, {most:.0f} MB largest worker, {seconds:.0f} s")
        for text in wrong[:10]:
            print("   ", text)
        failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
