"""Whether the judge tells a model that learned twenty images by heart from one that did not.

    python benchmarks/repeated.py DATASET [--family flow] [--time 4m] [--count 2000] [--images 4000] [--to FOLDER]

Two datasets are made of the same images: in one of them twenty appear a hundred times. The same model learns from each
for the same time, and `evaluate` judges both. Shown are the share of made images too like one training image with its
90 % interval, the share expected of honest images, and how many of those found are one of the twenty.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import maquette as mq
from maquette.data.dataset import Dataset
from maquette.judge.copies import Finder, structures

TWENTY, TIMES = 20, 100


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("dataset")
    words.add_argument("--family", default="flow")
    words.add_argument("--time", default="4m")
    words.add_argument("--count", type=int, default=2_000)
    words.add_argument("--images", type=int, default=4_000)
    words.add_argument("--to", default="")
    asked = words.parse_args()
    folder = Path(asked.to or tempfile.mkdtemp(prefix="maquette-"))
    data = Dataset.open(Path(asked.dataset))
    images = data.images(data.indices("train")[: asked.images])
    twenty = images[:: len(images) // TWENTY][:TWENTY]
    for name, pixels in (("repeated", np.concatenate([images, *[twenty] * (TIMES - 1)])), ("once", images)):
        file = folder / f"{name}.npy"
        np.save(file, pixels)
        side = f"{pixels.shape[2]}x{pixels.shape[1]}"
        made = mq.ingest(str(file), to=str(folder / f"{name}.mq"), size=side, held_out=0.1)
        run = mq.train(made, family=asked.family, to=str(folder / f"{name}-run"), time=asked.time, progress=True)
        found = mq.evaluate(run, count=asked.count, report=str(folder / f"{name}.html"))
        copies, twins = found["metrics"]["copies"], found["metrics"]["duplicates"]
        drawn = mq.sample(run, to=str(folder / f"{name}-images"), count=asked.count, sign="off", watermark="off")
        nearest = Finder(structures(twenty))(structures(np.stack(list(drawn))))
        given_back = int((nearest.likeness > 0.9).sum())
        print(
            f"{asked.family}, {name}: copies {copies['value']:.2%} [{copies['low']:.2%}, {copies['high']:.2%}], "
            f"{copies['anchors']['held-out']:.2%} of held-out images; twins {twins['value']:.2%}; membership "
            f"{found['metrics']['membership']['value']:.3f}; {given_back} of {asked.count} like one of the twenty",
            flush=True,
        )


if __name__ == "__main__":
    main()
