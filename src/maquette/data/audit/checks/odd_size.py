"""Files far smaller than the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where oddness begins."""

    times: float = setting(
        4.0, "odd: the area of the file differs from the usual (median) one by this factor squared", ge=1.5, le=1000
    )


@check(
    Settings,
    title="Odd size",
    severity="note",
    effect="Files of another size often have another origin: thumbnails, scans, screenshots. They bring another look.",
    advice="Look whether they belong to the rest.",
)
def odd_size(survey: Survey, settings: Settings) -> Finding:
    """By the side of a square of the same area, against the median of all files."""
    known = survey.origins
    side = np.sqrt(known["width"].astype(np.float64) * known["height"])
    there = side > 0
    if not there.any():
        return Finding(skipped="nothing is known of the files behind these images")
    usual = float(np.median(side[there]))
    items = np.flatnonzero(there & ((side * settings.times < usual) | (side > usual * settings.times)))
    why = {int(k): f"{known['width'][k]}x{known['height'][k]}, usual are about {usual:.0f} a side" for k in items}
    chart = Chart(title="Size of the files", values=np.log2(side[there]), label="log2 of the side in pixels")
    return Finding(items=items, why=why, charts=(chart,))
