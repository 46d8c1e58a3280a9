"""How many images each label has: rare labels, missing ones, and spellings of one word."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from maquette.core.settings import setting
from maquette.data.audit.check import Finding, check
from maquette.data.audit.surveyed import Survey


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where rarity begins."""

    least: int = setting(20, "rare: a label with fewer images than this", ge=1, le=10**6)
    times: float = setting(20.0, "rare: a label with this many times fewer images than the usual (median) one", ge=2)


@check(
    Settings,
    title="Label counts",
    severity="doubtful",
    effect="A label with few images is drawn badly or like its neighbours; a missing or misspelt one is never learned.",
    advice="Get more images of the rare labels, or remove them; give misspelt labels one spelling with maquette label.",
)
def label_counts(survey: Survey, settings: Settings) -> Finding:
    """Counted over the images to train on, for every condition that is a label."""
    labels = [condition for condition in survey.data.spec.conditions if condition.kind == "label"]
    if not labels:
        return Finding(skipped="there are no labels")
    said, bars, items = [], [], []
    why: dict[int, str] = {}
    for condition in labels:
        values = survey.condition(condition.name)
        trained = values[~survey.held_out]
        counts = np.bincount(trained[trained >= 0], minlength=len(condition.classes))
        usual = float(np.median(counts[counts > 0])) if counts.any() else 0.0
        rare = [k for k, n in enumerate(counts) if n and (n < settings.least or n * settings.times < usual)]
        missing = np.flatnonzero(values < 0)
        why |= {int(k): f"no {condition.name}" for k in missing}
        items += [missing, np.flatnonzero(np.isin(values, rare))]
        if rare:
            said.append(f"{_listed([condition.classes[k] for k in rare])} with few images")
        if len(missing):
            said.append(f"{len(missing):,} images without a {condition.name}")
        said += [f"{_listed(words)} are probably one label" for words in _spellings(condition.classes)]
        order = np.argsort(-counts, kind="stable")
        bars += [(condition.classes[k], float(counts[k])) for k in order]
    found = np.unique(np.concatenate(items)) if items else np.zeros(0, np.int64)
    return Finding(items=found, why=why, text="; ".join(said), bars=bars)


def _spellings(classes: tuple[str, ...]) -> list[list[str]]:
    """Labels that differ in capitals, spaces, hyphens or a plural's s alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        key = "".join(letter for letter in name.casefold() if letter.isalnum())
        alike[key.removesuffix("s") if len(key) > 3 else key or name].append(name)
    return [names for names in alike.values() if len(names) > 1]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
