"""A recipe of six ops on many images: how much faster on two processors, and whether memory grows with the number.

python benchmarks/refine.py            200 images of 1024 x 1024; memory with 100 and 10,000 images of 256 x 256
python benchmarks/refine.py --quick    24 images; memory with 50 and 500
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from skimage import data

RECIPE = "white-balance, exposure stops=0.2, guided radius=4, vibrance, clahe strength=0.5, sharpen amount=0.4"


def photographs(folder: Path, count: int, size: int) -> Path:
    """Crops of shipped photographs, each another, as JPEG files."""
    folder.mkdir()
    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), data.retina()]
    random = np.random.default_rng(0)
    for at in range(count):
        source = sources[at % len(sources)]
        side = int(random.integers(200, 290))
        top, left = (int(random.integers(0, extent - side)) for extent in source.shape[:2])
        crop = cv2.resize(source[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_CUBIC)
        crop = np.clip(crop + random.normal(0, 4, crop.shape), 0, 255).astype(np.uint8)
        Pillow.fromarray(crop).save(folder / f"{at:05d}.jpg", quality=92)
    return folder


def refined(source: Path, to: Path, processors: int, extra: list[str]) -> tuple[float, float, float]:
    """Seconds in all, processor seconds, and the largest process in MB, of one command in a process of its own."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:processors])
        words = ["-m", "maquette", "refine", str(source), "--to", str(to), "--with", RECIPE, "--quiet", *extra]
        os.execv(sys.executable, [sys.executable, *words])
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    assert status == 0, "the command failed"
    shutil.rmtree(to)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--count", type=int, help="images for the speed")
    parser.add_argument("--processors", type=int, help="with one number of processors alone")
    parser.add_argument("extra", nargs="*", help="further words for the command, after --")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MAQUETTE_HOME"] = str(folder / "home")
        if given.only != "memory":
            count = given.count or (24 if given.quick else 200)
            source = photographs(folder / "large", count, 1024)
            took = {}
            for processors in (given.processors,) if given.processors else (1, min(2, cores)):
                took[processors], used, _ = refined(source, folder / "out", processors, given.extra)
                rate = count / took[processors]
                print(f"{processors} processor(s): {took[processors]:.1f} s, {rate:.2f} images/s, {used:.1f} s of work")
            if len(took) == 2:
                print(f"two are {took[1] / took[2]:.2f} times one")
        if given.only != "speed":
            for count in (50, 500) if given.quick else (100, 10_000):
                source = photographs(folder / str(count), count, 256)
                seconds, _, largest = refined(source, folder / "out", cores, given.extra)
                print(f"{count:,} images of 256: {seconds:.1f} s, the largest process had {largest:.0f} MB")
                shutil.rmtree(source)


if __name__ == "__main__":
    main()
