"""Draws the picture of the named recipes in guide/refine.md: each on something that it is for, before and after.

python docs/recipe_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from sheet import tile

from maquette.refining import named
from maquette.refining.run import refine

PICTURES = Path(__file__).resolve().parent / "pictures"
SIDE, GAP, HEAD, COLUMNS = 240, 5, 28, 2


def cut(name: str, top: int, left: int, side: int) -> Any:
    """A square of a photograph that scikit-image ships."""
    part = getattr(skimage.data, name)()[top : top + side, left : left + side]
    return np.ascontiguousarray(part if part.ndim == 3 else part[..., None])


def noisy(image: Any, deviation: float) -> Any:
    """The image (floats in 0 to 255) with noise, in 8 bits."""
    noise = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def photographed(page: Any, angle: float) -> Any:
    """A grey page as a camera sees it: turned, yellow, in uneven light."""
    turned = np.asarray(Pillow.fromarray(page).rotate(angle, Pillow.Resampling.BICUBIC, fillcolor=int(page[0, 0])))
    rows, columns = np.indices(page.shape) / max(page.shape)
    lit = turned * (0.7 + 0.35 * np.exp(-3 * ((rows - 0.4) ** 2 + (columns - 0.3) ** 2)))
    return noisy(lit[..., None] * np.array([1, 0.96, 0.84]), 4)


def page() -> Any:
    """A page of print."""
    paper = Pillow.new("L", (480, 480), 236)
    pen = ImageDraw.Draw(paper)
    pen.text((40, 40), "On making small models", 40, ImageFont.load_default(size=28))
    words = ["A", "maquette", "is", "the", "small", "model", "an", "artist", "makes", "before", "the", "work."]
    for line in range(13):
        text = " ".join(words[(7 * line + at) % len(words)] for at in range(8))
        pen.text((40, 96 + 26 * line), text, 50, ImageFont.load_default(size=17))
    return photographed(np.asarray(paper), -1.7)


def plan() -> Any:
    """A floor plan, drawn by hand and photographed."""
    paper = Pillow.new("L", (480, 400), 228)
    pen = ImageDraw.Draw(paper)
    for box in ((50, 50, 430, 350), (50, 50, 210, 200), (210, 50, 430, 200), (50, 200, 290, 350)):
        pen.rectangle(box, outline=50, width=6)
    for box in ((206, 110, 216, 150), (320, 196, 370, 206)):
        pen.rectangle(box, fill=228)
    for place, text in (
        ((90, 110), "Kitchen"),
        ((260, 110), "Living room"),
        ((120, 265), "Bedroom"),
        ((330, 265), "Bath"),
    ):
        pen.text(place, text, 60, ImageFont.load_default(size=19))
    return photographed(np.asarray(paper), 2.2)


def pixels() -> Any:
    """Pixel art with squares of four pixels, as a generator blurs it."""
    art = np.empty((40, 40, 3), np.uint8)
    art[:], art[30:], art[34:] = (92, 148, 252), (0, 168, 68), (136, 80, 20)
    art[8:14, 6:16] = art[6:9, 9:13] = (252, 252, 252)
    art[18:30, 22:34], art[13:19, 20:36], art[23:30, 26:29] = (200, 76, 12), (120, 20, 20), (60, 30, 10)
    art[20:23, 23:25] = art[20:23, 30:32] = (252, 224, 168)
    art = np.pad(art, ((20, 0), (10, 10), (0, 0)), mode="edge")
    large = cv2.resize(art, (240, 240), interpolation=cv2.INTER_NEAREST)
    return noisy(cv2.GaussianBlur(large, (0, 0), 1.3).astype(float), 6)


def print_of_old() -> Any:
    """A faded print with grain, specks and scratches."""
    faded = cut("astronaut", 0, 60, 380) / 255 * np.array([0.7, 0.58, 0.42]) * 255 + np.array([58, 54, 42])
    image, random = noisy(faded, 4), np.random.default_rng(2)
    for _ in range(30):
        place = tuple(int(at) for at in random.integers(0, 380, 2))
        cv2.circle(image, place, int(random.integers(1, 3)), (240, 238, 230), -1)
    for left in (70, 300):
        cv2.line(image, (left, 0), (left + 25, 379), (236, 232, 222), 1, cv2.LINE_AA)
    return image


def examples() -> dict[str, Any]:
    """For every recipe something that it is for."""
    cup, cat = cut("coffee", 0, 110, 400), cut("chelsea", 0, 60, 300)
    return {
        "portrait": cut("astronaut", 0, 90, 260), "product-cut-out": skimage.data.coffee(),
        "film-still": cut("rocket", 120, 200, 300), "black-and-white": cut("rocket", 120, 200, 300),
        "poster": cat, "print": cat, "scan": page(), "floor-plan": plan(), "old-photograph": print_of_old(),
        "low-light": noisy(cup.astype(float) * 0.2, 5), "pixel-art-clean-up": pixels(),
        "texture": cut("gravel", 150, 150, 200),
    }  # fmt: skip


def main() -> None:
    """The picture."""
    shown = examples()
    missing = set(named.names()) - set(shown) - {"web"}  # which changes the size, and little that could be seen
    if missing:
        raise SystemExit(f"there is no example for {', '.join(sorted(missing))}")
    wide, high = 2 * SIDE + 5 * GAP, HEAD + SIDE + 2 * GAP
    rows = -(-len(shown) // COLUMNS)
    whole = Pillow.new("RGB", (COLUMNS * wide, rows * high), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=18)
    for at, (name, image) in enumerate(shown.items()):
        left, top = at % COLUMNS * wide + 2 * GAP, at // COLUMNS * high
        words = f"{name}, laid two by two" if name == "texture" else name
        pen.text((left, top + HEAD - 6), words, (20, 20, 20), font, anchor="ls")
        for column, picture in enumerate((image, refine(image, name))):
            if name == "texture":
                picture = np.tile(picture, (2, 2, 1))[: 2 * len(image), : 2 * len(image)]
            whole.paste(Pillow.fromarray(tile(picture, side=SIDE)), (left + column * (SIDE + GAP), top + HEAD))
    whole.save(PICTURES / "recipes.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
