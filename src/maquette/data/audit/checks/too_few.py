"""Too few images for the family of models that is to learn from them."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.core.settings import setting
from maquette.data.audit.check import Finding, check
from maquette.data.audit.surveyed import Survey

NEEDED = {
    "texture": 1,
    "translate": 100,
    "autoencoder": 100,
    "forecast": 200,
    "flow": 500,
    "gan": 500,
    "recurrent": 500,
}
"""About how many different images a family needs before its images vary; an experience, not a law."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where few ends."""

    least: int = setting(
        0, "too few: fewer different images to train on than this; 0 takes what the family needs", ge=0
    )


@check(
    Settings,
    title="Too few images",
    severity="harmful",
    effect="With few images a model learns each of them by heart, and what it makes are copies.",
    advice="Add images, or take a family that needs fewer (texture, autoencoder).",
)
def too_few(survey: Survey, settings: Settings) -> Finding:
    """Counted without copies, over the images to train on."""
    unique = int((~survey.held_out[survey.unique]).sum())
    family = survey.family or "flow"
    needed = settings.least or NEEDED.get(family, 300)
    if unique >= needed:
        return Finding()
    text = f"{unique:,} different images to train on; a model of the family {family} wants about {needed:,}"
    return Finding(text=text, severity=None if unique * 2 < needed else "doubtful")
