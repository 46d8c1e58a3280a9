"""Images that are washed out to white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where bright begins."""

    least: float = setting(205.0, "too bright: 95 % of the visible pixels are lighter than this (of 255)", ge=0, le=255)


@check(
    Settings,
    title="Too bright",
    severity="harmful",
    action="set-aside",
    measures=(tones,),
    effect="A generator learns images without shadows, in which forms are lost.",
    advice="Set them aside, or darken the files and ingest them again.",
)
def too_bright(survey: Survey, settings: Settings) -> Finding:
    """By the luminance below which only 5 % of the visible pixels lie; blank images are another check's."""
    shadow = survey["tone 5"]
    bright = (shadow > settings.least) & (survey["flat share"] < 0.98)
    items = np.flatnonzero(bright)
    chart = Chart(title="Darkest parts", values=shadow, mark=settings.least, bad="above", label="luminance")
    return Finding(items=items[np.argsort(-shadow[items].astype(int), kind="stable")], charts=(chart,))
