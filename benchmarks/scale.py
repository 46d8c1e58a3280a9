"""A cost model of training and bulk work beyond one machine: fitted here, checked by simulation, and what it predicts.

    python benchmarks/scale.py                  fit (two minutes), simulate, predict
    python benchmarks/scale.py --assumed        no fit: the figures of docs/guide/scale.md

A step of N processes takes

    fixed + image * batch / N            computing: fixed is what does not depend on the batch (optimizer, averages)
  + wait(N)                              for the slowest: its times differ by chance from the others'
  + 2 (N - 1) / N * bytes / bandwidth    the flat sum of gradients, sent round a ring in N - 1 pieces, twice
  + hops(N) * latency                    2 (N - 1) round a ring; on GPUs 2 log2 N, over halves of halves
  + sums * hops(N) * latency             small sums (batch statistics), if the family has any

`simulate` plays rings of processes message by message, each with its own chance, and compares. GPUs are not measured:
what is assumed of them stands in ASSUMED, and every figure that rests on it says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LINKS = (16_384, 1_000_000, 4_000_000)


@dataclass(frozen=True)
class Costs:
    """Of one training on one kind of machine; seconds and bytes."""

    name: str
    fixed: float
    image: float
    gradients: float
    latency: float
    bandwidth: float
    sums: int = 0
    spread: float = 0.05
    """Standard deviation of a process's computing time, as a share."""
    tree: bool = False
    """Whether sums go over halves of halves of the processes, as on GPUs, or round a ring."""

    def hops(self, processes: int) -> int:
        """Messages one after the other in a sum."""
        return 2 * math.ceil(math.log2(processes)) if self.tree else 2 * (processes - 1)

    def step(self, processes: int, batch: int) -> float:
        """Seconds of one step."""
        n = processes
        compute = self.fixed + self.image * batch / n
        wait = compute * self.spread * math.sqrt(2 * math.log(n)) if n > 1 else 0.0
        sent = 2 * (n - 1) / n * self.gradients / self.bandwidth
        return compute + wait + sent + self.hops(n) * self.latency * (1 + self.sums)

    def rate(self, processes: int, batch: int) -> float:
        """Images a second."""
        return batch / self.step(processes, batch)


# Fitted on two cores of an AMD EPYC (docs/log.md), flow and gan of the scale small at 32 px in bfloat16.
FLOW = Costs("flow, processor cores", 0.021, 0.00375, 4 * 1.84e6, 0.0003, 1.0e9)
GAN = Costs("gan, processor cores", 0.022, 0.0029, 4 * 1.39e6, 0.0003, 1.0e9, sums=18)
# Nothing of this was measured: 35 % of 990 TFLOP/s in bfloat16, 4 ms to start the kernels of a step, 20 us a message,
# 50 GB/s between machines.
ASSUMED = Costs(
    "flow base at 64 px, GPUs (assumed)", 0.004, 1.35e9 / (0.35 * 990e12), 4 * 4.77e6, 20e-6, 50e9, tree=True
)
A_GPU = 256
"""Images of a batch on one GPU, where there is one for each."""


def simulate(costs: Costs, processes: int, batch: int, steps: int, seed: int = 0) -> float:
    """Seconds of a step, message by message: every process has its own chance, and a ring passes pieces on."""
    dice, n = np.random.default_rng(seed), processes
    clock = np.zeros(n)
    share = np.array([(rank + 1) * batch // n - rank * batch // n for rank in range(n)])

    def total(size: float) -> None:
        nonlocal clock
        if costs.tree:  # n is a power of 2: halves are exchanged and summed, then gathered again
            ways = [(1 << k, size / 2 ** (k + 1)) for k in range(round(math.log2(n)))]
            for apart, piece in [*ways, *reversed(ways)]:
                sent = costs.latency * dice.gamma(4, 0.25, n) + piece / costs.bandwidth
                other = np.arange(n) ^ apart
                clock = np.maximum(clock, clock[other]) + sent[other]
            return
        for _ in range(2 * (n - 1)):
            sent = costs.latency * dice.gamma(4, 0.25, n) + size / n / costs.bandwidth
            # A process has a piece when it is ready itself and its neighbour has sent it.
            clock = np.maximum(clock, np.roll(clock, 1)) + np.roll(sent, 1)

    for _ in range(steps):
        compute = (costs.fixed + costs.image * share) * dice.normal(1, costs.spread, n).clip(0.5)
        parts = costs.sums + 1
        for part in range(parts):
            clock = clock + compute / parts
            total(costs.gradients if part == parts - 1 else 0.0)
    return float(clock.max()) / steps


def check() -> bool:
    """Model and simulation beside each other."""
    good = True
    print("| training | processes | batch | model, ms | simulated, ms | ratio |\n| --- | --- | --- | --- | --- | --- |")
    cases = [(FLOW, n, 32) for n in (1, 2, 8)] + [(GAN, n, 32) for n in (1, 2, 8)]
    cases += [(ASSUMED, n, A_GPU * n) for n in (1, 8, 64, 512)]
    for costs, n, batch in cases:
        model, played = costs.step(n, batch), simulate(costs, n, batch, 20 if n > 100 else 60)
        good = good and 0.8 <= played / model <= 1.25
        print(f"| {costs.name} | {n} | {batch:,} | {1e3 * model:.1f} | {1e3 * played:.1f} | {played / model:.2f} |")
    return good


def predict() -> None:
    """Tables for docs/guide/scale.md."""
    print("\n| training | processes | batch | images/s | of N times one | gradients sent a step and process, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for costs, n, batch in [(FLOW, n, 32) for n in (1, 2, 4, 8)] + [(GAN, n, 32) for n in (1, 2, 4, 8)]:
        line(costs, n, batch)
    for n in (1, 8, 64, 512):
        line(ASSUMED, n, A_GPU * n)
    for n in (8, 64, 512):
        line(ASSUMED, n, 2_048)
    print("\n| images seen in training (assumed) | 8 GPUs | 64 | 512 |\n| --- | --- | --- | --- |")
    for power in (6, 7, 8, 9):
        times = [spoken(10**power / ASSUMED.rate(n, A_GPU * n)) for n in (8, 64, 512)]
        print(f"| 10^{power} | " + " | ".join(times) + " |")
    print("\n| bulk work, 32 px | ms an image | kB an image | " + " | ".join(BULK_ROWS) + " |")
    print("| --- " * (3 + len(BULK_ROWS)) + "|")
    for verb, (cost, size) in BULK.items():
        times = [f"{spoken(count * cost / cores)}, {count * size / 1e9:,.0f} GB" for count, cores in BULK_ROWS.values()]
        print(f"| {verb} | {1e3 * cost:.2f} | {size / 1e3:.1f} | " + " | ".join(times) + " |")


# Seconds of processor and bytes written an image (docs/guide/scale.md has the table they are from).
BULK = {
    "ingest": (0.00085, 3_072),
    "audit": (0.0014, 0),
    "sample gan, signed": (0.0032, 7_700),
    "evaluate": (0.0045, 0),
}
BULK_ROWS = {
    "10^6 on 16 cores": (10**6, 16),
    "10^7 on 64": (10**7, 64),
    "10^8 on 512": (10**8, 512),
    "10^9 on 4,096": (10**9, 4096),
}


def spoken(seconds: float) -> str:
    """A time for people."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def line(costs: Costs, n: int, batch: int) -> None:
    rate, sent = costs.rate(n, batch), 2 * (n - 1) / n * costs.gradients / 1e6
    gain = rate / (n * costs.rate(1, A_GPU if costs is ASSUMED else batch))
    print(f"| {costs.name} | {n} | {batch:,} | {rate:,.0f} | {gain:.0%} | {sent:.1f} |")


# Fitting


def fit() -> list[Costs]:
    """The costs of this machine, in seconds of processor (which other programs disturb less)."""
    import torch

    from maquette.core.spec import DataSpec
    from maquette.data.drawn.drawn import make_drawn
    from maquette.data.loader import Loader
    from maquette.engine.load import build
    from maquette.engine.plan import Plan
    from maquette.engine.trainer import Trainer
    from maquette.families import REGISTRY

    torch.set_num_threads(1)

    class Half:
        """One of two processes whose other half is the same: nothing is sent."""

        rank, world, count = 0, 2, 0

        def add_up(self, values: torch.Tensor) -> None:
            self.count += 1
            values.mul_(2)

    with tempfile.TemporaryDirectory() as name:
        *_, made = make_drawn("shapes", Path(name) / "some.mq", width=32, height=32, count=400)
        latency, bandwidth = link()
        found = []
        for family in ("flow", "gan"):
            spec, kind = DataSpec(height=32, width=32), REGISTRY.get(family)
            times, half = {}, Half()
            for batch in (32, 64):
                config = dataclasses.replace(kind.variant("small", spec), batch=batch)
                plan = Plan(batch=batch, precision="bfloat16", layout="channels_last")
                trainer = Trainer(build(family, config, spec, {}), Loader(made.value), plan, half)
                trainer.compute(0.5)
                each = []
                half.count = 0
                for _ in range(16):
                    began = time.process_time()
                    trainer.compute(0.5)
                    each.append(time.process_time() - began)
                times[batch // 2] = float(np.median(each))
            image = (times[32] - times[16]) / 16
            size = 4.0 * sum(value.numel() for value in trainer.family.parameters())
            found.append(
                Costs(f"{family}, processor cores", times[16] - 16 * image, image, size, latency, bandwidth,
                      sums=half.count // 16 - len(trainer.family.phases))
            )  # fmt: skip
    return found


def link() -> tuple[float, float]:
    """Seconds of a small sum of two processes, and bytes a second of large ones, over this machine's own network."""
    with tempfile.TemporaryDirectory() as name:
        words = [sys.executable, __file__, "--peer", str(Path(name) / "meeting")]
        other = subprocess.Popen([*words, "1"], env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"})
        done = subprocess.run(
            [*words, "0"], env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}, capture_output=True, text=True, check=True
        )
        other.wait()
    small, *large = (float(word) for word in done.stdout.split())
    return small / 2, (LINKS[2] - LINKS[1]) / max(1e-9, large[1] - large[0])


def peer(file: str, rank: int) -> None:
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.FileStore(file, 2), rank=rank, world_size=2)
    for size in LINKS:
        values, each = torch.ones(size // 4), []
        for _ in range(60):
            began = time.perf_counter()
            dist.all_reduce(values)
            each.append(time.perf_counter() - began)
        if rank == 0:
            print(float(np.percentile(each, 25)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assumed", action="store_true")
    parser.add_argument("--peer", nargs=2)
    given = parser.parse_args()
    if given.peer:
        peer(given.peer[0], int(given.peer[1]))
        return 0
    if not given.assumed:
        for costs in fit():
            print(
                f"{costs.name}: {1e3 * costs.fixed:.1f} ms + {1e3 * costs.image:.2f} ms an image; "
                f"{costs.gradients / 1e6:.1f} MB of gradients; {costs.sums} small sums; "
                f"a message {1e6 * costs.latency:.0f} us, {1e-9 * costs.bandwidth:.2f} GB/s"
            )
    good = check()
    predict()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
