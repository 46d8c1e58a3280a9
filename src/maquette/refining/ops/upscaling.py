"""Upscaling: more pixels than there are, without stairs along edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.core.choices import Tile
from maquette.core.errors import DataError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.op import op
from maquette.refining.ops.geometry import resized
from maquette.refining.schema import Dial

_MARGIN = 12
"""Pixels of a tile's other side that matter."""
_ROUNDS = 4
_REACH = 2.0
"""Pixels of the large image, to both sides along an edge, that are averaged in a round."""


@op(kind="geometry", alpha="own")
def upscale(
    image: Image,
    *,
    times: Annotated[int, Dial("how many times as wide and high", ge=2, le=4)] = 2,
    method: Annotated[
        Literal["edges", "lanczos"], Dial("edges keeps lines smooth and sharp; lanczos is ten times faster")
    ] = "edges",
    model: Annotated[Any, Dial("a trained upscaler instead; in Python any callable", kind="model")] = None,
    tile: Tile = "",
) -> Image:
    """Enlarge the image 2, 3 or 4 times.

    `edges` starts from Lanczos, then by turns averages along edges (never across) and puts back what the small image
    says, so that shrinking the result gives the image again.
    """
    height, width = image.shape[:2]
    pixels.bounded(width * times, height * times)
    if model is None and method == "lanczos":
        return pixels.without_fringe(
            image, lambda part: resized(part, (width * times, height * times), "lanczos", tile)
        )
    rows, columns = (_MARGIN if axis in tile else 0 for axis in "yx")
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="wrap") if tile else image
    if model is not None:
        large = _learned(padded, times, model)
    else:
        large = pixels.without_fringe(padded, lambda part: _edges(part, times))
    top, left = rows * times, columns * times
    return large[top : top + height * times, left : left + width * times]


def _edges(image: Image, times: int) -> Image:
    """Edge-directed upscaling of premultiplied pixels."""
    small = pixels.to_float(image)
    size = (image.shape[1] * times, image.shape[0] * times)
    large = resized(small, size)
    weight, there, back = _along_edges(large, times)
    for _ in range(_ROUNDS):
        smooth = large.copy()
        for place in (there, back):
            moved = cv2.remap(large, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            smooth += np.float32(0.6) * np.asarray(moved, np.float32).reshape(large.shape)
        smooth *= np.float32(1 / 2.2)
        smooth -= large
        smooth *= weight
        large = large + smooth
        large += _spread(small - _shrunk(large, image.shape[:2]), size)
    return pixels.to_depth(large, image.dtype)


def _along_edges(large: NDArray[np.float32], times: int) -> tuple[NDArray[np.float32], Any, Any]:
    """How sure the direction of an edge is, and the places to both sides of each pixel along it (structure tensor)."""
    grey = pixels.luminance(large)[..., 0]
    x, y = (np.asarray(cv2.Scharr(grey, cv2.CV_32F, *order), np.float32) / 32 for order in ((1, 0), (0, 1)))
    xx, xy, yy = (
        np.asarray(cv2.GaussianBlur(part, (0, 0), times, borderType=cv2.BORDER_REPLICATE), np.float32)
        for part in (x * x, x * y, y * y)
    )
    sure = np.hypot(xx - yy, 2 * xy) / (xx + yy + np.float32(1e-4))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    rows, columns = np.indices(grey.shape, np.float32)
    across, down = (_REACH * part(angle).astype(np.float32) for part in (np.cos, np.sin))
    return sure[..., None], (columns + across, rows + down), (columns - across, rows - down)


def _shrunk(large: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    made = cv2.resize(large, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(made, np.float32).reshape(*shape, -1)


def _spread(small: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """What is missing, laid smoothly over the large image; it may be negative."""
    planes = [
        np.asarray(Pillow.fromarray(np.ascontiguousarray(small[..., k])).resize(size, Pillow.Resampling.BICUBIC))
        for k in range(small.shape[2])
    ]
    return np.stack(planes, axis=2)


def _learned(image: Image, times: int, model: Callable[..., Any]) -> Image:
    """What a model makes of the image: as often as it takes, then brought to the size that was asked for."""
    size = (image.shape[1] * times, image.shape[0] * times)
    colour = image[..., :3]
    work = pixels.to_float(colour)
    for _ in range(2):
        before = work.shape
        work = pixels.to_float(pixels.checked(model(work)))
        if work.shape[0] <= before[0] or work.shape[1] <= before[1]:
            raise DataError("the model does not enlarge images", do="give one that was trained to")
        if work.shape[1] >= size[0] and work.shape[0] >= size[1]:
            break
    if work.shape[2] != colour.shape[2]:
        work = pixels.with_channels(pixels.luminance(work), colour.shape[2])
    made = pixels.to_depth(resized(work, size) if work.shape[1::-1] != size else work, image.dtype)
    if image.shape[2] < 4:
        return made
    return np.concatenate([made, resized(np.ascontiguousarray(image[..., 3:]), size)], axis=2)
