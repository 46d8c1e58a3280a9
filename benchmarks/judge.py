"""What the judge's measures see: real images spoilt by known amounts, and how many standard errors each measure moves.

    python benchmarks/judge.py DATASET [DATASET...] [--count 2000] [--features scattering] [--json FILE]

Each dataset needs more than twice the count of images, or the count is lowered and said. Half of the images stand for
the training images; `count` of the others are spoilt and held against them. Shown is (value - value of the unspoilt)
divided by the standard error of the unspoilt. `!` marks a measure that does not rise from step to step.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from maquette.data.dataset import Dataset
from maquette.features import REGISTRY, extract
from maquette.features.extractor import stack
from maquette.features.space import Space
from maquette.features.views import view
from maquette.judge.evidence import VIEWED, VIEWS
from maquette.judge.looks import looks
from maquette.judge.metric import Part, Sides, Unmeasured, all_metrics

MEASURES = (
    "distance", "kernel-distance", "told-apart", "precision", "coverage", "variety", "sharpness", "checkerboard",
    "spectrum-slope", "colour-distance",
)  # fmt: skip
REAL = 5_000
"""Images that stand for the training images, at most."""


def noise(images, amount):
    steps = np.random.default_rng(1).normal(0, 255 * amount, images.shape)
    return np.clip(images + steps, 0, 255).round().astype(np.uint8)


def blur(images, amount):
    return np.stack([cv2.GaussianBlur(image, (0, 0), amount).reshape(image.shape) for image in images])


def jpeg(images, quality):
    out = []
    for image in images:
        colour = image[..., :3] if image.shape[2] >= 3 else image[..., 0]
        stream = io.BytesIO()
        Pillow.fromarray(np.ascontiguousarray(colour)).save(stream, "JPEG", quality=quality)
        again = np.asarray(Pillow.open(stream)).reshape(*image.shape[:2], -1)
        out.append(np.concatenate([again, image[..., 3:]], axis=2) if image.shape[2] == 4 else again)
    return np.stack(out)


def colour(images, amount):
    changed = images.astype(np.float64)
    changed[..., 0] *= 1 + amount
    if images.shape[3] >= 3:
        changed[..., 2] *= 1 - amount
    return np.clip(changed, 0, 255).round().astype(np.uint8)


def moved(images, amount):
    matrix = np.float32([[1, 0, amount], [0, 1, amount]])
    return np.stack([
        cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT).reshape(image.shape)
        for image in images
    ])  # fmt: skip


SPOILS = {
    "noise": (noise, (0.02, 0.05, 0.1, 0.2)), "blur (pixels)": (blur, (0.5, 1.0, 2.0)),
    "JPEG quality": (jpeg, (60, 40, 20)), "colour": (colour, (0.05, 0.1, 0.2)), "moved (pixels)": (moved, (1, 2, 4)),
}  # fmt: skip


def kinds_of(dataset, chosen, rows):
    """A label for each image: the dataset's if there are ten, else the nearest of ten kinds found by k-means."""
    for spec in dataset.spec.conditions:
        if spec.kind == "label" and len(spec.classes) >= 10:
            return dataset.conditions(chosen, [spec.name])[spec.name].reshape(-1)
    from maquette.features.neighbours import squared_distances
    from maquette.judge.clusters import _centres

    return squared_distances(rows, _centres(rows, 10)).argmin(1)


def measure(dataset, count, features):
    """Yields (what, amount, {measure: standard errors}) as each is found."""
    order = np.random.default_rng(0).permutation(len(dataset))
    chosen, train = order[:count], np.sort(order[count:][:REAL])
    real = dataset.images(train)
    extractor = REGISTRY.get(features)(real[:4000])
    see = lambda images: stack(list(extract(extractor, images)))  # noqa: E731
    raw = see(real)
    changes = [see(view(real[:VIEWED], which=which)) - raw[:VIEWED] for which in range(VIEWS)]
    space = Space.fit(raw, changes=np.concatenate(changes))
    train_part = Part(space(raw), looks(real))
    images = dataset.images(chosen)

    def judged(pictures, rows=None):
        part = Part(space(see(pictures)) if rows is None else rows, looks(pictures))
        values = {}
        for name in MEASURES:
            try:
                values[name] = all_metrics()[name](Sides(train_part, part))
            except Unmeasured:
                continue
        return part, values

    clean, floor = judged(images)

    def moves(values):
        return {
            name: abs(value.value - floor[name].value) / max(floor[name].error, 1e-12) for name, value in values.items()
        }

    for what, (change, amounts) in SPOILS.items():
        for amount in amounts:
            yield what, amount, moves(judged(change(images, amount))[1])
    kinds = kinds_of(dataset, chosen, clean.rows)
    names = np.unique(kinds)
    for share in (0.1, 0.2, 0.3, 0.5):
        gone = names[: max(1, round(len(names) * share))]
        keep = np.flatnonzero(~np.isin(kinds, gone))
        if len(keep) >= 100:
            yield "kinds left out", share, moves(judged(images[keep], clean.rows[keep])[1])
    for times in (2, 5, 10):
        again = np.resize(np.arange(count // times), count)
        yield "each image repeated", times, moves(judged(images[again], clean.rows[again])[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--features", default="scattering")
    parser.add_argument("--json", type=Path)
    request = parser.parse_args()
    facts = {}
    for path in request.datasets:
        began = time.perf_counter()
        dataset = Dataset.open(path)
        count, rows = min(request.count, len(dataset) // 2), []
        print(f"\n{dataset.name}: {count:,} images, {request.features}")
        print("| what | amount | " + " | ".join(MEASURES) + " |\n|" + " --- |" * (2 + len(MEASURES)))
        before: dict[tuple[str, str], float] = {}
        for what, amount, values in measure(dataset, count, request.features):
            rows.append((what, amount, values))
            cells = []
            for name in MEASURES:
                value = values.get(name)
                falls = value is not None and value < before.get((what, name), 0.0)
                if value is not None:
                    before[what, name] = max(value, before.get((what, name), 0.0))
                cells.append("" if value is None else f"{value:.1f}{'!' if falls else ''}")
            print(f"| {what} | {amount} | " + " | ".join(cells) + " |", flush=True)
        print(f"({time.perf_counter() - began:.0f} s)")
        facts[dataset.name] = {"count": count, "rows": rows}
    if request.json:
        request.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
