"""Drawn and painted: pencil and ink, oil, watercolour."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import cv2
import numpy as np

from maquette.core.choices import Tile
from maquette.core.image import Image
from maquette.refining.neighbourhood import MIRROR, Floats, luma, mean, on_colour, soft, wrapped_border
from maquette.refining.noise import Fields
from maquette.refining.op import op
from maquette.refining.pixels import to_depth, to_float
from maquette.refining.schema import Dial
from maquette.refining.strokes import along, dabs, painted_along, relief, tangents


@op(kind="effect", alpha="own", grey="rgb")
def draw(
    image: Image,
    *,
    style: Annotated[Literal["pencil", "ink", "contour"], Dial("graphite with hatching, ink, or outlines")] = "pencil",
    width: Annotated[float, Dial("of the lines, in pixels", ge=0.5, le=10, pixels=True)] = 1.2,
    darkness: Annotated[float, Dial("how much is drawn", ge=0, le=2)] = 1.0,
    colour: Annotated[float, Dial("how much of the image's colours is laid under the drawing", ge=0, le=1)] = 0.0,
    seed: Annotated[int, Dial("another seed, other strokes", ge=0)] = 0,
    tile: Tile = "",
) -> Image:
    """Draw the image with pencil or ink: lines along its edges, hatching in its shadows."""

    reach = math.ceil(12 * width) + 12
    padded, middle = wrapped_border(image, tile, reach)
    noise = Fields(image, tile, reach, seed)

    def work(part: Image) -> Image:
        whole = to_float(part)
        plane = luma(whole)
        field = tangents(plane, 2 * width + 1)
        drawn = _lines(plane, field, width, style, darkness)
        if style == "pencil":
            drawn = drawn * _graphite(plane, width, darkness, noise)
        paper = 1 - np.float32(colour) * (1 - whole)
        if colour == 0:
            return to_depth(np.repeat(drawn[..., None], whole.shape[2], axis=2), part.dtype)
        return to_depth(paper * drawn[..., None], part.dtype)

    return on_colour(padded, work)[middle]


def _lines(plane: Floats, field: Floats, width: float, style: str, darkness: float) -> Floats:
    """White paper with dark lines: differences of Gaussians, drawn out along the edges (Winnemöller 2012)."""
    sigma = 0.6 * width
    fine, coarse = soft(plane, sigma), soft(plane, 1.6 * sigma)
    if style == "ink":
        sharp = along(fine + np.float32(14 * darkness) * (fine - coarse), field, 3 * width + 1)
        return _step(sharp, 0.32, 12.0)
    difference = along(fine - coarse, field, 4 * width + 1)
    steep, least = (38.0, 0.006) if style == "pencil" else (70.0, 0.010)
    return np.asarray(np.exp(np.minimum(np.float32(steep * darkness) * (difference + np.float32(least)), 0)))


def _step(values: Floats, threshold: float, steepness: float) -> Floats:
    """Paper above the threshold, a quick fall to black below it."""
    return np.asarray(np.clip(1 + np.tanh(np.float32(steepness) * (values - np.float32(threshold))), 0, 1))


def _graphite(plane: Floats, width: float, darkness: float, noise: Fields) -> Floats:
    """Shading: strokes in one direction, in deep shadow in a second one too, on paper with a tooth."""
    tone = soft(plane, 1.5 * width)
    need = np.clip((np.float32(0.92) - tone) * np.float32(1.05 * darkness), 0, 1)
    first = noise.streaks(width, 52, 20)
    second = noise.streaks(width, 112, 21)
    tooth = noise.soft(1.6, 22)
    strokes = np.clip((need * np.float32(1.25) - first) * np.float32(1.6) + np.float32(0.5), 0, 1) * need
    crossed = (
        np.clip((need * np.float32(1.6) - np.float32(0.75) - second) * np.float32(2) + np.float32(0.5), 0, 1) * need
    )
    deep = np.clip((need - np.float32(0.55)) * np.float32(1.6), 0, 1)  # where hatching closes up
    laid = (1 - np.float32(0.75) * deep) * (1 - np.float32(0.75) * strokes) * (1 - np.float32(0.6) * crossed)
    laid = 1 - laid
    laid = laid * (1 + np.float32(0.12) * tooth)
    return np.asarray(np.clip(1 - np.float32(0.92) * np.clip(laid, 0, 1), 0, 1))


@op(kind="effect", alpha="own")
def oil(
    image: Image,
    *,
    brush: Annotated[float, Dial("how wide the brush is, in pixels", ge=1, le=40, pixels=True)] = 4.0,
    thickness: Annotated[float, Dial("how thick the paint lies", ge=0, le=2)] = 0.6,
    seed: Annotated[int, Dial("another seed, other traces of the brush", ge=0)] = 0,
    tile: Tile = "",
) -> Image:
    """Paint the image in oil: flat dabs along the edges, with the traces of a brush in thick paint."""

    reach = math.ceil(7 * brush) + 4
    padded, middle = wrapped_border(image, tile, reach)
    noise = Fields(image, tile, reach, seed)

    def work(part: Image) -> Image:
        whole = to_float(part)
        flat = dabs(whole, brush, 6)
        field = tangents(luma(flat), brush)
        painted, traces = painted_along(flat, noise.white(max(0.7, 0.12 * brush), 40), field, 1.8 * brush)
        painted = painted + np.float32(0.6) * (painted - soft(painted, 0.5 * brush))  # strokes end crisply
        if thickness:
            paint = np.float32(0.035) * soft(traces, 0.6) + np.float32(0.35) * soft(luma(painted), 1.0)
            painted = painted * relief(paint, 4.5 * thickness)[..., None]
        return to_depth(painted, part.dtype)

    return on_colour(padded, work)[middle]


@op(kind="effect", alpha="own")
def watercolour(
    image: Image,
    *,
    wash: Annotated[float, Dial("how large the areas of one wash are, in pixels", ge=1, le=40, pixels=True)] = 4.0,
    edges: Annotated[float, Dial("how dark the pigment dries at borders", ge=0, le=2)] = 0.8,
    pigment: Annotated[float, Dial("how unevenly the pigment lies", ge=0, le=2)] = 0.7,
    paper: Annotated[float, Dial("how rough the paper is", ge=0, le=2)] = 0.6,
    seed: Annotated[int, Dial("another seed, another paper", ge=0)] = 0,
    tile: Tile = "",
) -> Image:
    """Paint the image in watercolour: light washes with dark rims, uneven pigment, and the grain of the paper.

    Pigment makes a colour darker and purer where it lies thick and lets the paper through where it is thin (the model
    of Bousseau, 2006).
    """

    reach = math.ceil(6 * wash) + 8
    padded, middle = wrapped_border(image, tile, reach)
    noise = Fields(image, tile, reach, seed)

    def work(part: Image) -> Image:
        whole = to_float(part)
        shaken = _wobbled(whole, 0.25 * wash, noise.soft(3.5 * wash, 34), noise.soft(3.5 * wash, 35))
        area = dabs(dabs(shaken, wash, 5), 0.6 * wash, 5)
        lifted = 1 - (1 - area) * np.float32(0.86)  # water thins: no wash is as dark as paint
        tone = luma(lifted)
        rims = soft(tone, 0.35 * wash + 0.5) - soft(tone, 0.12 * wash + 0.5)
        steep = np.sqrt(mean((tone - mean(tone, 1)) ** 2, 1))
        density = 1 + np.float32(edges) * (np.float32(13) * steep + np.float32(5) * np.maximum(rims, 0))
        flow = noise.soft(14 * wash, 30) + np.float32(0.6) * noise.soft(4 * wash, 31)
        density += np.float32(0.16 * pigment) * flow
        tooth = noise.soft(2.2, 32) + np.float32(0.7) * noise.soft(6.0, 33)
        density += np.float32(0.085 * paper) * tooth * (np.float32(1.4) - tone)
        painted = lifted * (1 - (1 - lifted) * (density[..., None] - 1))
        shade = relief(np.float32(0.2) * tooth, 0.28 * paper)
        return to_depth(np.clip(painted, 0, 1) * np.clip(shade, 0, 1.02)[..., None], part.dtype)

    return on_colour(padded, work)[middle]


def _wobbled(image: Floats, far: float, right: Floats, down: Floats) -> Floats:
    """The image with every point moved a little, so that straight edges look drawn by hand."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    moved = cv2.remap(
        image, x + np.float32(far) * right, y + np.float32(far) * down, cv2.INTER_LINEAR, borderMode=MIRROR
    )
    return np.asarray(moved).reshape(image.shape)
