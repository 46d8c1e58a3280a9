"""Files that never became images: what ingest set aside."""

from __future__ import annotations

from maquette.data.audit.check import Finding, NoSettings, check
from maquette.data.audit.surveyed import Survey


@check(
    title="Unreadable",
    severity="note",
    effect="A file that cannot be read teaches nothing; if many cannot, the dataset is smaller than it seems.",
    advice="Read the reasons; convert or replace the files, or ingest with other settings.",
)
def unreadable(survey: Survey, settings: NoSettings) -> Finding:
    """What ingest set aside by name and reason; what a person or a repair set aside is not meant."""
    files = [(aside["path"], aside["reason"]) for aside in survey.data.set_aside() if "item" not in aside]
    share = len(files) / max(1, len(files) + len(survey))
    return Finding(files=files, severity="harmful" if share > 0.2 else "doubtful" if share > 0.02 else None)
