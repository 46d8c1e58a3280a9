"""Films as arrays of frames: frames between two others, how restless a film is, and whether a loop closes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image

Floats = NDArray[np.float32]


LEAST = 192
"""The finder of motion looks at patches of 8 pixels: smaller frames are enlarged to this shorter side for it."""


def flow(one: Image, other: Image) -> Floats:
    """Where each pixel of one frame went in the other: height x width x (right, down), in pixels."""
    height, width = one.shape[:2]
    times = max(1, -(-LEAST // min(height, width)))
    # Of the three colours the one that changes most: a red thing on a green ground moves in red.
    change = np.abs(one[..., :3].astype(np.int16) - other[..., :3]).mean((0, 1))
    planes = [np.ascontiguousarray(frame[..., int(change.argmax())]) for frame in (one, other)]
    large = [cv2.resize(p, (width * times, height * times), interpolation=cv2.INTER_CUBIC) for p in planes]
    finder: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = np.asarray(finder.calc(*large, None), np.float32) / times
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA))


def between(one: Image, other: Image, place: float) -> Image:
    """The frame at this place (0 to 1) between two: both are moved along the flow, and what only one of them sees is
    taken from that one."""
    there, back = flow(one, other), flow(other, one)
    # The flow at the moment between, from the two that are known (Jiang and others 2018, equation 4).
    to_one = -(1 - place) * place * there + place**2 * back
    to_other = (1 - place) ** 2 * there - place * (1 - place) * back
    first, second = _moved(one, to_one), _moved(other, to_other)
    seen_first = _moved(_agreement(there, back)[..., None], to_one)
    seen_second = _moved(_agreement(back, there)[..., None], to_other)
    weight = (1 - place) * seen_first + 1e-4
    rest = place * seen_second + 1e-4
    made = (weight * first + rest * second) / (weight + rest)
    return np.rint(np.clip(made, 0, 255)).astype(np.uint8)


def _moved(image: NDArray[np.generic], by: Floats) -> Floats:
    """Every pixel fetched from where it is by so much."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    made = cv2.remap(
        image.astype(np.float32), x + by[..., 0], y + by[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(made, np.float32).reshape(height, width, -1)


def _agreement(there: Floats, back: Floats) -> Floats:
    """1 where the way there and back ends where it began, towards 0 where it does not: hidden in the other frame."""
    returned = there + _moved(back, there)
    return np.asarray(np.exp(-(returned**2).sum(2) / 2), np.float32)


def psnr(one: Image, other: Image) -> float:
    """Peak signal to noise ratio of two 8-bit images in dB; 99 where they are equal."""
    error = float(((one.astype(np.float64) - other.astype(np.float64)) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def steps(frames: Sequence[Image], *, closed: bool = False) -> NDArray[np.float64]:
    """The mean change from each frame to the next, in levels of 255; of a loop also from the last to the first."""
    every = [*frames, frames[0]] if closed else frames
    return np.array([np.abs(a.astype(np.int16) - b.astype(np.int16)).mean() for a, b in itertools.pairwise(every)])


def flicker(frames: Sequence[Image], *, closed: bool = False) -> float:
    """How restless a film is: how unlike each step of a pixel is to the step before, as a share of the steps.

    0 is light that changes evenly, 1 and more is change that takes itself back at once. Films of less than three
    frames have none.
    """
    every = np.stack([*frames, *frames[:2]] if closed else frames).astype(np.float32)
    if len(every) < 3:
        return 0.0
    change = np.diff(every, axis=0)
    turn = np.abs(np.diff(change, axis=0)).mean()
    size = np.abs(change).mean()
    return float(turn / (2 * size)) if size > 0 else 0.0


def closure(frames: Sequence[Image]) -> float:
    """The step from the last frame to the first, as a multiple of the usual step: 1 is a loop that shows no seam."""
    sizes = steps(frames, closed=True)
    usual = float(np.median(sizes[:-1]))
    return float(sizes[-1]) / usual if usual > 0 else (0.0 if sizes[-1] == 0 else np.inf)


def even_pace(places: NDArray[np.float64], sizes: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Places along a closed way at which frames change by equal amounts.

    `places`: where frames were made, from 0, n of them; `sizes`: the n steps between them, the last one back to the
    first; the way is 1 long.
    """
    reach = np.concatenate([[0.0], np.cumsum(np.maximum(sizes, 1e-9))])
    wanted = np.arange(count) / count * reach[-1]
    return np.asarray(np.interp(wanted, reach, np.concatenate([places, [1.0]])))
