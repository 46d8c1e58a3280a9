"""What a survey finds out about all images, block by block: here, or by workers that are sent the pixels.

A stage is words, numbers and one array, so that it means the same whoever does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.data.audit import check as checks
from maquette.data.audit import similar
from maquette.data.audit.block import Block
from maquette.data.audit.check import Measure
from maquette.data.decoding.pixels import digest_of_pixels

Arrays = Mapping[str, NDArray[Any]]
Work = Callable[[int, NDArray[Any]], Arrays]
"""From the position of the first image and the images to one array for each thing that is asked."""
_SMALL = 32


@dataclass(frozen=True)
class Stage:
    """One way through all images."""

    kind: Literal["measure", "near", "describe"]
    names: tuple[str, ...] = ()
    """`measure`: the checks whose measures are taken."""
    known: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, similar.WIDTH), np.float16))
    """`near`: the signatures of all images."""

    def work(self) -> Work:
        """The function that does it, made once by whoever does it."""
        if self.kind == "measure":
            measures = list(dict.fromkeys(measure for name in self.names for measure in checks.get(name).measures))
            return lambda start, images: measured(images, measures)
        if self.kind == "near":
            cells = similar.Cells(self.known)
            return lambda start, images: near(start, images, cells)
        return lambda start, images: {"features": described(images)}


Through = Callable[[Stage, Iterable[tuple[int, NDArray[Any]]]], Iterator[Arrays]]
"""Whoever goes through all blocks of a stage, in order."""


def measured(images: NDArray[Any], measures: Iterable[Measure]) -> Arrays:
    """What measures say, and what copies are found by."""
    block = Block(images)
    found: dict[str, NDArray[Any]] = {
        "digest": _digests(images),
        "signature": similar.signatures(similar.thumbnails(block.grey)).astype(np.float16),
    }
    for measure in measures:
        found.update(measure(block))
    return found


def _digests(images: NDArray[Any]) -> NDArray[np.uint64]:
    return np.array([digest_of_pixels(image.tobytes()) for image in images], np.uint64)


def near(start: int, images: NDArray[Any], cells: similar.Cells) -> Arrays:
    """Pairs that are worth a closer look, column by column."""
    found = similar.candidates(start, similar.views(similar.thumbnails(Block(images).grey)), cells)
    return {name: found[name] for name in found.dtype.names or ()}


def described(images: NDArray[Any]) -> NDArray[np.float32]:
    """Textures and layout (wavelet scattering), of large images at about 32 pixels."""
    from maquette.features.extractors.scattering import Scattering

    step = max(1, min(images.shape[1:3]) // _SMALL)
    if step > 1:  # what is odd or of another kind is seen at 32 pixels too, in a fraction of the time
        height, width = (side // step * step for side in images.shape[1:3])
        shape = (len(images), height // step, step, width // step, step, images.shape[3])
        small = images[:, :height, :width].reshape(shape).mean((2, 4), dtype=np.float32)
        images = np.rint(small).astype(images.dtype)
    return np.asarray(Scattering()(images), np.float32)
