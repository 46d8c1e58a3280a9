"""Automatic enhancement: finds out what an image lacks, does that much, and leaves a good image alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from maquette.core.image import Image
from maquette.refining.colour import illuminant
from maquette.refining.colour.curve import s_curve
from maquette.refining.colour.measure import Weights, apart, sample, together
from maquette.refining.colour.space import Floats, tabulate, to_lab, to_light
from maquette.refining.op import op
from maquette.refining.ops.balance import as_bright, lit
from maquette.refining.ops.vividness import vibrance
from maquette.refining.pixels import to_float
from maquette.refining.schema import Dial


@dataclass(frozen=True)
class Needs:
    """What an image lacks; each 0 where nothing does."""

    black: float = 0.0
    """The level that should be black."""
    white: float = 1.0
    """The level that should be white."""
    stretch: float = 0.0
    """How far to go towards these two."""
    power: float = 1.0
    """The exponent that brings middle tones where they are well seen; below 1 lightens."""
    contrast: float = 0.0
    cast: float = 0.0
    """How much of the cast to remove."""
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    colour: float = 0.0
    """How much more colour."""

    @property
    def none(self) -> bool:
        """Whether the image is good as it is."""
        quiet = self.stretch < 0.02 and abs(self.power - 1) < 0.02
        return quiet and self.contrast < 0.02 and self.cast < 0.05 and self.colour < 0.02


@op(kind="colour", alpha="own")
def enhance(
    image: Image,
    *,
    amount: Annotated[float, Dial("how much of what is lacking is given", ge=0, le=1)] = 1.0,
    colour: Annotated[bool, Dial("casts and pale colours count, too, not light and dark alone")] = True,
) -> Image:
    """Improve light, contrast and colour as far as they are lacking; a good image is left alone."""
    colours, weights, alpha = apart(image)
    found = needs(colours, weights)
    if amount == 0 or found.none:
        return image
    if colour and found.cast >= 0.05 and colours.shape[2] == 3:
        colours = lit(colours, as_bright(np.asarray(found.light) ** (-found.cast * amount)), 16)
    share = found.stretch * amount
    black, white = found.black * share, 1 - (1 - found.white) * share
    power, contrast = found.power**amount, found.contrast * amount

    def tone(values: Any) -> Any:
        return s_curve(np.clip((values - black) / (white - black), 0, 1) ** power, contrast)

    if share >= 0.02 or abs(power - 1) >= 0.02 or contrast >= 0.02:
        colours = tabulate(colours, tone)
    if colour and found.colour >= 0.02 and colours.shape[2] == 3:
        colours = vibrance(colours, amount=found.colour * amount)
    return together(colours, alpha)


def needs(colours: Image, weights: Weights) -> Needs:
    """What the image lacks, by a sample of its pixels. Made on 1 or 3 channels."""
    pixels, counts = sample(colours, weights, 40_000)
    values = to_float(pixels)
    grey = values[:, 0] if values.shape[1] == 1 else values @ np.array([0.299, 0.587, 0.114], np.float32)
    low, dark, middle, bright, high = _quantiles(grey, counts, (0.005, 0.1, 0.5, 0.9, 0.995))
    if high - low < 4 / 255:
        return Needs()
    # A drawing is as it was meant: most of it has a few values, which no photograph has.
    levels = np.bincount(np.rint(grey * 255).astype(int), counts, minlength=256)
    if np.sort(levels)[-4:].sum() > 0.5 * levels.sum():
        return Needs()
    # Range: a full one spans nine tenths. At most a threefold stretch, so that mist is not torn into noise.
    span = high - low
    stretch = _need(0.92 - span, 0.08, 0.30)
    room = max(0.0, (1 / 3 - span) / 2)
    black, white = max(0.0, low - room - 0.01), min(1.0, high + room + 0.01)
    # Middle: between three and eight tenths after the stretch is well seen. Night has lights in it, and stays night.
    after = float(np.clip((middle - black * stretch) / (1 - (1 - white) * stretch - black * stretch), 0.02, 0.98))
    goal = float(np.clip(after, 0.32, 0.78))
    night = _need(bright - middle, 0.25, 0.45) if after < goal else _need(middle - dark, 0.25, 0.45)
    power = float(np.clip(np.log(goal) / np.log(after), 0.55, 1.6)) ** (1 - 0.7 * night)
    contrast = 0.35 * _need(0.45 - (bright - dark) * (1 + (1 / max(span, 1 / 3) - 1) * stretch), 0.08, 0.3)
    if values.shape[1] == 1:
        return Needs(black, white, stretch, power, contrast)
    cast, light = _cast(colours, weights)
    lab: Floats = to_lab(to_light(np.ascontiguousarray(values[None])))[0]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    (strong,) = _quantiles(chroma, counts, (0.9,))
    # Pale, but not grey on purpose: black and white photographs have no colour to raise.
    colour = 0.7 * _need(0.095 - strong, 0.01, 0.06) * _need(strong, 0.012, 0.03)
    return Needs(black, white, stretch, power, contrast, cast, light, colour)


def _cast(colours: Image, weights: Weights) -> tuple[float, tuple[float, float, float]]:
    """How much of a cast to remove: it must be plain to see, and other ways of looking must see it, too."""
    seen, counts = illuminant.small(colours, weights)
    found = illuminant.auto(seen, counts)
    others = [illuminant.white_patch(seen, counts), illuminant.shades_of_grey(seen, counts)]
    apart_ = min(illuminant.degrees_between(found, other) for other in others)
    angle = illuminant.degrees_between(found, illuminant.NEUTRAL)
    trust = 1 - _need(apart_ / max(angle, 1e-6), 0.4, 0.9)
    return 0.9 * _need(angle, 3, 8) * trust, (float(found[0]), float(found[1]), float(found[2]))


def _need(value: float, begin: float, full: float) -> float:
    """0 up to `begin`, 1 from `full` on, smooth between."""
    share = min(1.0, max(0.0, (value - begin) / (full - begin)))
    return share * share * (3 - 2 * share)


def _quantiles(values: Floats, counts: Floats, shares: tuple[float, ...]) -> list[float]:
    order = np.argsort(values)
    total = np.cumsum(counts[order])
    return [
        float(values[order][min(len(order) - 1, int(np.searchsorted(total, share * total[-1])))]) for share in shares
    ]
