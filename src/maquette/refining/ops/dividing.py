"""Regions: the image divided into pieces, each shown in its mean colour or by its outline."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from maquette.core.image import Image
from maquette.refining import pixels, regions
from maquette.refining.op import op
from maquette.refining.schema import Dial

Show = Annotated[
    Literal["average", "outline", "both"], Dial("each region in its mean colour, the image with outlines, or both")
]
Colour = Annotated[str, Dial("the colour of outlines", kind="colour")]


def shown(image: Image, labels: regions.Labels, show: str, colour: str) -> Image:
    """The regions as a picture; an alpha stays as it is."""
    bare = image[..., :3] if image.shape[2] == 4 else image
    result = bare if show == "outline" else regions.averaged(bare, labels)
    if show != "average":
        line = pixels.to_depth(np.broadcast_to(pixels.rgb_of(colour), (1, 1, 3)), image.dtype)
        result = np.where(regions.borders(labels)[..., None], line, pixels.with_channels(result, 3))
    if image.shape[2] < 4:
        return result
    return np.concatenate([pixels.with_channels(result, 3), image[..., 3:]], axis=2)


@op(kind="segment", tiles=False)
def superpixels(
    image: Image,
    *,
    count: Annotated[int, Dial("about how many regions", ge=1, le=100_000)] = 400,
    compactness: Annotated[float, Dial("how much like squares they are", gt=0, le=1000)] = 10.0,
    show: Show = "average",
    colour: Colour = "#ffd400",
) -> Image:
    """Divide the image into pieces of about one size that follow its edges (SLIC)."""
    return shown(image, regions.slic(image, count, compactness), show, colour)


@op(kind="segment", tiles=False)
def regions_by_likeness(
    image: Image,
    *,
    scale: Annotated[float, Dial("larger values make larger regions", gt=0, le=100_000)] = 100.0,
    smooth: Annotated[float, Dial("how much is smoothed before, in pixels", ge=0, le=20, pixels=True)] = 0.8,
    smallest: Annotated[int, Dial("pixels that a region has at least", ge=1, le=1_000_000)] = 50,
    show: Show = "average",
    colour: Colour = "#ffd400",
) -> Image:
    """Divide the image where it differs more than it varies inside: large pieces in calm places (Felzenszwalb)."""
    return shown(image, regions.felzenszwalb(image, scale, smooth, smallest), show, colour)


@op(kind="segment", tiles=False)
def watershed(
    image: Image,
    *,
    count: Annotated[int, Dial("about how many regions", ge=1, le=100_000)] = 250,
    compactness: Annotated[float, Dial("how alike in size they are", ge=0, le=1)] = 0.0,
    smooth: Annotated[float, Dial("how much is smoothed before, in pixels", ge=0, le=20, pixels=True)] = 1.0,
    show: Show = "average",
    colour: Colour = "#ffd400",
) -> Image:
    """Divide the image along its strongest edges (watershed)."""
    return shown(image, regions.watershed(image, count, compactness, smooth), show, colour)
