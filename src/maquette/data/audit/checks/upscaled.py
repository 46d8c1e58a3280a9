"""Images that were enlarged: more pixels than detail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.settings import setting
from maquette.data.audit.block import Block, detail, tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.checks.blurred import Settings as Blurred
from maquette.data.audit.surveyed import Survey
from maquette.data.origin import Trait


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where enlargement begins."""

    finest: float = setting(
        0.05, "enlarged: the finest detail has less than this share of the strength of the middle one", ge=0, le=1
    )
    by: float = setting(1.1, "enlarged: the file had this many times fewer pixels along a side", ge=1, le=100)


def repeats(block: Block) -> Mapping[str, NDArray[Any]]:
    """How many of the neighbouring pixels are equal at the best of the steps 2, 3 and 4, and at all other places."""
    grey = block.grey
    down = (np.diff(grey, axis=1) == 0).mean(2)
    across = (np.diff(grey, axis=2) == 0).mean(1)
    best = np.zeros(len(block), np.float32)
    for step in (2, 3, 4):
        score = np.full(len(block), 1.0, np.float32)
        for same in (down, across):
            places = np.arange(same.shape[1])
            # Inside the blocks all neighbours are equal, between the blocks they are not.
            gains = [
                same[:, places % step != step - 1 - shift].mean(1) - same[:, places % step == step - 1 - shift].mean(1)
                for shift in range(step)
            ]
            score = np.minimum(score, np.max(gains, axis=0))
        best = np.maximum(best, score)
    return {"repeated": best}


@check(
    Settings,
    title="Enlarged",
    severity="harmful",
    action="set-aside",
    measures=(detail, tones, repeats),
    effect="A generator learns that fine detail does not exist, and makes smooth or blocky images.",
    advice="Set them aside, or make the dataset again at a smaller --size.",
)
def upscaled(survey: Survey, settings: Settings) -> Finding:
    """By the size of the file where it is known, by repeated pixels, and by a spectrum without its upper end."""
    spec, known = survey.data.spec, survey.origins
    short = np.maximum(
        spec.width / np.maximum(1, known["width"]), spec.height / np.maximum(1, known["height"])
    )  # how far the file was stretched
    enlarged = (known["width"] > 0) & ((known["traits"] & Trait.ENLARGED) != 0) & (short >= settings.by)
    textured = (survey["flat share"] < 0.7) & (survey["activity"] > 3.0)
    smooth = (survey["finest"] < settings.finest) & (survey["softness"] <= Blurred().most) & textured
    blocky = (survey["repeated"] > 0.25) & (survey["flat share"] < 0.9)
    items = np.flatnonzero(enlarged | smooth | blocky)
    why = {
        int(k): f"the file has {known['width'][k]}x{known['height'][k]} pixels" if enlarged[k]
        else "its pixels repeat" if blocky[k] else "it has no fine detail"
        for k in items
    }  # fmt: skip
    values = np.log10(np.maximum(survey["finest"][textured], 1e-5))
    chart = Chart(
        title="Finest detail", values=values, mark=float(np.log10(settings.finest)), bad="below", label="log share"
    )
    return Finding(items=items, why=why, charts=(chart,) if textured.any() else ())
