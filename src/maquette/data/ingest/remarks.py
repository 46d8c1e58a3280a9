"""What a person should know about a dataset that was just made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maquette.core.event import Event, Note, Warning
from maquette.data.dataset import Dataset
from maquette.data.parts import Tally


def remarks(data: Dataset, tally: Tally) -> Iterator[Event]:
    """Conditions that are missing, labels that are lost, and copies."""
    count = len(data)
    for condition in data.spec.conditions:
        missing = data.missing(condition.name)
        if missing:
            yield Warning(text=f"{missing:,} of {count:,} images have no {condition.name}")
        if condition.kind == "label":
            values = data.conditions(np.arange(count), [condition.name])[condition.name]
            there = np.bincount(values[values >= 0], minlength=len(condition.classes))
            lost = [name for name, images in zip(condition.classes, there, strict=True) if not images]
            if lost:
                yield Warning(text=f"no image is left with the {condition.name} {', '.join(lost[:5])}")
    copies = count - len(np.unique(tally.digests))
    if copies:
        yield Note(text=f"{copies:,} images are exact copies of others; copies are never split between the parts")
    if tally.clips.any() and len(data.indices("held-out")) == 0 and count > 1:
        yield Warning(text="nothing is held out: all images belong together, and frames of a scene are never split")
