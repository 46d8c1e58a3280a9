"""Bars and frames of one colour around the picture: letterboxes, scans, screenshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core import image as convention
from maquette.core.settings import setting
from maquette.data.audit.block import Block
from maquette.data.audit.check import Finding, check
from maquette.data.audit.surveyed import Survey

_EVEN = 8
"""Levels by which the pixels of a bar may differ."""
_STEP = 14
"""Levels by which the picture must differ from the bar where it begins."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What counts as a bar."""

    left: float = setting(
        0.7, "when less than this share of the side is left inside the bars, the image is set aside", ge=0.1, le=1
    )
    least: float = setting(
        0.03, "a bar is at least this share of the side wide, on two opposite sides (three times that on one)",
        ge=0.005, le=0.4,
    )  # fmt: skip


def bars(block: Block) -> Mapping[str, NDArray[Any]]:
    """How many rows and columns of one colour end in a straight edge: top, bottom, left, right (n x 4)."""
    colour = block.colour.astype(np.int16)
    across = colour.transpose(0, 2, 1, 3)
    sides = (colour, colour[:, ::-1], across, across[:, ::-1])
    widths = np.stack([_bar(side) for side in sides], axis=1)
    if block.visible is not None:
        corners = block.images[:, [0, 0, -1, -1], [0, -1, 0, -1], 3]
        widths[(corners < 250).any(1)] = 0  # what is transparent is no bar
    return {"bars": widths.astype(np.int16)}


def _bar(images: NDArray[np.int16]) -> NDArray[np.int64]:
    """The width of the bar at the top of each image (n x rows x columns x channels); 0 where there is none."""
    count, height = images.shape[:2]
    even = (images.max(2) - images.min(2)).max(2) <= _EVEN
    ground = np.median(images[:, 0], axis=1).astype(np.int16)
    mean = images.mean(2)
    even &= np.abs(mean - ground[:, None]).max(2) <= _EVEN
    run = np.where(even.all(1), height, even.argmin(1))
    # Where the bar ends, most of a row must differ from it at once; one row may be mixed of both.
    after = np.minimum(run + 1, height - 1)
    row = images[np.arange(count), after]
    differs = (np.abs(row - ground[:, None]).max(2) > _STEP).mean(1)
    return np.where((run < height * 0.45) & (differs > 0.55), run, 0)


def content(widths: NDArray[Any], height: int, width: int) -> tuple[int, int, int, int]:
    """The box inside the bars that has the aspect of the whole image: left, top, right, bottom."""
    top, bottom, left, right = (int(value) + (1 if value else 0) for value in widths)  # the mixed row goes too
    inner_width, inner_height = width - left - right, height - top - bottom
    scale = min(inner_width / width, inner_height / height)
    box_width, box_height = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = left + (inner_width - box_width) // 2, top + (inner_height - box_height) // 2
    return x, y, x + box_width, y + box_height


def cropped(image: convention.Image, survey: Survey, position: int) -> convention.Image:
    """The image without its bars, brought back to its size."""
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    box = content(survey["bars"][position], height, width)
    if convention.mode_of(image) == "grey16":
        plane = Pillow.fromarray(image[..., 0].astype(np.float32)).resize(
            (width, height), Pillow.Resampling.LANCZOS, box
        )
        return np.asarray(np.rint(np.clip(np.asarray(plane), 0, 65535)).astype(np.uint16)[..., None])
    resized = convention.to_pil(image).resize((width, height), Pillow.Resampling.LANCZOS, box)
    return convention.from_pil(resized).reshape(image.shape)


@check(
    Settings,
    title="Borders",
    severity="harmful",
    action="crop",
    measures=(bars,),
    fix=cropped,
    effect="A generator learns the bars as part of the motif, and draws them.",
    advice="Cut them off.",
)
def borders(survey: Survey, settings: Settings) -> Finding:
    """By rows and columns of one colour that end in a straight edge."""
    spec, widths = survey.data.spec, survey["bars"].astype(int)
    top, bottom, left, right = widths.T
    tall, wide = max(2.0, settings.least * spec.height), max(2.0, settings.least * spec.width)
    found = ((top >= tall) & (bottom >= tall)) | ((left >= wide) & (right >= wide))
    found |= (np.maximum(top, bottom) >= 3 * tall) | (np.maximum(left, right) >= 3 * wide)
    items = np.flatnonzero(found)
    names = ("top", "bottom", "left", "right")
    why = {int(k): ", ".join(f"{name} {w} px" for name, w in zip(names, widths[k], strict=True) if w) for k in items}
    boxes = np.array([content(widths[k], spec.height, spec.width) for k in items]).reshape(-1, 4)
    beyond = items[boxes[:, 2] - boxes[:, 0] < settings.left * spec.width]
    return Finding(items=items[np.argsort(-widths[items].sum(1), kind="stable")], why=why, beyond=beyond)
