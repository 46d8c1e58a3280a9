"""Broken on purpose: what bad signals and damaged files do to a picture."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from maquette.core.image import Image
from maquette.refining.noise import generator
from maquette.refining.op import op
from maquette.refining.pixels import largest
from maquette.refining.schema import Dial


@op(kind="effect", alpha="premultiply", grey="rgb")
def glitch(
    image: Image,
    *,
    amount: Annotated[float, Dial("how broken the signal is", ge=0, le=1)] = 0.4,
    shift: Annotated[float, Dial("how far red and blue lie apart, as a share of the width", ge=0, le=0.2)] = 0.008,
    lines: Annotated[float, Dial("how dark every other line is", ge=0, le=1)] = 0.15,
    seed: Annotated[int, Dial("another seed, another fault", ge=0)] = 0,
) -> Image:
    """Break the picture as a bad signal does: torn lines, colours apart, blocks out of place.

    Everything that leaves on one side comes back on the other, so a tile stays one.
    """
    height, width, channels = image.shape
    random = generator(seed, 50)
    moved = _torn(image, amount, random)
    moved = _misplaced(moved, amount, random)
    apart = round(shift * width * (1 + amount * float(random.random())))
    if apart and channels >= 3:
        moved = moved.copy()
        moved[..., 0] = np.roll(moved[..., 0], apart, axis=1)
        moved[..., 2] = np.roll(moved[..., 2], -apart, axis=1)
        if channels == 4:  # what comes to lie beside the cut-out must be seen there
            moved[..., 3] = moved.max(axis=2)
    if lines:
        dark = np.ones((height, 1, 1), np.float32)
        period = max(2, 2 * round(height / 480))
        dark[np.arange(height) % period >= period // 2] = 1 - lines
        top = np.float32(largest(image))
        shaded = moved[..., :3] * dark if channels == 4 else moved * dark
        whole = np.concatenate([shaded, moved[..., 3:]], axis=2) if channels == 4 else shaded
        moved = np.clip(whole + (0.5 if image.dtype.kind == "u" else 0), 0, top).astype(image.dtype)
    return moved


def _torn(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Bands of lines, shifted sideways: many a little, few far."""
    height, width, _ = image.shape
    offsets = np.zeros(height, np.int64)
    for _ in range(round(6 + 30 * amount)):
        begin = int(random.integers(0, height))
        tall = 1 + int(random.exponential(0.02 + 0.03 * amount) * height)
        far = random.standard_t(2) * 0.02 * width * amount
        offsets[begin : begin + tall] += int(np.clip(far, -width / 3, width / 3))
    shake = random.standard_normal(height) * amount * width * 0.0008
    offsets += np.rint(shake).astype(np.int64)
    columns = (np.arange(width)[None, :] - offsets[:, None]) % width
    return np.take_along_axis(image, columns[..., None], axis=1)


def _misplaced(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Blocks copied from elsewhere, as of a damaged JPEG file; some with their colours swapped."""
    height, width, channels = image.shape
    block = max(4, round(max(height, width) / 48))
    result = image.copy()
    for _ in range(round(14 * amount * amount + 4 * amount)):
        tall, wide = block * int(random.integers(1, 4)), block * int(random.integers(2, 14))
        tall, wide = min(tall, height), min(wide, width)
        top, left, from_top, from_left = (
            int(random.integers(0, limit + 1)) for limit in (height - tall, width - wide, height - tall, width - wide)
        )
        piece = image[from_top : from_top + tall, from_left : from_left + wide]
        if channels >= 3 and random.random() < 0.5:
            order = [*random.permutation(3), *range(3, channels)]
            piece = piece[..., order]
        result[top : top + tall, left : left + wide] = piece
    return result
