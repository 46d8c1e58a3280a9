"""One picture, two stories: copies whose labels or captions differ."""

from __future__ import annotations

import numpy as np

from maquette.data.audit.check import Finding, NoSettings, check
from maquette.data.audit.checks.near_duplicates import Settings as Near
from maquette.data.audit.surveyed import Survey, joined


@check(
    title="Conflicting labels",
    severity="harmful",
    needs=("pairs",),
    effect="A model that is told two things about one picture learns to ignore what it is told.",
    advice="Look which is right, and say so with maquette label.",
)
def conflicting_labels(survey: Survey, settings: NoSettings) -> Finding:
    """Exact and near duplicates (mirrored ones too) with different labels or texts."""
    told = [condition for condition in survey.data.spec.conditions if condition.kind in ("label", "text")]
    if not told:
        return Finding(skipped="there are no labels and no captions")
    pairs = survey.pairs
    links = [pairs.where(pairs.score > Near().score).both]
    links += [np.stack([np.full(len(group) - 1, group[0]), group[1:]], axis=1) for group in survey.exact]
    values = {condition.name: survey.condition(condition.name) for condition in told}
    labels = [condition.name for condition in told if condition.kind == "label"]
    groups, why, grave = [], {}, False
    for group in joined(np.concatenate(links), len(survey)):
        said = {name: [condition_words(survey, name, value[k]) for k in group] for name, value in values.items()}
        if any(len({word for word in words if word}) > 1 for words in said.values()):
            groups.append(group)
            grave |= any(len({word for word in said[name] if word}) > 1 for name in labels)
            for place, k in enumerate(group):
                why[int(k)] = "; ".join(words[place] or "nothing" for words in said.values())
    # Captions of one picture may well differ; labels may not.
    return Finding(groups=groups, why=why, severity="harmful" if grave else "doubtful")


def condition_words(survey: Survey, name: str, value: np.ndarray) -> str:
    """The encoded label or text in words."""
    return str(survey.data.spec.condition(name).describe(value) or "")
