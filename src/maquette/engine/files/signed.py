"""Signing what a recipe made of other files: each keeps its source as an ingredient, with all that the source says."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.core.errors import TrustError
from maquette.core.image import Image, encode
from maquette.data.decoding.kept import for_saving
from maquette.engine.files.batch import Batch, Work
from maquette.refining import recipe as recipes
from maquette.refining.op import Context
from maquette.refining.recipe import Recipe
from maquette.refining.run import run
from maquette.store.digest import content_name
from maquette.trust import metadata
from maquette.trust.examine import Examiner
from maquette.trust.manifest import Manifest
from maquette.trust.press import LARGEST_SOURCE, Press
from maquette.trust.reading import media_of
from maquette.trust.signing import Source


@dataclass(frozen=True)
class Finisher:
    """Turns a refined image into the file that is written. Threads may share it."""

    press: Press
    examiner: Examiner | None
    """Reads sources before they are carried; none is needed for what this program has just made itself."""
    batch: Batch
    software: Mapping[str, str]

    def __call__(self, image: Image, kept: Mapping[str, Any], work: Work) -> bytes:
        """The signed file."""
        return self.finished(image, kept, work)[0]

    def finished(self, image: Image, kept: Mapping[str, Any], work: Work, source: str = "") -> tuple[bytes, Manifest]:
        """The signed file, and what it says. `source` names what was refined, where the digest of its file does not."""
        content = work.content if isinstance(work.content, bytes) else _read(work.content)
        manifest = self._manifest(source or content_name(content), work)
        before = base64.b64decode(kept["xmp"]) if "xmp" in kept else b""
        blocks = {**kept, "xmp": base64.b64encode(metadata.xmp(manifest, before)).decode()}
        written = encode(image, self.batch.format, **for_saving(blocks, self.batch.format, self.batch.software))
        return self.press.edited(written, manifest, self._source(content) if self.press.signer else None), manifest

    def _source(self, content: bytes) -> Source | None:
        """The source, if the library that is to carry it read it without harm in a worker."""
        media = media_of(content[:64])
        if not media or len(content) > LARGEST_SOURCE:
            return None
        if self.examiner is not None and self.examiner.ask(content, look=False)["status"] == "unreadable":
            return None
        return Source(content=content, media=media)

    def _manifest(self, source: str, work: Work) -> Manifest:
        given = {"source": source}
        dials: dict[str, Any] = {"seed": work.seed}
        if self.batch.tile:
            dials["tile"] = self.batch.tile
        facts: dict[str, Any] = {
            "kind": "edited", "software": self.software, "conditions": given, "dials": dials,
        }  # fmt: skip
        try:
            return self.press.manifest(refinements=refinements(self.batch.recipe), **facts)
        except TrustError:  # too long to be carried: its digest then stands for it
            digest = hashlib.sha256(str(self.batch.recipe).encode()).hexdigest()
            return self.press.manifest(refinements=({"recipe": f"sha256:{digest}"},), **facts)


def refinements(recipe: Recipe) -> tuple[Mapping[str, Any], ...]:
    """The steps of a recipe as a manifest keeps them: files that they name by digest, never by path."""
    plain = recipes.to_json(recipe)
    steps = [{"op": step} if isinstance(step, str) else _without_paths(step) for step in plain["steps"]]
    head = {key: plain[key] for key in ("precise", "seed") if key in plain}
    return tuple([{"recipe": head}, *steps] if head else steps)


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_paths(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_paths(item) for item in value]
    if isinstance(value, str) and len(value) < 4096 and (os.sep in value or "/" in value or Path(value).is_file()):
        path = Path(value).expanduser()
        return content_name(_read(path)) if path.is_file() else "a path"
    return value


def _read(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_SOURCE:
        raise TrustError(
            "it is too large to be carried as the source of an image", where=path, do="refine with --sign off"
        )
    return path.read_bytes()


def refined_again(image: Image, manifest: Manifest) -> Image:
    """What the recipe of an edit makes of its source once more."""
    steps = [dict(step) for step in manifest.refinements]
    head = (
        steps.pop(0)["recipe"] if steps and set(steps[0]) == {"recipe"} and isinstance(steps[0]["recipe"], dict) else {}
    )
    if "sha256:" in str(steps):
        raise TrustError("it was refined with files or a recipe that its manifest names by their digests alone")
    recipe = recipes.from_json({**head, "steps": steps})
    seed, tile = manifest.dials.get("seed", 0), manifest.dials.get("tile", "")
    return run(recipe, image, Context(seed=seed, tile=tile))
