"""How a film moves: how long its steps are, how even, how much it flickers, and whether it closes. Frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = 3
"""Pictures are compared as they are, at half and at a quarter of their size: what moves a little differs less."""


def looks(images: NDArray[Any]) -> NDArray[np.float32]:
    """N H W C -> rows whose root mean square difference says how different two pictures look, in shares of the range.

    Colour counts as far as it is opaque.
    """
    pixels = images.astype(np.float32) / float(np.iinfo(images.dtype).max)
    if pixels.shape[3] in (2, 4):
        pixels = np.concatenate([pixels[..., :-1] * pixels[..., -1:], pixels[..., -1:]], axis=3)
    rows = []
    for size in range(SIZES):
        if size and min(pixels.shape[1:3]) < 2:
            break
        if size:
            count, height, width, channels = pixels.shape
            cut = pixels[:, : height // 2 * 2, : width // 2 * 2]
            pixels = cut.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
        flat = pixels.reshape(len(pixels), -1)
        rows.append(flat / np.sqrt(np.float32(flat.shape[1])))
    return np.asarray(np.concatenate(rows, axis=1) / np.sqrt(np.float32(len(rows))), np.float32)


def apart(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """How different the pictures of two rows of `looks` are: 0 alike, 1 black and white."""
    return np.asarray(np.sqrt(np.square(first - second).sum(axis=-1)))


@dataclass(frozen=True)
class Motion:
    """What a whole film does."""

    frames: int
    step: float
    """The mean difference of neighbouring frames, in shares of the range."""
    unevenness: float
    """The spread of the steps as a share of their mean: 0 where all are equally long."""
    flicker: float
    """How far frames lie beside the middle of their neighbours, as a share of a step: 0 in steady motion, about .9
    where every frame is another one."""
    closure: float
    """The step from the last frame to the first, in mean steps: about 1 in a loop that closes."""


class Watch:
    """Looks at frames as they come, and remembers two of them."""

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._beside = 0.0
        self._first: NDArray[np.float32] | None = None
        self._last: list[NDArray[np.float32]] = []

    def see(self, frame: NDArray[Any]) -> None:
        """The next frame."""
        row = looks(frame[None])[0]
        if self._first is None:
            self._first = row
        if self._last:
            self._steps.append(float(apart(row, self._last[-1])))
        if len(self._last) == 2:
            self._beside += float(apart(self._last[1], (row + self._last[0]) / 2))
        self._last = [*self._last[-1:], row]

    def motion(self) -> Motion:
        """Of all frames so far."""
        steps = np.array(self._steps or [0.0])
        mean = max(float(steps.mean()), 1e-9)
        inner = max(1, len(self._steps) - 1)
        closing = float(apart(self._last[-1], self._first)) if self._first is not None and self._last else 0.0
        return Motion(
            len(self._steps) + 1, round(mean, 5), round(float(steps.std()) / mean, 4),
            round(self._beside / inner / mean, 4), round(closing / mean, 3),
        )  # fmt: skip
