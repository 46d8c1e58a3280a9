"""How near training and sampling come to what the machine can compute, and how fast images are made.

    python benchmarks/rate.py                        gan and flow at 32, 64 and 128 px, one thread
    python benchmarks/rate.py --sides 32 --families gan --batch 128 --threads 2

Three rates of bfloat16, in thousand million operations a second: of one large product of matrices, the machine's best;
of the products and convolutions that a step of training (or the making of 64 images) consists of, each of them alone,
which is what their shapes allow; and of the step. Shares are of time: what the products and convolutions take alone,
beside what the whole takes. Then images a second, 64 at a time, and how long one alone takes in a process that has made
others. The middle of several turns; run it with nothing else at work.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer
from maquette.engine.sample import draw
from maquette.engine.start import Wish, start

HEAVY = ("convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm", "conv2d", "conv_transpose2d", "linear")
"""What counts as computing: everything else moves numbers about."""


class Listing(TorchDispatchMode):
    """Every product and convolution that runs: its operation and the forms of what it is given, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        name = function.__name__.split(".")[0]
        if name in HEAVY:
            self.found[(function, *(_form(value) for value in given))] += 1
        return function(*given, **(named or {}))


def _form(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (tuple(value.shape), tuple(value.stride()), value.dtype)
    return tuple(value) if isinstance(value, list) else value


def _made(form: Any) -> Any:
    """Something of that form."""
    if isinstance(form, tuple) and len(form) == 3 and isinstance(form[2], torch.dtype):
        shape, stride, dtype = form
        return torch.empty_strided(shape, stride, dtype=dtype).normal_()
    return list(form) if isinstance(form, tuple) else form


def taken(work: Callable[[], object], least: float = 0.4) -> float:
    """Seconds that it takes, the middle of as many turns as fit."""
    work()
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def alone(found: Counter[tuple[Any, ...]]) -> float:
    """Seconds that all of these take, each by itself."""
    total = 0.0
    with torch.inference_mode():
        for (function, *forms), count in found.items():
            given = [_made(form) for form in forms]
            total += count * taken(lambda function=function, given=given: function(*given), 0.02)  # type: ignore[misc]
    return total


def best() -> float:
    """Operations a second of one large product of matrices in bfloat16."""
    one = torch.randn(2048, 2048, dtype=torch.bfloat16)
    return float(2 * 2048**3 / taken(lambda: one @ one))


def measured(work: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds, seconds of its products and convolutions alone, and how many operations they are."""
    with FlopCounterMode(display=False) as counter:
        work()
    with Listing() as listing:
        work()
    return taken(work, 2.0), alone(listing.found), float(counter.get_total_flops())


def dataset(folder: Path, side: int) -> Dataset:
    """Noise: only its form matters."""
    images = np.random.default_rng(0).integers(0, 256, (600, side, side, 3), np.uint8)
    with Writer(folder / f"noise{side}.mq", DataSpec(height=side, width=side), settings={}) as writer:
        writer.append(images, {}, [{"path": str(number)} for number in range(len(images))])
        return writer.finish(np.zeros(600, np.uint8), np.arange(600, dtype=np.int32))


def measure(folder: Path, family: str, side: int, given: argparse.Namespace, most: float) -> None:
    """One family at one size."""
    changes = {} if given.batch is None else {"batch": str(given.batch)}
    wish = Wish(family=family, images=100_000, scale=given.scale, changes=changes)
    session = start(dataset(folder, side), folder / f"{family}{side}", wish, probes=folder / "probes.json")
    trainer = session.trainer
    seconds, least, operations = measured(lambda: trainer.step(0.5))
    head = f"{family}, {given.scale}, {side} px"
    print(
        f"{head}: a step of {trainer.plan.batch} images in {trainer.plan.precision} {seconds * 1e3:.1f} ms "
        f"({trainer.plan.batch / seconds:.0f} images a second): {operations / seconds / 1e9:.0f} GFLOP/s, "
        f"{operations / seconds / most:.0%} of the matrix rate; {least / seconds:.0%} of the time is what its products "
        f"and convolutions take alone ({operations / least / 1e9:.0f} GFLOP/s)",
        flush=True,
    )
    model = trainer.model()
    together = max(model.together, 64)

    def make(count: int, micro: int) -> None:
        for _ in draw(model, range(count), {}, micro=micro):
            pass

    seconds, least, operations = measured(lambda: make(together, together))
    single = taken(lambda: make(1, model.together))
    print(
        f"{head}: {together} images made at once {together / seconds:.0f} a second "
        f"({operations / seconds / 1e9:.0f} GFLOP/s, "
        f"{least / seconds:.0%} what its convolutions take alone), one alone {single * 1e3:.1f} ms",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=["gan", "flow"])
    parser.add_argument("--sides", nargs="*", type=int, default=[32, 64, 128])
    parser.add_argument("--scale", default="micro")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    most = best()
    print(f"one product of 2,048 x 2,048 matrices in bfloat16, {given.threads} threads: {most / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory(prefix="maquette-") as name:
        for family in given.families:
            for side in given.sides:
                measure(Path(name), family, side, given, most)
    return 0


if __name__ == "__main__":
    sys.exit(main())
