"""Images unlike all the others: another motif, a broken scan, a screenshot among photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import tones
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey

_NEIGHBOURS = 25
"""A motif that fewer than this many images share is odd; in small datasets it is an eightieth of them."""
_REFERENCE = 8192
_FEWEST = 50


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where strangeness begins."""

    spread: float = setting(
        4.0,
        "odd: the distance to its neighbours lies this many usual spreads above the usual one (median)",
        ge=1,
        le=50,
    )


@check(
    Settings,
    title="Outliers",
    severity="doubtful",
    needs=("features",),
    measures=(tones,),
    effect="A motif that is there once or twice is either learned by heart or spoils the rest a little.",
    advice="Look at them: remove what does not belong, add images like those that do.",
)
def outliers(survey: Survey, settings: Settings) -> Finding:
    """By the distance to the nearest images in a space of textures and layout (wavelet scattering)."""
    if len(survey) < _FEWEST:
        return Finding(skipped=f"fewer than {_FEWEST} images have no middle to be far from")
    from maquette.features.neighbours import nearest

    rows = survey.features
    rng = np.random.Generator(np.random.Philox(1))
    # A reference of fixed size keeps the work in proportion to the count, and the distances comparable.
    chosen = np.sort(rng.choice(len(rows), min(len(rows), _REFERENCE), replace=False))
    count = int(np.clip(len(rows) // 80, 5, _NEIGHBOURS))
    distances, _ = nearest(rows, rows[chosen], count + 1)
    itself = np.isin(np.arange(len(rows)), chosen)
    far = np.where(itself, distances[:, -1], distances[:, -2])
    far = np.log(np.maximum(far, 1e-6))
    middle = float(np.median(far))
    usual = 1.4826 * float(np.median(np.abs(far - middle))) or 1e-6
    score = (far - middle) / usual
    items = np.flatnonzero((score > settings.spread) & (survey["flat share"] < 0.98))
    chart = Chart(
        title="Distance to neighbours", values=score, mark=settings.spread, bad="above", label="usual spreads"
    )
    return Finding(items=items[np.argsort(-score[items], kind="stable")], charts=(chart,))
