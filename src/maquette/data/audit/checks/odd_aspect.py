"""Files so long or wide that most of them was cut off."""

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
        2.2, "odd: the file is this many times as wide or as tall as the dataset's images would have it", ge=1.1, le=100
    )


@check(
    Settings,
    title="Odd aspect",
    severity="doubtful",
    action="set-aside",
    effect="Most of a very wide or tall picture is cut off (or squeezed, or padded), and what is left shows a part.",
    advice="Look at what is left of them; crop the files by hand where they matter, or set them aside.",
)
def odd_aspect(survey: Survey, settings: Settings) -> Finding:
    """By the width over the height of the file, against that of the dataset's images."""
    known, spec = survey.origins, survey.data.spec
    there = (known["width"] > 0) & (known["height"] > 0)
    if not there.any():
        return Finding(skipped="nothing is known of the files behind these images")
    shape = known["width"] / np.maximum(1, known["height"]) / (spec.width / spec.height)
    stretch = np.where(there, np.maximum(shape, 1 / np.maximum(shape, 1e-6)), 1.0)
    items = np.flatnonzero(stretch > settings.times)
    why = {int(k): f"the file has {known['width'][k]}x{known['height'][k]} pixels" for k in items}
    chart = Chart(
        title="Aspect of the files", values=np.log2(shape[there]), mark=None, label="log2 of width over height"
    )
    return Finding(items=items[np.argsort(-stretch[items], kind="stable")], why=why, charts=(chart,))
