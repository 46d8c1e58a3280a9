"""How fast files become a dataset, how fast batches come out of it, and how much memory both take.

    python benchmarks/ingest.py                10,000 files, and a dataset of 100,000 images at 32 px
    python benchmarks/ingest.py --quick        a tenth of each

    python benchmarks/ingest.py --million      one million images at 32 px: time, memory and index of each
    python benchmarks/ingest.py --compare      only the loop with Pillow, and decoding alone
    python benchmarks/ingest.py --compare large    only on JPEG of 512 px; small: only on images of 32 px

Prints one line a figure. Other work on the machine makes all of them worse: run it alone. Ends with 1 if a bar is
missed: 1,500 small images a second with two workers, 100 MB for the loader; against a loop with Pillow in two
processes (open, convert, resize, crop, stack, save) at least 1.5 times as fast; within 1.3 times of decoding alone on
JPEG of 512 px, and within 2.5 times on images of 32 px. Starting two workers takes a quarter of a second, which shows
in folders of a few thousand files (--quick).
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from maquette.core.condition import ConditionSpec
from maquette.core.event import Event
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer
from maquette.data.decoding.pixels import digest_of_pixels
from maquette.data.ingest.ingest import Settings, ingest
from maquette.data.loader import Loader
from maquette.data.parts import Tally, divide

SIZE = 32
LEAST_RATE, MOST_MEMORY = 1500, 100e6


def photographs(count: int, low: int, high: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of small pictures with the statistics of photographs, half PNG and half JPEG."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 1024, 1024))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(1024), np.fft.fftfreq(1024))) + 1 / 1024
    smooth = np.fft.ifft2(np.fft.fft2(noise) / frequency).real.transpose(1, 2, 0)
    ground = np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    for number in range(count):
        side = int(rng.integers(low, high + 1))
        top, left = rng.integers(0, 1024 - side, 2)
        stream = io.BytesIO()
        picture = Pillow.fromarray(ground[top : top + side, left : left + side])
        picture.save(stream, "JPEG" if number % 2 else "PNG", **({"quality": 90} if number % 2 else {}))
        yield f"{number % 5}/{number}.{'jpg' if number % 2 else 'png'}", stream.getvalue()


def real_photographs(count: int, side: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of JPEG files cut from the photographs that come with scikit-image, mirrored or not."""
    from skimage import data

    rng = np.random.default_rng(0)
    names = ("astronaut", "immunohistochemistry", "retina", "hubble_deep_field")
    wholes = [Pillow.fromarray(getattr(data, name)()).convert("RGB") for name in names]
    for number in range(count):
        whole = wholes[number % len(wholes)]
        least = side / min(whole.size)
        scale = least + (1 - least) * float(rng.random())
        whole = whole.resize([max(side, round(length * scale)) for length in whole.size], Pillow.Resampling.LANCZOS)
        left, top = (int(rng.integers(0, length - side + 1)) for length in whole.size)
        part = whole.crop((left, top, left + side, top + side))
        if rng.random() < 0.5:
            part = part.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
        stream = io.BytesIO()
        part.save(stream, "JPEG", quality=90)
        yield f"{number}.jpg", stream.getvalue()


def write_sources(folder: Path, count: int) -> tuple[Path, Path]:
    """The same pictures as a folder with labels, and as Parquet."""
    rows = []
    for name, content in photographs(count, 32, 64):
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows.append({"image": {"bytes": content, "path": name}, "label": int(name[0])})
    pq.write_table(pa.Table.from_pylist(rows), folder / "set.parquet", row_group_size=1000)
    return folder / "files", folder / "set.parquet"


def last(events: Iterator[Event]) -> None:
    """Run to the end."""
    for _ in events:
        pass


def rate_of_pillow(files: list[Path]) -> float:
    """Files a second of the plain loop that people write, in one process: open, convert, resize."""
    began = time.perf_counter()
    for file in files:
        with Pillow.open(file) as picture:
            np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Pillow.Resampling.LANCZOS))
    return len(files) / (time.perf_counter() - began)


def compare(folder: Path, name: str, count: int, low: int, high: int, size: int, most: float) -> bool:
    """Ingest beside the loop and beside decoding alone, on pictures of these sizes; whether a bar is missed.

    Turn by turn, three times, and the middle of three: another program on the machine hits all alike. Because it still
    makes wall clocks lie, processor time is given too.
    """
    made, some = 0, min(count, 3000)
    for path, content in real_photographs(some, low) if low == 512 else photographs(some, low, high):
        for copy in range(-(-count // some)):
            file = folder / name / f"{copy}" / Path(path).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            made += 1
    rows = []
    script, array = str(Path(__file__).with_name("ingest_loop.py")), str(folder / f"{name}.npy")
    for turn in range(3):
        loop = _ran(script, "loop", str(folder / name), str(size), array)
        alone = _ran(script, "decode", str(folder / name))
        ours = _ran("-c", _INGEST, str(folder / name), str(folder / f"{name}-{turn}.mq"), str(size), str(made))
        rows.append(
            (ours[0] / loop[0], alone[0] / ours[0], loop[1] / ours[1], ours[1] / alone[1], loop[0], alone[0], ours[0])
        )
    faster, slower, faster_by, slower_by, *rates = (sorted(column)[1] for column in zip(*rows, strict=True))
    print(
        f"{name} to {size} px, {made:,} files, two processes each: loop {rates[0]:,.0f} a second, decoding alone"
        f" {rates[1]:,.0f}, ingest {rates[2]:,.0f}: {faster:.2f} times the loop (bar 1.5), {slower:.2f} times"
        f" decoding's time (bar {most}); by processor time of the whole processes {faster_by:.2f} and {slower_by:.2f}",
        flush=True,
    )
    return faster < 1.5 or slower > most


def _ran(*words: str) -> tuple[float, float]:
    """Files a second that a process of its own says, and the processor time of it and of its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return float(done.stdout), used


_INGEST = """
import sys, time
from maquette.data.ingest.ingest import Settings, ingest
source, to, size, count = sys.argv[1:]
began = time.perf_counter()
for _ in ingest([source], to, settings=Settings(width=int(size), height=int(size), workers=2)):
    pass
print(int(count) / (time.perf_counter() - began))
"""


def million(folder: Path, count: int) -> bool:
    """Many images: memory of this process, bytes and time of each as the number grows."""
    from maquette.data.origin import ORIGIN

    label = ConditionSpec(name="label", kind="label", classes=tuple("abcdefgh"))
    images = np.random.default_rng(0).integers(0, 256, (2000, SIZE, SIZE, 3), np.uint8)
    began, steps, tally = time.perf_counter(), [], Tally()
    with Writer(folder / "many.mq", DataSpec(height=SIZE, width=SIZE, conditions=(label,)), settings={}) as writer:
        for piece in range(count // 2000):
            images[:, 0, 0, 0] = piece % 256
            images[:, 0, 1, 0] = piece // 256
            for image in images:
                tally.add(digest_of_pixels(image.tobytes()), None)
            items = [
                {"path": f"{piece}/{k}.png", "digest": "0" * 32, "conditions": {"label": "a"}} for k in range(2000)
            ]
            labels = {"label": np.zeros(2000, np.int32)}
            writer.append(images, labels, items, np.zeros(2000, ORIGIN))
            if (piece + 1) % max(1, count // 10_000) == 0:
                seconds = time.perf_counter() - began
                most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                steps.append((writer.count, seconds / writer.count * 1e6, most / 1e6))
        parts, groups, _ = divide(tally, 0.1, 0)
        data = writer.finish(parts, groups)
    for step in steps:
        print("  {:>9,} images: {:.1f} microseconds each, {:,.0f} MB at most".format(*step))
    beside = sum(f.stat().st_size for f in data.path.rglob("*") if f.is_file() and f.name != "images.npy") / len(data)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(data):,} images: {beside:.0f} bytes of index each, {most:,.0f} MB at most with parts and groups")
    began = time.perf_counter()
    Dataset.open(data.path).images(np.random.default_rng(0).integers(0, len(data), 64))
    print(f"opening it and reading 64 images: {time.perf_counter() - began:.3f} s")
    return steps[-1][1] > 1.3 * steps[0][1]


def rate_of_ingest(source: Path, to: Path, workers: int, count: int) -> float:
    """Files a second of the whole ingest, from the first look to the flushed dataset."""
    began = time.perf_counter()
    last(ingest([source], to, settings=Settings(width=SIZE, height=SIZE, workers=workers)))
    return count / (time.perf_counter() - began)


def big_dataset(path: Path, count: int) -> Dataset:
    """A dataset of `count` images with a label and a text."""
    label = ConditionSpec(name="label", kind="label", classes=tuple("abcdefgh"))
    text = ConditionSpec(name="text", kind="text", length=64)
    rng = np.random.default_rng(0)
    with Writer(path, DataSpec(height=SIZE, width=SIZE, conditions=(label, text)), settings={}) as writer:
        for _ in range(count // 1000):
            conditions = {"label": rng.integers(0, 8, 1000, np.int32), "text": np.full((1000, 64), 97, np.uint8)}
            images = rng.integers(0, 256, (1000, SIZE, SIZE, 3), np.uint8)
            writer.append(images, conditions, [{"path": "x"}] * 1000)
        return writer.finish(np.zeros(writer.count, np.uint8), np.arange(writer.count, dtype=np.int32))


_LOADER = """
import sys, time
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.data.parts import Tally, divide
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 if sys.platform == "linux" else 0
data = Dataset.open(sys.argv[1])
before = most = resident()
began = time.perf_counter()
loader = Loader(data, "train", ["label", "text"])
for position in range(0, 2 * len(data), 64):
    loader.batch(position, 64)
    if position % 6400 == 0:
        most = max(most, resident())
print(2 * len(data) / (time.perf_counter() - began), most - before, most)
"""


def compared(folder: Path, quick: bool, which: str = "both") -> bool:
    """Both comparisons, or one."""
    missed = False
    if which != "small":
        missed = compare(folder, "JPEG of 512 px", 1_000 if quick else 12_000, 512, 512, 64, 1.3)
    if which != "large":
        missed |= compare(folder, "images of 32 px", 5_000 if quick else 30_000, 32, 32, 32, 2.5)
    return missed


def main() -> int:
    """Measure everything; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--million", action="store_true", help="only the million images")
    parser.add_argument("--compare", nargs="?", const="both", choices=("both", "large", "small"),
                        help="only the loop with Pillow and decoding alone")  # fmt: skip
    given = parser.parse_args()
    quick = given.quick
    if given.million or given.compare:
        with tempfile.TemporaryDirectory(prefix="maquette-bench-") as name:
            if given.million:
                return int(million(Path(name), 100_000 if quick else 1_000_000))
            return int(compared(Path(name), quick, given.compare))
    count, many = (1_000, 10_000) if quick else (10_000, 100_000)
    missed = False
    with tempfile.TemporaryDirectory(prefix="maquette-bench-") as name:
        folder = Path(name)
        files, parquet = write_sources(folder, count)
        plain = rate_of_pillow(sorted(files.glob("*/*"))[: count // 2])
        print(f"plain Pillow loop, one process: {plain:,.0f} files a second")
        for source in (files, parquet):
            for workers in (1, 2):
                rate = rate_of_ingest(source, folder / f"{source.name}-{workers}.mq", workers, count)
                bar = f" (bar {LEAST_RATE:,})" if workers == 2 else ""
                print(f"ingest from {source.name}, {workers} workers: {rate:,.0f} files a second{bar}")
                # With few files, starting the workers counts for too much.
                missed |= workers == 2 and rate < LEAST_RATE and not quick
        unit = 1 if sys.platform == "darwin" else 1024  # Kilobytes on Linux, bytes on macOS.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        print(f"memory of this process at most: {most / 1e6:,.0f} MB")
        missed |= compared(folder, quick)
        data = big_dataset(folder / "big.mq", many)
        loader = Loader(data, "train", ["label", "text"])
        loader.batch(0, 64)
        began = time.perf_counter()
        for position in range(64, 64 * 201, 64):
            loader.batch(position, 64)
        print(f"loader: {(time.perf_counter() - began) / 200 * 1e6:,.0f} microseconds a batch of 64 at {SIZE} px")
        command = [sys.executable, "-c", _LOADER, str(data.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rate, more, whole = (float(word) for word in done.stdout.split())
        print(f"loader, two epochs of {many:,} images: {rate:,.0f} images a second")
        print(f"loader's memory: {more / 1e6:,.1f} MB (bar {MOST_MEMORY / 1e6:.0f}), {whole / 1e6:,.0f} MB with Python")
        missed |= more > MOST_MEMORY
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
