"""Cutting out the subject: as a mask, as transparency, before another background, or with what is behind it blurred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.cutout.cut import Hints, find
from maquette.refining.cutout.matte import own_colours
from maquette.refining.op import op
from maquette.refining.schema import Dial

Numbers: TypeAlias = tuple[float, ...] | None
Box = Annotated[
    Numbers,
    Dial("a box around the subject, in pixels or as shares of the image", ge=0, count=4, form="LEFT:TOP:RIGHT:BOTTOM"),
]
Keep = Annotated[Numbers, Dial("points of a stroke that lies on the subject, in pixels or as shares", ge=0, form="X:Y")]
Drop = Annotated[Numbers, Dial("points of a stroke that lies on the background", ge=0, form="X:Y:X:Y")]
Strokes = Annotated[
    Image | str | None,
    Dial("a painted image of the same size: white on the subject, black on the background", kind="image"),
]
Model = Annotated[Callable[..., Any] | None, Dial("a model of the family segment that says what the subject is")]
Soft = Annotated[float, Dial("how wide the edge may be: 0 hard, 1 as found, more for fur", ge=0, le=4)]
Otherwise = Annotated[
    Literal["fail", "nothing", "everything"], Dial("what to do where no subject stands out: fail, or take that for it")
]


def matte(
    image: Image, box: Numbers, keep: Numbers, drop: Numbers, strokes: Any, model: Any, soft: float, otherwise: str
) -> NDArray[np.float32]:
    """The matte of the subject, height x width x 1."""
    hints = Hints(box=box, keep=keep, drop=drop, strokes=strokes, model=model)
    try:
        return find(image, hints, soft)[..., None]
    except DataError:
        if otherwise == "fail":
            raise
        return np.full((*image.shape[:2], 1), 1.0 if otherwise == "everything" else 0.0, np.float32)


@op(kind="select", tiles=False)
def foreground(
    image: Image,
    *,
    box: Box = None,
    keep: Keep = None,
    drop: Drop = None,
    strokes: Strokes = None,
    model: Model = None,
    soft: Soft = 1.0,
    otherwise: Otherwise = "fail",
) -> Image:
    """Find the subject: what stands out from what surrounds it.

    An image that is transparent somewhere is cut out already: its alpha is the mask. Where no subject stands out, the
    image is refused with a sentence (see `otherwise`).
    """
    return pixels.to_depth(matte(image, box, keep, drop, strokes, model, soft, otherwise), image.dtype)


@op(kind="segment", tiles=False)
def remove_background(
    image: Image,
    *,
    box: Box = None,
    keep: Keep = None,
    drop: Drop = None,
    strokes: Strokes = None,
    model: Model = None,
    soft: Soft = 1.0,
    otherwise: Otherwise = "fail",
) -> Image:
    """Cut the subject out: the rest becomes transparent.

    At soft edges the subject has its own colours, without a rim of the old background.
    """
    found = matte(image, box, keep, drop, strokes, model, soft, otherwise)
    return pixels.to_depth(np.concatenate([_subject(image, found), found], axis=2), image.dtype)


@op(kind="segment", tiles=False)
def replace_background(
    image: Image,
    *,
    colour: Annotated[str, Dial("the new background", kind="colour")] = "#ffffff",
    picture: Annotated[
        Image | str | None, Dial("an image as the new background, enlarged and cropped to fit", kind="image")
    ] = None,
    box: Box = None,
    keep: Keep = None,
    drop: Drop = None,
    strokes: Strokes = None,
    model: Model = None,
    soft: Soft = 1.0,
    otherwise: Otherwise = "fail",
) -> Image:
    """Lay the subject on a colour or on another picture."""
    found = matte(image, box, keep, drop, strokes, model, soft, otherwise)
    ground: NDArray[np.float32] = np.broadcast_to(pixels.rgb_of(colour), (*image.shape[:2], 3))
    if picture is not None:
        ground = _covering(np.asarray(picture), image.shape[0], image.shape[1])
    laid = ground + (_subject(image, found) - ground) * found
    return pixels.to_depth(laid, image.dtype)


@op(kind="segment", tiles=False)
def blur_background(
    image: Image,
    *,
    radius: Annotated[float, Dial("how strongly, in thousandths of the longer side", gt=0, le=200)] = 15.0,
    box: Box = None,
    keep: Keep = None,
    drop: Drop = None,
    strokes: Strokes = None,
    model: Model = None,
    soft: Soft = 1.0,
    otherwise: Otherwise = "fail",
) -> Image:
    """Put everything but the subject out of focus, like a lens that is wide open.

    The subject's colours do not bleed into the background.
    """
    opaque = image[..., :3] if image.shape[2] == 4 else image
    found = matte(image if pixels.is_opaque(image) else opaque, box, keep, drop, strokes, model, soft, otherwise)
    whole = pixels.to_float(pixels.with_channels(opaque, 3))
    ground = _out_of_focus(whole, 1 - found, radius / 1000 * max(image.shape[:2]))
    laid = ground + (_subject(opaque, found) - ground) * found
    laid = laid if image.shape[2] > 1 else pixels.luminance(np.asarray(laid, np.float32))
    result = pixels.to_depth(laid, image.dtype)
    return np.concatenate([result, image[..., 3:]], axis=2) if image.shape[2] == 4 else result


def _subject(image: Image, found: NDArray[np.float32]) -> NDArray[np.float32]:
    """The subject's own colours, height x width x 3 in [0, 1]; those of a picture that is cut out stay as they are."""
    colours = pixels.to_float(pixels.with_channels(image, 3)[..., :3])
    if image.shape[2] == 4 and not pixels.is_opaque(image):
        return colours
    return own_colours(colours, found[..., 0], max(3, max(image.shape[:2]) // 16))


def _covering(picture: Image, height: int, width: int) -> NDArray[np.float32]:
    """The picture without alpha, enlarged or reduced until it covers the size, and its middle cut out."""
    whole = pixels.to_float(pixels.with_channels(picture, 3))
    if whole.shape[2] == 4:
        whole = whole[..., :3] * whole[..., 3:] + (1 - whole[..., 3:])
    share = max(height / whole.shape[0], width / whole.shape[1])
    size = (max(width, round(whole.shape[1] * share)), max(height, round(whole.shape[0] * share)))
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    large = np.clip(cv2.resize(np.ascontiguousarray(whole), size, interpolation=way), 0, 1)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.asarray(large[top : top + height, left : left + width], np.float32)


def _out_of_focus(whole: NDArray[np.float32], weight: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """The image blurred by a disc, counting only what `weight` (height x width x 1) says is background."""
    height, width = whole.shape[:2]
    # A wide blur on a reduced copy costs the same as a narrow one, and looks the same.
    share = min(1.0, 8 / max(radius, 1e-3))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    values = np.concatenate([whole * weight, weight], axis=2)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    reach = max(1, round(radius * share))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(reach + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    blurred = np.asarray(cv2.filter2D(small, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT), np.float32)
    wide = cv2.GaussianBlur(small, (0, 0), 4 * reach, borderType=cv2.BORDER_REFLECT)  # behind the middle of the subject
    mixed = blurred + np.float32(0.01) * wide
    mixed = np.asarray(cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)).reshape(height, width, 4)
    return np.asarray(np.clip(mixed[..., :3] / np.maximum(mixed[..., 3:], 1e-6), 0, 1), np.float32)
