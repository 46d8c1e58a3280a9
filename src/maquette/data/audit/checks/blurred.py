"""Images that are out of focus or shaken: nowhere as sharp as their pixels allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import detail, tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where blur begins."""

    most: float = setting(
        0.855,
        "blurred: a further slight blur leaves more than this share of the strength of the edges; "
        "a sharp edge keeps 0.4 to 0.7, one that is spread over three pixels 0.86",
        ge=0,
        le=1,
    )


@check(
    Settings,
    title="Blurred",
    severity="harmful",
    action="set-aside",
    measures=(detail, tones),
    effect="A generator learns that images are soft, and blurs all of them a little.",
    advice="Set them aside; sharpening does not bring back what is lost.",
)
def blurred(survey: Survey, settings: Settings) -> Finding:
    """By blurring once more: what was sharp changes much, what was blurred hardly does.

    The strongest edges count most, so a sharp subject on a soft ground is sharp.
    """
    soft = survey["softness"]
    seen = (survey["flat share"] < 0.98) & (survey["activity"] > 0.5)
    items = np.flatnonzero((soft > settings.most) & seen)
    chart = Chart(title="Softness", values=soft[seen], mark=settings.most, bad="above", label="edges kept when blurred")
    return Finding(items=items[np.argsort(-soft[items], kind="stable")], charts=(chart,))
