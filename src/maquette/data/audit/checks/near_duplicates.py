"""The same picture more than once: rescaled, recompressed, blurred, cropped a little or mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.block import detail
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey, joined


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where sameness begins."""

    score: float = setting(
        0.0,
        "how much must speak for a copy (log odds): 0 is likelier than not, 3 is twenty to one; higher finds fewer",
        ge=-20,
        le=50,
    )


@check(
    Settings,
    title="Near duplicates",
    severity="harmful",
    needs=("pairs",),
    action="merge",
    measures=(detail,),
    effect="Copies are learned by heart: the generator returns them instead of something new, and measures look "
    "better than they are when a copy is held out.",
    advice="Keep the best of each group.",
)
def near_duplicates(survey: Survey, settings: Settings) -> Finding:
    """By signatures, and a closer look at each pair (data/audit/similar.py). The sharpest and largest comes first."""
    pairs = survey.pairs
    close = pairs.where(pairs.score > settings.score)
    groups = [best_first(survey, group) for group in joined(close.both, len(survey))]
    mirrored = set(close.second[close.mirrored].tolist()) | set(close.first[close.mirrored].tolist())
    why = {int(k): "mirrored" for group in groups for k in group[1:] if int(k) in mirrored}
    charts: tuple[Chart, ...] = ()
    if len(pairs):
        score = np.clip(pairs.score, -20, 40)
        chart = Chart(title="Pairs that look alike", values=score, mark=settings.score, bad="above", label="log odds")
        charts = (chart,)
    # What is said about a copy would be lost with it: only copies of which the same is said are too many.
    stories = survey.stories
    same = [group[1:][stories[group[1:]] == stories[group[0]]] for group in groups]
    extra = np.concatenate(same) if same else np.zeros(0, np.int64)
    text = ""
    if groups and survey.crowd:
        text = (
            f"{len(groups):,} groups of together {sum(map(len, groups)):,} images, among images that are all so alike "
            "that only the closest can be told to be copies"
        )
    return Finding(
        groups=groups, extra=extra, why=why, charts=charts, severity=None if len(extra) else "doubtful", text=text
    )  # fmt: skip


def best_first(survey: Survey, group: np.ndarray) -> np.ndarray:
    """The group with the best image first: the largest file, the least compressed, the sharpest, the trained one."""
    known = survey.origins[group]
    area = np.log2(np.maximum(1.0, known["width"].astype(float) * known["height"])).round(1)
    quality = np.where(known["quality"] > 0, known["quality"], 100)
    soft = survey["softness"][group]
    order = np.lexsort((group, survey.held_out[group], np.round(soft, 2), -quality, -area))
    return np.asarray(group[order])
