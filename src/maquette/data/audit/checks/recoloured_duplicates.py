"""The same shapes in other colours: skin tones, colourways, night and day of one drawing."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.core.settings import setting
from maquette.data.audit.block import detail
from maquette.data.audit.check import Finding, check
from maquette.data.audit.checks.near_duplicates import Settings as Near
from maquette.data.audit.checks.near_duplicates import best_first
from maquette.data.audit.surveyed import Survey, joined


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where sameness of shape begins."""

    detail: float = setting(
        0.88, "the same shapes: edges and forms agree by this much (1: entirely), whatever the colours", ge=0.3, le=1
    )


@check(
    Settings,
    title="Recoloured duplicates",
    severity="note",
    needs=("pairs",),
    measures=(detail,),
    effect="Variants of one drawing count like copies of its shapes: fine where colours are what is to vary, "
    "otherwise the shapes are learned by heart.",
    advice="Keep them if the variants are meant; else remove all but one of each group.",
)
def recoloured_duplicates(survey: Survey, settings: Settings) -> Finding:
    """Pairs whose shapes agree and whose colours do not; copies are another check's."""
    pairs = survey.pairs
    variants = pairs.where((pairs.detail >= settings.detail) & (pairs.score <= Near().score))
    return Finding(groups=[best_first(survey, group) for group in joined(variants.both, len(survey))])
