"""Grey images in a dataset of coloured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.settings import setting
from maquette.data.audit.block import Block, tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where colour begins."""

    colourful: float = setting(
        12.0, "an image is grey when the channels of 99.5 % of its pixels differ by at most this (of 255)", ge=0, le=255
    )
    rare: float = setting(0.3, "grey images are odd when they are at most this share of the dataset", ge=0, le=1)


def colours(block: Block) -> Mapping[str, NDArray[Any]]:
    """The spread of the channels that all but 0.5 % of the pixels stay below."""
    colour = block.colour
    if colour.shape[3] == 1:
        return {"colour": np.zeros(len(block), np.uint8)}
    # Plane by plane: NumPy is ten times slower along an axis of three.
    red, green, blue = (np.ascontiguousarray(colour[..., k]).reshape(len(block), -1) for k in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    place = min(spread.shape[1] - 1, int(np.ceil(0.995 * spread.shape[1])))
    return {"colour": np.partition(spread, place, axis=1)[:, place]}


@check(
    Settings,
    title="Grey among colour",
    severity="doubtful",
    action="set-aside",
    measures=(colours, tones),
    effect="A generator learns that colour is a matter of chance, and makes some images grey.",
    advice="Set the grey ones aside, or make the whole dataset grey with --mode grey.",
)
def grey_among_colour(survey: Survey, settings: Settings) -> Finding:
    """By how many pixels have channels that differ."""
    if survey.data.spec.channels == 1:
        return Finding(skipped="the whole dataset is grey")
    low, high = survey["tone 5"].astype(int), survey["tone 95"].astype(int)
    seen = (high >= 45) & (low <= 205) & (high - low >= 26)  # in the dark and in fog all is grey
    grey = (survey["colour"] <= settings.colourful) & seen
    share = float(grey.mean())
    chart = Chart(title="Colour", values=survey["colour"], mark=settings.colourful, bad="below", label="spread")
    if share > settings.rare:
        return Finding(charts=(chart,), skipped=f"{share:.0%} of the images are grey, so grey is not odd here")
    return Finding(items=np.flatnonzero(grey), charts=(chart,))
