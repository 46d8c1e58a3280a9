"""Making image files that say where they came from: pixels, watermark, metadata, and over all of it the signature.

Two ways lead in: `generated` for what a model has just made, which takes the proof from `origin` and with it the
pixels; and `edited` for everything else, which always says that other media went in and carries them as an ingredient.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from maquette.core.errors import TrustError, UsageError
from maquette.core.image import FORMATS, Image, encode
from maquette.trust.keys import Signer
from maquette.trust.manifest import LABEL, Manifest
from maquette.trust.marks import embedded
from maquette.trust.metadata import COMPOSITE, GENERATED, extras
from maquette.trust.origin import Generated, check_generated
from maquette.trust.reading import OFFLINE, plain_error

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "tiff": "image/tiff",
         "mp4": "video/mp4", "gif": "image/gif"}  # fmt: skip
"""What can be signed."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that went into an image: its content, what kind of file it is, and a name for it (never a path)."""

    content: bytes
    media: str
    title: str = "source"


def generated(
    made: Generated, manifest: Manifest, format: str, signer: Signer | None, *, source: Source | None = None
) -> bytes:
    """The file of an image that a model has just made; `source` is the image it was given, if one was."""
    made = check_generated(made)
    if manifest.kind != ("guided" if made.guided else "sampled"):
        raise TrustError(f"the manifest says {manifest.kind}, which is not how the image came to be")
    if manifest.seed != made.seed or manifest.model != made.model:
        raise TrustError("the manifest names another seed or model than the image was made with")
    if (manifest.seeds, manifest.weights) != ((made.mix.seeds, made.mix.weights) if made.mix else ((), ())):
        raise TrustError("the manifest names another mix of seeds than the image was made with")
    content = _file(embedded(made.picture, manifest), manifest, format)
    if signer is None:
        return content
    action = _created(COMPOSITE if made.guided else GENERATED, manifest)
    used = [(source, "inputTo", "given")] if made.guided and source else []
    if used:
        action["parameters"] = {"ingredientIds": ["given"]}
    return _sign(content, format, manifest, signer, [action], used)


def edited(content: bytes, format: str, manifest: Manifest, signer: Signer, *, source: Source | None) -> bytes:
    """Sign a file (an image, or a film as `mp4`) that was made from another one, which becomes its parent.

    Without a parent (of a kind that C2PA does not know, or not safe to read) the manifest names its digest alone.
    """
    _only("edited", manifest)
    if source is None:
        return _sign(content, format, manifest, signer, [_created(COMPOSITE, manifest), *_edits(manifest)], [])
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
    return _sign(content, format, manifest, signer, [opened, *_edits(manifest)], [(source, "parentOf", "parent")])


def sheet(picture: Image, manifest: Manifest, format: str, signer: Signer | None) -> bytes:
    """The file of several images side by side. It is never called generated: a sheet may hold anything."""
    _only("sheet", manifest)
    content = _file(picture, manifest, format)
    return content if signer is None else _sign(content, format, manifest, signer, [_created(COMPOSITE, manifest)], [])


def film(content: bytes, manifest: Manifest, format: str, signer: Signer) -> bytes:
    """Sign a film of made images. Like a sheet it is never called generated; each of its frames is, by itself."""
    _only("sheet", manifest)
    return _sign(content, format, manifest, signer, [_created(COMPOSITE, manifest)], [])


def film_stream(source: BinaryIO, to: BinaryIO, manifest: Manifest, format: str, signer: Signer) -> None:
    """As `film`, from file to file."""
    _only("sheet", manifest)
    _sign_into(source, to, format, manifest, signer, [_created(COMPOSITE, manifest)], [])


def _only(kind: str, manifest: Manifest) -> None:
    if manifest.kind != kind:
        raise TrustError(f"the manifest says {manifest.kind}, and this is {kind}")


def _file(picture: Image, manifest: Manifest, format: str) -> bytes:
    if format not in FORMATS:
        raise UsageError(f"there is no file format {format!r}", do=f"there are: {', '.join(FORMATS)}")
    return encode(picture, format, **extras(manifest, format))


def _edits(manifest: Manifest) -> list[dict[str, Any]]:
    edit = {"action": "c2pa.edited", "softwareAgent": _agent(manifest), "digitalSourceType": COMPOSITE}
    steps = [{**edit, "parameters": {"org.maquette.refinement": dict(step)}} for step in manifest.refinements]
    return steps or [edit]


def _agent(manifest: Manifest) -> dict[str, str]:
    return {"name": "Maquette", "version": manifest.software.get("maquette", "0")}


def _created(source: str, manifest: Manifest) -> dict[str, Any]:
    return {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": _agent(manifest)}


def _sign(
    content: bytes,
    format: str,
    manifest: Manifest,
    signer: Signer,
    actions: Sequence[Mapping[str, Any]],
    sources: Sequence[tuple[Source, str, str]],
) -> bytes:
    signed = io.BytesIO()
    _sign_into(io.BytesIO(content), signed, format, manifest, signer, actions, sources)
    return signed.getvalue()


def _sign_into(
    content: BinaryIO,
    signed: BinaryIO,
    format: str,
    manifest: Manifest,
    signer: Signer,
    actions: Sequence[Mapping[str, Any]],
    sources: Sequence[tuple[Source, str, str]],
) -> None:
    import c2pa

    said: dict[str, Any] = {
        "claim_generator_info": [_agent(manifest)],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": list(actions)}, "created": True},
            {"label": LABEL, "data": manifest.to_json(), "created": True},
        ],
    }
    try:
        with c2pa.Builder(said, _writing()) as builder:
            for source, relation, name in sources:
                told = {"title": source.title, "relationship": relation, "label": name}
                builder.add_ingredient(told, source.media, io.BytesIO(source.content))
            builder.sign(_native(signer), TYPES[format], content, signed)
    except Exception as error:  # the library knows many kinds; none says anything of the key
        raise TrustError(f"the image could not be signed ({plain_error(error)})", do=_help(signer)) from None


def _help(signer: Signer) -> str:
    if signer.time_stamping:
        return f"check the time-stamping service {signer.time_stamping}, or maquette keys time-stamping off"
    return "check the certificate with maquette keys, or sample with --sign off"


@functools.cache
def _writing() -> Any:
    import c2pa

    return c2pa.Context.from_dict(
        {"version": 1, "builder": {"thumbnail": {"enabled": False}}, "verify": {**OFFLINE, "verify_trust": False}}
    )


@functools.lru_cache(maxsize=4)
def _native(signer: Signer) -> Any:
    """The library's own signer. An empty address of a time-stamping service must be None, or signing fails."""
    import c2pa

    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            alg=signer.algorithm.encode(), sign_cert=signer.chain.encode(), private_key=signer.key,
            ta_url=signer.time_stamping.encode() or None,
        )
    )  # fmt: skip
