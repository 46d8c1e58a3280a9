"""What a dataset remembers of the file behind each image, in a few bytes: size, format, quality, traits.

    origins = Dataset.open("photos.mq").origins()         # one row an image
    origins["width"][7], origins["height"][7]              # the upright picture in its file, before it was resized
    (origins["traits"] & Trait.ENLARGED) != 0              # images that were smaller than the dataset's size
    (origins["format"] == b"JPEG") & (origins["quality"] < 60)

Paths, digests of files and values of conditions are in `Dataset.item(index)`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np


class Trait(enum.IntFlag):
    """What was true of a file, or was done to it."""

    ALPHA = 1
    """It can be transparent somewhere."""
    GREY = 2
    """It has no colours, by its form (an RGB file whose pixels are all grey does not count)."""
    TURNED = 4
    """Its orientation tag turned it upright."""
    PROFILE = 8
    """Its colours were converted from a colour profile or ink colours."""
    DEEP = 16
    """It holds more than 8 bits a channel."""
    ANIMATED = 32
    """It holds more images than this one."""
    ENLARGED = 64
    """It has fewer pixels than the dataset's images along one side."""
    BURNED = 128
    """DICOM: patient data may be burned into the pixels."""
    LOSSY = 256
    """Its compression changed the pixels."""


ORIGIN = np.dtype(
    [
        ("key", "<u8"),  # Says which version of which file this is, so that it is not read again.
        ("bytes", "<u8"),  # Length of the file; 0 where there was none.
        ("width", "<u4"),  # Of the whole upright picture in the file; 0 where there was none.
        ("height", "<u4"),
        ("frame", "<u4"),  # Number of the image within its file, from 0.
        ("source", "<u2"),  # Which of the dataset's sources.
        ("traits", "<u2"),  # See Trait.
        ("quality", "u1"),  # Estimated JPEG quality, 1 to 100; 0 where it is no JPEG.
        ("format", "S8"),  # PNG, JPEG, ..., DICOM, film; empty where there was no file.
    ]
)
"""One row of a dataset's `origins.npy`."""

Facts = Sequence[Any]
"""What a worker says of a file: bytes, width, height, frame, traits, quality, format."""


NOTHING = (0, 0, 0, 0, 0, 0, 0, 0, b"")
"""The values of an image that no file stands behind."""


def values(facts: Facts, *, key: int = 0, source: int = 0) -> tuple[Any, ...]:
    """The values of one row, of a worker's facts; without them, of an image that no file stands behind."""
    if not facts:
        return (key, *NOTHING[1:5], source, *NOTHING[6:])
    length, width, height, frame, traits, quality, format = facts
    return (key, length, width, height, frame, source, traits, quality, format)


def jpeg_quality(tables: Any) -> int:
    """The quality (1 to 100) at which the usual encoder would have used these quantisation tables."""
    try:
        return _quality(tuple(tables[0]))
    except (KeyError, TypeError, IndexError):
        return 0


@functools.lru_cache(maxsize=64)
def _quality(table: tuple[int, ...]) -> int:
    try:
        steps = sorted(table)
        # The coarsest steps end at 255 and say nothing then; sorted, the order in which a file lists them is the same.
        known = [(step, usual) for step, usual in zip(steps, _USUAL, strict=True) if step < 255]
        scale = 100.0 * sum(step for step, _ in known) / sum(usual for _, usual in known)
    except (ValueError, ZeroDivisionError):
        return 1
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(float(quality))))


_USUAL = (
    10, 11, 12, 12, 13, 14, 14, 14, 16, 16, 16, 17, 18, 19, 22, 22, 24, 24, 24, 26, 29, 35, 37, 40, 40, 49, 51, 51,
    55, 55, 56, 56, 57, 58, 60, 61, 62, 64, 64, 68, 69, 72, 77, 78, 80, 81, 87, 87, 92, 92, 95, 98, 99, 100, 101, 103,
    103, 103, 104, 109, 112, 113, 120, 121,
)  # fmt: skip
"""The steps of the luminance table that Annex K of the JPEG standard gives, sorted; it is quality 50."""
