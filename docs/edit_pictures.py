"""Draws the picture of guide/edit.md with the model of the demo, which learned from photographs of scikit-image.

maquette demo
python docs/edit_pictures.py maquette-demo/model
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from maquette.core.image import sheet
from maquette.core.noise import Mix
from maquette.engine.latent.complete import completed
from maquette.engine.latent.directions import Direction, moved, scaled, strongest
from maquette.engine.latent.encoder import dataset_of
from maquette.engine.latent.latents import Found, Latents
from maquette.engine.load import load
from maquette.engine.sample import draw, wishes
from maquette.engine.table import condition_table
from maquette.store.run import Run

PICTURES = Path(__file__).resolve().parent / "pictures"
COLUMNS = 8


def main() -> None:
    """Eight pictures of each kind of editing, a row each."""
    run = Run.open(Path(sys.argv[1]))
    model, dataset = load(run), dataset_of(run)
    assert dataset is not None, "the dataset of the run is not there"
    on, table, spec = Latents(model), condition_table(run, model.spec), model.spec
    size = (spec.height, spec.width)

    def rows(label: str, count: int) -> Any:
        return wishes(spec.conditions, table, {"label": label}, range(count), size)

    held = dataset.indices("held-out")
    labels = dataset.conditions(held, ["label"])["label"]
    photos = dataset.images(np.array([held[labels == label][2] for label in range(4)]))
    found = on.guess(photos, table, {})
    lines: dict[str, list[Any]] = {}
    lines["your image, and found"] = [tile for pair in zip(photos, on.images(found), strict=True) for tile in pair]
    mixes = [Mix.between(4, 11, place) for place in np.linspace(0, 1, COLUMNS)]
    lines["a mix of two seeds"] = list(np.concatenate(list(draw(model, mixes, rows("coffee", COLUMNS)))))
    turns = np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    around = [Mix((11, 20, 21), (1.0, 0.6 * np.cos(t), 0.6 * np.sin(t))) for t in turns]
    lines["a walk that closes"] = list(np.concatenate(list(draw(model, around, rows("tissue", COLUMNS)))))
    *_, axes = strongest(on, 2, rows("brick", model.together))
    assert isinstance(axes, list)
    start = on.of_seeds([6], rows("tissue", 1))
    for number, axis in enumerate(axes, start=1):
        direction = Direction(str(number), scaled(on, axis, rows("tissue", model.together)), "found")
        amounts = np.linspace(-2.5, 2.5, COLUMNS)
        every = Found.together([moved(start, [direction], [float(amount)]) for amount in amounts])
        lines[f"direction {number}"] = list(on.images(every))
    kept = np.ones(size, bool)
    kept[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = False
    filled = []
    for label in range(4):
        name = spec.condition("label").classes[label]
        hollow = np.where(kept[..., None], photos[label], 118).astype(np.uint8)
        filled += [hollow, *completed(model, photos[label], kept, [1], rows(name, 1), model.Options())]
    lines["a hole, and filled"] = filled
    tiles = [tile for line in lines.values() for tile in line]
    picture = sheet(tiles, columns=COLUMNS, scale=3, names=list(lines))
    Pillow.fromarray(picture).save(PICTURES / "edit.webp", quality=88, method=6)
    print(PICTURES / "edit.webp")


if __name__ == "__main__":
    main()
