"""Masks of what has a colour, a brightness, is in focus, or is sky."""

from __future__ import annotations

import itertools
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.cutout import matte
from maquette.refining.neighbourhood import filled
from maquette.refining.op import op
from maquette.refining.schema import Dial

Map = NDArray[np.float32]
SIDE = 320
"""The longer side in pixels at which the sky is looked for."""


@op(kind="select")
def colour_range(
    image: Image,
    *,
    colour: Annotated[str, Dial("the colour that is looked for", kind="colour")] = "#c8102e",
    within: Annotated[float, Dial("how different a colour may be (CIELAB; 2 is just visible)", ge=0, le=200)] = 25.0,
    soft: Annotated[float, Dial("over how much more the mask fades out", ge=0, le=200)] = 10.0,
) -> Image:
    """Choose what is near a colour."""
    lab = cv2.cvtColor(np.ascontiguousarray(_colours(image)), cv2.COLOR_RGB2LAB)
    aim = cv2.cvtColor(pixels.rgb_of(colour).reshape(1, 1, 3), cv2.COLOR_RGB2LAB)
    distance = np.sqrt(np.square(lab - aim).sum(axis=2))
    return _weights((within + soft - distance) / max(soft, 1e-3) if soft else (distance <= within), image)


@op(kind="select")
def brightness_range(
    image: Image,
    *,
    low: Annotated[float, Dial("the darkest that is chosen", ge=0, le=1)] = 0.6,
    high: Annotated[float, Dial("the brightest that is chosen", ge=0, le=1)] = 1.0,
    soft: Annotated[float, Dial("over how much more the mask fades out on both sides", ge=0, le=1)] = 0.1,
) -> Image:
    """Choose what is neither darker nor brighter than two levels: shadows, middle tones or lights."""
    grey = pixels.to_float(pixels.luminance(image))[..., 0]
    if soft == 0:
        return _weights((grey >= low) & (grey <= high), image)
    return _weights(np.minimum((grey - low) / soft, (high - grey) / soft) + 1, image)


@op(kind="select", reach=lambda dials: 6 * dials["window"])
def focus(
    image: Image,
    *,
    window: Annotated[
        int, Dial("how large the places are that are compared, in pixels", ge=2, le=200, pixels=True)
    ] = 12,
    level: Annotated[float, Dial("how much finest detail counts as in focus", gt=0, lt=1)] = 0.35,
) -> Image:
    """Choose what is in focus: where the finest detail is strong beside the coarser.

    Places without any detail go with their neighbours; what is invisible is not chosen.
    """
    seen = filled(image) if image.shape[2] == 4 else image
    grey = pixels.luminance(pixels.to_float(seen))[..., 0] * np.float32(255)
    border = cv2.BORDER_REFLECT_101
    soft = [grey, *(cv2.GaussianBlur(grey, (0, 0), sigma, borderType=border) for sigma in (0.8, 1.6, 3.2))]
    bands = [np.square(one - other) for one, other in itertools.pairwise(soft)]
    fine, middle, coarse = (cv2.GaussianBlur(band, (0, 0), window / 2, borderType=border) for band in bands)
    noise = 0.5  # squared steps of 255: what a sensor or rounding adds everywhere
    detail = fine + middle + coarse
    ratio = np.sqrt(np.maximum(fine - noise, 0) / np.maximum(detail, 1e-6))
    trust = detail / (detail + 4 * noise)
    near = [cv2.GaussianBlur(part, (0, 0), 1.5 * window, borderType=border) for part in (ratio * trust, trust)]
    ratio = ratio * trust + (1 - trust) * near[0] / np.maximum(near[1], 1e-6)
    weights = (ratio - level) / 0.12 + 0.5
    return _weights(np.where(image[..., 3] > 0, weights, 0) if image.shape[2] == 4 else weights, image)


@op(kind="select", tiles=False)
def sky(image: Image) -> Image:
    """Choose the sky: what is calm, blue or bright or dusky, and reaches down from the upper border.

    The mask is empty where there is none.
    """
    guide = _colours(image)
    small = _shrunk(guide)
    found = sky_in(small)
    if not found.any() or found.all():
        return _weights(np.broadcast_to(found.any(), image.shape[:2]), image)
    radius = max(1, round(4 * max(small.shape[:2]) / SIDE))
    return _weights(matte.soft_edge(guide, small, found.astype(np.float32), radius), image)


def sky_in(small: Map) -> NDArray[np.bool_]:
    """The sky in a small image H W 3."""
    height, width = small.shape[:2]
    lab = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2LAB)
    if min(height, width) < 8:
        return np.zeros((height, width), bool)
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
    slopes = [cv2.Sobel(smooth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))]
    steep = np.sqrt(sum(np.square(slope).sum(axis=2) for slope in slopes))
    light, green_red, blue_yellow = (lab[..., k] for k in range(3))
    chroma = np.hypot(green_red, blue_yellow)
    blue = (blue_yellow < -4) & (green_red < 25)
    overcast = (light > 70) & (chroma < 9)
    dusk = (light > 45) & (blue_yellow > 5) & (chroma < 60) & (np.arange(height)[:, None] < 0.6 * height)
    calm = steep < 3.0
    candidate = (calm & (blue | overcast | dusk)).astype(np.uint8)
    candidate = cv2.morphologyEx(candidate, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts, facts, _ = cv2.connectedComponentsWithStats(candidate, connectivity=4)
    reaching = np.unique(parts[: max(1, height // 50)])
    kept = [part for part in reaching if part and facts[part, cv2.CC_STAT_AREA] > 0.01 * height * width]
    kept = [part for part in kept if _like_sky(parts == part, steep, blue, overcast)]
    found = np.isin(parts, kept)
    # what lies between: branches, wires and birds stay out, the rim that smoothing took from the sky comes back
    near = cv2.dilate(found.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    if found.any():
        mean, spread = lab[found].mean(axis=0), lab[found].std(axis=0) + 3
        alike = np.square((lab - mean) / spread).mean(axis=2) < 3
        found |= near & alike
    return np.asarray(found)


def _like_sky(part: NDArray[np.bool_], steep: Map, blue: NDArray[np.bool_], overcast: NDArray[np.bool_]) -> bool:
    """Whether a calm part at the upper border is sky: it fills much of that border, and is calm all through."""
    rows = part.shape[0]
    width = part[: max(1, rows // 50)].any(axis=0).mean()
    usual = part & (blue | overcast)
    return bool(width > 0.15 and np.median(steep[part]) < 1.2 and usual.sum() > 0.25 * part.sum())


def _colours(image: Image) -> Map:
    return pixels.to_float(pixels.with_channels(image, 3)[..., :3])


def _shrunk(image: Map) -> Map:
    height, width = image.shape[:2]
    share = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32) if share < 1 else image


def _weights(values: NDArray[np.generic], image: Image) -> Image:
    return pixels.to_depth(np.asarray(values, np.float32)[..., None], image.dtype)
