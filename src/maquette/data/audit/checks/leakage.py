"""Held-out images that are copies of images to train on."""

from __future__ import annotations

import numpy as np

from maquette.core.words import plural
from maquette.data.audit.check import Finding, NoSettings, check
from maquette.data.audit.checks.near_duplicates import Settings as Near
from maquette.data.audit.surveyed import Survey, joined


@check(
    title="Leakage",
    severity="harmful",
    needs=("pairs",),
    action="move",
    effect="A measure on held-out images that were trained on says how well the model remembers, not how well it "
    "makes.",
    advice="Let these held-out images be trained on, so that the measure is honest.",
)
def leakage(survey: Survey, settings: NoSettings) -> Finding:
    """Exact and near duplicates that stand on both sides."""
    pairs = survey.pairs
    links = [pairs.where(pairs.score > Near().score).both]
    links += [np.stack([np.full(len(group) - 1, group[0]), group[1:]], axis=1) for group in survey.exact]
    groups = []
    for group in joined(np.concatenate(links), len(survey)):
        held = survey.held_out[group]
        if held.any() and not held.all():
            groups.append(np.concatenate([group[held], group[~held]]))
    items = np.array([k for group in groups for k in group if survey.held_out[k]], np.int64)
    share = len(items) / max(1, int(survey.held_out.sum()))
    are = "is a copy" if len(items) == 1 else "are copies"
    text = f"{plural(len(items), 'held-out image')} ({share:.1%}) {are} of images to train on" if len(items) else ""
    return Finding(items=items, groups=groups, text=text)
