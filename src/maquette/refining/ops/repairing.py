"""Damage taken back: blocks of JPEG, halos of too much sharpening, specks and scratches."""

from __future__ import annotations

from typing import Annotated, Any

import cv2
import numpy as np

from maquette.core.choices import Tile
from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.blocks import blockiness, without_blocks
from maquette.refining.denoise import measured_noise
from maquette.refining.neighbourhood import MIRROR, Floats, filled, luma, mean, on_colour, wrapped_border
from maquette.refining.op import op
from maquette.refining.pixels import largest, luminance, to_depth, to_float
from maquette.refining.schema import Dial


@op(alpha="own", reach=24)
def deblock(
    image: Image,
    *,
    amount: Annotated[
        float | None, Dial("how coarse the blocks are, as a share of white; left out, it is measured", ge=0, le=1)
    ] = None,
) -> Image:
    """Take away the blocks and ripples of strong JPEG compression.

    An image that shows no blocks is left as it is.
    """

    def work(part: Image) -> Image:
        whole = to_float(part)
        plane = luma(whole)
        coarse = _coarseness(blockiness(plane)) if amount is None else amount
        if coarse == 0:
            return part
        change = (without_blocks(plane, coarse) - plane)[..., None]
        if part.shape[2] == 1:
            return to_depth(whole + change, part.dtype)
        return to_depth(whole + change + _chroma_change(whole - plane[..., None], coarse), part.dtype)

    return on_colour(image, work)


def _coarseness(blocks: float) -> float:
    """The threshold that restores best, from how strongly blocks show: tried on JPEGs of quality 5 to 80."""
    return 0.0 if blocks < 0.0012 else 3 * blocks * (1 + max(0.0, blocks - 0.015) * 100)


def _chroma_change(chroma: Floats, coarse: float) -> Floats:
    """What deblocking changes in the colours, which JPEG stores at half the size."""
    height, width, _ = chroma.shape
    half = cv2.resize(chroma, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    planes = [np.ascontiguousarray(half[..., channel]) for channel in range(3)]
    change = np.stack([without_blocks(plane, coarse) - plane for plane in planes], axis=2)
    return np.asarray(cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR))


@op(alpha="own", reach=lambda dials: 4 * round(dials["radius"]) + 4)
def dehalo(
    image: Image,
    *,
    radius: Annotated[float, Dial("how wide the halos are, in pixels", ge=1, le=30, pixels=True)] = 2.0,
    amount: Annotated[float, Dial("how much of them is taken away", ge=0, le=1)] = 0.9,
) -> Image:
    """Take away the bright and dark lines that too much sharpening draws along edges.

    A halo is a narrow ridge beside an edge and much lower than it. Lines as strong as what surrounds them are drawing,
    and stay; so does texture away from edges.
    """
    if amount == 0:
        return image

    def work(part: Image) -> Image:
        whole = to_float(part)
        plane = luma(whole)
        side = 2 * round(radius) + 1
        dab = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        opened = cv2.morphologyEx(plane, cv2.MORPH_OPEN, dab, borderType=MIRROR)
        closed = cv2.morphologyEx(plane, cv2.MORPH_CLOSE, dab, borderType=MIRROR)
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side + 2, side + 2))
        span = cv2.dilate(opened, around, borderType=MIRROR) - cv2.erode(closed, around, borderType=MIRROR)
        change = np.zeros_like(plane)
        for ridge in (opened - plane, closed - plane):
            part_of = np.abs(ridge) / np.maximum(span, np.float32(1e-3))
            low = np.clip((np.float32(0.7) - part_of) * 5, 0, 1)  # halos are about half as high as their edge at most
            edge = np.clip((span - np.float32(0.12)) * 10, 0, 1)
            change += ridge * low * edge
        return to_depth(whole + (np.float32(amount) * change)[..., None], part.dtype)

    return on_colour(image, work)


@op(alpha="own")
def heal(
    image: Image,
    *,
    mask: Annotated[Image | None, Dial("white where something is to go; else faults are found", kind="image")] = None,
    size: Annotated[
        int, Dial("the widest speck or scratch that is looked for, in pixels", ge=1, le=50, pixels=True)
    ] = 5,
    sensitivity: Annotated[float, Dial("more finds fainter ones, and takes more for one", ge=0, le=1)] = 0.5,
    widen: Annotated[int, Dial("pixels by which each fault is widened first", ge=0, le=20, pixels=True)] = 1,
    tile: Tile = "",
) -> Image:
    """Remove specks, dust and scratches, filled in from around them.

    What stands out from its surroundings by far more than they vary, and is narrow, is a fault. Give a mask to say
    yourself what goes. For small things: large holes are filled with a blur. Small lights and glints look like specks:
    lower the sensitivity where they are to stay. Not for drawings, whose letters and lines are just as narrow.
    """
    if mask is not None and mask.shape[:2] != image.shape[:2]:
        raise UsageError(
            f"a mask of {mask.shape[1]} x {mask.shape[0]} pixels does not fit an image of "
            f"{image.shape[1]} x {image.shape[0]}",
            do="give one of the same size",
        )
    whole, middle = wrapped_border(image, tile, 12 * size + 2 * widen)
    holes = (
        faults(whole, size, sensitivity)
        if mask is None
        else marked(wrapped_border(mask, tile, 12 * size + 2 * widen)[0])
    )
    if widen and holes.any():
        dab = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * widen + 1, 2 * widen + 1))
        holes = cv2.dilate(holes.astype(np.uint8), dab).astype(bool)
    if not holes.any():
        return image
    return on_colour(whole, lambda part: filled_in(part, holes))[middle]


def marked(mask: Image) -> Any:
    """Where a mask is more white than black."""
    return luminance(mask[..., :3])[..., 0] > largest(mask) / 2


def faults(image: Image, size: int, sensitivity: float) -> Any:
    """Where narrow things stand out from what is around them: true or false, height x width."""
    whole = to_float(filled(image) if image.shape[2] == 4 else image)
    side = size + 3 | 1
    dab = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    found = np.zeros(image.shape[:2], bool)
    factor = 4 ** (0.5 - sensitivity)
    least = np.float32(0.115 * factor)
    for channel in range(whole.shape[2]):
        plane = np.ascontiguousarray(whole[..., channel])
        # Noise stands out everywhere by more than its deviation: that much is no sign of a fault, nor of texture.
        noise = np.float32(1.5 * measured_noise(plane[..., None]))
        for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            out = np.maximum(cv2.morphologyEx(plane, kind, dab, borderType=MIRROR) - noise, 0)
            # How much of the like lies around; the fault's own share of so wide a window is small.
            usual = mean(np.minimum(out, least), 3 * side)
            found |= out > np.maximum(np.float32(23 * factor) * usual, least)
    if image.shape[2] == 4:
        found &= image[..., 3] > 0
    return found


def filled_in(image: Image, holes: Any) -> Image:
    """The image with the holes filled from their borders inwards (Bertalmio 2001)."""
    marks = holes.astype(np.uint8)
    if image.dtype == np.uint8:
        done = cv2.inpaint(image, marks, 2, cv2.INPAINT_NS).reshape(image.shape)
    else:  # one channel at a time, and floats at 16 bits: OpenCV rounds them to whole numbers
        deep = to_depth(to_float(image), np.uint16)
        planes = [np.ascontiguousarray(deep[..., channel]) for channel in range(image.shape[2])]
        done = np.stack([cv2.inpaint(plane, marks, 2, cv2.INPAINT_NS) for plane in planes], axis=2)
        done = to_float(done) if image.dtype == np.float32 else done
    return np.where(holes[..., None], done, image)
