"""Dividing an image into regions, and what regions look like: labels are height x width, 0, 1, 2 ..."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining import pixels

Labels = NDArray[np.int32]


def slic(image: Image, count: int = 250, compactness: float = 10.0, smooth: float = 0.0) -> Labels:
    """About `count` regions of about one size (SLIC); compact ones ignore more of what the colours say."""
    from skimage.segmentation import slic as found

    return np.asarray(
        found(_colours(image), n_segments=count, compactness=compactness, sigma=smooth, start_label=0, channel_axis=-1),
        np.int32,
    )


def felzenszwalb(image: Image, scale: float = 100.0, smooth: float = 0.8, smallest: int = 50) -> Labels:
    """Regions that are joined as long as they differ no more than they vary inside (Felzenszwalb)."""
    from skimage.segmentation import felzenszwalb as found

    return np.asarray(found(_colours(image), scale=scale, sigma=smooth, min_size=smallest, channel_axis=-1), np.int32)


def watershed(image: Image, count: int = 250, compactness: float = 0.0, smooth: float = 1.0) -> Labels:
    """About `count` regions that meet along the strongest edges (watershed of the gradient)."""
    from skimage.segmentation import watershed as found

    labels = found(gradient(image, smooth), markers=count, compactness=compactness)  # type: ignore[no-untyped-call]
    return np.asarray(labels - 1, np.int32)


def gradient(image: Image, smooth: float) -> NDArray[np.float32]:
    """How steep the brightness is, height x width."""
    grey = pixels.to_float(pixels.luminance(image))[..., 0]
    if smooth > 0:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), smooth, borderType=cv2.BORDER_REFLECT), np.float32)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, borderType=cv2.BORDER_REFLECT) for order in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def averaged(image: Image, labels: Labels) -> Image:
    """Every region in its mean colour, in the same depth."""
    flat, count = labels.ravel(), int(labels.max()) + 1
    sizes = np.maximum(np.bincount(flat, minlength=count), 1)
    means = np.stack(
        [np.bincount(flat, weights=image[..., k].ravel(), minlength=count) / sizes for k in range(image.shape[2])], 1
    )
    values = means.astype(np.float32) if image.dtype == np.float32 else np.rint(means).astype(image.dtype)
    return np.asarray(values[labels])


def borders(labels: Labels) -> NDArray[np.bool_]:
    """The pixels whose neighbour to the right or below belongs to another region."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def _colours(image: Image) -> NDArray[np.float32]:
    return pixels.to_float(pixels.with_channels(image, 3)[..., :3])
