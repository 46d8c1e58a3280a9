"""Colours from elsewhere: of a reference image, of a palette, of a brand."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.colour import palette as palettes
from maquette.refining.colour import transfer
from maquette.refining.colour.measure import apart, together
from maquette.refining.op import op
from maquette.refining.pixels import with_channels
from maquette.refining.schema import Dial

Method = Literal["transport", "linear", "reinhard", "histogram"]


@op(kind="colour", alpha="own", grey="colour")
def colour_transfer(
    image: Image,
    *,
    reference: Annotated[Image | None, Dial("the image whose colours are wanted", kind="image", needed=True)] = None,
    method: Annotated[
        Method,
        Dial(
            "transport: the whole shape of its colours, smoothly; linear: their main directions; reinhard: mean and "
            "spread; histogram: each channel exactly, which may tear colours apart"
        ),
    ] = "transport",
    tone: Annotated[float, Dial("how much of its light and dark is taken, too (not histogram)", ge=0, le=1)] = 0.5,
) -> Image:
    """Give the image the colours of another image."""
    assert reference is not None
    colour, weights, alpha = apart(image)
    other, other_weights, _ = apart(with_channels(reference, 3))
    if method == "histogram":
        return together(transfer.matched_histograms(colour, weights, other, other_weights), alpha)
    cube = transfer.cube_between(colour, weights, other, other_weights, method, tone)
    return together(cube(colour), alpha)


@op(kind="colour", alpha="own", grey="colour")
def palette(
    image: Image,
    *,
    colours: Annotated[
        tuple[str, ...] | None, Dial("the palette; without it, the image's or the reference's own", kind="colours")
    ] = None,
    reference: Annotated[Image | None, Dial("an image whose palette is taken", kind="image")] = None,
    count: Annotated[int, Dial("how many colours are taken from an image", ge=2, le=256)] = 8,
    dither: Annotated[
        palettes.Dither, Dial("how tones between are shown: not, by an even pattern, or by spread errors")
    ] = "none",
) -> Image:
    """Reduce the image to few colours: a given palette, or the one that suits it best."""
    colour, weights, alpha = apart(image)
    if colours is not None and reference is not None:
        raise UsageError("palette: colours and reference were both given", do="give one of them")
    if colours is not None:
        chosen = palettes.from_hexadecimal(colours)
    elif reference is not None:
        other, other_weights, _ = apart(with_channels(reference, 3))
        chosen, _ = palettes.extract(other, other_weights, count)
    else:
        chosen, _ = palettes.extract(colour, weights, count)
    return together(palettes.reduced(colour, np.asarray(chosen), dither), alpha)


@op(kind="colour", grey="skip")
def brand_colours(
    image: Image,
    *,
    colours: Annotated[tuple[str, ...] | None, Dial("the brand's colours", kind="colours", needed=True)] = None,
    amount: Annotated[float, Dial("how far hues are drawn to them", ge=0, le=1)] = 0.7,
) -> Image:
    """Draw the hues of the image to those of a palette; lightness and greys stay as they are."""
    assert colours is not None
    return image if amount == 0 else palettes.towards(image, palettes.from_hexadecimal(colours), amount)
