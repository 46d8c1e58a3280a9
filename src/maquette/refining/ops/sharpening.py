"""Sharpening: edges that were softened by a lens, a resize or a network."""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np

from maquette.core.image import Image
from maquette.refining.op import op
from maquette.refining.schema import Dial


@op(alpha="weigh", reach=lambda dials: math.ceil(4 * dials["radius"]))
def sharpen(
    image: Image,
    *,
    amount: Annotated[float, Dial("how strongly edges are raised", ge=0, le=5)] = 0.5,
    radius: Annotated[float, Dial("how wide an edge is taken to be, in pixels", gt=0, le=50)] = 1.0,
) -> Image:
    """Raise the contrast of edges (unsharp mask)."""
    if amount == 0:
        return image
    soft = cv2.GaussianBlur(image, (0, 0), radius, borderType=cv2.BORDER_REFLECT_101)
    sharp = cv2.addWeighted(image, 1 + amount, soft.reshape(image.shape), -amount, 0)
    return np.asarray(sharp).reshape(image.shape)
