"""The recurrent network beside torch.nn.GRU and a transformer, and odd images by its scores.

python benchmarks/recurrent.py layer              training one layer, tokens a second (width 256, 256 tokens, batch 32)
python benchmarks/recurrent.py writing            images a second, 256 and 1,024 tokens each, batch 16
python benchmarks/recurrent.py odd RUN USUAL ODD  how surely images of the dataset ODD are told from those of USUAL
python benchmarks/recurrent.py repeat CIFAR FILE  a file of 4,000 images and twenty of them 19 times more, to learn from
python benchmarks/recurrent.py repeated RUN       how surely those twenty are found by how probable they are

Sides of a comparison take turns in one process and the median of their ratios counts; with one thread, as by default,
its own time is measured. So a busy machine matters little. The transformer has as many weights in its blocks, keeps
keys and values of all tokens before (a cache, made once), and draws by the same code.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.noise import Noise
from maquette.core.spec import DataSpec
from maquette.families.recurrent import Prior, Settings, Writer
from maquette.nn.choice import pick, shaped
from maquette.nn.quantize import levels_of
from maquette.nn.recurrent import MinimalGRU, doubling

CODES = 1000


def seconds(work: Callable[[], object]) -> float:
    """How long it takes once: of one thread the time it computes, which other work on the machine changes little."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    work()
    return clock() - began


def turns(sides: dict[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of every side, by turns."""
    for work in sides.values() if warm else ():
        work()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            found[name].append(seconds(work))
    return found


def ratio(slow: list[float], quick: list[float]) -> float:
    """How many times quicker, by the median of neighbouring turns."""
    return statistics.median(s / q for s, q in zip(slow, quick, strict=True))


# One layer


def layer(rounds: int = 5) -> None:
    """Forward and backward of one layer."""
    x = torch.randn(256, 32, 256)
    gru, minimal = nn.GRU(256, 256), MinimalGRU(256)

    def train(work: Callable[[Tensor], Tensor], module: nn.Module, precision: torch.dtype) -> Callable[[], object]:
        def once() -> None:
            with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
                out = work(x)
            out.float().sum().backward()
            for parameter in module.parameters():
                parameter.grad = None

        return once

    def by_doubling(some: Tensor) -> Tensor:
        gate, new = minimal.gates(some).float().chunk(2, dim=2)
        update = torch.sigmoid(gate)
        return doubling(1 - update, update * new)

    sides = {
        "torch.nn.GRU, float32": train(lambda some: gru(some)[0], gru, torch.float32),
        "minimal GRU by doubling, float32": train(by_doubling, minimal, torch.float32),
        "minimal GRU, float32": train(minimal, minimal, torch.float32),
        "torch.nn.GRU, bfloat16": train(lambda some: gru(some)[0], gru, torch.bfloat16),
        "minimal GRU, bfloat16": train(minimal, minimal, torch.bfloat16),
    }
    found = turns(sides, rounds)
    for name, times in found.items():
        print(f"{name:34} {256 * 32 / statistics.median(times):9,.0f} tokens a second")
    for precision in ("float32", "bfloat16"):
        gain = ratio(found[f"torch.nn.GRU, {precision}"], found[f"minimal GRU, {precision}"])
        print(f"minimal GRU beside torch.nn.GRU in {precision}: {gain:.1f} times")
    best = [min(pair) for pair in zip(found["torch.nn.GRU, float32"], found["torch.nn.GRU, bfloat16"], strict=True)]
    print(f"each in its best precision: {ratio(best, found['minimal GRU, bfloat16']):.1f} times")


# Writing


class Attention(nn.Module):
    """A transformer's block with a cache: attention of 8 heads, then a small network."""

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.enlarge, self.reduce = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def step(self, x: Tensor, cache: Tensor, at: int) -> Tensor:
        """N D, and the cache 2 N heads T d, in which place `at` is written."""
        query, key, value = (
            part.unflatten(1, (self.heads, -1)) for part in self.enter(self.norm(x)).chunk(3, dim=1)
        )  # fmt: skip
        cache[0, :, :, at], cache[1, :, :, at] = key, value
        seen = F.scaled_dot_product_attention(query[:, :, None], cache[0, :, :, : at + 1], cache[1, :, :, : at + 1])
        x = x + self.leave(seen.flatten(1))
        return x + self.reduce(F.silu(self.enlarge(self.second_norm(x))))


class Transformer(nn.Module):
    """Tokens one after the other, by attention."""

    def __init__(self, width: int, blocks: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(CODES + 1, width)
        self.places = nn.Parameter(torch.randn(length, width))
        self.blocks = nn.ModuleList(Attention(width) for _ in range(blocks))
        self.norm, self.leave = nn.RMSNorm(width), nn.Linear(width, CODES)
        self.length, self.width = length, width

    def write(self, places: Tensor) -> int:
        """Draw all tokens; returns how many numbers are kept at the end."""
        count = len(places)
        caches = [torch.empty(2, count, 8, self.length, self.width // 8) for _ in self.blocks]
        token = torch.full((count,), CODES)
        for at in range(self.length):
            x = self.tokens(token) + self.places[at]
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block.step(x, cache, at)
            token = pick(shaped(self.leave(self.norm(x))), places[:, at])
        return sum(cache.numel() for cache in caches)


def write(prior: Prior, places: Tensor, side: int) -> int:
    """Draw all tokens; returns how many numbers are kept at the end."""
    writer = Writer(prior, {}, (side, side), torch.full((len(places), side, side), -1))
    for row in range(side):
        for column in range(side):
            tokens = pick(shaped(writer.logits(row, column)), places[:, row * side + column])
            writer.put(row, column, tokens)
    return sum(part.numel() for state in writer.states for part in state)


@torch.inference_mode()
def writing(rounds: int = 3, count: int = 16) -> None:
    """Images a second of both, and what each keeps of the tokens before."""
    for side in (16, 32):
        length = side * side
        spec = DataSpec(height=4 * side, width=4 * side)
        prior = Prior(Settings(width=256, blocks=6), spec, levels_of(CODES), (side, side)).eval()
        transformer = Transformer(256, 6, length).eval()
        weights = [sum(p.numel() for p in model.blocks.parameters()) for model in (prior, transformer)]
        places = torch.from_numpy(Noise(range(count)).uniform("tokens", length))
        kept = {"recurrent": write(prior, places, side), "transformer": transformer.write(places)}
        sides: dict[str, Callable[[], object]] = {
            "recurrent": lambda model=prior, at=places, long=side: write(model, at, long),
            "transformer": lambda model=transformer, at=places: model.write(at),
        }
        found = turns(sides, rounds, warm=False)
        print(f"{length:,} tokens an image; weights in the blocks: {weights[0]:,} and {weights[1]:,}")
        for name, times in found.items():
            rate = count / statistics.median(times)
            print(f"  {name:12} {rate:7.2f} images a second, keeps {kept[name] * 4 / count / 2**20:6.2f} MiB an image")
        print(f"  recurrent beside transformer: {ratio(found['transformer'], found['recurrent']):.2f} times")


def area(higher: NDArray[Any], lower: NDArray[Any]) -> float:
    """How often one of the first is higher than one of the second: the area under the curve."""
    return float(np.mean(higher[:, None] > lower[None]) + 0.5 * np.mean(higher[:, None] == lower[None]))


# Odd images


def odd(run: str, usual: str, strange: list[str]) -> None:
    """The area under the curve of telling images of other datasets from held-out usual ones by their scores."""
    from maquette.data.dataset import Dataset
    from maquette.engine.likely import scores
    from maquette.engine.load import load
    from maquette.store.run import Run

    family = load(Run.open(Path(run)))
    data = Dataset.open(Path(usual))
    right = scores(family, data.images(data.indices("held-out")[:500]))
    for path in strange:
        other = Dataset.open(Path(path))
        found = scores(family, other.images(np.linspace(0, len(other) - 1, 500).astype(int)))
        print(f"{other.name:16} among {data.name}: area under the curve {area(right, found):.3f}")


# Repeated images

TWENTY, TIMES, IMAGES = 20, 20, 4_000


def repeat(path: str, file: str) -> None:
    """Images of a dataset, of which the first twenty are there many times, as an array of pictures."""
    from maquette.data.dataset import Dataset

    data = Dataset.open(Path(path))
    images = data.images(data.indices("train")[:IMAGES])
    np.save(file, np.concatenate([images, *[images[:TWENTY]] * (TIMES - 1)]))


def repeated(run: str) -> None:
    """The area under the curve of telling images that occurred often from those that occurred once."""
    from maquette.data.dataset import Dataset
    from maquette.engine.likely import scores
    from maquette.engine.load import load
    from maquette.store.run import Run

    opened = Run.open(Path(run))
    family = load(opened)
    data = Dataset.open(Path(opened.facts["dataset"]["path"]))
    images = data.images(data.indices("train"))
    kept, times = np.unique(images, axis=0, return_counts=True)
    often = kept[times > TIMES // 2]
    once = kept[times == 1][:500]
    held = data.images(data.indices("held-out"))
    found = {}
    for name, some in (("often", often), ("once", once), ("held", held)):
        plain = scores(family, some)
        ahead = plain - scores(family, np.ascontiguousarray(some[:, :, ::-1]))
        print(f"{name}: {len(some)} images, {plain.mean():.1f}, ahead of their mirror images {ahead.mean():.1f}")
        found[name] = {"how probable": plain, "how much more probable than mirrored": ahead}
    for what, mine in found["often"].items():
        for other in ("once", "held"):
            print(f"{what}: often beside {other}: area under the curve {area(mine, found[other][what]):.3f}")


def main() -> None:
    """What was asked for."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("part", choices=("layer", "writing", "odd", "repeat", "repeated"), nargs="?")
    words.add_argument("paths", nargs="*")
    words.add_argument("--threads", type=int, default=1)
    asked = words.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.part in (None, "layer"):
        layer()
    if asked.part in (None, "writing"):
        writing()
    if asked.part == "odd":
        odd(asked.paths[0], asked.paths[1], asked.paths[2:])
    if asked.part == "repeat":
        repeat(*asked.paths)
    if asked.part == "repeated":
        repeated(*asked.paths)


if __name__ == "__main__":
    main()
