"""How much of held-out images comes back from a model, against the nearest training image.

    python benchmarks/edit.py RUN --count 64 --refine 200

The run's dataset must be there. A run without an encoder that needs one gets it first (--fit seconds).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from maquette.data.dataset import Dataset
from maquette.engine.latent import encoder as encoders
from maquette.engine.latent.latents import Found, Latents, decibels, errors
from maquette.engine.load import load
from maquette.engine.table import condition_table
from maquette.features.neighbours import nearest
from maquette.judge.evidence import Chosen, pick
from maquette.store.run import Run


def closest(images: np.ndarray, dataset: Dataset) -> np.ndarray:
    """The mean squared difference of each image to the nearest training image, as a share of the range squared."""
    most = float(np.iinfo(images.dtype).max)
    flat = images.reshape(len(images), -1).astype(np.float32) / most
    least = np.full(len(images), np.inf)
    chosen = Chosen(dataset, dataset.indices("train"))
    for start in range(0, len(chosen), 4096):
        base = chosen[slice(start, start + 4096)]
        distances, _ = nearest(flat, base.reshape(len(base), -1).astype(np.float32) / most)
        least = np.minimum(least, distances[:, 0] ** 2 / flat.shape[1])
    return least


def main() -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--refine", type=int, default=200)
    parser.add_argument("--fit", type=float, default=60.0)
    asked = parser.parse_args()
    run = Run.open(asked.run)
    model, dataset = load(run), encoders.dataset_of(run)
    if dataset is None:
        raise SystemExit("the dataset of the run is not there")
    encoder = encoders.read(run, model) if encoders.needs_encoder(model) else None
    if encoder is None and encoders.needs_encoder(model):
        began = time.process_time()
        *_, last, trained = encoders.train(run, model, dataset, asked.fit)
        assert isinstance(last, encoders.Learned) and not isinstance(trained, encoders.Learned)
        encoder = trained
        print(f"encoder: {last.images:,} images, {time.process_time() - began:.0f} s of processor time")
    images = Chosen(dataset, pick(dataset.indices("held-out"), asked.count, seed=1))[slice(0, asked.count)]
    near = decibels(closest(images, dataset))
    print(f"nearest training image: {near.mean():.2f} dB ({len(images)} held-out images)")
    on = Latents(model, encoder)

    def said(name: str, found: Found, began: float) -> None:
        kept = decibels(errors(on.images(found), images))
        print(
            f"{name}: {kept.mean():.2f} dB, {(kept - near).mean():+.2f} over the nearest, worst "
            f"{(kept - near).min():+.2f}; spread of latents {found.latents.std():.2f}; "
            f"{(time.process_time() - began) / len(images):.2f} s of processor time an image",
            flush=True,
        )

    began = time.process_time()
    found = on.guess(images, condition_table(run, model.spec), {})
    said("found", found, began)
    if asked.refine:
        began = time.process_time()
        *_, better = on.refined(found, images, asked.refine)
        assert isinstance(better, Found)
        said(f"refined, {asked.refine} steps", better, began)


if __name__ == "__main__":
    main()
