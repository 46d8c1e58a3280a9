"""What a lens and film do to light: motion, being out of focus, bloom, vignette, grain. Light is mixed as light."""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.space import from_light, to_light
from maquette.refining.kernels import disc_kernel, line_kernel
from maquette.refining.neighbourhood import MIRROR, Floats, gaussian_reach, like, luma, soft
from maquette.refining.noise import film_noise, soft_noise
from maquette.refining.op import op
from maquette.refining.pixels import rgb_of, to_depth, to_float
from maquette.refining.schema import Dial
from maquette.refining.threads import in_strips


@op(kind="effect", reach=lambda dials: math.ceil(dials["distance"] / 2) + 1)
def motion_blur(
    image: Image,
    *,
    distance: Annotated[float, Dial("how far the camera moved, in pixels", ge=0, le=500, pixels=True)] = 24.0,
    angle: Annotated[float, Dial("in which direction, in degrees: 0 to the right, 90 up", ge=-360, le=360)] = 0.0,
) -> Image:
    """Smear along a line, as a camera does that moved; bright lights leave streaks.

    Light is mixed as light (linear), not as encoded levels.
    """
    if distance <= 0:
        return image
    return mixed_as_light(image, line_kernel(distance, angle))


@op(kind="effect", reach=lambda dials: math.ceil(dials["radius"]) + 1)
def lens_blur(
    image: Image,
    *,
    radius: Annotated[
        float, Dial("of the disc that a point of light becomes, in pixels", ge=0, le=100, pixels=True)
    ] = 8.0,
    blades: Annotated[int, Dial("of the aperture: 0 is a round one, 5 to 9 make polygons", ge=0, le=12)] = 0,
    rotation: Annotated[float, Dial("of the polygon, in degrees", ge=-360, le=360)] = 0.0,
    highlights: Annotated[float, Dial("how much brighter than white the lights are taken to be", ge=0, le=1)] = 0.5,
) -> Image:
    """Put everything out of focus: points of light become discs, as in a photograph.

    A file holds no more than white; `highlights` gives the lights back what they had beyond it before they are spread.
    """
    if radius <= 0:
        return image
    return mixed_as_light(image, disc_kernel(radius, blades, rotation), knee=0.95 * highlights)


def mixed_as_light(image: Image, kernel: Floats, knee: float = 0.0) -> Image:
    """The image convolved with a symmetric kernel in linear light; a knee above 0 spreads lights beyond white."""
    if image.shape[2] < 4:
        light = _spread(_lifted(to_light(image), knee), kernel)
        return from_light(_lowered(light, knee), image.dtype)
    light = _premultiplied_light(image)
    alpha = light[..., 3:]
    straight = light[..., :3] / np.maximum(alpha, np.float32(1e-6))
    done = _spread(np.concatenate([_lifted(straight, knee) * alpha, alpha], axis=2), kernel)
    alpha = np.clip(done[..., 3:], 0, 1)
    colour = _lowered(done[..., :3] / np.maximum(alpha, np.float32(1e-6)), knee)
    return _levels_of(np.concatenate([colour * alpha, alpha], axis=2), image.dtype)


def _lifted(light: Floats, knee: float) -> Floats:
    """White becomes 1 / (1 - knee), black stays."""
    return np.asarray(light / (1 - np.float32(knee) * light)) if knee else light


def _lowered(light: Floats, knee: float) -> Floats:
    """The inverse of `_lifted`, in range."""
    light = np.maximum(light, 0, out=light)
    return np.clip(light / (1 + np.float32(knee) * light) if knee else light, 0, 1)


def _spread(light: Floats, kernel: Floats) -> Floats:
    """A symmetric kernel laid over each pixel; single rows and columns are done as such."""
    if kernel.shape[0] == 1 or kernel.shape[1] == 1:
        one = np.ones(1, np.float32)
        across, along = (kernel[0], one) if kernel.shape[0] == 1 else (one, kernel[:, 0])
        return like(cv2.sepFilter2D(light, -1, across, along, borderType=MIRROR), light)
    return like(cv2.filter2D(light, -1, kernel, borderType=MIRROR), light)


@op(kind="effect", reach=lambda dials: gaussian_reach(2 * dials["radius"]))
def bloom(
    image: Image,
    *,
    amount: Annotated[float, Dial("how bright the glow is", ge=0, le=3)] = 0.6,
    radius: Annotated[float, Dial("how far it reaches, in pixels", gt=0, le=200, pixels=True)] = 16.0,
    threshold: Annotated[float, Dial("lights above this level glow, as a share of white", ge=0, le=1)] = 0.75,
    tint: Annotated[str, Dial("the colour of the glow; #ff7040 is the halation of film", kind="colour")] = "#ffffff",
) -> Image:
    """Let bright parts glow into their surroundings, as in a lens, on film, or of neon.

    A glow is light added to light: white stays white, and nothing that is dark gets darker. Cut-outs glow beyond their
    outline.
    """
    if amount == 0:
        return image
    light = _premultiplied_light(image)
    colour = light[..., : min(3, image.shape[2])]
    glow = _glow(colour, radius, float(to_light(np.array([[[threshold]]], np.float32))[0, 0, 0])) * np.float32(amount)
    if image.shape[2] > 1:
        glow *= to_light(rgb_of(tint).reshape(1, 1, 3))

    def lit(part: Floats) -> Image:
        shine = np.clip(part[..., channels:], 0, 1)
        sum_of = 1 - (1 - np.clip(part[..., : shine.shape[2]], 0, 1)) * (1 - shine)
        if channels < 4:
            return from_light(sum_of, image.dtype)
        alpha = 1 - (1 - part[..., 3:4]) * (1 - shine.max(axis=2, keepdims=True))
        return _levels_of(np.concatenate([np.minimum(sum_of, alpha), alpha], axis=2), image.dtype)

    channels = image.shape[2]
    return in_strips(np.concatenate([light, glow], axis=2), lit, 0, 64, channels, image.dtype)


def _glow(light: Floats, radius: float, threshold: float) -> Floats:
    """What lights send into their surroundings: three Gaussians, computed on a smaller image where they are wide."""

    def lights(part: Floats) -> Floats:
        bright = part.max(axis=2, keepdims=True)
        share = np.clip((bright - np.float32(threshold)) * np.float32(1 / max(1e-3, 1 - threshold)), 0, 1)
        return np.asarray(part * (share * (2 - share)))

    source = in_strips(light, lights, 0, 64)
    factor, size = max(1, int(radius / 8)), light.shape[1::-1]
    if factor > 1:
        small = (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))
        source = np.asarray(cv2.resize(source, small, interpolation=cv2.INTER_AREA)).reshape(*small[::-1], -1)
        radius /= factor
    glow: Floats = np.float32(0.45) * soft(source, radius / 4)
    glow += np.float32(0.35) * soft(source, radius) + np.float32(0.2) * soft(source, 2 * radius)
    if factor > 1:
        glow = np.asarray(cv2.resize(glow, size, interpolation=cv2.INTER_LINEAR)).reshape(light.shape)
    return glow


def _premultiplied_light(image: Image) -> Floats:
    """Linear light; of premultiplied levels, which come as float32, premultiplied light."""
    if image.shape[2] < 4:
        return to_light(image)
    alpha = image[..., 3:]
    straight = np.clip(image[..., :3] / np.maximum(alpha, np.float32(1e-6)), 0, 1)
    return np.concatenate([to_light(straight) * alpha, alpha], axis=2)


def _levels_of(light: Floats, dtype: np.dtype[np.float32]) -> Image:
    """The inverse of `_premultiplied_light`."""
    alpha = np.clip(light[..., 3:], 0, 1)
    straight = np.clip(light[..., :3] / np.maximum(alpha, np.float32(1e-6)), 0, 1)
    return np.concatenate([from_light(straight, dtype) * alpha, alpha], axis=2)


@op(kind="effect", alpha="keep", tiles=False)
def vignette(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much light the corners lose; below 0 they gain", ge=-1, le=1)] = 0.5,
    size: Annotated[float, Dial("up to where nothing is lost: 0 the middle, 1 the corners", ge=0, le=0.95)] = 0.1,
    roundness: Annotated[float, Dial("1 a circle, 0 an ellipse as wide as the image", ge=0, le=1)] = 0.3,
    centre: Annotated[tuple[float, ...], Dial("where the light falls: right and down", count=2)] = (
        0.5,
        0.5,
    ),
) -> Image:
    """Let the light fall off towards the corners, as lenses do."""
    height, width, _ = image.shape
    longest = max(height, width)
    wide, tall = (side + roundness * (longest - side) for side in (width, height))
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width * centre[0]) * (2 / wide)) ** 2
    y = ((np.arange(height, dtype=np.float32) + 0.5 - height * centre[1]) * (2 / tall)) ** 2
    corner = math.sqrt((width / wide) ** 2 + (height / tall) ** 2)  # of the image, from its middle
    far = np.sqrt(y[:, None] + x[None, :]) / np.float32(corner)
    far = np.maximum(far - np.float32(size), 0) / np.float32(1 - size)
    # The fourth power of a cosine, the law of light through a lens, so steep that the corners keep 1 - amount.
    kept = max(0.02, 1 - abs(amount))
    fall = 1 / np.square(1 + np.float32(kept**-0.5 - 1) * far * far)
    light = to_light(image)
    light = light * fall[..., None] if amount >= 0 else light / fall[..., None]
    return from_light(light, image.dtype)


@op(kind="effect", alpha="keep")
def grain(
    image: Image,
    *,
    amount: Annotated[float, Dial("how strong the grain is in the middle tones", ge=0, le=1)] = 0.25,
    size: Annotated[float, Dial("of the grains, in pixels", ge=0.5, le=20, pixels=True)] = 1.6,
    colour: Annotated[float, Dial("how much the colours' grains differ; 0 is black-and-white film", ge=0, le=1)] = 0.25,
    seed: Annotated[int, Dial("another seed, another grain", ge=0)] = 0,
) -> Image:
    """Add film grain: clumps coarser than a pixel, strongest in the middle tones, gone in black and white.

    The grain repeats without a seam, so a tile stays one.
    """
    if amount == 0:
        return image
    height, width, channels = image.shape
    whole = to_float(image)
    tone = luma(whole)
    # Grain shows where film is half exposed; in shadows more than in lights.
    share = np.sqrt(np.clip(4 * tone * (1 - tone), 0, 1)) * (np.float32(1.15) - np.float32(0.3) * tone)
    share *= np.float32(0.16 * amount)
    common = film_noise(height, width, size, seed)
    if channels == 1 or colour == 0:
        return to_depth(whole + (share * common)[..., None], image.dtype)
    result = np.empty_like(whole)
    for channel in range(3):  # blue, the fastest layer of film, is the coarsest
        own = soft_noise(height, width, size * (1, 0.9, 1.25)[channel], seed, channel + 2)
        mixed = np.float32(math.sqrt(1 - colour**2)) * common + np.float32(colour) * own
        result[..., channel] = whole[..., channel] + share * mixed
    return to_depth(result, image.dtype)
