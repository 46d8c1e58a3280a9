"""Which mark an image carries in its pixels, and what a mark that was found says.

The key is public: everybody who has Maquette finds the mark, which is what it is for. It carries the first bytes of a
digest of how the image was made, so that an image that lost everything else can be looked up in the index.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import TrustError, UsageError
from maquette.core.image import Image
from maquette.store.digest import json_digest
from maquette.trust.manifest import Manifest
from maquette.trust.vault import Vault, read_outside

if TYPE_CHECKING:
    from maquette.trust.watermark import Found

KEY = b"maquette: made by a model, first mark"
LENGTH = 4
"""Bytes that the mark carries."""
USUAL_SIDE = 64
"""From this shorter side up images are marked unless it is turned off: below, a mark could say nothing."""
STRONGEST = 4.0
SHORTEST_SECRET = 8


def strength_of(text: str, side: int) -> float | None:
    """What the setting `--watermark` asks for, for images of this shorter side; None for no mark."""
    if text == "auto":
        return 1.0 if side >= USUAL_SIDE else None
    if text == "off":
        return None
    try:
        strength = float(text)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= STRONGEST:
        raise UsageError(
            f"a watermark of strength {text[:40]!r} is not possible", do=f"give auto, off, or up to {STRONGEST:g}"
        )
    return strength


def named(manifest: Manifest, strength: float) -> Manifest:
    """The manifest with the mark that belongs to it: the same image made again gets the same mark."""
    same: dict[str, Any] = {"time": "1970-01-01T00:00:00Z", "maker": "", "software": {}, "mark": "", "strength": None}
    digest = json_digest(replace(manifest, **same).to_json())
    return replace(manifest, mark=digest[: 2 * LENGTH], strength=strength)


def embedded(picture: Image, manifest: Manifest) -> Image:
    """The picture with the mark that its manifest names; UnfitError where it cannot carry one."""
    if not manifest.mark:
        return picture
    from maquette.trust.watermark import embed

    return embed(picture, bytes.fromhex(manifest.mark), KEY, manifest.strength or 1.0, tile=manifest.tile)


def look(picture: Image, expected: Sequence[Manifest] = ()) -> Found:
    """Whether the picture carries the mark, and what it says.

    `expected` are manifests of which a whole signature says that they are the picture's, or of what it was made from:
    where it still carries the mark that one of them names, and at its first place, no other is looked at.
    """
    from maquette.trust.watermark import confirm, detect

    for tile in {manifest.tile for manifest in expected}:
        marks = {manifest.mark for manifest in expected if manifest.tile == tile}
        payloads = {bytes.fromhex(mark) for mark in marks if len(mark) == 2 * LENGTH}  # anybody's manifest may name one
        found = confirm(picture, KEY, payloads, tile)
        if found is not None:
            return found
    return detect(picture, KEY, LENGTH)


def secret(home: str | os.PathLike[str], file: str = "", *, make: bool = False) -> bytes:
    """The secret of marks that models learn: a person's own file, or the one among the keys, made when it is needed."""
    if file:
        found = read_outside(Path(file)).strip()
        if len(found) < SHORTEST_SECRET:
            raise TrustError(f"a secret has at least {SHORTEST_SECRET} bytes", where=file)
        return found
    vault = Vault(Path(home) / "keys")
    path = vault.folder / "mark.secret"
    if make and not path.exists():
        with vault.alone():
            if not path.exists():
                vault.write(path, secrets.token_hex(32).encode() + b"\n")
    if not path.exists():
        raise TrustError("there is no secret of a mark here yet", do="mark a dataset first, or give --secret FILE")
    vault.check_private(path)
    return vault.read(path).strip()
