"""What the training loop costs, what the probe gains, and how quickly a trained model answers.

    python benchmarks/loop.py                  the whole measurement (about ten minutes; leave the machine alone)
    python benchmarks/loop.py --quick          one size, a few blocks
    python benchmarks/loop.py --only loop      one of: loop, probe, sample

loop    images a second of `engine.train` (log, three running averages, states, events) as a share of a bare loop that
        is written here by hand for the same model, batch, precision and optimizer, with one running average.
        Promised: at least 0.97.
probe   images a second in the way of computing that the probe chooses, beside plain float32, channels first.
        Promised: at least 1.5 times at the scale small on a machine with bfloat16 (the smallest models gain less).
sample  seconds of the whole process `maquette sample RUN --count 64` at 64 x 64 pixels. Promised: under 4.

Both sides of a comparison take turns in one process, a block of steps each (A B A B ...); the median ratio of
neighbouring blocks is what counts. On a busy machine the processor's work is the better witness; it is printed beside.
Ends with 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from maquette.core.spec import Batch
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.data.loader import Loader
from maquette.engine.load import build, recipe
from maquette.engine.plan import Plan, threads
from maquette.engine.probe import Choice, probe
from maquette.engine.train import train
from maquette.engine.trainer import Trainer, prepare
from maquette.families import REGISTRY
from maquette.families.family import Family
from maquette.store.run import Run

FAMILY = "gan"
LOOP, GAIN, COLD = 0.97, 1.5, 4.0
BLOCK_SECONDS = 1.5
"""About how long one side computes before it is the other's turn."""
BEGINNINGS = 4


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


class Setting:
    """A dataset in memory and on the disk, and how to make the model for it."""

    def __init__(self, place: Path, size: int, scale: str, count: int) -> None:
        *_, made = make_drawn("shapes", place / f"shapes-{size}.mq", width=size, height=size, count=count)
        self.place, self.dataset, self.scale = place, made.value, scale
        conditions = tuple(c for c in self.dataset.spec.conditions if c.kind == "label")
        self.spec = dataclasses.replace(self.dataset.spec, conditions=conditions)
        self.kind = REGISTRY.get(FAMILY)
        self.config = self.kind.variant(scale, self.spec)  # type: ignore[arg-type]
        self.name = f"{FAMILY} {scale}, {size} x {size}, batches of {self.config.batch}"

    def make(self) -> Family:
        """The model with the weights of seed 0."""
        return build(FAMILY, self.config, self.spec, {}, 0)

    def loader(self) -> Loader:
        """The training images with their labels."""
        return Loader(self.dataset, "train", ["label"], 0)

    def plan(self, choice: Choice | None = None) -> Plan:
        """As the probe chose, or plain float32."""
        chosen = choice or Choice(threads=torch.get_num_threads())
        return Plan(
            images=10**9, batch=self.config.batch, precision=chosen.precision, layout=chosen.layout,
            threads=chosen.threads,
        )  # fmt: skip

    def chosen(self) -> Choice:
        """What the probe chooses here."""
        return probe(self.make, self.loader(), self.plan())


def bare(setting: Setting, plan: Plan) -> Iterator[None]:
    """The loop as one would write it for this model alone: a step each time it is asked."""
    family = prepare(setting.make(), plan)
    layout = torch.channels_last if plan.layout == "channels_last" else torch.contiguous_format
    every = setting.dataset.indices("train")
    images = torch.from_numpy(setting.dataset.images(every)).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(setting.dataset.conditions(every, ["label"])["label"]).long()
    optimizers, parts = [], []
    for phase in family.phases:
        part = [value for name, value in family.named_parameters() if phase.owns(name)]
        rate = phase.optimizer.rate
        optimizers.append(torch.optim.AdamW(part, rate, phase.optimizer.betas, weight_decay=0.0, fused=True))
        parts.append(part)
    averaged = [value for name, value in family.named_parameters() if name.startswith(family.averaged)]
    average = [value.detach().clone() for value in averaged]
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(images), generator=generator)
    seen = 0
    while True:
        rows = order[torch.arange(seen, seen + plan.batch) % len(images)]
        pixels = images[rows].float().div_(127.5).sub_(1.0).contiguous(memory_format=layout)
        batch = Batch(pixels, {"label": labels[rows]}, generator)
        losses = []
        for phase, optimizer, part in zip(family.phases, optimizers, parts, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bfloat16"):
                loss = family.loss(batch, phase.name).total
            loss.backward(inputs=part)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
        with torch.no_grad():
            torch._foreach_lerp_(average, averaged, 0.005)  # type: ignore[arg-type]
        if not all(abs(loss) < 1e9 for loss in losses):
            raise RuntimeError("the bare loop broke")
        seen += plan.batch
        yield


def whole(setting: Setting, plan: Plan) -> Iterator[None]:
    """The engine's loop."""
    trainer = Trainer(setting.make(), setting.loader(), plan)
    place = Path(tempfile.mkdtemp(dir=setting.place))
    run = Run.create(place / "run", {"recipe": recipe(FAMILY, trainer.family)})
    for _ in train(trainer, run, name=FAMILY):
        yield


@dataclasses.dataclass
class Sides:
    """Seconds a step of every block of two sides: by the clock, and of the processor's work."""

    clock: tuple[list[float], list[float]]
    work: tuple[list[float], list[float]]


def ratio(sides: tuple[list[float], list[float]]) -> float:
    """How much quicker the first side is: the median over neighbouring blocks."""
    return statistics.median(two / one for one, two in zip(*sides, strict=True))


def compare(first: Callable[[], Iterator[None]], second: Callable[[], Iterator[None]], blocks: int) -> Sides:
    """Let both sides take turns. Both begin anew a few times, because where memory lies makes a per cent or two."""
    found = Sides(([], []), ([], []))
    for _ in range(BEGINNINGS):
        sides = (first(), second())
        began = time.perf_counter()
        for _ in range(3):
            next(sides[0]), next(sides[1])
        steps = max(2, round(6 * BLOCK_SECONDS / (time.perf_counter() - began)))
        for block in range(max(2, blocks // BEGINNINGS)):
            for side in (0, 1) if block % 2 else (1, 0):
                began, worked = time.perf_counter(), time.process_time()
                for _ in range(steps):
                    next(sides[side])
                found.clock[side].append((time.perf_counter() - began) / steps)
                found.work[side].append((time.process_time() - worked) / steps)
    return found


def say(what: str, sides: Sides, names: tuple[str, str], promised: float | None, batch: int) -> bool:
    """Print one comparison; whether the promise is broken."""
    found = ratio(sides.clock)
    rates = ", ".join(
        f"{name} {batch / statistics.median(each):,.0f} images/s ({batch / max(each):,.0f} to {batch / min(each):,.0f})"
        for name, each in zip(names, sides.clock, strict=True)
    )
    broken = promised is not None and found < promised
    verdict = "" if promised is None else f", promised {promised:g}: {'BROKEN' if broken else 'kept'}"
    print(f"  {what}: {found:.3f} by the clock{verdict}; {ratio(sides.work):.3f} by the processor's work")
    print(f"    {rates}", flush=True)
    return broken


def measure_loop(setting: Setting, choice: Choice, blocks: int) -> bool:
    """The engine's loop beside the bare one."""
    plan = setting.plan(choice)
    with threads(plan.threads):
        sides = compare(partial(whole, setting, plan), partial(bare, setting, plan), blocks)
    return say("the loop, as a share of one by hand", sides, ("engine", "by hand"), LOOP, plan.batch)


def measure_probe(setting: Setting, choice: Choice, blocks: int) -> bool:
    """The probe's choice beside plain float32."""
    fast, plain = setting.plan(choice), setting.plan()
    with threads(plain.threads):
        sides = compare(partial(whole, setting, fast), partial(whole, setting, plain), blocks)
    names = (f"{choice.precision}, {choice.layout}", "plain float32")
    promised = GAIN if has_bfloat16() and setting.scale == "small" else None
    return say("the probe's choice, times plain float32", sides, names, promised, plain.batch)


def measure_sample(place: Path, repeats: int) -> bool:
    """The whole process of `maquette sample`, from its start to its end."""
    home = {**os.environ, "MAQUETTE_HOME": str(place / "home")}
    command = [sys.executable, "-m", "maquette"]
    if not (place / "shapes-64.mq").exists():
        list(make_drawn("shapes", place / "shapes-64.mq", width=64, height=64, count=128))
    data = str(Dataset.open(place / "shapes-64.mq").path)
    words = ["train", data, "--to", str(place / "cold"), "--family", FAMILY, "--scale", "small", "--images", "256"]
    subprocess.run([*command, *words, "--given", "label"], check=True, env=home, capture_output=True)
    taken = []
    for number in range(repeats):
        began = time.perf_counter()
        words = ["sample", str(place / "cold"), "--to", str(place / f"images-{number}"), "--count", "64"]
        subprocess.run([*command, *words], check=True, env=home, capture_output=True)
        taken.append(time.perf_counter() - began)
    median = statistics.median(taken)
    broken = median >= COLD
    print(f"  sample of 64 images at 64 x 64, a process of its own: median {median:.2f} s of {repeats}"
          f" ({min(taken):.2f} to {max(taken):.2f})  promised {COLD:g}: {'BROKEN' if broken else 'kept'}")  # fmt: skip
    return broken


def main() -> int:
    """Measure, print, and say whether a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one size, a few blocks")
    parser.add_argument("--only", choices=("loop", "probe", "sample"))
    arguments = parser.parse_args()
    blocks = 8 if arguments.quick else 24
    wanted: Callable[[str], bool] = lambda name: arguments.only in (None, name)  # noqa: E731
    print(
        f"{platform.platform()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, bfloat16 {'yes' if has_bfloat16() else 'no'}, load {os.getloadavg()[0]:.1f}"
    )
    broken = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = [(32, "small")] if arguments.quick else [(32, "nano"), (32, "small"), (64, "small")]
        for number, (size, scale) in enumerate(sizes if arguments.only != "sample" else []):
            own = place / str(number)
            own.mkdir()
            setting = Setting(own, size, scale, 512)
            choice = setting.chosen()
            print(f"{setting.name}: {choice.sentence('cpu')}")
            if wanted("loop"):
                broken |= measure_loop(setting, choice, blocks)
            if wanted("probe"):
                broken |= measure_probe(setting, choice, blocks)
        if wanted("sample"):
            broken |= measure_sample(place, 3 if arguments.quick else 7)
        print(f"load {os.getloadavg()[0]:.1f} at the end")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
