"""Draws the pictures of guide/filters.md from photographs that scikit-image ships: before and after, side by side.

python docs/filter_pictures.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw

from maquette.refining import registry

PICTURES = Path(__file__).resolve().parent / "pictures"
WIDTH, LINE, GAP = 300, 18, 6


def refined(image: Any, op: str, **dials: Any) -> Any:
    """The op on the image."""
    return registry.get(op)(image, **dials)


def jpeg(image: Any, quality: int) -> Any:
    """The image as strong compression leaves it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def dusty(image: Any) -> Any:
    """The image with specks and two scratches."""
    spoiled, random = image.copy(), np.random.default_rng(5)
    for _ in range(40):
        at = tuple(int(random.integers(0, side)) for side in image.shape[1::-1])
        cv2.circle(spoiled, at, int(random.integers(1, 3)), (245, 245, 240), -1)
    cv2.line(spoiled, (60, 0), (110, image.shape[0]), (240, 240, 235), 2)
    cv2.line(spoiled, (230, 20), (190, 180), (15, 12, 10), 1)
    return spoiled


def sheet(name: str, columns: int, cells: list[tuple[str, Any]]) -> None:
    """Pictures with a line of text each, written as docs/pictures/NAME.webp."""
    tall = max(cell.shape[0] * WIDTH // cell.shape[1] for _, cell in cells)
    rows = -(-len(cells) // columns)
    paper = Image.new("RGB", (columns * (WIDTH + GAP) - GAP, rows * (tall + LINE + GAP)), "white")
    draw = ImageDraw.Draw(paper)
    for index, (text, cell) in enumerate(cells):
        left, top = index % columns * (WIDTH + GAP), index // columns * (tall + LINE + GAP)
        picture = Image.fromarray(cell).resize(
            (WIDTH, cell.shape[0] * WIDTH // cell.shape[1]), Image.Resampling.LANCZOS
        )
        paper.paste(picture, (left, top))
        draw.text((left + 2, top + tall + 3), text, fill="#303030")
    paper.save(PICTURES / f"{name}.webp", quality=82, method=6)


def main() -> None:
    """All pictures of the page."""
    portrait = np.ascontiguousarray(skimage.data.astronaut()[0:300, 90:390])
    cup = np.ascontiguousarray(skimage.data.coffee()[40:340, 90:390])
    cat = np.ascontiguousarray(skimage.data.cat()[0:300, 70:370])
    rocket = np.ascontiguousarray(skimage.data.rocket()[110:230, 262:382])
    random = np.random.default_rng(0)
    noisy = np.clip(portrait + random.normal(0, 18, portrait.shape), 0, 255).astype(np.uint8)
    halo, blocks, scratched = refined(rocket, "sharpen", amount=1.6, radius=3), jpeg(cat, 8), dusty(cup)
    sheet("filters-repair", 4, [
        ("noise", noisy[20:220, 50:250]), ("denoise-wavelet", refined(noisy, "denoise-wavelet")[20:220, 50:250]),
        ("JPEG of quality 8", blocks[50:250, 60:260]), ("deblock", refined(blocks, "deblock")[50:250, 60:260]),
        ("sharpened too much", halo), ("dehalo radius=4", refined(halo, "dehalo", radius=4)),
        ("dust and scratches", scratched), ("heal", refined(scratched, "heal")),
    ])  # fmt: skip
    sheet("filters-soft", 4, [
        ("the photograph", cup), ("gaussian-blur radius=4", refined(cup, "gaussian-blur", radius=4)),
        ("motion-blur distance=40 angle=30", refined(cup, "motion-blur", distance=40, angle=30)),
        ("lens-blur radius=8 blades=6 highlights=1", refined(cup, "lens-blur", radius=8, blades=6, highlights=1)),
        ("median radius=4", refined(cup, "median", radius=4)), ("bilateral", refined(cup, "bilateral")),
        ("guided", refined(cup, "guided")), ("denoise-tv", refined(cup, "denoise-tv")),
    ])  # fmt: skip
    sheet("filters-effects", 4, [
        ("bloom amount=1 radius=20", refined(cup, "bloom", amount=1, radius=20)),
        ("vignette", refined(cup, "vignette")),
        ("grain amount=0.5", refined(portrait, "grain", amount=0.5)),
        ("halftone size=4", refined(portrait, "halftone", size=4)),
        ("halftone inks=one size=5", refined(cup, "halftone", inks="one", size=5, ink="#7a1040", paper="#fff4e0")),
        ("dither", refined(portrait, "dither")), ("posterise", refined(cup, "posterise")),
        ("pixelate", refined(cat, "pixelate")), ("draw", refined(portrait, "draw")),
        ("draw style=ink colour=1", refined(cup, "draw", style="ink", colour=1)), ("oil", refined(cat, "oil")),
        ("watercolour", refined(cup, "watercolour")), ("glitch", refined(portrait, "glitch", seed=3)),
        ("draw style=contour", refined(cup, "draw", style="contour")),
        ("frequency-separation", refined(portrait, "frequency-separation")),
        ("high-pass amount=1.5", refined(cat, "high-pass", amount=1.5)),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
