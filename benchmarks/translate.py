"""Is `translate` worth it? Learned upscaling beside Lanczos, facades of maps read back, photographs of edges.

    python benchmarks/translate.py [upscale|facades|edges ...] [--data DATASET] [--time 3m] [--to FOLDER]

- upscale: twice, on held-out images of DATASET (the starter dataset at 64 pixels when left out): the peak signal to
  noise ratio of the learned upscaler, of Lanczos and of the op `upscale` without a model; the small images are made by
  Pillow, not by what training uses. Promised: 1 dB over Lanczos.
- facades: made of held-out maps of the drawn facades (64 pixels) and read back by a segmenter that learned real ones:
  mean intersection over union with the map, beside what it reads of the real facades.
- edges: a sheet of held-out lines and what was made of them, FOLDER/edges.png, to look at.

Models in FOLDER are not learned again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

import maquette as mq
from maquette.core.image import save, sheet
from maquette.data.dataset import Dataset
from maquette.engine.load import load
from maquette.engine.sample import beside, draw
from maquette.families.translate import INPUT, Translate
from maquette.nn.pixels import from_tensor, to_tensor
from maquette.store.run import Run

MOST = 500
PROMISED = 1.0
Pixels = NDArray[np.uint8]


def decibels(one: Pixels, other: Pixels) -> float:
    """The peak signal to noise ratio of two images of 8 bits."""
    error = ((one.astype(np.float64) - other.astype(np.float64)) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def resized(image: Pixels, width: int, height: int) -> Pixels:
    """By Lanczos."""
    return np.asarray(Pillow.fromarray(image.squeeze()).resize((width, height), Pillow.Resampling.LANCZOS)).reshape(
        height, width, -1
    )


def trained(data: Dataset, run: Path, time: str, **words: str) -> Run:
    """The run, which is made where it is not there."""
    made: Run = mq.train(data, to=str(run), time=time, **words)
    return made


def upscale(data: Dataset, to: Path, time: str) -> bool:
    """Print the ratios."""
    run = trained(data, to / f"upscale-{data.name}-{time}", time, family="translate", set=("task=upscale",))
    model = load(run)
    assert isinstance(model, Translate)
    real = data.images(data.indices("held-out")[:MOST])
    height, width = real.shape[1:3]
    small = np.stack([resized(image, width // 2, height // 2) for image in real])
    with torch.inference_mode():
        parts = [to_tensor(part, data.spec.mode) for part in np.split(small, range(64, len(small), 64))]
        learned = np.concatenate([from_tensor(model.predict(part), data.spec.mode) for part in parts])
    ways = {
        "learned": learned,
        "Lanczos": np.stack([resized(image, width, height) for image in small]),
        "upscale without a model": np.stack(mq.refine(list(small), "upscale times=2")),
    }
    ratios = {name: np.array([decibels(a, b) for a, b in zip(real, made, strict=True)]) for name, made in ways.items()}
    gain = ratios["learned"] - ratios["Lanczos"]
    spread = 1.96 * gain.std() / len(gain) ** 0.5
    print(f"{data.name}, {len(real)} held-out images of {width}x{height}, {run.facts['images_seen']:,} images seen")
    for name, values in ratios.items():
        print(f"  {name}: {values.mean():.2f} dB")
    print(f"  learned over Lanczos: {gain.mean():+.2f} dB [{gain.mean() - spread:.2f}, {gain.mean() + spread:.2f}]")
    rows = [image for four in zip(*(w[:8] for w in (ways["Lanczos"], learned, real)), strict=True) for image in four]
    save(sheet(rows, columns=6, scale=2), to / f"upscale-{data.name}.png")
    return bool(gain.mean() >= PROMISED)


def facades(to: Path, time: str) -> bool:
    """Print what a segmenter reads back."""
    data = mq.ingest("drawn:facades", to=str(to / "facades.mq"), size=64)
    painter = load(trained(data, to / f"facades-{time}", time, family="translate"))
    reader = load(trained(data, to / "reader", "60s", family="segment"))
    held = data.indices("held-out")[:MOST]
    real, maps = data.images(held), data.conditions(held)
    made = np.concatenate(list(draw(painter, range(len(held)), maps)))
    found = {}
    for name, images in (("made", made), ("real", real)):
        with torch.inference_mode():
            parts = np.split(images, range(64, len(images), 64))
            seen = np.concatenate([reader.predict(to_tensor(p, "rgb")).argmax(dim=1).numpy() for p in parts])
        truth = maps["map"]
        classes = [k for k in range(int(truth.max()) + 1) if (truth == k).any()]
        found[name] = np.mean(
            [((seen == k) & (truth == k)).sum() / ((seen == k) | (truth == k)).sum() for k in classes]
        )
    print(f"facades: mean intersection over union {found['made']:.3f} of made, {found['real']:.3f} of real ones")
    tiles = beside(list(made[:16]), {"map": maps["map"][:16]}, data.spec.conditions)
    save(sheet(tiles, columns=8, scale=2), to / "facades.png")
    return bool(found["made"] >= 0.9 * found["real"])


def edges(to: Path, time: str) -> bool:
    """Write a sheet of lines and photographs."""
    data = mq.ingest("starter", to=str(to / "starter.mq"), size=64)
    model = load(trained(data, to / f"edges-{time}", time, family="translate", set=("task=edges",), given="none"))
    assert isinstance(model, Translate)
    real = data.images(data.indices("held-out")[::60][:16])
    lines = from_tensor(model.derive(to_tensor(real, "rgb"))[INPUT], "grey")
    made = np.concatenate(list(draw(model, range(len(real)), {INPUT: lines})))
    tiles = beside(list(made), {INPUT: lines}, model.made(model.Options()).conditions)
    save(
        sheet([x for k in range(16) for x in (*tiles[2 * k : 2 * k + 2], real[k])], columns=12, scale=1),
        to / "edges.png",
    )
    print(f"edges: look at {to / 'edges.png'} (lines, made, real)")
    return True


def main() -> int:
    """1 where a promise is not kept."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("what", nargs="*", default=["upscale", "facades", "edges"])
    reader.add_argument("--data")
    reader.add_argument("--time", default="3m")
    reader.add_argument("--to", default="benchmark-translate", type=Path)
    asked = reader.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    kept = True
    for what in asked.what:
        if what == "upscale":
            data = (
                Dataset.open(Path(asked.data))
                if asked.data
                else mq.ingest("starter", to=str(asked.to / "starter.mq"), size=64)
            )
            kept &= upscale(data, asked.to, asked.time)
        elif what == "facades":
            kept &= facades(asked.to, asked.time)
        else:
            kept &= edges(asked.to, asked.time)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
