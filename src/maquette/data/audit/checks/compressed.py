"""Images that were squeezed so hard that blocks and rings are seen."""

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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where hard compression begins."""

    quality: int = setting(30, "a JPEG of less than this quality (1 to 100) is squeezed too hard", ge=0, le=100)
    blocks: float = setting(
        1.6, "steps at the edges of 8 x 8 blocks are this many times those inside them, where the file is not known",
        ge=1, le=100,
    )  # fmt: skip
    reduced: float = setting(
        4.0, "a file this many times as large as the dataset's images hides its blocks when it is made smaller",
        ge=1, le=100,
    )  # fmt: skip


def blockiness(block: Block) -> Mapping[str, NDArray[Any]]:
    """Steps across the edges of 8 x 8 blocks against those elsewhere."""
    down, across = (np.abs(part) for part in block.gradients)
    ratios = []
    for steps, axis in ((down, 1), (across, 2)):
        profile = np.minimum(steps, 24).mean(3 - axis)  # strong edges of the motif must not count for more
        edge = np.arange(profile.shape[1]) % 8 == 7
        if not edge.any():  # no block ends inside so small an image
            continue
        beside = (np.arange(profile.shape[1]) % 8 == 6) | (np.arange(profile.shape[1]) % 8 == 0)
        ratios.append((profile[:, edge].mean(1) + 0.3) / (profile[:, beside].mean(1) + 0.3))
    if not ratios:
        return {"blockiness": np.ones(len(block), np.float32)}
    return {"blockiness": np.min(ratios, axis=0).astype(np.float32)}


@check(
    Settings,
    title="Heavily compressed",
    severity="doubtful",
    action="set-aside",
    measures=(blockiness,),
    effect="A generator learns the blocks and rings of the compression as if they were part of the motif.",
    advice="Take better copies of these files, or set them aside.",
)
def compressed(survey: Survey, settings: Settings) -> Finding:
    """By the quality that the file itself says, or by the blocks where there is no file to ask."""
    known, spec = survey.origins, survey.data.spec
    quality = known["quality"]
    scale = np.minimum(known["width"] / spec.width, known["height"] / spec.height)
    hidden = scale >= settings.reduced
    by_file = (quality > 0) & (quality < settings.quality) & ~hidden
    blind = known["width"] == 0  # nothing is known of the file
    same = (known["width"] == spec.width) & (known["height"] == spec.height) & (quality == 0)
    by_eye = (blind | same) & (survey["blockiness"] > settings.blocks)
    items = np.flatnonzero(by_file | by_eye)
    why = {int(k): f"JPEG quality {quality[k]}" if by_file[k] else "blocks of 8 x 8 pixels are seen" for k in items}
    charts = []
    if (quality > 0).any():
        charts.append(
            Chart(
                title="JPEG quality", values=quality[quality > 0], mark=settings.quality, bad="below", label="quality"
            )
        )
    return Finding(items=items[np.argsort(quality[items], kind="stable")], why=why, charts=charts)
