"""Tone that looks at its surroundings: shadows and highlights, and ranges of light too wide for a screen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np

from maquette.core.image import Image
from maquette.refining.colour.relight import forms, luma, relit
from maquette.refining.colour.space import decoded, encoded, tabulate
from maquette.refining.op import op
from maquette.refining.schema import Dial

Method = Literal["local", "filmic", "reinhard"]


def _reach(dials: Mapping[str, Any]) -> int:
    return int(2 * math.ceil(dials["radius"]) + 2)


@op(kind="colour", reach=_reach)
def shadows_highlights(
    image: Image,
    *,
    shadows: Annotated[float, Dial("how far dark parts are lifted; negative deepens them", ge=-1, le=1)] = 0.4,
    highlights: Annotated[float, Dial("how far light parts are held back; negative lifts them", ge=-1, le=1)] = 0.2,
    radius: Annotated[float, Dial("how large a part is, in pixels", gt=0, le=500, pixels=True)] = 30.0,
) -> Image:
    """Open the shadows and hold back the highlights; the contrast within each part stays."""
    if shadows == 0 and highlights == 0:
        return image
    before = luma(image)
    base = np.clip(forms(before, radius), 0, 1)
    dark, light = (1 - base) ** 2, base**2
    moved = base + dark * (base ** _power(shadows) - base) + light * (1 - (1 - base) ** _power(highlights) - base)
    # What is black has no shadow to open: the ratio is bounded, and noise with it.
    ratio = np.clip(moved / np.maximum(base, np.float32(1 / 64)), 0, 4)
    return _lit(image, before, before * ratio)


@op(kind="colour", reach=_reach)
def tone_map(
    image: Image,
    *,
    method: Annotated[
        Method,
        Dial("local: large forms are drawn together, details stay; filmic: a film's curve; reinhard: the eye's"),
    ] = "local",
    amount: Annotated[float, Dial("how far light and dark are drawn together (local)", ge=0, le=1)] = 0.5,
    stops: Annotated[float, Dial("light added before", ge=-4, le=6)] = 0.0,
    radius: Annotated[float, Dial("how large a part is, in pixels (local)", gt=0, le=500, pixels=True)] = 40.0,
) -> Image:
    """Bring a wide range of light into what a screen shows, so that dark and light parts can both be seen."""
    gain = 2.0**stops
    if method == "filmic":
        return tabulate(image, lambda values: encoded(_film(gain * decoded(values)) / _film(np.float64(gain))))
    if method == "reinhard":
        # x (1 + x / w^2) / (1 + x), with white where the image's own white comes to lie (Reinhard and others, 2002)
        key = 2 * gain
        return tabulate(image, lambda values: encoded((x := key * decoded(values)) * (1 + x / key**2) / (1 + x)))
    if amount == 0 and stops == 0:
        return image
    before = luma(image)
    base = np.clip(forms(before, radius, 0.12), 1 / 64, 1)
    # In stops around light grey, so that white stays light: forms are drawn together, details raised a little.
    middle = np.float32(0.85)
    detail = before / base
    closer, more = np.float32(1 - 0.6 * amount), np.float32(gain ** (1 / 2.4))
    drawn = middle * (base / middle) ** closer
    after = _shoulder(drawn * detail ** np.float32(1 + 0.15 * amount) * more)
    return _lit(image, before, after / max(0.8, float(_shoulder(middle ** (1 - closer) * more))))  # white stays white


def _lit(image: Image, before: Any, after: Any) -> Image:
    from maquette.refining.pixels import to_depth

    after = np.clip(after, 0, 1).astype(np.float32)
    return to_depth(after, image.dtype) if image.shape[2] == 1 else relit(image, before, after)


def _power(amount: float) -> float:
    return 1 / (1 + 1.6 * amount) if amount >= 0 else 1 + 1.6 * -amount


def _shoulder(values: Any) -> Any:
    """What lies above 0.8 is bent so that it ends at 1."""
    over = np.maximum(values - np.float32(0.8), 0)
    return np.where(values > 0.8, 0.8 + 0.2 * np.tanh(over / np.float32(0.2)), values)


def _film(light: Any) -> Any:
    """A film's response (Narkowicz's fit of 2015)."""
    light = 0.5 * light
    return light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
