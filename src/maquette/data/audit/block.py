"""A block of images with what several checks want to know of them, computed once: grey, colours, tones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core import image as convention

Floats = NDArray[np.float32]
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
GROUND = 128
"""The grey that transparent images are laid on: black and white drawings are both seen on it."""


class Block:
    """Some images of one form: n x height x width x channels."""

    def __init__(self, images: NDArray[Any]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @functools.cached_property
    def colour(self) -> NDArray[np.uint8]:
        """Eight bits, 1 or 3 channels; what is transparent shows a middle grey."""
        images = self.images
        if images.dtype == np.uint16:
            return ((images.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        if images.shape[3] == 4:
            alpha = images[..., 3:].astype(np.uint32)
            return ((images[..., :3] * alpha + GROUND * (255 - alpha) + 127) // 255).astype(np.uint8)
        return images

    @functools.cached_property
    def visible(self) -> NDArray[np.bool_] | None:
        """Which pixels can be seen (n x height x width); None when all can."""
        if self.images.shape[3] != 4:
            return None
        return np.asarray(self.images[..., 3] > 127)

    @functools.cached_property
    def grey(self) -> Floats:
        """Luminance, 0 to 255: n x height x width."""
        colour = self.colour
        if colour.shape[3] == 1:
            return colour[..., 0].astype(np.float32)
        return np.asarray(colour.astype(np.float32) @ _LUMA)

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many visible pixels of each image have each of 256 luminances: n x 256. All count where none is seen."""
        values = np.rint(self.grey).astype(np.int64).reshape(len(self), -1)
        values += 256 * np.arange(len(self))[:, None]
        if self.visible is not None:
            seen = self.visible.reshape(len(self), -1)
            seen = seen | ~seen.any(1, keepdims=True)
            counts = np.bincount(values[seen], minlength=256 * len(self))
        else:
            counts = np.bincount(values.reshape(-1), minlength=256 * len(self))
        return counts.reshape(len(self), 256)

    @functools.cached_property
    def gradients(self) -> tuple[Floats, Floats]:
        """Differences of neighbouring luminances: down (height - 1) and across (width - 1)."""
        return np.diff(self.grey, axis=1), np.diff(self.grey, axis=2)

    def mode(self) -> str:
        """The mode of the images."""
        return convention.mode_of(self.images[0])


def tones(block: Block) -> Mapping[str, NDArray[Any]]:
    """Luminances below which 5, 50 and 95 % of the visible pixels lie, and how mixed they are."""
    counts = block.counts
    total = counts.sum(1, keepdims=True)
    below = counts.cumsum(1)
    share = counts / total
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(counts > 0, share * np.log2(share), 0.0).sum(1)
    # Pixels within two levels of the commonest luminance: a blank image with a little noise is still blank.
    near = np.stack([np.roll(share, shift, axis=1) for shift in range(-2, 3)]).sum(0)
    return {
        **{f"tone {q}": (below >= q / 100 * total).argmax(1).astype(np.uint8) for q in (5, 50, 95)},
        "entropy": entropy.astype(np.float32),
        "flat share": near[:, 2:-2].max(1).astype(np.float32),
    }


def detail(block: Block) -> Mapping[str, NDArray[Any]]:
    """How soft the image is, and how much of its detail is as fine as its pixels allow."""
    down, across = block.gradients
    grey = block.grey
    wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    soft = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
    before = np.einsum("nyx,nyx->n", down, down) + np.einsum("nyx,nyx->n", across, across)
    down, across = np.diff(soft, axis=1), np.diff(soft, axis=2)
    after = np.einsum("nyx,nyx->n", down, down) + np.einsum("nyx,nyx->n", across, across)
    return {
        "softness": (after / np.maximum(before, 1e-6)).astype(np.float32),
        "activity": np.sqrt(before / grey[0].size).astype(np.float32),
        **_bands(grey),
    }


def _bands(grey: Floats) -> Mapping[str, NDArray[Any]]:
    """The share of the highest frequencies against the middle ones: next to nothing in an enlarged image."""
    from scipy import fft

    height, width = grey.shape[1:]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    flat = (grey - grey.mean((1, 2), keepdims=True)) * window.astype(np.float32)
    waves = fft.rfft2(flat)
    power = (waves.real**2 + waves.imag**2).reshape(len(grey), -1)
    y, x = np.abs(fft.fftfreq(height))[:, None] * 2, fft.rfftfreq(width)[None, :] * 2
    reach = np.maximum(y, x)
    high = power @ ((reach > 0.62) & (reach <= 1)).astype(power.dtype).reshape(-1)
    middle = power @ ((reach > 0.25) & (reach <= 0.46)).astype(power.dtype).reshape(-1)
    return {"finest": (high / np.maximum(middle, 1e-6)).astype(np.float32)}
