"""How fast files become a dataset, how fast batches come out of it, and how much memory both take.

    python benchmarks/ingest.py                10,000 files, and a dataset of 100,000 images at 32 px
    python benchmarks/ingest.py --quick        a tenth of each

Prints one line a figure. Other work on the machine makes all of them worse: run it alone. Ends with 1 if a bar is
missed: 1,500 small images a second with two workers, 100 MB for the loader.
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
from maquette.data.ingest import Settings, ingest
from maquette.data.loader import Loader

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


def main() -> int:
    """Measure everything; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    quick = parser.parse_args().quick
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
