"""Images that a model made of what somebody gave: written and signed as edits, never as generated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maquette.core.image import Image, encode
from maquette.trust.metadata import extras
from maquette.trust.press import Press
from maquette.trust.signing import Source


class Edits:
    """Writes the images of one command. `step` says what was done, without paths."""

    def __init__(self, press: Press, step: Mapping[str, Any]) -> None:
        import maquette

        self._press, self._step, self._software = press, dict(step), {"maquette": maquette.__version__}

    def write(
        self,
        path: Path,
        image: Image,
        digest: str,
        source: Source | None = None,
        dials: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one image that was made of the file with this digest, which becomes its ingredient if it is given."""
        manifest = self._press.manifest(
            kind="edited", software=self._software, conditions={"source": digest}, refinements=(self._step,),
            dials=dict(dials or {}),
        )  # fmt: skip
        content = encode(image, self._press.format, **extras(manifest, self._press.format))
        self._press.write(path, self._press.edited(content, manifest, source), manifest)
