"""What every verb takes beside what its work demands, and how time and memory grow with the number of images.

    python benchmarks/verbs.py                         both (about ten minutes; leave the machine alone)
    python benchmarks/verbs.py --only verbs            the table: time, floor, ratio
    python benchmarks/verbs.py --only growth --sizes 1000 10000 --to growth.json
    python benchmarks/verbs.py --plot growth.json --to growth.html

verbs    each verb as a process of its own, one thread, 32 x 32 pixels; seconds of processor, which other programs
         disturb less than those of a clock. Of its time that of a process that does nothing is taken away (it stands
         in the first line). The floor is what the work demands at rates that are measured here and now, one after the
         other: files decoded and encoded with Pillow, signatures made and read by the C2PA library, sums of products
         at the rate of a large product of matrices, bytes hashed. A ratio above 2 needs a reason, which is written in
         docs/guide/scale.md.
growth   seconds of processor and memory of ingest, audit, a training step, sample and evaluate at 1,000 images and
         more, each in a process of its own; --sizes and --growing choose, and what is known already stays in --to.
         With --folder what was made stays there for the next time.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def took(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of processor, of the command and all that it starts, and its megabytes at most."""
    began = children()
    code = (  # what the system calls the most of a process begins with that of the one that started it; VmHWM does not
        "import sys; from maquette.faces.cli import main; code = main(sys.argv[1:]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--quiet"], env={**os.environ, **THREADS, "MAQUETTE_HOME": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"maquette {' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
    return children() - began, int(done.stderr.strip().splitlines()[-1]) / 1024


def each(work: Callable[[], Any], least: float = 0.3) -> float:
    """Seconds of processor that one call takes."""
    work()
    count, began = 0, time.process_time()
    while time.process_time() - began < least:
        work()
        count += 1
    return (time.process_time() - began) / count


def children() -> float:
    """Seconds of processor of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loading(modules: str) -> float:
    """Seconds of processor that Python takes to load these."""
    before = children()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", f"import {modules}"], env={**os.environ, **THREADS}, check=True)
    return (children() - before) / 2


def pictures(count: int, side: int) -> np.ndarray:
    """Soft patches of colour with a little noise: no two alike, however many there are."""
    randoms = np.random.default_rng(0)
    places = np.clip((np.arange(side) + 0.5) / side * GRID - 0.5, 0, GRID - 1)
    weights = np.clip(1 - np.abs(places[:, None] - np.arange(GRID)), 0, None).astype(np.float32)  # side x grid
    found = np.empty((count, side, side, 3), np.uint8)
    for start in range(0, count, 10_000):
        block = found[start : start + 10_000]
        patches = randoms.uniform(20, 235, (len(block), 3, GRID, GRID)).astype(np.float32)
        soft = (weights @ patches @ weights.T).transpose(0, 2, 3, 1)
        block[:] = np.clip(soft + randoms.normal(0, 6, soft.shape), 0, 255)
    return found


GRID = 5


class Rates:
    """What this machine gives, measured now, one thread."""

    def __init__(self, image: np.ndarray) -> None:
        import torch

        torch.set_num_threads(1)
        stream = io.BytesIO()
        Pillow.fromarray(image).save(stream, "png")
        self.content = stream.getvalue()
        self.decode = each(lambda: np.asarray(Pillow.open(io.BytesIO(self.content))))
        self.encode = each(lambda: Pillow.fromarray(image).save(io.BytesIO(), "png"))
        block = os.urandom(1 << 22)
        self.byte = each(lambda: hashlib.sha256(block).digest()) / len(block)
        one = torch.randn(1024, 1024, dtype=torch.bfloat16)
        self.flop = each(lambda: one @ one) / (2 * 1024**3)


def flops_of(run: Path, *, training: bool) -> float:
    """Sums and products of one image: a whole sampling, or one step of training."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from maquette.data.dataset import Dataset
    from maquette.data.loader import Loader
    from maquette.engine.load import load
    from maquette.engine.plan import Plan
    from maquette.engine.sample import draw
    from maquette.engine.trainer import Trainer
    from maquette.store.run import Run

    opened = Run.open(run)
    model = load(opened)
    with FlopCounterMode(display=False) as counter:
        if training:
            dataset = Dataset.open(Path(opened.facts["dataset"]["path"]))
            model.requires_grad_(True)
            trainer = Trainer(model, Loader(dataset), Plan(batch=model.config.batch))
            trainer.compute(0.5)
            count = model.config.batch
        else:
            for _ in draw(model, range(model.together), {}):
                pass
            count = model.together
    torch.set_num_threads(1)
    return counter.get_total_flops() / count


def verbs(folder: Path) -> None:
    """The table."""
    count, side = 1_000, 32
    photos = folder / "photos"
    photos.mkdir()
    images = pictures(count, side)
    for number, image in enumerate(images):
        Pillow.fromarray(image).save(photos / f"{number:05d}.png")
    rates = Rates(images[0])
    data, flow, gan, out = folder / "data.mq", folder / "flow", folder / "gan", folder / "out"
    idle, _ = took(["--version"], folder)
    print(f"{count:,} images of {side} px, one thread; a process that does nothing: {idle:.2f} s")
    print(
        f"decode {1e6 * rates.decode:.0f} us, encode {1e6 * rates.encode:.0f} us, hash {1e-6 / rates.byte:,.0f} MB/s, "
        f"product of matrices in bfloat16 {1e-9 / rates.flop:,.0f} GFLOP/s"
    )
    print("| verb | seconds | floor | ratio | the floor is |\n| --- | --- | --- | --- | --- |")

    def line(name: str, words: list[str], floor: Callable[[], float], why: str, more: float = 0.0) -> None:
        seconds = took(words, folder)[0] - idle - more
        least = floor()
        print(f"| {name} | {seconds:.2f} | {least:.2f} | {seconds / max(least, 1e-9):.1f} | {why} |", flush=True)

    load_torch, load_cv = loading("torch"), loading("numpy, cv2")
    line("ingest", ["ingest", str(photos), "--to", str(data), "--size", str(side), "--workers", "1"],
         lambda: count * rates.decode, "each file decoded")  # fmt: skip
    line("audit", ["audit", str(data)], lambda: load_torch + images.nbytes * rates.byte,
         "torch loaded, each pixel read and hashed once")  # fmt: skip
    steps = 3_200
    for family, run in (("flow", flow), ("gan", gan)):
        words = ["train", str(data), "--to", str(run), "--family", family, "--images", str(steps), "--scale", "nano"]
        line(f"train {family}, {steps:,} images", [*words, "--no-judge"],
             lambda run=run: load_torch + steps * rates.flop * flops_of(run, training=True),  # type: ignore[misc]
             "torch loaded, sums and products of the steps")  # fmt: skip
    many = 1_000
    floor_of = lambda run: load_torch + many * (rates.flop * flops_of(run, training=False) + rates.encode)  # noqa: E731
    for family, run in (("flow", flow), ("gan", gan)):
        line(
            f"sample {family}, {many:,}, unsigned",
            ["sample", str(run), "--to", str(out) + family, "--count", str(many), "--sign", "off"],
            lambda run=run: floor_of(run),
            "torch loaded, sums and products, files encoded",
        )  # type: ignore[misc]
    signed = out.with_name("signed")
    one = signature(folder, images[0])
    line(f"sample gan, {many:,}, signed", ["sample", str(gan), "--to", str(signed), "--count", str(many)],
         lambda: floor_of(gan) + many * one[0], "the same, and each signed")  # fmt: skip
    line(f"verify, {many:,}", ["verify", str(signed), "--workers", "1"], lambda: load_cv + many * one[1],
         "each signature read by the library")  # fmt: skip
    words = ["refine", str(photos), "--to", str(folder / "finished"), "--with", "sharpen amount=0.4", "--sign", "off"]
    line("refine (sharpen), unsigned", [*words, "--workers", "1"],
         lambda: load_cv + count * (rates.decode + rates.encode + sharpen(images[0])),
         "each decoded, sharpened by OpenCV, encoded")  # fmt: skip
    line(
        "evaluate gan, 1,000",
        ["evaluate", str(gan), "--count", "1000"],
        lambda: load_torch + 1_000 * rates.flop * flops_of(gan, training=False),
        "torch loaded, images drawn",
    )
    line("replay, 1 image", ["replay", str(next(iter(sorted(signed.glob("seed-*.png"))))), "--model", str(gan)],
         lambda: load_torch, "torch loaded")  # fmt: skip
    line("list", ["list"], lambda: 0.05, "a twentieth of a second")
    line("card", ["card", str(gan)], lambda: 0.05, "a twentieth of a second")


def signature(folder: Path, image: np.ndarray) -> tuple[float, float]:
    """Seconds to sign an image and to read its signature, with the C2PA library and nothing else."""
    from maquette.trust import signing
    from maquette.trust.press import Press

    press = Press(folder)
    signer = press.signer
    assert signer is not None
    manifest = press.manifest(kind="sheet", software={})
    content = signing.sheet(image, manifest, "png", signer)
    write = each(lambda: signing.sheet(image, manifest, "png", signer))

    def read() -> None:
        import c2pa

        with c2pa.Reader("image/png", io.BytesIO(content)) as reader:
            reader.json()

    return write, each(read)


def sharpen(image: np.ndarray) -> float:
    import cv2

    def work() -> None:
        values = image.astype(np.float32)
        soft = cv2.GaussianBlur(values, (0, 0), 1.0)
        np.clip(values + 0.4 * (values - soft), 0, 255).astype(np.uint8)

    return each(work)


# Growth

GROWING = ("ingest", "audit", "train step", "sample", "evaluate")
STEPS = 3_200
"""Images of the training whose time is looked at: the same at every size, so that it must not grow."""


def growth(folder: Path, sizes: list[int], which: list[str], to: Path) -> None:
    """Seconds of processor and megabytes by the number of images; figures of other sizes that are there stay."""
    facts: dict[str, Any] = json.loads(to.read_text()) if to.exists() else {"verbs": {}, "machine": []}
    side, (idle, base) = 8, took(["--version"], folder)
    facts |= {"side": side, "idle": [round(idle, 2), round(base)], "machine": [*facts["machine"], machine()]}
    for size in sizes:
        source, data, run = folder / f"{size}.npy", folder / f"{size}.mq", folder / f"run-{size}"
        if not source.exists():
            np.save(source, pictures(size, side))
        ingest = ["ingest", str(source), "--to", str(data), "--size", str(side)]
        train = ["train", str(data), "--to", str(run), "--family", "gan", "--images", str(STEPS), "--scale", "nano"]
        work = {
            "ingest": ingest,
            "audit": ["audit", str(data)],
            "train step": [*train, "--no-judge"],
            "sample": ["sample", str(run), "--to", str(folder / f"out-{size}"), "--count", str(size), "--sign", "off",
                       "--no-sheet", "--shards", "10000"],
            "evaluate": ["evaluate", str(run), "--against", str(data), "--count", str(size)],
        }  # fmt: skip
        for verb in which:
            if verb != "ingest" and not data.exists():
                took(ingest, folder)
            if verb in ("sample", "evaluate") and not run.exists():
                took(work["train step"], folder)
            seconds, memory = took(work[verb], folder)
            rows = [row for row in facts["verbs"].get(verb, []) if row[0] != size]
            facts["verbs"][verb] = sorted([*rows, [size, round(seconds, 2), round(memory)]])
            to.write_text(json.dumps(facts, indent=1) + "\n")
            print(f"{verb:12} {size:9,} images  {seconds:7.2f} s  {memory:6,.0f} MB", flush=True)


def page(facts: dict[str, Any]) -> str:
    """Both as plots beside each other, by powers of ten."""
    from maquette.core import plot
    from maquette.core.page import Page

    drawn = []
    for title, column in (("seconds of processor", 1), ("megabytes at most", 2)):
        series = {
            verb: plot.Line([row[0] for row in facts["verbs"][verb]], [row[column] for row in facts["verbs"][verb]])
            for verb in GROWING if verb in facts["verbs"]
        }  # fmt: skip
        drawn.append((title, plot.lines(series, across_label=f"images of {facts['side']} px", powers=True)))
    whole = Page("How five verbs grow")
    whole.section("").plots(drawn)
    return whole.html()


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("verbs", "growth"))
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--growing", nargs="*", choices=GROWING, default=list(GROWING))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--to", type=Path, default=Path("growth.json"))
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    if given.plot:
        given.to.write_text(page(json.loads(given.plot.read_text())))
        return 0
    print(machine())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        if given.only != "growth":
            verbs(Path(name))
        if given.only != "verbs":
            growth(given.folder or Path(name), given.sizes, given.growing, given.to)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
