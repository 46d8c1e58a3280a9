"""Images in which hardly anything is lit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where dark begins."""

    most: float = setting(45.0, "too dark: 95 % of the visible pixels are darker than this (of 255)", ge=0, le=255)


@check(
    Settings,
    title="Too dark",
    severity="harmful",
    action="set-aside",
    measures=(tones,),
    effect="A generator learns to make murky images, and wastes its strength on noise in the shadows.",
    advice="Set them aside, or brighten the files and ingest them again.",
)
def too_dark(survey: Survey, settings: Settings) -> Finding:
    """By the luminance below which 95 % of the visible pixels lie; blank images are another check's."""
    light = survey["tone 95"]
    dark = (light < settings.most) & (survey["flat share"] < 0.98)
    items = np.flatnonzero(dark)
    chart = Chart(title="Lightest parts", values=light, mark=settings.most, bad="below", label="luminance")
    return Finding(items=items[np.argsort(light[items], kind="stable")], charts=(chart,))
