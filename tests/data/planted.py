"""A small dataset with known faults, for the tests of the audit."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import ConditionSpec
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer
from maquette.data.origin import ORIGIN

SIDE = 32


def scene(seed: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A picture of its own: coloured boxes on a slope, with a grain; sharp."""
    rng = np.random.default_rng([11, seed])
    y, x = np.mgrid[:side, :side]
    a, b = rng.uniform(60, 200, (2, 3))
    image = a + (b - a) * ((x * np.cos(seed) + y * np.sin(seed)) / side)[..., None]
    for _ in range(14):
        top, left = rng.integers(0, side - 4, 2)
        tall, wide = rng.integers(3, side // 2, 2)
        image[top : top + tall, left : left + wide] = rng.integers(0, 256, 3)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def build(
    path: Path,
    images: list[NDArray[np.uint8]],
    *,
    labels: list[str | None] | None = None,
    texts: list[str | None] | None = None,
    held_out: tuple[int, ...] = (),
    names: list[str] | None = None,
    origins: NDArray[np.void] | None = None,
    mode: str = "rgb",
) -> Dataset:
    """A dataset of these images, named 0.png, 1.png and so on."""
    conditions = []
    if labels is not None:
        classes = tuple(dict.fromkeys(label for label in labels if label))
        conditions.append(ConditionSpec(name="label", kind="label", classes=classes))
    if texts is not None:
        conditions.append(ConditionSpec(name="text", kind="text", length=24))
    height, width = images[0].shape[:2]
    spec = DataSpec(height=height, width=width, mode=mode, conditions=tuple(conditions))
    said = {"label": labels, "text": texts}
    count = len(images)
    with Writer(path, spec, settings={"sources": ["made"]}) as writer:
        encoded = {c.name: np.stack([c.encode(value) for value in said[c.name]]) for c in spec.conditions}
        items = [{"path": names[k] if names else f"{k}.png", "digest": f"{k:064x}"} for k in range(count)]
        writer.append(np.stack(images), encoded, items, np.zeros(count, ORIGIN) if origins is None else origins)
        writer.set_aside("broken.png", "it is not an image")
        parts = np.zeros(count, np.uint8)
        parts[list(held_out)] = 1
        return writer.finish(parts, np.arange(count, dtype=np.int32))
