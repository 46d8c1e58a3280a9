"""Blurs: even ones, and the median, which blurs everything but edges."""

from __future__ import annotations

from typing import Annotated

from maquette.core.image import Image
from maquette.refining.neighbourhood import gaussian, gaussian_reach, like, mean, on_colour
from maquette.refining.neighbourhood import median as median_of
from maquette.refining.op import op
from maquette.refining.schema import Dial


@op(reach=lambda dials: gaussian_reach(dials["radius"]))
def gaussian_blur(
    image: Image,
    *,
    radius: Annotated[
        float, Dial("how far pixels are mixed: the standard deviation in pixels", ge=0, le=200, pixels=True)
    ] = 2.0,
) -> Image:
    """Soften everything evenly (Gaussian blur)."""
    return gaussian(image, radius)


@op(reach=lambda dials: dials["radius"])
def box_blur(
    image: Image,
    *,
    radius: Annotated[int, Dial("pixels on each side that are averaged", ge=0, le=500, pixels=True)] = 3,
) -> Image:
    """Average over squares: the quickest blur, with corners in it."""
    return like(mean(image, radius), image) if radius else image


@op(reach=lambda dials: dials["radius"], alpha="own")
def median(
    image: Image,
    *,
    radius: Annotated[int, Dial("pixels on each side that are looked at", ge=0, le=100, pixels=True)] = 2,
) -> Image:
    """Remove specks and thin lines, keep edges (median).

    Each channel takes the middle value of a square. The alpha of cut-outs stays as it is. More than 2 pixels at 16 bits
    are exact too, and take about ten times as long as at 8 bits.
    """
    return on_colour(image, lambda colour: median_of(colour, radius)) if radius else image
