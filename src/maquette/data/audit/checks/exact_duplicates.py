"""Images whose pixels are equal."""

from __future__ import annotations

from maquette.data.audit.check import Finding, NoSettings, check
from maquette.data.audit.surveyed import Survey


@check(
    title="Exact duplicates",
    severity="harmful",
    action="merge",
    effect="What stands there twice is learned twice as hard, until the generator knows it by heart.",
    advice="Keep one of each.",
)
def exact_duplicates(survey: Survey, settings: NoSettings) -> Finding:
    """By the pixels themselves."""
    return Finding(groups=survey.exact)
