"""The encoder that comes with a generator: trained when it is first asked for, kept in the run, one file of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.errors import MaquetteError
from maquette.core.noise import Noise
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import arrays, seed_of
from maquette.engine.table import condition_table
from maquette.families.family import Conditions, Family, Inverts, Steers, parted
from maquette.nn.inverse import Encoder
from maquette.nn.pixels import condition_tensors, to_tensor
from maquette.store import weights
from maquette.store.run import Run

FILE = "encoder.safetensors"
FORMAT = 1
SECONDS = 60.0
"""How long it is trained when nobody says."""
BATCH = 32
RATE = 1e-3
PAIRS = 0.25
"""Share of the steps that learn from images of the model, whose latents are known; the others from real images."""
KNOWN = 0.05
"""Weight of known latents against pixels."""
PULL = 0.003
"""How strongly latents of real images are kept near the middle."""
FIRST_SEED = 1 << 40
"""Far from the seeds of people: images of these seeds are learned from."""


@dataclass(frozen=True)
class Learned:
    """How far training the encoder is."""

    images: int
    total: int
    seconds: float
    error: float


def needs_encoder(model: Family) -> bool:
    """Whether latents of images can be found only by an encoder of its own."""
    return isinstance(model, Steers) and not isinstance(model, Inverts)


def read(run: Run, model: Family) -> Encoder | None:
    """The encoder that is kept with the run, if there is one for this very model."""
    path = run.path / FILE
    if not path.exists():
        return None
    assert isinstance(model, Steers)
    encoder = Encoder(model.spec, model.latent_shapes())
    form = {n: (str(v.dtype).removeprefix("torch."), tuple(v.shape)) for n, v in encoder.state_dict().items()}
    try:
        values, facts = weights.read(path, form)
    except MaquetteError:
        return None  # it is trained again
    if facts.get("model") != run.facts.get("model") or facts.get("format") != FORMAT:
        return None
    encoder.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in values.items()})
    return encoder.eval().requires_grad_(False).to(next(model.parameters()).device)


def train(
    run: Run, model: Family, dataset: Dataset | None, seconds: float = SECONDS, *, steps: int = 0
) -> Iterator[Learned | Encoder]:
    """Train an encoder for the run's model for about so long (or so many steps), and keep it with the run; yields it
    last.

    Without the dataset it learns from images of the model alone, and knows real ones less well.
    """
    assert isinstance(model, Steers)
    seed, device = seed_of("encoder", str(run.facts.get("model"))), next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(model.spec, model.latent_shapes()).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=RATE, betas=(0.9, 0.99))
    course = _Course(run, model, dataset, seed)
    began, step, total = time.perf_counter(), 0, steps
    while not total or step < total:
        if total:  # a slow start, then down to nearly nothing
            fall = 0.51 + 0.49 * math.cos(math.pi * step / total)
            optimizer.param_groups[0]["lr"] = RATE * min(1, step / 50 + 0.02) * fall
        with torch.inference_mode(False), torch.enable_grad():
            loss = course.loss(encoder, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        step += 1
        spent = time.perf_counter() - began
        if not total and step >= MEASURED:
            total = max(LEAST, round(seconds / spent * step))
        if total and (step % 20 == 0 or step == total):
            yield Learned(step * BATCH, total * BATCH, spent, float(loss.detach()))
    encoder.eval().requires_grad_(False)
    facts = {"format": FORMAT, "model": str(run.facts.get("model")), "images": step * BATCH}
    with run.lock():
        weights.write(run.path / FILE, arrays(encoder.state_dict()), {**facts, "real": dataset is not None})
    yield encoder


MEASURED = 5
"""Steps after which it is known how many fit into the time."""
LEAST = 20


class _Course:
    """What the encoder learns from: real images with their conditions, and images of the model."""

    def __init__(self, run: Run, model: Family, dataset: Dataset | None, seed: int) -> None:
        assert isinstance(model, Steers)
        self._model, self._steers, self._options = model, model, model.Options()
        self._device = next(model.parameters()).device
        self._random = np.random.default_rng(seed)
        plan = run.facts.get("plan")
        self._fast = isinstance(plan, dict) and plan.get("precision") == "bfloat16"  # as the probe chose for training
        names = [spec.name for spec in model.spec.conditions]
        self._loader = Loader(dataset, "train", names, seed) if dataset is not None else None
        self._table = condition_table(run, model.spec) if self._loader is None else {}

    def loss(self, encoder: nn.Module, step: int) -> Tensor:
        """Of one step: how far what comes back is from the image, and latents from what is known of them."""
        known = self._loader is None or self._random.random() < PAIRS
        images, condition = self._batch(step)
        if known or images is None:
            latents, images = self._pair(step, condition)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._fast):
            found = encoder(images)
            made = self._steers.picture(found, condition, self._options)
        pixels = (made.float() - images).square().mean()
        if not known:
            return torch.as_tensor(pixels + PULL * found.float().square().mean())
        # The grain of single levels cannot be seen well enough to be told; it is not asked for.
        shapes = self._steers.latent_shapes()
        told = zip(parted(found.float(), shapes), parted(latents, shapes), strict=True)
        apart = [(f - k).square().flatten() for (f, k), shape in zip(told, shapes, strict=True) if shape[0] > 1]
        return torch.as_tensor(pixels + KNOWN * (torch.cat(apart).mean() if apart else 0.0))

    def _batch(self, step: int) -> tuple[Tensor | None, Conditions]:
        specs = self._model.spec.conditions
        if self._loader is not None:
            images, rows = self._loader.batch(step * BATCH, BATCH)
            return to_tensor(images, self._model.spec.mode).to(self._device), self._tensors(rows)
        picked = self._random.integers(0, len(next(iter(self._table.values()))), BATCH) if specs else None
        return None, self._tensors({name: values[picked] for name, values in self._table.items()})

    def _pair(self, step: int, condition: Conditions) -> tuple[Tensor, Tensor]:
        seeds = range(FIRST_SEED + step * BATCH, FIRST_SEED + (step + 1) * BATCH)
        with torch.no_grad():
            latents = self._steers.latents(Noise(seeds), condition, self._options).float()
            return latents, self._steers.picture(latents, condition, self._options).float()

    def _tensors(self, rows: dict[str, NDArray[Any]]) -> Conditions:
        tensors = condition_tensors(self._model.spec.conditions, rows)
        return {name: value.to(self._device) for name, value in tensors.items()}


def dataset_of(run: Run) -> Dataset | None:
    """The dataset that the run learned from, if it is still there as it was."""
    known = run.facts.get("dataset")
    path = known.get("path") if isinstance(known, dict) else None
    if not isinstance(known, dict) or not isinstance(path, str) or not Path(path).exists():
        return None
    try:
        dataset = Dataset.open(Path(path))
    except MaquetteError:
        return None
    return dataset if dataset.digest == known.get("digest") else None
