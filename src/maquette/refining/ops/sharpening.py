"""Sharpening: edges that were softened by a lens, a resize or a network; and fine detail taken apart from tone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.kernels import disc_kernel
from maquette.refining.neighbourhood import MIRROR, Floats, gaussian_reach, guided, like, luma, on_colour, soft
from maquette.refining.op import op
from maquette.refining.pixels import largest, to_depth, to_float
from maquette.refining.schema import Dial


@op(alpha="weigh", reach=lambda dials: gaussian_reach(dials["radius"]) + 1)
def sharpen(
    image: Image,
    *,
    amount: Annotated[float, Dial("how strongly edges are raised", ge=0, le=10)] = 0.5,
    radius: Annotated[float, Dial("how wide an edge is taken to be, in pixels", gt=0, le=100, pixels=True)] = 1.0,
    threshold: Annotated[float, Dial("differences below this share of white are left alone", ge=0, le=1)] = 0.0,
    halos: Annotated[float, Dial("of what goes beyond the pixels around, how much may stay", ge=0, le=1)] = 1.0,
    lightness: Annotated[bool, Dial("sharpen lightness alone, so that edges get no coloured rims")] = False,
) -> Image:
    """Raise the contrast of edges (unsharp mask).

    amount=0.5 is subtle, 1 plain, 2 strong. A threshold of 0.02 leaves grain and skin alone; halos=0.3 takes away most
    of the bright and dark lines that strong sharpening draws along edges.
    """
    if amount == 0:
        return image
    white = np.float32(largest(image))
    whole = image.astype(np.float32)
    if lightness and image.shape[2] > 1:
        plane = luma(whole)
        detail = (plane - soft(plane, radius))[..., None]
    elif threshold == 0 and halos == 1:  # one pass, rounded once: what most people ask for is the quickest
        blurred = soft(whole, radius)
        into = {np.uint8: cv2.CV_8U, np.uint16: cv2.CV_16U, np.float32: cv2.CV_32F}[image.dtype.type]
        return like(cv2.addWeighted(whole, 1 + amount, blurred, -amount, 0, dtype=into), image)
    else:
        detail = whole - soft(whole, radius)
    if threshold:
        detail = _cored(detail, np.float32(threshold) * white)
    sharp = whole + np.float32(amount) * detail
    if halos < 1:
        kernel = np.ones((3, 3), np.uint8)
        around = [like(extreme(whole, kernel, borderType=MIRROR), image) for extreme in (cv2.erode, cv2.dilate)]
        inside = np.clip(sharp, *around)
        sharp = inside + np.float32(halos) * (sharp - inside)
    return to_depth(sharp / white, image.dtype)


def _cored(detail: Floats, threshold: np.float32) -> Floats:
    """Detail without what is smaller than the threshold, without a step where it begins to count."""
    size = np.abs(detail)
    return np.asarray(detail * (np.clip(size / threshold - 1, 0, 1)))


@op(alpha="weigh", reach=lambda dials: gaussian_reach(dials["radius"]))
def high_pass(
    image: Image,
    *,
    radius: Annotated[float, Dial("detail up to this size is raised, in pixels", gt=0, le=100, pixels=True)] = 3.0,
    amount: Annotated[float, Dial("how strongly", ge=0, le=5)] = 0.6,
    show: Annotated[bool, Dial("show the detail itself on grey instead")] = False,
) -> Image:
    """Bring out texture by laying the detail over the image (high-pass, overlay).

    Darkest and brightest tones are spared, so nothing clips: what retouchers do with a high-pass layer.
    """
    whole = to_float(image)
    detail = (whole - soft(whole, radius))[..., : min(3, image.shape[2])]
    result = whole.copy()
    colour = result[..., : detail.shape[2]]
    if show:  # on premultiplied colours half grey is half of alpha
        colour[...] = detail + np.float32(0.5) * (whole[..., 3:] if image.shape[2] == 4 else 1)
    elif amount == 0:
        return image
    else:
        top = whole[..., 3:] if image.shape[2] == 4 else np.float32(1)
        room = np.minimum(colour, top - colour)
        colour += np.float32(2 * amount) * detail * room
    return to_depth(result, image.dtype)


@op(alpha="own", reach=lambda dials: 4 * gaussian_reach(dials["radius"]))
def deconvolve(
    image: Image,
    *,
    radius: Annotated[float, Dial("of the blur that is to be undone, in pixels", gt=0, le=20, pixels=True)] = 1.2,
    shape: Annotated[Literal["gaussian", "lens"], Dial("of that blur: softness, or a lens out of focus")] = "gaussian",
    iterations: Annotated[int, Dial("more bring back more, and more noise", ge=0, le=200)] = 12,
    noise: Annotated[float, Dial("differences below this share of white are not fitted", ge=0, le=0.2)] = 0.005,
) -> Image:
    """Undo a blur that is known: the sharpest honest sharpening (Richardson-Lucy deconvolution).

    Works on lightness, so colours get no rims. Where the image already agrees with the blur to within `noise`, nothing
    is fitted any more: flat parts stay clean (damping after White, 1994).
    """

    def work(colour: Image) -> Image:
        whole = to_float(colour)
        plane = luma(whole)
        found = richardson_lucy(plane, blur_of(shape, radius), iterations, noise)
        return to_depth(whole + (found - plane)[..., None], colour.dtype)

    return on_colour(image, work)


def blur_of(shape: str, radius: float) -> Callable[[Floats], Floats]:
    """The blur as a function on planes; symmetric, so it is its own adjoint."""
    if shape == "gaussian":
        return lambda plane: soft(plane, radius)
    kernel = disc_kernel(radius)
    return lambda plane: np.asarray(cv2.filter2D(plane, -1, kernel, borderType=MIRROR))


def richardson_lucy(plane: Floats, blur: Callable[[Floats], Floats], iterations: int, noise: float = 0.0) -> Floats:
    """The plane that, blurred, makes the given one most likely."""
    least = np.float32(1e-4)
    found = np.maximum(plane, least)
    for _ in range(iterations):
        again = np.maximum(blur(found), least)
        ratio = plane / again
        if noise:
            off = (plane - again) / np.float32(noise)
            ratio = 1 + (ratio - 1) * np.minimum(1, off * off)
        found = found * np.maximum(blur(ratio), 0)
    return found


@op(alpha="weigh", reach=lambda dials: gaussian_reach(dials["radius"]) + 4 * round(2 * dials["radius"]) + 8)
def frequency_separation(
    image: Image,
    *,
    radius: Annotated[float, Dial("what is finer than this is texture, in pixels", gt=0, le=100, pixels=True)] = 6.0,
    tone: Annotated[float, Dial("how much the tones below the texture are evened out", ge=0, le=1)] = 0.6,
    texture: Annotated[float, Dial("how much of the texture is kept: 1 all, 0 none", ge=0, le=3)] = 1.0,
    show: Annotated[Literal["both", "tone", "texture"], Dial("the result, or one of its layers")] = "both",
) -> Image:
    """Even out blotches and keep the texture: skin, walls, cloth (frequency separation)."""
    whole = to_float(image)
    low, high = separate(whole, radius)
    if tone:
        wide = max(1, round(2 * radius))
        planes = [np.ascontiguousarray(low[..., channel]) for channel in range(low.shape[2])]
        even = np.concatenate([guided(plane, plane[..., None], wide, 0.08**2) for plane in planes], axis=2)
        low = low + np.float32(tone) * (even - low)
    if show == "texture":
        grey = np.float32(0.5) * (whole[..., 3:] if image.shape[2] == 4 else 1)
        result = np.concatenate([high[..., :3] * np.float32(texture) + grey, whole[..., 3:]], axis=2)
    else:
        result = low if show == "tone" else low + np.float32(texture) * high
    return to_depth(result, image.dtype)


def separate(image: Floats, radius: float) -> tuple[Floats, Floats]:
    """A float image as tones and texture, whose sum it is."""
    low = soft(image, radius)
    return low, image - low
