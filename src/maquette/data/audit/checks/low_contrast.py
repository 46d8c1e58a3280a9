"""Images that are grey in grey: neither dark nor bright, but flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where contrast begins."""

    least: float = setting(
        26.0, "low contrast: the luminances of 90 % of the visible pixels lie closer together than this", ge=0, le=255
    )


@check(
    Settings,
    title="Low contrast",
    severity="doubtful",
    action="set-aside",
    measures=(tones,),
    effect="A generator learns hazy images, and its colours drift to grey.",
    advice="Look at them: fog may be meant. Otherwise set them aside, or stretch the contrast of the files.",
)
def low_contrast(survey: Survey, settings: Settings) -> Finding:
    """By the distance between the 5 % darkest and the 5 % lightest pixels, dark and bright images apart."""
    low, high = survey["tone 5"].astype(int), survey["tone 95"].astype(int)
    spread = high - low
    flat = (spread < settings.least) & (survey["flat share"] < 0.98) & (high >= 45) & (low <= 205)
    items = np.flatnonzero(flat)
    chart = Chart(title="Contrast", values=spread, mark=settings.least, bad="below", label="spread of luminance")
    return Finding(items=items[np.argsort(spread[items], kind="stable")], charts=(chart,))
