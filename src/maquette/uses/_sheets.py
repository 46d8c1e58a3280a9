"""Contact sheets that several uses show: what was learned from beside what was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maquette.core.image import Image, sheet
from maquette.operations._uses import Work

COLUMNS, ROWS = 4, 6
SMALLEST = 96
"""Images are enlarged to about this height."""


def beside(work: Work, known: Sequence[Image], made: Sequence[Image]) -> Path:
    """Write the contact sheet: known images on the left, made ones on the right, both equally large."""
    count = max(1, min(COLUMNS * ROWS, len(known), len(made)))
    height = max(known[0].shape[0], made[0].shape[0], SMALLEST)
    parts = [
        sheet(images[:count], columns=COLUMNS, scale=max(1, height // images[0].shape[0])) for images in (known, made)
    ]
    high = max(part.shape[0] for part in parts)
    parts = [np.pad(p, ((0, high - p.shape[0]), (0, 0), (0, 0)), constant_values=118) for p in parts]
    bar = np.full((high, 24, 3), 255, np.uint8)
    path = work.to / "sheet.png"
    work.press.sheet(path, np.concatenate([parts[0], bar, parts[1]], axis=1), {})
    return path
