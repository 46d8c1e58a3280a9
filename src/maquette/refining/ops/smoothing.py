"""Smoothing that stops at edges: flat parts become even, outlines stay where they are."""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.neighbourhood import MIRROR, Floats, like, mean, on_colour
from maquette.refining.neighbourhood import guided as guided_by
from maquette.refining.op import op
from maquette.refining.pixels import largest, to_depth, to_float
from maquette.refining.schema import Dial

_WIDEST = 5.0
"""Pixels of deviation up to which the bilateral filter is computed in full; its time grows with the square."""


@op(alpha="own", reach=lambda dials: 2 * math.ceil(2 * dials["radius"]))
def bilateral(
    image: Image,
    *,
    radius: Annotated[
        float, Dial("how far pixels are mixed: the standard deviation in pixels", ge=0, le=50, pixels=True)
    ] = 3.0,
    tone: Annotated[float, Dial("how different tones may be and still mix, as a share of white", gt=0, le=1)] = 0.1,
) -> Image:
    """Smooth surfaces and keep edges (bilateral filter).

    Above 5 pixels it is fitted on a smaller image, whose local linear changes are then applied at full size.
    """
    if radius == 0:
        return image
    return on_colour(image, lambda colour: bilateral_of(colour, radius, tone))


def bilateral_of(image: Image, radius: float, tone: float) -> Image:
    """The bilateral filter on one or three channels; differences are the mean over the channels."""
    if radius <= _WIDEST:
        work = to_float(image) if image.dtype == np.uint16 else np.ascontiguousarray(image)
        span = tone * largest(work) * image.shape[2]  # OpenCV adds the differences of the channels up
        done = like(cv2.bilateralFilter(work, 2 * math.ceil(2 * radius) + 1, span, radius, borderType=MIRROR), image)
        return to_depth(done, np.uint16) if image.dtype == np.uint16 else done
    factor = math.ceil(radius / _WIDEST * 1.5)
    size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
    whole = to_float(image)
    small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], image.shape[2])
    smooth = bilateral_of(small, radius / factor, tone)
    return to_depth(_applied(whole, small, smooth), image.dtype)


def _applied(whole: Floats, before: Floats, after: Floats) -> Floats:
    """What was done to the small image, done to the whole one: locally linear in each channel."""
    centre, level = mean(before, 1), mean(after, 1)
    spread = mean(before * before, 1) - centre * centre
    slope = (mean(before * after, 1) - centre * level) / (spread + np.float32(1e-4))
    size = (whole.shape[1], whole.shape[0])
    slope, offset = (
        like(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), whole)
        for plane in (mean(slope, 1), mean(level - slope * centre, 1))
    )
    return np.asarray(np.clip(slope * whole + offset, 0, 1))


@op(alpha="own", reach=lambda dials: 2 * dials["radius"] + 2 * max(1, dials["radius"] // 4))
def guided(
    image: Image,
    *,
    radius: Annotated[int, Dial("of the squares that are looked at, in pixels", ge=0, le=200, pixels=True)] = 8,
    tone: Annotated[float, Dial("contrast below this share of white is smoothed, above it kept", gt=0, le=1)] = 0.1,
) -> Image:
    """Smooth surfaces and keep edges, without the rims of the bilateral filter (guided filter).

    Its time does not grow with the radius. Each channel is its own guide.
    """
    if radius == 0:
        return image

    def work(colour: Image) -> Image:
        whole = to_float(colour)
        done = [
            guided_by(np.ascontiguousarray(whole[..., channel]), whole[..., channel, None], radius, tone * tone)
            for channel in range(colour.shape[2])
        ]
        return to_depth(np.concatenate(done, axis=2), colour.dtype)

    return on_colour(image, work)
