"""Blank images: one colour and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where emptiness begins."""

    most: float = setting(
        0.98, "blank: this share of the visible pixels lies within two levels of one luminance", ge=0.5, le=1
    )


@check(
    Settings,
    title="Blank",
    severity="harmful",
    action="set-aside",
    measures=(tones,),
    effect="Blank images are easy to learn by heart: a generator makes them again and again.",
    advice="Set them aside.",
)
def low_information(survey: Survey, settings: Settings) -> Finding:
    """By the share of pixels that have one luminance. Drawings on a plain ground keep more than that apart."""
    share = survey["flat share"]
    items = np.flatnonzero(share >= settings.most)
    if survey.data.spec.mode == "rgba":
        items = items[[len(np.unique(image[..., 3])) < 3 for image in survey.images(items)]] if len(items) else items
    if len(items):
        # Equal luminance is not emptiness: shapes may differ in colour, or in transparency, alone.
        pictures = survey.images(items).astype(np.int32).reshape(len(items), -1, survey.data.spec.channels)
        near = np.abs(pictures - np.median(pictures, axis=1, keepdims=True)).max(2) <= 3 * _level(survey)
        items = items[near.mean(1) >= settings.most]
    chart = Chart(title="Emptiness", values=share, mark=settings.most, bad="above", label="share of one tone")
    return Finding(items=items[np.argsort(-share[items], kind="stable")], charts=(chart,))


def _level(survey: Survey) -> int:
    return 257 if survey.data.spec.mode == "grey16" else 1
