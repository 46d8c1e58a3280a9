"""How well images come back from a model that turns them into a few numbers and back (an autoencoder)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.judge.evidence import blurred, noised
from maquette.judge.interval import GROUPS, mean_of
from maquette.judge.judgement import Measure
from maquette.judge.metrics.pairs import multi_scale_ssim, psnr, ssim

MOST = 500
"""Images that are restored, at most."""
MEASURES: Mapping[str, tuple[str, str, Callable[..., NDArray[np.float64]]]] = {
    "restored-psnr": (
        "restored, decibels", "How near held-out images are to themselves after being turned into numbers and back, "
        "pixel by pixel (PSNR).", psnr,
    ),
    "restored-ssim": (
        "restored, structure", "How much of the structure of held-out images is still there after they were turned "
        "into numbers and back (SSIM; 1 is all).", ssim,
    ),
    "restored-multi-scale-ssim": (
        "restored, at all scales", "The same over several scales (multi-scale SSIM).", multi_scale_ssim,
    ),
}  # fmt: skip


def restoration(real: NDArray[Any], restored: NDArray[Any]) -> dict[str, Measure]:
    """The measures of these pairs beside what blur and noise do to the same images; nothing of fewer than 20 pairs."""
    if len(real) < GROUPS:
        return {}
    beside = {"blurred": blurred(real), "noised": noised(real)}
    return {
        name: Measure(
            name, title, says, "higher", mean_of(function(restored, real)),
            {anchor: float(function(images, real).mean()) for anchor, images in beside.items()},
        )
        for name, (title, says, function) in MEASURES.items()
    }  # fmt: skip
