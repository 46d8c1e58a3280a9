"""Text and marks laid over the picture: dates, captions, watermarks. A guess, and said to be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.settings import setting
from maquette.data.audit.block import Block
from maquette.data.audit.check import Chart, Finding, check
from maquette.data.audit.surveyed import Survey

_STROKE = 40
"""Levels by which a stroke is lighter or darker than what is around it."""
_READABLE = 48
"""Pixels of the shorter side: of 13 findings among 4,000 photographs of 32 pixels, one was right."""
_EVEN = 28
"""Levels by which strokes of one colour differ."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How sure one wants to be."""

    score: float = setting(
        0.12, "a band of thin strokes of one colour covers at least this share more than the rest of the image",
        ge=0.01, le=1,
    )  # fmt: skip
    rare: float = setting(
        0.3,
        "when more than this share comes at least half as near to it, it is the motif (pages, signs, icons)",
        ge=0,
        le=1,
    )


def strokes(block: Block) -> Mapping[str, NDArray[Any]]:
    """How much a band of rows stands out by thin strokes of one colour: 0 to 1."""
    import cv2

    height, width = block.grey.shape[1:]
    size = max(3, min(height, width) // 12) | 1
    kernel = np.ones((size, size), np.uint8)
    tall = max(4, height // 7)
    scores = np.zeros(len(block), np.float32)
    grey = np.rint(block.grey).astype(np.uint8)
    for k, image in enumerate(grey):
        for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            thin = cv2.morphologyEx(image, operation, kernel) > _STROKE
            # Letters have one tone, mostly the lightest or darkest of all; thin parts of the motif have many.
            values = image[thin]
            if len(values) < width // 2:
                continue
            tone = np.percentile(values, 95 if operation == cv2.MORPH_TOPHAT else 5)
            scores[k] = max(scores[k], _band(thin & (np.abs(image.astype(np.int16) - tone) < _EVEN), tall))
    return {"strokes": scores}


def _band(mask: NDArray[np.bool_], tall: int) -> float:
    """How much denser the densest band of rows is than the rest, if it is broken up as letters are."""
    height, width = mask.shape
    sums = np.convolve(mask.sum(1), np.ones(tall, int), "valid")
    top = int(sums.argmax())
    band = mask[top : top + tall]
    first, last = max(0, top - 2), min(height, top + tall + 2)
    outside = (mask.sum() - mask[first:last].sum()) / max(1, (height - last + first) * width)
    turns = np.count_nonzero(np.diff(band.astype(np.int8), axis=1) == 1, axis=1)
    if (turns >= 3).sum() < 3 or np.count_nonzero(band.any(0)) < width // 4:
        return 0.0
    return float(sums[top] / (tall * width) - 3 * outside)


@check(
    Settings,
    title="Text or marks",
    severity="note",
    measures=(strokes,),
    effect="A generator draws letters that say nothing, in the place where the marks were.",
    advice="Look at them: this is a guess. Crop or remove what is marked, and use the images you have the rights to.",
)
def overlays(survey: Survey, settings: Settings) -> Finding:
    """By a band of thin strokes of one colour that the rest of the image does not have."""
    spec = survey.data.spec
    if min(spec.height, spec.width) < _READABLE:
        return Finding(skipped=f"images of {spec.width}x{spec.height} are too small: letters look like anything else")
    score = survey["strokes"]
    items = np.flatnonzero(score >= settings.score)
    chart = Chart(title="Strokes", values=score, mark=settings.score, bad="above", label="share of a band")
    # Marks stand apart from what pictures show. Where strokes of any strength are common, they are what is shown.
    common = float((score >= settings.score / 2).mean())
    if common > settings.rare:
        return Finding(skipped=f"{common:.0%} of the images have such strokes: they seem to be the motif")
    return Finding(items=items[np.argsort(-score[items], kind="stable")], charts=(chart,))
