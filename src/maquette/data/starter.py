"""The starter dataset: crops of photographs that ship inside scikit-image, so that nothing has to be downloaded.

Each photograph is one material and one label. A quarter of each is held out, one crop's width away from what
is trained on. Crops of one side overlap, so they are one group for every check of copies; every item says which
rectangle of the photograph it shows.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from maquette.core import image as images
from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress, Result
from maquette.core.image import Mode
from maquette.core.noise import uniform
from maquette.core.spec import DataSpec
from maquette.data.audit.audit import accept
from maquette.data.dataset import Writer, already

SIZES = (32, 64)
PER_CLASS = 640
HELD_OUT = 0.25
_PIECE = 256


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """One photograph: which material it shows, and how much of it a crop takes."""

    label: str
    file: str
    window: int
    """Side of a crop in pixels of the photograph: large enough that the material can be recognised."""
    licence: str
    inside: tuple[tuple[int, int], ...] = ()
    """The polygon that the material fills; all of the photograph when empty."""
    disc: tuple[int, int, int] | None = None
    """Centre and radius of the disc that the material fills."""
    without: tuple[tuple[int, int, int], ...] = ()
    """Discs (x, y, radius) that do not show the material."""
    held_out: Literal["left", "right", "bottom"] = "right"
    """Which quarter is held out: one that looks like the rest."""

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the photograph shows the material: height x width."""
        picture = Pillow.new("L", size, 0 if self.inside or self.disc else 255)
        draw = ImageDraw.Draw(picture)
        if self.inside:
            draw.polygon(self.inside, fill=255)
        if self.disc:
            draw.ellipse(_box(*self.disc), fill=255)
        for disc in self.without:
            draw.ellipse(_box(*disc), fill=0)
        return np.asarray(picture) > 0


PHOTOGRAPHS = (
    Photograph(label="brick", file="brick.png", window=80, licence="CC0, from CC0Textures (Bricks25)"),
    Photograph(
        label="coffee",
        file="coffee.png",
        window=96,
        licence="CC0, by Rachel Michetti, courtesy of Pikolo Espresso Bar",
        held_out="bottom",
    ),
    Photograph(
        label="fur",
        file="chelsea.png",
        window=48,
        licence="CC0, by Stefan van der Walt",
        inside=((45, 0), (335, 0), (345, 90), (345, 195), (300, 235), (240, 285), (105, 285), (45, 165)),
        without=((170, 117, 34), (320, 137, 26), (258, 245, 22)),
        held_out="left",
    ),
    Photograph(label="grass", file="grass.png", window=64, licence="CC0, from DeviantArt (linolafett, Grass 01)"),
    Photograph(label="gravel", file="gravel.png", window=64, licence="CC0, from CC0Textures (Gravel04)"),
    Photograph(
        label="retina",
        file="retina.jpg",
        window=192,
        licence="CC0, by Mikael Häggström (Medical gallery 2014)",
        disc=(706, 706, 680),
    ),
    Photograph(
        label="stars",
        file="hubble_deep_field.jpg",
        window=96,
        licence="public domain, NASA (Hubble eXtreme Deep Field)",
    ),
    Photograph(
        label="tissue",
        file="ihc.png",
        window=80,
        licence="no known copyright restrictions, Center for Microscopy and Molecular Imaging (CMMI)",
    ),
)


MEANT = {
    "near-duplicates": "crops of one photograph overlap",
    "recoloured-duplicates": "crops of one photograph overlap",
    "too-dark": "the sky between the stars is dark",
    "low-contrast": "the ground of the eye is even",
    "borders": "rows of brick end in straight joints",
}
"""What an audit finds in the starter dataset and what is meant, with the reason."""


def make_starter(
    to: str | Path,
    *,
    size: int = 32,
    mode: Mode = "rgb",
    count: int = PER_CLASS * len(PHOTOGRAPHS),
    seed: int = 0,
) -> Iterator[Event]:
    """Cut the starter dataset; `size` is 32 or 64 pixels, and `count` is shared evenly among the materials."""
    if size not in SIZES:
        raise UsageError(f"the starter dataset has no images of {size} pixels", do="choose 32 or 64")
    if count < len(PHOTOGRAPHS) * 4:
        raise UsageError(f"{count} images are too few for {len(PHOTOGRAPHS)} materials", do="ask for 32 or more")
    began, done = time.monotonic(), 0
    label = ConditionSpec(name="label", kind="label", classes=tuple(photo.label for photo in PHOTOGRAPHS))
    spec = DataSpec(height=size, width=size, mode=mode, conditions=(label,))
    settings = {"source": "starter", "size": size, "mode": mode, "count": count, "seed": seed}
    made = already(to, settings)
    if made is not None:
        yield Note(text=f"{made.path} is up to date")
        yield Result(verb="ingest", facts=made.facts(), value=made)
        return
    parts: list[NDArray[np.uint8]] = []
    groups: list[NDArray[np.int32]] = []
    with Writer(to, spec, settings=settings, licences={p.label: p.licence for p in PHOTOGRAPHS}) as writer:
        for number, photo in enumerate(PHOTOGRAPHS):
            share = count * (number + 1) // len(PHOTOGRAPHS) - count * number // len(PHOTOGRAPHS)
            crops = _Crops(photo, size)
            held = round(share * HELD_OUT)
            for part, amount in ((0, share - held), (1, held)):
                corners = crops.choose(part, amount, seed)
                for start in range(0, amount, _PIECE):
                    chosen = corners[start : start + _PIECE]
                    given = {"label": np.full(len(chosen), number, np.int32)}
                    pixels = np.stack([images.convert(crop, mode) for crop in crops.images(chosen)])
                    writer.append(pixels, given, [crops.item(corner) for corner in chosen])
                parts.append(np.full(amount, part, np.uint8))
                groups.append(np.full(amount, 2 * number + part, np.int32))
            done += share
            seconds = time.monotonic() - began
            eta = seconds * (count - done) / done
            yield Progress(verb="ingest", done=done, total=count, unit="images", seconds=seconds, eta=eta)
        data = writer.finish(np.concatenate(parts), np.concatenate(groups))
    accept(data, MEANT)
    yield Result(verb="ingest", facts=data.facts(), value=data)


class _Crops:
    """The crops of one photograph, after it was reduced so that a window becomes `size` pixels."""

    def __init__(self, photo: Photograph, size: int) -> None:
        self.photo, self.size = photo, size
        self.window = max(photo.window, size)  # Crops are never enlarged: that would be blur, not material.
        self.scale = self.window / size
        content = _read(photo.file)
        self.digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        with Pillow.open(_folder() / photo.file) as picture:
            whole = picture.convert("RGB")
        reduced = (round(whole.width / self.scale), round(whole.height / self.scale))
        self.pixels = np.asarray(whole.resize(reduced, Pillow.Resampling.LANCZOS))
        self.allowed = [_fits(mask, size) for mask in self._sides(photo.mask(whole.size), reduced)]

    def _sides(self, mask: NDArray[np.bool_], reduced: tuple[int, int]) -> list[NDArray[np.bool_]]:
        """Where to train, and the quarter that is held out; a crop's width lies between the two."""
        small = np.asarray(Pillow.fromarray(mask).resize(reduced, Pillow.Resampling.NEAREST)) > 0
        turns = {"right": 0, "bottom": 1, "left": 2}[self.photo.held_out]
        turned = np.rot90(small, turns)  # Now the quarter is on the right.
        columns = np.flatnonzero(turned.any(0))
        border = int(columns[-1] + 1 - HELD_OUT * (columns[-1] + 1 - columns[0]))
        train, held = turned.copy(), turned.copy()
        train[:, max(0, border - self.size) :] = False
        held[:, :border] = False
        return [np.rot90(side, -turns) for side in (train, held)]

    def choose(self, part: int, amount: int, seed: int) -> list[tuple[int, int]]:
        """Different corners (top, left) of crops in one part, in an order that depends on the seed."""
        places = np.argwhere(self.allowed[part])
        if len(places) < amount:
            raise UsageError(
                f"the photograph of {self.photo.label} has no {amount} different crops", do=f"at most {len(places)}"
            )
        keys = uniform(seed, f"starter {self.photo.label} {part}", len(places))
        return [(int(top), int(left)) for top, left in places[np.argsort(keys, kind="stable")[:amount]]]

    def images(self, corners: list[tuple[int, int]]) -> NDArray[np.uint8]:
        side = self.size
        return np.stack([self.pixels[top : top + side, left : left + side] for top, left in corners])

    def item(self, corner: tuple[int, int]) -> dict[str, Any]:
        top, left = (round(value * self.scale) for value in corner)
        return {
            "path": self.photo.file, "digest": self.digest,
            "rectangle": [left, top, self.window, self.window], "conditions": {"label": self.photo.label},
        }  # fmt: skip


def _box(x: int, y: int, radius: int) -> tuple[int, int, int, int]:
    return (x - radius, y - radius, x + radius, y + radius)


def _fits(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Corners from which a square of that side lies wholly in the mask."""
    total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.asarray(inside == side * side)


def photograph(label: str) -> Path:
    """The file of the photograph that shows this material."""
    return _folder() / next(photo.file for photo in PHOTOGRAPHS if photo.label == label)


def _folder() -> Path:
    """Where scikit-image keeps its photographs; the package itself is not imported."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise DataError("the starter dataset needs scikit-image", do="install it with pip install scikit-image")
    return Path(found.submodule_search_locations[0]) / "data"


def _read(file: str) -> bytes:
    try:
        return (_folder() / file).read_bytes()
    except OSError:
        raise DataError(
            "this photograph of scikit-image is missing",
            where=_folder() / file,
            do="install scikit-image 0.26 again",
        ) from None
