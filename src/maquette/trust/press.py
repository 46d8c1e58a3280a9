"""Writing the images of one command: each with its manifest, signed, and never over an image that differs."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.errors import MaquetteError, TrustError
from maquette.core.files import atomic_file, write_bytes, write_new
from maquette.core.film import FilmFile, encode_film
from maquette.core.image import Image, encode, from_pil
from maquette.trust import metadata, signing
from maquette.trust.certificates import check_name, now
from maquette.trust.keys import Keys, Signer
from maquette.trust.manifest import Manifest
from maquette.trust.marks import embedded, named, strength_of
from maquette.trust.origin import Generated
from maquette.trust.reading import media_of

LARGEST_SOURCE = 256 << 20


class Press:
    """What all images of one command share: who signs, the maker's name, the kind of file."""

    def __init__(
        self,
        home: str | os.PathLike[str],
        *,
        format: str = "png",
        sign: bool = True,
        maker: str = "",
        watermark: str = "off",
    ) -> None:
        self.format, self.watermark = format, watermark
        strength_of(watermark, 0)  # says what is wrong with it before anything is made
        maker = check_name(maker) if maker else ""
        self.unfit: list[str] = []
        """Why images were left without a watermark that was asked for, one entry an image."""
        keys = Keys(home)
        self.signer: Signer | None = keys.signer(maker) if sign else None
        """None when nothing is signed."""
        self.maker = maker or (keys.facts()["name"] if sign else "")

    def manifest(self, **facts: Any) -> Manifest:
        """A manifest of now, in the maker's name."""
        return Manifest(time=now().strftime("%Y-%m-%dT%H:%M:%SZ"), maker=self.maker, **facts)

    def generated(
        self, path: Path, made: Generated, facts: Mapping[str, Any], source: signing.Source | None = None
    ) -> Manifest:
        """Write an image that a model has just made. `facts` are those of the manifest that all images share."""
        return self.write(path, *self.fresh(made, facts, source))

    def fresh(
        self, made: Generated, facts: Mapping[str, Any], source: signing.Source | None = None
    ) -> tuple[bytes, Manifest]:
        """The file of an image that a model has just made, not written yet."""
        kind = "guided" if made.guided else "sampled"
        mixed = {"seeds": made.mix.seeds, "weights": made.mix.weights} if made.mix else {}
        plain = self.manifest(kind=kind, seed=made.seed, model=made.model, **mixed, **facts)
        strength = strength_of(self.watermark, min(made.picture.shape[:2]))
        manifest = plain if strength is None else named(plain, strength)
        try:
            content = signing.generated(made, manifest, self.format, self.signer, source=source)
        except MaquetteError as error:
            if strength is None or not _is_unfit(error):
                raise
            self.unfit.append(error.what)
            manifest = plain
            content = signing.generated(made, plain, self.format, self.signer, source=source)
        return content, manifest

    def sheet(self, path: Path, picture: Image, facts: Mapping[str, Any]) -> Manifest:
        """Write a sheet of images, over one that is there."""
        manifest = self.manifest(kind="sheet", **facts)
        write_bytes(path, signing.sheet(picture, manifest, "png", self.signer))
        return manifest

    def film(self, path: Path, frames: Sequence[Image], format: str, rate: float, facts: Mapping[str, Any]) -> Manifest:
        """Write a film of images that were made, over one that is there."""
        manifest = self.manifest(kind="sheet", **facts)
        said = metadata.extras(manifest, format) if format == "webp" else {}
        content = encode_film(frames, format, rate=rate, **said)
        write_bytes(path, content if self.signer is None else signing.film(content, manifest, format, self.signer))
        return manifest

    @contextlib.contextmanager
    def film_file(self, path: Path, format: str, rate: float, facts: Mapping[str, Any]) -> Iterator[FilmFile]:
        """As `film`, of frames that are added one after the other: a video may be of any length. WebM carries no
        signature."""
        manifest = self.manifest(kind="sheet", **facts)
        with tempfile.TemporaryFile(prefix="maquette-") as plain:
            film = FilmFile(plain, format, rate=rate)
            yield film
            film.close()
            plain.seek(0)
            with atomic_file(path) as stream:
                if self.signer is None or format not in signing.TYPES:
                    shutil.copyfileobj(plain, stream)
                    return
                with tempfile.TemporaryFile(prefix="maquette-") as signed:
                    signing.film_stream(plain, signed, manifest, format, self.signer)
                    signed.seek(0)
                    shutil.copyfileobj(signed, stream)

    def edited(self, content: bytes, manifest: Manifest, source: signing.Source | None) -> bytes:
        """The signed file of an image that was made from another file; `content` says what `manifest` says in XMP."""
        if self.signer is None:
            return content
        return signing.edited(content, self.format, manifest, self.signer, source=source)

    def write(self, path: Path, content: bytes, manifest: Manifest) -> Manifest:
        """A new file; or the one that is there, if it shows the same pixels made in the same way."""
        before = _before(path)
        if before is not None and _same(before, content, manifest):
            if self.signer is None or b"jumdc2pa" in before:
                return _said(before) or manifest
            write_bytes(path, content)  # the same image, which was not signed yet
            return manifest
        write_new(path, content)
        return manifest


def _is_unfit(error: MaquetteError) -> bool:
    """Whether an image cannot carry a mark (which is no reason not to write it)."""
    from maquette.trust.watermark import UnfitError

    return isinstance(error, UnfitError)


def _before(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST_SOURCE else None


def _same(before: bytes, content: bytes, manifest: Manifest) -> bool:
    said = _said(before)
    return said is not None and said.same_image(manifest) and np.array_equal(pixels_of(before), pixels_of(content))


def _said(content: bytes) -> Manifest | None:
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(content)) as picture:
            return metadata.read(picture).manifest
    except (OSError, ValueError, SyntaxError):
        return None


def pixels_of(content: bytes) -> Image:
    """The pixels of a file that this program has just written, or wrote before."""
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(content)) as picture:
        return from_pil(picture)


def through_file(picture: Image, manifest: Manifest, media: str) -> Image:
    """The pixels that a file of that kind gives back: what the format loses is lost."""
    format = next((name for name, kind in signing.TYPES.items() if kind == media), "png")
    return pixels_of(encode(embedded(picture, manifest), format))


def source_of(file: str | os.PathLike[str]) -> signing.Source | None:
    """A file that goes into an image, as an ingredient; None for kinds of files that C2PA does not know."""
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > LARGEST_SOURCE:
            raise TrustError("it is too large to be carried as the source of an image", where=path)
        content = path.read_bytes()
    except OSError as error:
        raise MaquetteError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    return source_bytes(content)


def source_bytes(content: bytes) -> signing.Source | None:
    """The same for content that was read already. The name of the file stays out: it may be personal."""
    media = media_of(content[:64])
    return signing.Source(content=content, media=media) if media else None
