"""Images that a model has just made, refined before they are written: each file is an edit of what was made."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maquette.core.choices import Tile
from maquette.core.errors import MaquetteError
from maquette.core.image import Image
from maquette.engine.files.batch import Batch, Work
from maquette.engine.files.refine import read
from maquette.engine.files.signed import Finisher
from maquette.refining.op import Context
from maquette.refining.recipe import Recipe
from maquette.refining.run import refine, run
from maquette.trust.manifest import Manifest
from maquette.trust.origin import Generated
from maquette.trust.press import Press, pixels_of
from maquette.trust.signing import Source


@dataclass(frozen=True)
class Refined:
    """One image that was made, refined and written."""

    manifest: Manifest
    image: Image
    mark: str
    """The watermark of what was made, which is still in it as far as the recipe let it."""


class Refiner:
    """Refines and writes. `parents` makes the files that the edits carry, and with them signature and watermark."""

    def __init__(
        self,
        recipe: Recipe,
        press: Press,
        parents: Press,
        *,
        tile: Tile = "",
        version: str = "",
        hand: Callable[[str], Callable[..., Any]] | None = None,
    ) -> None:
        self.recipe, self._press, self._parents = recipe, press, parents
        self._tile, self._hand, self._read, self._text = tile, hand, functools.lru_cache(maxsize=4)(read), str(recipe)
        batch = Batch(
            recipe=recipe, to=Path(), format=press.format, tile=tile, software=f"Maquette {version}".strip()
        )  # fmt: skip
        self._finisher = Finisher(press, None, batch, {"maquette": version})

    def write(self, path: Path, made: Generated, facts: Mapping[str, Any], source: Source | None) -> Refined:
        """Refine the image, watermark and all, with its own seed, and write it."""
        written, refined = self.file(path.with_suffix("").name, made, facts, source)
        return replace(refined, manifest=self._press.write(path, written, refined.manifest))

    def file(
        self, name: str, made: Generated, facts: Mapping[str, Any], source: Source | None
    ) -> tuple[bytes, Refined]:
        """The file of the refined image, not written yet."""
        content, parent = self._parents.fresh(made, facts, source)
        context = Context(seed=made.seed, tile=self._tile, read=self._read, hand=self._hand, name=name)
        before = pixels_of(content)
        try:
            image = run(self.recipe, before, context)
        except MaquetteError as error:
            raise type(error)(error.what, where=error.where or f"seed {made.seed}", do=error.do) from None
        work = Work(name, content, Path(name), "", made.seed, self._text)
        # By its pixels, not its file: a signature holds the time, and the same image is to stay the same.
        source_name = f"pixels-sha256:{hashlib.sha256(before.tobytes()).hexdigest()}"
        written, manifest = self._finisher.finished(image, {}, work, source_name)
        return written, Refined(manifest, image, parent.mark)


def of_one_size(images: Sequence[Image]) -> list[Image]:
    """Images for a sheet: those of other sizes are fitted into the size of the first."""
    height, width = images[0].shape[:2]
    if all(image.shape == images[0].shape for image in images):
        return list(images)
    fit = f"resize width={width} height={height} fit=inside, pad width={width} height={height} ground=transparent"
    return [refine(image, fit) for image in images]
