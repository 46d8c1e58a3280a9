"""How far an image lies from the world of a model: the images it learned from, measured by held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, MaquetteError
from maquette.data.dataset import Dataset
from maquette.features.extractor import REGISTRY, extract, stack
from maquette.features.neighbours import nearest
from maquette.features.space import FEWEST, Space
from maquette.judge.evidence import Chosen, pick
from maquette.store import weights
from maquette.store.run import Run

FILE = "world.safetensors"
FORMAT = 1
KIND = "scattering"
MOST, HELD = 3_000, 500
"""Training images that are remembered as rows of features, and held-out ones that say what is usual."""
NEIGHBOURS = 3


@dataclass(frozen=True)
class Distance:
    """How far one image is."""

    times: float
    """Of the distance of a usual (the median) held-out image."""
    farther: float
    """Share of held-out images that are nearer."""

    @property
    def sentence(self) -> str:
        """In words."""
        far = f"{self.times:.1f} times as far from the training images as a usual new one"
        if self.farther < 0.9:
            return f"inside the model's world ({far})"
        if self.farther < 1.0:
            return f"at the edge of the model's world ({far}; farther than {self.farther:.0%} of held-out images)"
        return f"outside the model's world ({far}; farther than every held-out image): it will be changed a good deal"


class World:
    """Rows of features of training images, and how far held-out images are from them."""

    def __init__(self, space: Space, rows: NDArray[np.float32], held: NDArray[np.float32], other: bool) -> None:
        self.space, self._rows, self._held, self.other = space, rows, held, other
        """`other`: no images were held out, so training images were measured against each other."""

    @classmethod
    def of(cls, dataset: Dataset) -> World:
        """Measured on a dataset."""
        train, held = dataset.indices("train"), dataset.indices("held-out")
        if len(train) < 2 * FEWEST:
            raise DataError(f"{len(train)} images are too few to say how far others are from them", where=dataset.path)
        features = _features(Chosen(dataset, pick(train, MOST, seed=5)))
        space = Space.fit(features)
        rows = np.asarray(space(features), np.float32)
        other = len(held) < FEWEST
        far = _far(rows, rows, own=True) if other else _far(
            np.asarray(space(_features(Chosen(dataset, pick(held, HELD, seed=6)))), np.float32), rows
        )  # fmt: skip
        return cls(space, rows, np.sort(far).astype(np.float32), other)

    def __call__(self, images: NDArray[Any]) -> list[Distance]:
        """Of images N H W C in the form of the dataset."""
        far = _far(np.asarray(self.space(_features(images)), np.float32), self._rows)
        usual = max(float(np.median(self._held)), 1e-9)
        places = np.searchsorted(self._held, far, side="left") / len(self._held)
        return [Distance(float(f) / usual, float(p)) for f, p in zip(far, places, strict=True)]

    def keep(self, run: Run) -> None:
        """With the run, so that the dataset is not needed again."""
        assert self.space.directions is not None
        tensors: dict[str, NDArray[Any]] = {
            "mean": self.space.mean, "scale": self.space.scale, "directions": self.space.directions,
            "rows": self._rows, "held": self._held,
        }  # fmt: skip
        facts = {"format": FORMAT, "dataset": _digest(run), "other": self.other}
        with run.lock():
            weights.write(run.path / FILE, tensors, facts, finite=False)


def read(run: Run) -> World | None:
    """What is kept with the run, if it is of the dataset that the run learned from."""
    try:
        tensors, facts = weights.read(run.path / FILE, finite=False, max_bytes=64 << 20)
    except MaquetteError:
        return None
    if facts.get("format") != FORMAT or facts.get("dataset") != _digest(run):
        return None
    try:
        space = Space(tensors["mean"], tensors["scale"], tensors["directions"])
        world = World(space, tensors["rows"], tensors["held"], bool(facts.get("other")))
        fits = space.mean.shape == space.scale.shape == tensors["directions"].shape[:1]
        if not fits or world._held.ndim != 1 or not len(world._held) or world._rows.shape[1:] != (space.width,):
            return None
    except (KeyError, IndexError):
        return None
    return world


def world_of(run: Run, dataset: Dataset | None) -> World | str:
    """The world of the run's model, measured when it is first asked for; or in words why it is not known."""
    found = read(run)
    if found is None and dataset is not None:
        try:
            found = World.of(dataset)
        except DataError as error:
            return str(error)
        found.keep(run)
    return found or "the dataset that it learned from is not there any more, so it is not known how far images are"


def _digest(run: Run) -> str:
    known = run.facts.get("dataset")
    return str(known.get("digest")) if isinstance(known, dict) else ""


def _features(pictures: Any) -> NDArray[np.float32]:
    return stack(list(extract(REGISTRY.get(KIND)(pictures[0:1]), pictures)))


def _far(rows: NDArray[np.float32], base: NDArray[np.float32], own: bool = False) -> NDArray[np.float64]:
    """Mean distance to the nearest few."""
    distances, _ = nearest(rows, base, NEIGHBOURS, not_itself=own)
    return np.asarray(distances.mean(axis=1), np.float64)
