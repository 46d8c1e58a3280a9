"""Draws what every op does: sheets in docs/pictures, one for each kind of op, with the same three pictures in each row.

python docs/sheet.py            all sheets
python docs/sheet.py NAME...    the rows of some ops alone, into site/ops.png, to look at
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from skimage import data

from maquette.core.image import convert
from maquette.refining import registry
from maquette.refining.run import refine

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
SIDE, GAP, HEAD, COLUMNS = 160, 5, 30, 2
STROKES = (
    "keep=0.5:0.08:0.5:0.75 drop=0.03:0.03:0.03:0.4",
    "keep=0.5:0.1:0.5:0.45:0.15:0.6:0.3:0.85:0.55:0.92:0.8:0.75:0.8:0.5 drop=0.03:0.1:0.02:0.99:0.98:0.98:0.97:0.1",
    "",
)
"""For ops that cut out: on face and cup a stroke on the subject and one off it; the drawn piece is cut out already."""
DIALS: dict[str, str] = {
    "brand-colours": "colours=#c0392b:#1f618d:#f4d03f", "brightness": "amount=0.3",
    "channel-mixer": "red=0:1:0 green=1:0:0",
    "colour-range": "colour=#a83218 within=35", "deconvolve": "radius=0.7 iterations=8",
    "colour-balance": "shadows=-0.1:0:0.15 highlights=0.1:0.05:-0.1", "contrast": "amount=0.5", "crop": "aspect=2:1",
    "curves": "points=0:0:0.3:0.12:0.7:0.9:1:1", "exposure": "stops=0.8", "gamma": "value=1.7", "hue": "degrees=90",
    "hue-range": "hue=orange turn=120", "levels": "black=0.15 white=0.8", "make-tileable": "overlap=0.3",
    "pad": "margin=20 ground=mirror", "resize": "scale=0.5", "rotate": "angle=20", "saturation": "amount=1.2",
    "split-tone": "amount=0.9", "temperature": "amount=0.6", "tint": "amount=0.5", "vibrance": "amount=0.9",
    "vignette": "amount=0.6", "bloom": "amount=1",
}  # fmt: skip
"""Dials for ops whose defaults change nothing, or nothing that could be seen here."""

NOTES = {"heal": "letters of a drawing go like scratches", "even-light": "for pages, not for photographs"}


def pictures() -> list[Any]:
    """A face, a noisy still life with a colour cast, and a drawn piece with soft transparency."""
    face = data.astronaut()[24 : 24 + SIDE, 136 : 136 + SIDE]
    coffee = cv2.resize(data.coffee()[20:390, 130:500], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 9, coffee.shape)
    still = np.clip(coffee * np.array([0.86, 0.95, 1.12]) + noise, 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(face), still, drawn()]


def drawn() -> Any:
    """A badge on nothing: flat colours, fine lines, letters, and a shadow that fades out."""
    side = 4 * SIDE
    piece = Pillow.new("RGBA", (side, side), (0, 0, 0, 0))
    shadow = Pillow.new("L", (side, side), 0)
    ImageDraw.Draw(shadow).ellipse((110, 140, side - 90, side - 60), fill=150)
    shadow = Pillow.fromarray(cv2.GaussianBlur(np.asarray(shadow), (0, 0), 30))
    piece.putalpha(shadow)
    pen = ImageDraw.Draw(piece)
    pen.ellipse((100, 90, side - 100, side - 110), fill=(230, 96, 60, 255), outline=(60, 30, 50, 255), width=14)
    for turn in range(12):
        angle = turn * np.pi / 6
        start, end = (
            np.array([side / 2, side / 2 - 10]) + r * np.array([np.cos(angle), np.sin(angle)]) for r in (150, 230)
        )
        pen.line((*start, *end), fill=(255, 214, 120, 255), width=16)
    pen.ellipse((side / 2 - 110, side / 2 - 120, side / 2 + 110, side / 2 + 100), fill=(40, 110, 140, 255))
    pen.text((side / 2, side / 2 - 10), "Mq", (250, 246, 235, 255), ImageFont.load_default(size=130), anchor="mm")
    return np.asarray(piece.resize((SIDE, SIDE), Pillow.Resampling.LANCZOS))


def row(name: str, images: list[Any]) -> list[Any] | None:
    """What the op makes of the pictures; None if it needs something that is not at hand here."""
    schema = registry.schema(name)
    dials: dict[str, Any] = {}
    for dial in schema.dials:
        if dial.needed and dial.kind != "image" and name not in DIALS:
            return None
        if dial.needed and dial.kind == "image":
            dials[dial.name] = data.coffee()[::2, ::2] if name != "replace-background" else data.gravel()[:, :, None]
    known = {dial.name for dial in schema.dials}
    made = []
    for image, strokes in zip(images, STROKES, strict=True):
        said = f"{DIALS.get(name, '')} {strokes if 'keep' in known else ''}"
        words = dict(pair.split("=") for pair in said.split())
        made.append(refine(image, [{"op": name, **dials, **words}]))
    return made


def tile(image: Any, cut: bool = False, side: int = SIDE) -> Any:
    """The image in the middle of a tile, on a checker where it can be seen through; too large, it is shrunk or cut."""
    if not cut and max(image.shape[:2]) > side:
        image = refine(image, f"resize width={side} height={side} fit=inside")
    height, width = (min(extent, side) for extent in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    rgba = convert(image[top : top + height, left : left + width], "rgba").astype(np.float32) / 255
    rows, columns = np.indices((height, width)) // 8
    ground = np.where((rows + columns) % 2 == 0, 0.93, 0.80)[..., None]
    laid = rgba[..., :3] * rgba[..., 3:] + ground * (1 - rgba[..., 3:])
    whole = np.full((side, side, 3), 1.0)
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = laid
    return np.rint(whole * 255).astype(np.uint8)


def sheet(names: list[str]) -> Any:
    """What these ops make of the pictures, after the pictures as they were."""
    images = pictures()
    cells = [("as it was", "", images)]
    for name in names:
        made = row(name, images)
        if made is not None:
            cut = any(dial.name == "keep" for dial in registry.schema(name).dials)
            cells.append(
                (name, DIALS.get(name) or NOTES.get(name) or ("strokes on it and off it" if cut else ""), made)
            )
    wide, high = 3 * (SIDE + GAP) + 4 * GAP, HEAD + SIDE + 2 * GAP
    lines = -(-len(cells) // COLUMNS)
    whole = Pillow.new("RGB", (COLUMNS * wide, lines * high), (255, 255, 255))
    pen, large, small = ImageDraw.Draw(whole), ImageFont.load_default(size=18), ImageFont.load_default(size=14)
    for at, (name, words, made) in enumerate(cells):
        left, top = (at // lines) * wide + 2 * GAP, (at % lines) * high
        pen.text((left, top + HEAD - 5), name, (20, 20, 20), large, anchor="ls")
        pen.text((left + pen.textlength(name, large) + 12, top + HEAD - 5), words, (110, 110, 110), small, anchor="ls")
        for column, image in enumerate(made):
            place = (left + column * (SIDE + GAP), top + HEAD)
            whole.paste(Pillow.fromarray(tile(image, cut=name == "upscale")), place)
    return whole


def build() -> list[Path]:
    """Write all sheets."""
    kinds: dict[str, list[str]] = {}
    for name, schema in registry.schemas().items():
        kinds.setdefault(schema.kind, []).append(name)
    paths = []
    for kind, names in sorted(kinds.items()):
        path = PICTURES / f"ops-{kind}.webp"
        sheet(names).save(path, "WEBP", quality=75, method=6)
        paths.append(path)
    return paths


if __name__ == "__main__":
    if sys.argv[1:]:
        (ROOT / "site").mkdir(exist_ok=True)
        sheet(sys.argv[1:]).save(ROOT / "site" / "ops.png")
        print(ROOT / "site" / "ops.png")
    else:
        for made in build():
            print(made)
