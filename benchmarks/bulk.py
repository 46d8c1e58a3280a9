"""Bulk work on Ray beside the pool of this machine: the same results, how long, and with workers that are killed.

    python benchmarks/bulk.py                                100,000 images of 32 px made, both (ten minutes)
    python benchmarks/bulk.py --count 3000 --kills 3         fewer, and so many workers killed on the way, in both
    python benchmarks/bulk.py --verbs ingest audit evaluate  what reads the images that were made, likewise
    python benchmarks/bulk.py --to FOLDER --only local ray   both, and not compared
    python benchmarks/bulk.py --to FOLDER --only compare     what lies there is compared

A small gan is trained for a moment; then each verb works with as many workers as there are processors, one thread
each. `sample` writes tar files of 1,000. Promised: Ray takes at most 1.3 times as long, and both make the same pixels
and the same manifests, but for time and signature, the same dataset, findings and figures; with workers killed, no
image is lost or doubled. Starting is counted apart: Ray needs seconds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from maquette.core.workers import processors
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.trust import metadata

RATIO = 1.3
VERBS = ("sample", "ingest", "audit", "evaluate")
CHANGES = ("seconds", "report", "dataset")
"""Of a result: what is another one each time, or where it lies."""


@dataclass
class Took:
    """What a command needed, and what it said."""

    start: float
    """Seconds until it was first heard how far it is."""
    rest: float
    killed: int
    result: dict[str, Any]


def run(words: list[str], home: Path, kills: int = 0, name: str = "") -> Took:
    """Run a command; meanwhile so many of its workers are killed, one every second and a half."""
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MAQUETTE_HOME": str(home)}, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    began, first, done, killed = time.perf_counter(), 0.0, threading.Event(), [0]

    def kill() -> None:
        dice = random.Random(1)
        while not done.wait(1.5) and killed[0] < kills:
            found = [pid for pid in workers(name) if pid != process.pid]
            if found:
                os.kill(dice.choice(found), signal.SIGKILL)
                killed[0] += 1

    killer = threading.Thread(target=kill, daemon=True)
    event: dict[str, Any] = {}
    for line in process.stdout:
        event = json.loads(line)
        if not first and event["event"] == "progress":
            first = time.perf_counter()
            killer.start()
    done.set()
    if process.wait():
        raise SystemExit(f"maquette {' '.join(words)} ended with {process.returncode}: {event}")
    return Took(first - began, time.perf_counter() - first, killed[0], event)


def workers(name: str) -> list[int]:
    """Processes whose command says so."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cmdline").read_text().replace("\0", " "):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def images(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The images of all tar files of a folder: name and content."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".png"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()


def said(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """The pixels and the manifest of an image, without its time."""
    with Pillow.open(io.BytesIO(content)) as picture:
        manifest = metadata.read(picture).manifest
        assert manifest is not None
        return np.asarray(picture).tobytes(), {k: v for k, v in manifest.to_json().items() if k != "time"}


def same_images(one: Path, other: Path, count: int) -> bool:
    """Whether both folders hold the same images, all of them once."""
    seen = 0
    for (first, left), (second, right) in zip(images(one), images(other), strict=True):
        if first != f"seed-{seen:08d}.png" or second != first or said(left) != said(right):
            return False
        seen += 1
    return seen == count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", default=["sample"], choices=VERBS)
    parser.add_argument("--only", nargs="*", choices=("local", "ray", "compare"), default=["local", "ray", "compare"])
    parser.add_argument("--to", type=Path)
    parser.add_argument("--workers", type=int, default=processors(), help="processes of the pool of this machine")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        home = given.to or Path(name)
        if not (home / "gan").exists():
            list(make_drawn("shapes", home / "shapes.mq", width=32, height=32, count=2_000))
            words = ["train", str(home / "shapes.mq"), "--to", str(home / "gan"), "--family", "gan", "--images", "320"]
            run([*words, "--scale", "nano", "--no-judge"], home)
        good = True
        for verb in given.verbs:
            good = compared(verb, home, given) and good
    return 0 if good else 1


def words_of(verb: str, home: Path, kind: str, count: int) -> list[str]:
    """What is asked; all but `sample` work on what the pool made."""
    made = home / "local.mq"
    return {
        "sample": [
            str(home / "gan"),
            "--to",
            str(home / kind),
            "--count",
            str(count),
            "--no-sheet",
            "--shards",
            "1000",
        ],
        "ingest": [*map(str, sorted((home / "local").glob("*.tar"))), "--to", str(home / f"{kind}.mq"), "--size", "32"],
        "audit": [str(made)],
        "evaluate": [str(home / "gan"), "--against", str(made), "--count", str(min(count, 10_000))],
    }[verb]


def compared(verb: str, home: Path, given: argparse.Namespace) -> bool:
    """Do it with both kinds of workers, and compare."""
    took: dict[str, Took] = {}
    for kind, asked in (("local", str(given.workers)), ("ray", "ray")):
        if kind not in given.only:
            continue
        shutil.rmtree(home / "cache", ignore_errors=True)  # what is remembered would be no work
        if verb == "ingest":
            shutil.rmtree(home / f"{kind}.mq", ignore_errors=True)
        own = "maquette.data.decoding.worker" if verb == "ingest" else "maquette.engine.bulk.bulk"
        name = "ray::Actor" if kind == "ray" else own
        words = [verb, *words_of(verb, home, kind, given.count), "--workers", asked]
        one = took[kind] = run(words, home, given.kills, name)
        (home / f"{verb}-{kind}.json").write_text(json.dumps(one.result))
        print(
            f"{verb:8} {kind:6} {given.count:,} images: {one.rest:.1f} s after the first word, {one.start:.1f} s "
            f"before it, {one.killed} workers killed", flush=True,
        )  # fmt: skip
    good = True
    if len(took) == 2:
        ratio = took["ray"].rest / took["local"].rest
        late = took["ray"].start - took["local"].start
        good = ratio <= RATIO or bool(given.kills)
        print(f"{verb:8} Ray took {ratio:.2f} times as long, and {late:.1f} s more to start", flush=True)
    if "compare" not in given.only:
        return good
    results = [json.loads((home / f"{verb}-{kind}.json").read_text()) for kind in ("local", "ray")]
    alike = same(verb, home, results, given.count)
    print(f"{verb:8} {'the same' if alike else 'OTHER'} results", flush=True)
    return good and alike


def same(verb: str, home: Path, results: list[dict[str, Any]], count: int) -> bool:
    """Whether both found or made the same."""
    if verb == "sample":
        return same_images(home / "local", home / "ray", count)
    if verb == "ingest":
        sets = [Dataset.open(home / f"{kind}.mq") for kind in ("local", "ray")]
        return sets[0].digest == sets[1].digest and len(sets[0]) == count
    first, second = ({key: value for key, value in one.items() if key not in CHANGES} for one in results)
    return first == second


if __name__ == "__main__":
    raise SystemExit(main())
