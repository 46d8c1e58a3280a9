"""Half of an image, or a hole in it, filled by a model: how real is it beside the mean colour and the nearest patch?

    python benchmarks/edit_completion.py RUN [--count 128] [--of 4] [--to FOLDER]

Held-out images lose their right half, or a square in the middle of a quarter of their area. Each is filled by the model
once, by the best of several as `complete` ranks them, by the mean colour of what is given, and by that piece of a
training image (of 10,000) whose rest fits best. The judge compares each set of filled images with other held-out ones:
the kernel distance of scattering features, lower is nearer to real. Promised: below both other ways. Beside it stand
the decibels to the truth, and the same distance of images that the model makes of nothing, which says what it could do
at best. The run's dataset must be there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maquette.core.image import save, sheet
from maquette.engine.latent.complete import completed, side
from maquette.engine.latent.encoder import dataset_of
from maquette.engine.load import load
from maquette.engine.sample import draw
from maquette.engine.world import World, world_of
from maquette.features.extractor import REGISTRY, extract, stack
from maquette.features.neighbours import squared_distances
from maquette.features.space import Space
from maquette.judge.evidence import Chosen, pick
from maquette.judge.interval import jackknife
from maquette.judge.metrics.fidelity import kernel_distances
from maquette.store.run import Run

Pixels = np.ndarray
PATCHES, KNOWN, REAL = 10_000, 3_000, 1_500


class Judge:
    """The kernel distance of images to held-out ones, in a space fitted on training images."""

    def __init__(self, train: Pixels, held: Pixels) -> None:
        self._extractor = REGISTRY.get("scattering")(train[:1])
        rows = self._features(train)
        self._space = Space.fit(rows)
        self._real = self._space(self._features(held))
        self.last = 0.0

    def __call__(self, images: Pixels) -> str:
        """In words; as a number in `last`."""
        found = jackknife(*kernel_distances(self._real, self._space(self._features(images))))
        self.last = found.value
        return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"

    def _features(self, images: Pixels) -> Pixels:
        return stack(list(extract(self._extractor, images)))


def mean_filled(images: Pixels, given: Pixels) -> Pixels:
    """The mean colour of what is given, where nothing is."""
    means = [image[given].mean(axis=0).round().astype(images.dtype) for image in images]
    return np.stack([np.where(given[..., None], image, mean) for image, mean in zip(images, means, strict=True)])


def patched(images: Pixels, given: Pixels, train: Pixels) -> Pixels:
    """What the training image has there whose rest is nearest to what is given."""
    top = float(np.iinfo(images.dtype).max)
    rows = [(some[:, given].astype(np.float32) / top).reshape(len(some), -1) for some in (images, train)]
    best = np.concatenate([squared_distances(part, rows[1]).argmin(axis=1) for part in np.array_split(rows[0], 8)])
    return np.where(given[..., None], images, train[best])


def filled(model: object, images: Pixels, given: Pixels, rows: dict[str, Pixels], of: int) -> Iterator[Pixels]:
    """Each image filled so many times, a set after the other."""
    for number in range(of):
        seeds = range(number * len(images), (number + 1) * len(images))
        yield np.stack(list(completed(model, images, given, seeds, rows, model.Options())))  # type: ignore[attr-defined]


def main() -> int:
    """1 where filling by the model is not nearer to real images than both other ways."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("run", type=Path)
    reader.add_argument("--count", type=int, default=128)
    reader.add_argument("--of", type=int, default=4)
    reader.add_argument("--only", choices=("hole", "right"))
    reader.add_argument("--to", type=Path)
    asked = reader.parse_args()
    run = Run.open(asked.run)
    model, data = load(run), dataset_of(run)
    if data is None:
        raise SystemExit("the dataset of the run is not there")
    world = world_of(run, data)
    if not isinstance(world, World):
        raise SystemExit(world)
    held = data.indices("held-out")
    chosen = pick(held, asked.count, seed=2)
    images = data.images(chosen)
    names = [condition.name for condition in model.spec.conditions]
    rows = dict(data.conditions(chosen, names))
    train = Chosen(data, pick(data.indices("train"), PATCHES, seed=3))[slice(0, PATCHES)]
    judge = Judge(train[:KNOWN], data.images(np.setdiff1d(held, chosen)[:REAL]))
    print(f"{run.facts['family']}, {run.facts['images_seen']:,} images seen")
    print(f"{len(images)} held-out images, whole: {judge(images)}")
    drawn = np.concatenate(list(draw(model, range(10**6, 10**6 + asked.count), rows)))
    print(f"made of nothing: {judge(drawn)}", flush=True)
    height, width = images.shape[1:3]
    hole = np.ones((height, width), bool)
    hole[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = False
    kept = True
    for name, given in (("hole", hole), ("right", side("left", 0.5, height, width))):
        if asked.only not in (None, name):
            continue
        began = time.process_time()
        sets = list(filled(model, images, given, rows, asked.of))
        spent = (time.process_time() - began) / asked.count / asked.of
        far = np.array([[each.times for each in world(made)] for made in sets])
        ways = {
            "mean colour": mean_filled(images, given), "nearest patch": patched(images, given, train),
            "model": sets[0],
            f"best of {asked.of}": np.stack([sets[best][row] for row, best in enumerate(far.argmin(axis=0))]),
        }  # fmt: skip
        found = {}
        for way, made in ways.items():
            apart = (made.astype(np.float64) - images) / np.iinfo(images.dtype).max
            near = -10 * np.log10(np.square(apart).mean(axis=(1, 2, 3)).clip(1e-9)).mean()
            print(f"{name}, {way}: kernel distance {judge(made)}, {near:.2f} dB to the truth", flush=True)
            found[way] = judge.last
        print(f"{name}: {spent:.2f} s of processor time an image")
        kept &= min(found["model"], found[f"best of {asked.of}"]) < min(found["mean colour"], found["nearest patch"])
        if asked.to:
            asked.to.mkdir(parents=True, exist_ok=True)
            tiles = [made[row] for made in (images, *ways.values()) for row in range(12)]
            save(sheet(tiles, columns=12, scale=2), asked.to / f"{run.path.name}-{name}.png")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
