"""Bulk work on Ray beside the pool of this machine: the same images, how long, and with workers that are killed.

    python benchmarks/bulk.py                       100,000 images of 32 px, both (an hour on two cores)
    python benchmarks/bulk.py --count 2000          fewer
    python benchmarks/bulk.py --kills 3             and so many workers killed on the way, in both

A small gan is trained for a moment; then `sample` makes the images with as many workers as there are processors, one
thread each. Promised: Ray takes at most 1.3 times as long, and both make the same pixels and the same manifests, but
for time and signature; with workers killed, no image is lost or doubled. Starting is counted apart: Ray needs seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from maquette.core.image import load
from maquette.core.workers import processors
from maquette.data.drawn import make_drawn
from maquette.trust import metadata

RATIO = 1.3
NAMES = {"ray": "ray::Actor", "local": "maquette.engine.bulk"}


def run(words: list[str], home: Path, kills: int = 0, name: str = "") -> tuple[float, float, int]:
    """Seconds until the first images, seconds from there to the end, and how many workers were killed."""
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
    for line in process.stdout:
        if not first and json.loads(line)["event"] == "progress":
            first = time.perf_counter()
            killer.start()
    done.set()
    if process.wait():
        raise SystemExit(f"maquette {' '.join(words)} ended with {process.returncode}")
    return first - began, time.perf_counter() - first, killed[0]


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


def manifest(path: Path) -> dict[str, object]:
    with Pillow.open(path) as picture:
        said = metadata.read(picture).manifest
    assert said is not None
    return {key: value for key, value in said.to_json().items() if key != "time"}


def same(one: Path, other: Path, count: int) -> bool:
    """Whether both folders hold the same images, all of them once."""
    names = [sorted(path.name for path in folder.glob("seed-*.png")) for folder in (one, other)]
    if names[0] != names[1] or len(names[0]) != count:
        return False
    return all(
        np.array_equal(load(one / name), load(other / name)) and manifest(one / name) == manifest(other / name)
        for name in names[0]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=0)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        *_, made = make_drawn("shapes", home / "shapes.mq", width=32, height=32, count=200)
        words = ["train", str(made.value.path), "--to", str(home / "gan"), "--family", "gan", "--images", "320"]
        run([*words, "--scale", "nano", "--no-judge"], home)
        took = {}
        for kind, asked in (("local", str(processors())), ("ray", "ray")):
            words = ["sample", str(home / "gan"), "--to", str(home / kind), "--count", str(given.count), "--no-sheet"]
            start, took[kind], killed = run([*words, "--workers", asked], home, given.kills, NAMES[kind])
            print(
                f"{kind:6} {given.count:,} images: {took[kind]:.1f} s after the first ({given.count / took[kind]:,.0f} "
                f"images/s), {start:.1f} s to the first, {killed} workers killed", flush=True,
            )  # fmt: skip
        alike = same(home / "local", home / "ray", given.count)
    print(f"Ray took {took['ray'] / took['local']:.2f} times as long; {'the same' if alike else 'OTHER'} images")
    return 0 if alike and took["ray"] <= RATIO * took["local"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
