"""Images of a model that is kept ready as the files that `sample` writes: signed, marked, and telling how they came."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.image import FORMATS, convert, encode, mode_of
from maquette.trust.press import Press

if TYPE_CHECKING:
    from maquette.engine.warm import Ready
    from maquette.store.workspace import Workspace
    from maquette.trust.origin import Generated


@dataclass(frozen=True)
class Printed:
    """The file of one image."""

    content: bytes
    seed: int | None
    size: str
    path: Path | None = None
    facts: Mapping[str, Any] | None = None


class Printer:
    """Makes files of the images of one request."""

    def __init__(
        self, workspace: Workspace, press: Press, ready: Ready, options: Any, size: tuple[int, int] | None
    ) -> None:
        self._workspace, self._press, self._ready = workspace, press, ready
        form = ready.form(options)
        self._size = None if size is None or size == (form.width, form.height) else size
        self._facts = ready.facts(options)
        self._conditions = form.conditions

    def print(self, made: Generated, rows: Mapping[str, Any], at: int) -> Printed:
        """The signed file of one image; where another size was asked for, as an edit of what was made."""
        asked = {one.name: one.describe(rows[one.name][at]) for one in self._conditions if one.name in rows}
        facts = {**self._facts, "conditions": asked}
        if self._size is None:
            content, manifest = self._press.fresh(made, facts)
            height, width = made.picture.shape[:2]
            mark = manifest.mark
        else:
            width, height = self._size
            content, manifest, mark = self._refined(made, facts)
        self._press.unfit.clear()
        noted = {"run": str(self._ready.run.path), "seed": made.seed, "manifest": manifest.digest, "mark": mark}
        return Printed(content, made.seed, f"{width}x{height}", facts=noted)

    def _refined(self, made: Generated, facts: Mapping[str, Any]) -> tuple[bytes, Any, str]:
        import maquette
        from maquette.engine.files.refined import Refiner
        from maquette.refining.named import recipe

        assert self._size is not None
        words = f"resize width={self._size[0]} height={self._size[1]} fit=cover"
        parents = Press(self._workspace.home, watermark=self._press.watermark)
        refiner = Refiner(recipe(words), self._press, parents, tile=facts["tile"], version=maquette.__version__)
        content, refined = refiner.file("image", made, facts, None)
        return content, refined.manifest, refined.mark

    def plain(self, image: Any) -> bytes:
        """An image that is not finished, which nobody signs."""
        mode = mode_of(image)
        fit = convert(image, "rgb") if self._press.format == "jpeg" and mode == "rgba" else image
        return encode(convert(fit, "grey") if mode == "grey16" else fit, self._press.format)

    def keep(self, printed: Sequence[Printed]) -> list[Printed]:
        """Write the files into the workspace, where the gallery finds them."""
        folder = self._workspace.images / self._ready.run.path.name
        kept = []
        for one in printed:
            name = f"seed-{one.seed:08d}-{secrets.token_hex(6)}{FORMATS[self._press.format][1]}"
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}.partial"
            partial.write_bytes(one.content)
            partial.replace(folder / name)
            kept.append(replace(one, path=folder / name))
        paths = [one.path for one in kept if one.path is not None]
        self._workspace.index.add_images(paths, [dict(one.facts or {}) for one in kept])
        return kept


class Presses:
    """One press for each kind of file: opening the keys for every image would take longer than making it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._kept: dict[str, Press] = {}
        self._lock = threading.Lock()

    def of(self, format: str) -> Press:
        """The press for this kind of file."""
        with self._lock:
            if format not in self._kept:
                self._kept[format] = Press(self._workspace.home, format=format, watermark="auto")
            return self._kept[format]
