"""How well a model keeps to its captions: drawn shapes, read back from the pixels.

maquette ingest drawn:shapes --count 20000 --size 32 --to shapes.mq
maquette train shapes.mq --family gan --given text --time 10m --to run
python benchmarks/captions.py run [--count 256] [--dials guidance=2] [--sheet captions.png]

Every caption has four facts: what shape, what colour, how many, where. Prints how many of each are right, and what
becomes of an image when one word of its caption changes and its seed stays: whether the image changes in that fact,
and whether the three others stay. Drawings themselves are read back right; an image that shows nothing counts as wrong
in all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maquette.core.settings import from_json
from maquette.data.drawn.drawings import COLOURS, COUNTS, PLACES, SHAPES, plural
from maquette.data.drawn.facts import Facts, read_shapes
from maquette.engine.load import load
from maquette.engine.sample import draw
from maquette.families.family import Family
from maquette.store.run import Run

CHOICES: dict[str, tuple[Any, ...]] = {
    "shape": SHAPES, "colour": tuple(COLOURS), "count": (1, 2, 3), "place": tuple(PLACES),
}  # fmt: skip
Wish = dict[str, Any]
SHOWN, ACROSS, LARGE = 48, 8, 96


def caption(wish: Wish) -> str:
    """The sentence that the drawings have."""
    return f"{COUNTS[wish['count']]} {wish['colour']} {plural(wish['shape'], wish['count'])} {wish['place']}"


def wishes(count: int) -> list[Wish]:
    """Captions by chance, every word as often as any other."""
    randoms = np.random.default_rng(0)
    return [
        {name: known[int(randoms.integers(len(known)))] for name, known in CHOICES.items()} for _ in range(count)
    ]  # fmt: skip


def made(family: Family, asked: Sequence[Wish], dials: Any) -> list[NDArray[Any]]:
    """An image for each, of the seeds from 0 on; what else the model can be asked for is left open."""
    specs = {spec.name: spec for spec in family.spec.conditions}
    rows = {name: np.repeat(spec.missing()[None], len(asked), axis=0) for name, spec in specs.items()}
    rows["text"] = np.stack([specs["text"].encode(caption(wish)) for wish in asked])
    return [image for batch in draw(family, range(len(asked)), rows, dials) for image in batch]


def right(found: Sequence[Facts], asked: Sequence[Wish], name: str) -> NDArray[np.bool_]:
    """Which images show what was asked for."""
    return np.array([getattr(f, name) == w[name] for f, w in zip(found, asked, strict=True)])


def show(images: Sequence[NDArray[Any]], asked: Sequence[Wish], path: Path) -> None:
    """Images with their captions below, as a picture."""
    sheet = Image.new("RGB", (ACROSS * (LARGE + 8), -(-SHOWN // ACROSS) * (LARGE + 28)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, wish) in enumerate(zip(images[:SHOWN], asked[:SHOWN], strict=True)):
        x, y = index % ACROSS * (LARGE + 8), index // ACROSS * (LARGE + 28)
        pixels = Image.fromarray(image if image.shape[2] > 1 else image[..., 0]).resize((LARGE, LARGE), 0)
        sheet.paste(pixels, (x, y), pixels if pixels.mode == "RGBA" else None)
        pen.text(
            (x, y + LARGE),
            caption(wish).replace(" in ", "\nin ").replace(" at ", "\nat ").replace(" on ", "\non "),
            fill="black",
        )
    sheet.save(path)


def main() -> None:
    """Draw, read, and print the figures."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("run", type=Path)
    words.add_argument("--count", type=int, default=256)
    words.add_argument("--dials", nargs="*", default=[])
    words.add_argument("--sheet", type=Path)
    words.add_argument("--threads", type=int, default=1)
    asked = words.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    family = load(Run.open(asked.run))
    dials = from_json(family.Options, dict(word.split("=") for word in asked.dials), what="dials")
    wanted = wishes(asked.count)
    images = made(family, wanted, dials)
    if asked.sheet is not None:
        show(images, wanted, asked.sheet)
    before = [read_shapes(image) for image in images]
    each = {name: right(before, wanted, name) for name in CHOICES}
    for name, values in each.items():
        print(f"{name:8} {values.mean():.3f}")
    whole = np.all(list(each.values()), axis=0).mean()
    print(
        f"accuracy {np.mean(list(each.values())):.3f}, the mean of the four; all four {whole:.3f}; "
        f"{asked.count} captions"
    )
    print("one word changed, same seed:")
    for name, known in CHOICES.items():
        turned = [
            wish | {name: known[(known.index(wish[name]) + 1 + k % (len(known) - 1)) % len(known)]}
            for k, wish in enumerate(wanted)
        ]
        after = [read_shapes(image) for image in made(family, turned, dials)]
        stay = np.mean(
            [getattr(b, n) == getattr(a, n) for b, a in zip(before, after, strict=True) for n in CHOICES if n != name]
        )
        print(
            f"  {name:8} {right(after, turned, name).mean():.3f} have the new one, {stay:.3f} of the other facts stay"
        )


if __name__ == "__main__":
    main()
