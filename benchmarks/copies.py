"""Whether training images that were planted among others are found, however they were changed, and others left alone.

    python benchmarks/copies.py DATASET [DATASET ...] [--rounds 5]

In each round 20 training images are drawn at random and planted among held-out images, once for each change. The
threshold comes from half of the held-out images (5,000 at most, as `evaluate` takes them); the other half is the
control, which nobody can have copied. Promised, on the whole: 19 of 20 planted are found, and 1 % of the control at
most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from maquette.core.image import depth, mode_of
from maquette.data.dataset import Dataset
from maquette.judge.copies import FEWEST_HELD, Finder, find_copies, structures
from maquette.judge.evidence import LARGEST, pick
from maquette.judge.originality import HELD

PLANTED = 20


def moved(image, generator):
    """By up to an eighth of the side, each way; the edge is mirrored."""
    far = min(image.shape[:2]) // 8
    down, across = generator.integers(-far, far + 1, 2)
    matrix = np.float32([[1, 0, across], [0, 1, down]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT).reshape(image.shape)


def mirrored(image, generator):
    return image[:, ::-1]


def recoloured(image, generator):
    """Channels change places; brightness and contrast change."""
    most, channels = depth(mode_of(image)), min(image.shape[2], 3)
    colour = image.astype(np.float64)
    colour[..., :channels] = colour[..., generator.permutation(channels)]
    colour[..., :channels] = colour[..., :channels] * generator.uniform(0.6, 1.0) + generator.uniform(0, 0.15) * most
    return np.clip(np.rint(colour), 0, most).astype(image.dtype)


def tinted(image, generator):
    """Every channel is dimmed by its own amount."""
    channels, changed = min(image.shape[2], 3), image.astype(np.float64)
    changed[..., :channels] *= generator.uniform(0.6, 1.0, channels)
    return np.rint(changed).astype(image.dtype)


def all_at_once(image, generator):
    return recoloured(mirrored(moved(image, generator), generator), generator)


CHANGES = {
    "as they are": lambda image, generator: image, "moved": moved, "mirrored": mirrored, "recoloured": recoloured,
    "tinted": tinted, "moved, mirrored and recoloured": all_at_once,
}  # fmt: skip


def judge(path, rounds):
    """Print what is found in one dataset; whether the promise is kept."""
    dataset = Dataset.open(path)
    train, held = pick(dataset.indices("train"), LARGEST), dataset.indices("held-out")
    held = held[np.random.default_rng(1).permutation(len(held))]
    if len(held) < 2 * FEWEST_HELD:
        raise SystemExit(f"{path}: {len(held)} held-out images are too few for both halves")
    known, control = np.sort(held[: len(held) // 2][:HELD]), np.sort(held[len(held) // 2 :][:HELD])
    finder = Finder(structures(dataset.images(train)))
    honest = finder(structures(dataset.images(known)))
    found = find_copies(finder(structures(dataset.images(control))), honest)
    share = found.flagged.mean()
    print(f"\n{dataset.name}: {len(train):,} training images, threshold {found.threshold:.3f}")
    print(f"control: {found.flagged.sum()} of {len(control):,} held-out images flagged ({share:.2%})")
    print("| changed | found | of them the right image | lowest likeness |\n| --- | --- | --- | --- |")
    kept = share <= 0.01
    generator = np.random.default_rng(0)
    for name, change in CHANGES.items():
        each, right, lowest = [], 0, 1.0
        for _ in range(rounds):
            rows = generator.choice(len(train), PLANTED, replace=False)
            images = np.stack([change(image, generator) for image in dataset.images(train[rows])])
            planted = find_copies(finder(structures(images)), honest)
            each.append(int(planted.flagged.sum()))
            right += int((planted.nearest.index == rows).sum())
            lowest = min(lowest, float(planted.nearest.likeness.min()))
        kept &= min(each) >= PLANTED - 1
        print(f"| {name} | {', '.join(map(str, each))} of {PLANTED} | {right} of {rounds * PLANTED} | {lowest:.2f} |")
    return kept


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("datasets", nargs="+", type=Path)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    kept = [judge(path, asked.rounds) for path in asked.datasets]
    print(f"the promise is {'kept' if all(kept) else 'NOT kept'}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
