"""Paper: pages and drawings that were scanned or photographed."""

from __future__ import annotations

from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.op import op
from maquette.refining.schema import Dial


@op(kind="colour", depth="float", tiles=False)
def even_light(
    image: Image,
    *,
    ink: Annotated[
        float, Dial("the widest stroke or letter that stays, as a share of the longer side", gt=0, le=0.5)
    ] = 0.04,
    white: Annotated[float, Dial("how light the paper becomes", gt=0, le=1)] = 1.0,
) -> Image:
    """Take shadows, folds and yellowing off a page: what is paper becomes evenly white.

    The paper is what is left when everything narrower and darker is closed over; the image is divided by it.
    """
    height, width = image.shape[:2]
    reach = max(1.0, ink * max(height, width))
    step = max(1, int(reach / 8))  # the paper changes slowly: it is looked for on a smaller image
    size = (max(1, width // step), max(1, height // step))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32).reshape(*size[::-1], -1)
    side = 2 * round(reach / step) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    calm = cv2.medianBlur(small, 3).reshape(small.shape)  # a single bright speck is no paper
    closed: NDArray[Any] = cv2.morphologyEx(calm, cv2.MORPH_CLOSE, disc, borderType=cv2.BORDER_REPLICATE)
    closed = cv2.GaussianBlur(closed, (0, 0), side / 4, borderType=cv2.BORDER_REPLICATE)
    paper = cv2.resize(closed, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    return np.asarray(np.clip(image * np.float32(white) / np.maximum(paper, np.float32(0.02)), 0, 1), np.float32)
