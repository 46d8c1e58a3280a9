"""Whether made images are copies of training images: the nearest one for each, and what a stranger could tell.

Two images are compared by their structure alone (edges and shapes of middling size, in brightness), at every shift up
to an eighth of the side and mirrored, so that moving, mirroring and recolouring do not hide a copy. What counts as too
near is not fixed by hand: held-out images, which nobody can have copied, say how near honest images come.

What this shows: images that lie nearer to a training image than real new images ever do. What it cannot show: that an
image is new. A copy turned, zoomed or cut together from several images is not found.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import depth, mode_of
from maquette.features.neighbours import largest
from maquette.judge.interval import GROUPS, Estimate, groups_of, jackknife

SIDE = 32
"""Images are compared at this size."""
FINE, MIDDLING = 0.6, 2.0
"""Structure is what lies between these two blurs, in pixels of 32."""
PLAIN = 0.004
"""Structure below this (root mean square, of the full range) is none: a plain image resembles every plain image."""
OUTLINE = 0.1
"""How far what is there stands out from what is not, in images with alpha, of the full range."""
FREQUENCIES = 8
"""Candidates are sought by the strengths of this many frequencies a direction, which a shift leaves as they are."""
CANDIDATES = 48
COARSE = 8
"""Candidates are then compared at this size, moved by these steps (in pixels of 32), and the best few in full."""
STEPS = (-4, -2, 0, 2, 4)
FINALISTS = 4
"""Half of them are the best at this size, half the best by the strengths: each finds what the other one misses."""
REACH = 4
"""Largest shift, in pixels of 32, at which two images are compared."""
RARE = 0.005
"""One in two hundred held-out images lies nearer than the threshold; that many false alarms are expected."""
PLAINLY_SAME = 0.95
"""Where many held-out images are near-copies of training images themselves, they cannot say what is honest."""
FEWEST_HELD = 200
Structure = NDArray[np.float32]


@dataclass(frozen=True)
class Nearest:
    """For each image the training image most like it, and how like it is (1 is the same structure)."""

    likeness: NDArray[np.float32]
    index: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def structures(images: NDArray[Any]) -> Structure:
    """N H W C -> N 32 32: brightness between two blurs, with unit length; zero where there is no structure."""
    import cv2

    mode = mode_of(images[0])
    out = np.zeros((len(images), SIDE, SIDE), np.float32)
    for row, image in enumerate(images):
        pixels = image.astype(np.float32) / depth(mode)
        colours = pixels[..., :3] if pixels.shape[2] > 1 else pixels
        grey = (colours.max(2) + colours.min(2)) / 2  # lightness: turning hues or swapping channels leaves it
        if mode == "rgba":  # an outline counts the same whatever the colours within: else recolouring would hide it
            alpha = pixels[..., 3]
            grey = alpha * (OUTLINE + grey - (grey * alpha).sum() / max(float(alpha.sum()), 1e-6))
        shrinks = max(grey.shape) > SIDE
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        fine = cv2.GaussianBlur(small, (0, 0), FINE, borderType=cv2.BORDER_REFLECT)
        out[row] = fine - cv2.GaussianBlur(small, (0, 0), MIDDLING, borderType=cv2.BORDER_REFLECT)
    strength = np.sqrt((out**2).mean((1, 2), keepdims=True))
    return np.where(strength > PLAIN, out / np.maximum(strength, PLAIN) / SIDE, 0).astype(np.float32)


class Finder:
    """Finds the training image most like an image; built once for a dataset."""

    def __init__(self, training: Structure) -> None:
        self.training = training
        strengths = _strengths(training)
        self._mean, self._scale = strengths.mean(0), strengths.std(0) + 1e-9
        self._strengths = _unit((strengths - self._mean) / self._scale)
        self._coarse = _shrink(training[:, INNER, INNER])

    def __call__(self, images: Structure, *, not_itself: bool = False) -> Nearest:
        """The nearest training image of each of these structures."""
        starts = range(0, len(images), 256)
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:  # most of the work is outside of Python's lock
            parts = list(threads.map(lambda start: self._block(images, start, not_itself), starts))
        return Nearest(
            np.concatenate([part.likeness for part in parts]),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.mirrored for part in parts]),
        )

    def _block(self, images: Structure, start: int, not_itself: bool) -> Nearest:
        block = images[start : start + 256]
        own = np.arange(start, start + len(block)) if not_itself else None
        both = [self._compare(turned, self._finalists(turned, own)) for turned in (block, block[:, :, ::-1])]
        likeness, index = (np.concatenate([side[part] for side in both], axis=1) for part in (0, 1))
        best = likeness.argmax(1)
        rows = np.arange(len(block))
        return Nearest(likeness[rows, best], index[rows, best], best >= both[0][0].shape[1])

    def _finalists(self, block: Structure, own: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Block x finalists: training images worth comparing in full."""
        scores = _unit((_strengths(block) - self._mean) / self._scale) @ self._strengths.T
        if own is not None:
            scores[np.arange(len(block)), own] = -2.0
        index = largest(scores, min(CANDIDATES, scores.shape[1]))
        others = self._coarse[index]  # block candidates 64
        moved = np.stack([_shrink(block[:, _shifted(down), _shifted(across)]) for down in STEPS for across in STEPS], 2)
        best = np.matmul(others, moved).max(2)  # block candidates, over the shifts
        steady = largest(np.take_along_axis(scores, index, axis=1), min(FINALISTS // 2, index.shape[1]))
        np.put_along_axis(best, steady, 2.0, axis=1)
        if own is not None:
            best[index == own[:, None]] = -2.0
        chosen = largest(best, min(FINALISTS, index.shape[1]))
        return np.asarray(np.take_along_axis(index, chosen, axis=1))

    def _compare(self, block: Structure, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best agreement of each pair at any shift: correlation over the part that both show."""
        pad = SIDE + 2 * REACH
        corner = np.ix_(np.arange(len(block)), _SHIFTS % pad, _SHIFTS % pad)
        likeness = np.empty(index.shape, np.float32)
        one, energy = np.fft.rfft2(block, (pad, pad)), _KEPT @ block**2 @ _KEPT.T
        for column in range(index.shape[1]):
            other = self.training[index[:, column]]
            product = np.fft.irfft2(one * np.conj(np.fft.rfft2(other, (pad, pad))), (pad, pad))[corner]
            other_energy = _MET @ other**2 @ _MET.T
            # Where an edge of little structure is all that overlaps, nothing is proved: at least half of each.
            both = np.sqrt(np.maximum(energy, 0.5) * np.maximum(other_energy, 0.5))
            likeness[:, column] = (product / both).max((1, 2))
        return likeness, index


_SHIFTS = np.arange(-REACH, REACH + 1)
_LINES = np.arange(SIDE)
_KEPT = ((_SHIFTS[:, None] <= _LINES) & (SIDE + _SHIFTS[:, None] > _LINES)).astype(np.float32)
"""Shifts x lines: the lines of an image that lie upon another one when it is moved by so much."""
_MET = _KEPT[::-1]
"""Shifts x lines: the lines of the other one that they lie upon."""
_REACH = max(STEPS)
INNER = slice(_REACH, SIDE - _REACH)
_CELL = (SIDE - 2 * _REACH) // COARSE
_MEANS = (np.kron(np.eye(COARSE), np.ones(_CELL)) / _CELL).astype(np.float32)
"""8 x 24: the means of neighbouring lines."""


def _shifted(step: int) -> slice:
    """The inner lines of an image that was moved by so much."""
    return slice(_REACH - step, SIDE - _REACH - step)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of zero mean and unit length; a row without variation becomes zero."""
    rows = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-9, rows / np.maximum(length, 1e-9), 0), np.float32)


def _shrink(inner: Structure) -> NDArray[np.float32]:
    """N 24 24 -> N 64, unit length."""
    return _unit((_MEANS @ inner @ _MEANS.T).reshape(len(inner), -1))


def _strengths(images: Structure) -> NDArray[np.float32]:
    """N 32 32 -> N frequencies: the strength of each, which moving the image hardly changes."""
    window = np.hanning(SIDE + 2)[1:-1].astype(np.float32)
    out = np.empty((len(images), 2 * FREQUENCIES + 1, FREQUENCIES + 1), np.float32)
    for start in range(0, len(images), 1024):  # a spectrum takes four times the memory of what it is of
        block = images[start : start + 1024] * (window[:, None] * window[None, :])
        spectrum = np.abs(np.fft.rfft2(block))[:, :, : FREQUENCIES + 1]
        out[start : start + 1024, :FREQUENCIES] = spectrum[:, -FREQUENCIES:]
        out[start : start + 1024, FREQUENCIES:] = spectrum[:, : FREQUENCIES + 1]
    return out.reshape(len(images), -1)


@dataclass(frozen=True)
class Copies:
    """What was found."""

    share: Estimate
    """Share of the images that lie nearer to a training image than the threshold."""
    expected: float
    """Share of held-out images that do (false alarms)."""
    threshold: float
    flagged: NDArray[np.bool_]
    nearest: Nearest
    held: Nearest
    held_flagged: NDArray[np.bool_]


def threshold_of(held: Nearest) -> float:
    """The likeness that one in two hundred held-out images exceeds, but never more than what is plainly the same."""
    return min(PLAINLY_SAME, float(np.quantile(held.likeness, 1 - RARE)))


def find_copies(of_images: Nearest, of_held: Nearest) -> Copies:
    """What lies nearer to a training image than held-out images do."""
    threshold = threshold_of(of_held)
    flagged = of_images.likeness > threshold
    held_flagged = of_held.likeness > threshold
    return Copies(
        share_of(flagged), float(held_flagged.mean()), threshold, flagged, of_images, of_held, held_flagged
    )  # fmt: skip


def share_of(flagged: NDArray[np.bool_]) -> Estimate:
    """The share that is flagged. Where it is none or all, the interval still says what is possible (Wilson's)."""
    count, hits, z = len(flagged), float(flagged.sum()), 1.645
    middle = (hits + z * z / 2) / (count + z * z)
    reach = z * np.sqrt(hits * (count - hits) / count + z * z / 4) / (count + z * z)
    share = hits / count
    return Estimate(
        share, float(np.sqrt(share * (1 - share) / count)), max(0.0, middle - reach), min(1.0, middle + reach)
    )


def membership(train: NDArray[np.floating], held: NDArray[np.floating]) -> Estimate:
    """How well a stranger with the samples could tell training images from held-out ones, given how near each comes to
    a sample: the chance that a training image is the nearer one of a pair; .5 is guessing."""
    one, two = groups_of(len(train), 1), groups_of(len(held), 2)

    def area(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
        order = np.sort(second)
        below, ties = np.searchsorted(order, first, "left"), np.searchsorted(order, first, "right")
        return float(1 - (below + ties).mean() / 2 / len(second))  # nearer means a smaller distance

    without = np.array([area(train[one != g], held[two != g]) for g in range(GROUPS)])
    return jackknife(area(train, held), without).within(0, 1)
