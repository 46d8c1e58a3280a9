"""Draws the pictures of docs/guide/colour.md: casts removed, dull images enhanced, colours from elsewhere.

python docs/colour_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from skimage import data

from maquette.refining.run import refine

PICTURES = Path(__file__).resolve().parent / "pictures"
WIDE, HIGH, GAP, HEAD = 200, 150, 6, 22


def photograph(name: str) -> Any:
    """One of the photographs that scikit-image ships, cut to one size."""
    image = np.ascontiguousarray(getattr(data, name)()[..., :3])
    scale = max(WIDE / image.shape[1], HIGH / image.shape[0])
    size = (max(WIDE, round(image.shape[1] * scale)), max(HIGH, round(image.shape[0] * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    top, left = (image.shape[0] - HIGH) // 2, (image.shape[1] - WIDE) // 2
    return np.ascontiguousarray(image[top : top + HIGH, left : left + WIDE])


def draw(name: str, rows: list[list[tuple[str, Any]]]) -> Path:
    """Write rows of pictures with words above them."""
    columns = max(len(row) for row in rows)
    size = (columns * (WIDE + GAP) + GAP, len(rows) * (HIGH + HEAD + GAP) + GAP)
    whole = Pillow.new("RGB", size, (255, 255, 255))
    pen, letters = ImageDraw.Draw(whole), ImageFont.load_default(size=14)
    for down, row in enumerate(rows):
        for across, (words, image) in enumerate(row):
            left, top = GAP + across * (WIDE + GAP), GAP + down * (HIGH + HEAD + GAP)
            pen.text((left, top + HEAD - 5), words, (60, 60, 60), letters, anchor="ls")
            whole.paste(Pillow.fromarray(image), (left, top + HEAD))
    path = PICTURES / f"{name}.webp"
    whole.save(path, "WEBP", quality=78, method=6)
    return path


def casts() -> Path:
    """White balance on photographs under a lamp, in the shade and under a tube."""
    rows = []
    for name, words in (
        ("astronaut", "temperature amount=0.9"),
        ("coffee", "temperature amount=-0.9"),
        ("rocket", "tint amount=-0.6"),
    ):
        image = refine(photograph(name), words)
        row = [(words, image)]
        row += [
            (f"method={way}", refine(image, f"white-balance method={way}"))
            for way in ("auto", "white-patch", "grey-world")
        ]
        rows.append([*row, ("the original", photograph(name))])
    return draw("colour-casts", rows)


def enhanced() -> Path:
    """What `enhance` does with good and with spoilt images."""
    rows = []
    for name in ("astronaut", "chelsea"):
        row = []
        for words in ("", "levels darkest=0.3 lightest=0.7", "exposure stops=-2"):
            image = refine(photograph(name), words) if words else photograph(name)
            row += [
                ({"": "as it is"}.get(words, words.replace("lightest", "light")), image),
                ("enhance", refine(image, "enhance")),
            ]
        rows.append(row)
    return draw("colour-enhanced", rows)


def elsewhere() -> Path:
    """Colours of a reference, of a palette, of a brand."""
    cat, cup, night = photograph("chelsea"), photograph("coffee"), photograph("rocket")
    rows = [
        [("the image", image), ("the reference", other)]
        + [
            (way, refine(image, [{"op": "colour-transfer", "reference": other, "method": way}]))
            for way in ("transport", "reinhard", "histogram")
        ]
        for image, other in ((cat, cup), (cup, night))
    ]
    rows.append(
        [
            ("palette count=6", refine(cat, "palette count=6")),
            ("palette dither=diffuse", refine(cat, "palette count=6 dither=diffuse")),
            ("brand-colours", refine(cup, "brand-colours colours=#0a7d4b:#f2b705:#c8102e")),
            ("duotone", refine(cup, "duotone")),
            ("split-tone amount=0.7", refine(cat, "split-tone amount=0.7")),
        ]
    )
    return draw("colour-elsewhere", rows)


if __name__ == "__main__":
    for path in (casts(), enhanced(), elsewhere()):
        print(path, path.stat().st_size)
