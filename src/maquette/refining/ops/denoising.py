"""Noise taken away: by likeness of patches, by wavelets, by total variation."""

from __future__ import annotations

from typing import Annotated

from maquette.core.image import Image
from maquette.refining.denoise import measured_noise, non_local_means, total_variation, wavelet_shrunk
from maquette.refining.neighbourhood import Floats, on_colour
from maquette.refining.op import op
from maquette.refining.pixels import to_depth, to_float
from maquette.refining.schema import Dial

_NOISE = "the noise's standard deviation as a share of white; left out, it is measured"


def _deviation(whole: Floats, noise: float | None) -> float:
    return measured_noise(whole) if noise is None else noise


@op(alpha="own", reach=lambda dials: dials["search"] + dials["patch"])
def denoise_means(
    image: Image,
    *,
    noise: Annotated[float | None, Dial(_NOISE, ge=0, le=0.5)] = None,
    amount: Annotated[float, Dial("how much alike patches must be: less keeps more", gt=0, le=3)] = 0.8,
    patch: Annotated[int, Dial("pixels on each side that make a patch", ge=1, le=10, pixels=True)] = 2,
    search: Annotated[int, Dial("pixels on each side where like patches are searched", ge=1, le=30, pixels=True)] = 6,
) -> Image:
    """Remove noise by averaging patches that look alike (non-local means): best for repeated detail.

    The time grows with the square of `search`.
    """

    def work(colour: Image) -> Image:
        whole = to_float(colour)
        deviation = _deviation(whole, noise)
        if deviation == 0:
            return colour
        return to_depth(non_local_means(whole, deviation, amount * deviation, patch, search), colour.dtype)

    return on_colour(image, work)


@op(alpha="own", reach=96)
def denoise_wavelet(
    image: Image,
    *,
    noise: Annotated[float | None, Dial(_NOISE, ge=0, le=0.5)] = None,
    amount: Annotated[float, Dial("how much of the noise of lightness is taken away", ge=0, le=3)] = 1.0,
    colour: Annotated[float, Dial("how much of the noise of colour is taken away", ge=0, le=5)] = 1.2,
) -> Image:
    """Remove fine and coarse noise, its coloured specks first (wavelets): the best all-round choice.

    Five scales of an undecimated wavelet; at each, what is no larger than the noise around it is shrunk.
    """

    def work(part: Image) -> Image:
        whole = to_float(part)
        deviation = _deviation(whole, noise)
        if deviation == 0 or amount == colour == 0:
            return part
        return to_depth(wavelet_shrunk(whole, amount * deviation, colour * deviation), part.dtype)

    return on_colour(image, work)


@op(alpha="own", reach=lambda dials: dials["iterations"])
def denoise_tv(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much variation is taken away", ge=0, le=1)] = 0.08,
    iterations: Annotated[int, Dial("more come closer to the exact answer", ge=1, le=300)] = 24,
) -> Image:
    """Flatten noise and faint texture into even areas with sharp borders (total variation).

    Good for drawings, masks and flat art; photographs turn to plastic when `amount` is high.
    """
    if amount == 0:
        return image

    def work(colour: Image) -> Image:
        return to_depth(total_variation(to_float(colour), amount, iterations), colour.dtype)

    return on_colour(image, work)
