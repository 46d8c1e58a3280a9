"""Draws the pictures of the guide to segmentation: python docs/segmentation_pictures.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from skimage import data

from maquette.core.image import convert
from maquette.refining import registry
from maquette.refining.run import refine

PICTURES = Path(__file__).resolve().parent / "pictures"
HEIGHT, GAP = 190, 6


def horse() -> Any:
    """The silhouette that scikit-image ships, with fur, on the gravel that it ships."""
    body = cv2.resize((~data.horse()).astype(np.float32), (400, 328), interpolation=cv2.INTER_AREA)
    alpha = np.zeros((400, 520), np.float32)
    alpha[40:368, 60:460] = body
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)[..., None]
    fur = cv2.resize(data.chelsea()[60:200, 120:320], (520, 400), interpolation=cv2.INTER_CUBIC)
    ground = np.repeat(cv2.resize(data.gravel(), (520, 400))[..., None], 3, axis=2)
    return np.rint(alpha * fur * [1.0, 0.8, 0.6] + (1 - alpha) * ground).astype(np.uint8)


def shown(image: Any, magenta: bool = False) -> Any:
    """The image at the height of a row; what is transparent over a checker, or over magenta."""
    image = np.asarray(image)
    if image.shape[2] == 4:
        rows, columns = np.indices(image.shape[:2]) // 12
        checker = np.where((rows + columns) % 2, 238, 196)[..., None] * np.ones(3)
        ground = np.array([255, 0, 255]) if magenta else checker
        alpha = image[..., 3:] / 255
        image = np.rint(image[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)
    image = convert(np.ascontiguousarray(image), "rgb")
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)


def save(rows: list[list[Any]], name: str) -> Path:
    """Rows of pictures as one."""
    width = max(sum(cell.shape[1] + GAP for cell in row) + GAP for row in rows)
    sheet = np.full((len(rows) * (HEIGHT + GAP) + GAP, width, 3), 255, np.uint8)
    for at, row in enumerate(rows):
        left = GAP
        for cell in row:
            sheet[GAP + at * (HEIGHT + GAP) :][:HEIGHT, left : left + cell.shape[1]] = cell
            left += cell.shape[1] + GAP
    path = PICTURES / f"{name}.webp"
    Pillow.fromarray(sheet).save(path, quality=82)
    return path


def cut_outs() -> list[list[Any]]:
    """Image, mask, cut-out over a checker and over magenta, and with the background out of focus."""
    hints = {
        "coffee": (data.coffee(), ""), "horse": (horse(), ""), "rocket": (data.rocket(), ""),
        "astronaut": (
            data.astronaut(),
            "keep=225:45:225:130:225:260:110:400:250:480:420:430 "
            "drop=330:20:330:150:415:10:420:200:480:250:390:240",
        ),
        "cat": (data.chelsea(), "keep=60:60:150:120:250:180:150:270:330:60 drop=420:60:440:250:430:20"),
    }  # fmt: skip
    rows = []
    for image, dials in hints.values():
        mask = refine(image, f"foreground {dials}".strip())
        cut = refine(image, f"remove-background {dials}".strip())
        rows.append([shown(image), shown(mask), shown(cut), shown(cut, magenta=True)])
    return rows


def masks() -> list[list[Any]]:
    """What each mask finds."""
    pictures = [data.rocket(), data.coffee(), data.camera()[..., None]]
    names = ["sky", "focus", "colour-range", "brightness-range", "otsu", "adaptive-threshold"]
    return [[shown(image), *(shown(registry.get(name)(image)) for name in names)] for image in pictures]


def divided() -> list[list[Any]]:
    """The same two pictures in regions."""
    recipes = ["superpixels show=outline", "superpixels", "regions-by-likeness", "watershed", "multi-otsu classes=4"]
    return [[shown(image), *(shown(refine(image, r)) for r in recipes)] for image in (data.coffee(), data.chelsea())]


if __name__ == "__main__":
    for made in (save(cut_outs(), "cut-outs"), save(masks(), "masks"), save(divided(), "regions")):
        print(made)
