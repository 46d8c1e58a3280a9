"""Reading one file that nobody vouches for: signature, metadata and watermark, and what they come to together.

This runs in a worker process with limits (`trust.worker`), because the decoders and the signature library are native
code: a file that crashes them or makes them hang costs that file alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from maquette.core.errors import DataError, TrustError, UsageError
from maquette.core.image import Image, from_pil
from maquette.trust import certificates as x
from maquette.trust import chain, dicom, metadata, reading, verdict
from maquette.trust import marks as marking
from maquette.trust.keys import Anchor
from maquette.trust.manifest import LABEL, Manifest

LARGEST_FILE = 4 << 30
MOST_PIXELS = 1 << 26
_HEAD = 132
_CLAIMED = 200
_PIECE = 60_000


@dataclass(frozen=True)
class Trust:
    """Whom to believe, made ready once for many files."""

    anchors: Sequence[Anchor]
    context: Any

    @classmethod
    def of(cls, anchors: Sequence[Anchor]) -> Trust:
        """The library's context for these authorities."""
        authorities = [anchor.pem for anchor in anchors if not anchor.leaf]
        return cls(tuple(anchors), reading.reading(authorities, [a.pem for a in anchors if a.leaf]))


@dataclass
class _Pixels:
    """What could be read of the picture itself."""

    readable: bool = False
    reason: str = ""
    damaged: bool = False
    said: metadata.Said = field(default_factory=metadata.Said)
    image: Image | None = None


def inspect_file(path: str, trust: Trust) -> dict[str, Any]:
    """Everything `verify` says about one file."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        return _report(verdict.Seen(readable=False, reason=f"it cannot be read ({_reason(error)})"))
    with os.fdopen(handle, "rb") as stream:
        form = os.fstat(handle)
        if not stat.S_ISREG(form.st_mode):
            return _report(verdict.Seen(readable=False, reason="it is not a plain file"))
        if form.st_size > LARGEST_FILE:
            return _report(verdict.Seen(readable=False, reason="it is larger than 4 GB"))
        try:
            if dicom.is_dicom(stream.read(_HEAD)):
                return _of_dicom(Path(path), stream, trust)
            stream.seek(0)
            return inspect(stream, trust)
        except OSError as error:
            return _report(verdict.Seen(readable=False, reason=f"it cannot be read ({_reason(error)})"))


def inspect(stream: IO[bytes], trust: Trust, *, look: bool = True) -> dict[str, Any]:
    """The same for an open file. The watermark, which takes longest, is not looked for without `look`."""
    media = reading.media_of(stream.read(_HEAD))
    if not media:
        return _report(verdict.Seen(readable=False, reason="it is not an image or a film"))
    stream.seek(0)
    found = reading.read(stream, media, trust.context)
    stream.seek(0)
    pixels = _pixels(stream, media)
    if found.trouble and not _holds_block(stream):
        found = reading.Found(there=False)  # the container is odd, but nothing in it was ever signed
    manifest, trouble = _manifest(found)
    if reading.assertion(found.said, LABEL) is not None and not _verbatim(stream, media, found.store):
        found = replace(found, codes=(*found.codes, "assertion.hashedURI.mismatch"))
    signed_by = chain.certificates(found.store, found.label) if found.store else []
    anchor = chain.believed(signed_by, trust.anchors)
    told = found.said.get("signature_info") or {}
    whole = found.there and not found.trouble and not any(verdict.breaks(code) for code in found.codes)
    marked = [one for one in (manifest, *_before(found)) if one is not None and one.mark]
    watermark, mark = _mark(pixels.image, marked, whole, look and (bool(marked) or not whole))
    seen = verdict.Seen(
        readable=pixels.readable, reason=pixels.reason, damaged=pixels.damaged,
        signed=found.there, codes=found.codes, trouble=found.trouble,
        signer=x.name_of(signed_by[0]) if signed_by else _text(told.get("common_name") or told.get("issuer")),
        anchor=anchor.name if anchor else "", own=bool(anchor and anchor.own),
        revoked=bool(anchor and signed_by and signed_by[0].serial_number in anchor.revoked),
        maker=manifest.maker if manifest else "", what=_WHAT.get(_source(found), "") if found.there else "",
        metadata=_layer(pixels.said, manifest), watermark=watermark,
        chance=float(mark.get("p_value", 1.0)),
    )  # fmt: skip
    report = _report(seen, found, pixels.said, manifest, trouble)
    return {**report, **({"watermark": mark} if mark else {}), "media": media}


def _of_dicom(path: Path, stream: IO[bytes], trust: Trust) -> dict[str, Any]:
    """DICOM files cannot be signed: what the file says, and what the signed image that it names says of it."""
    stream.seek(0)
    content = stream.read(dicom.LARGEST + 1)
    try:
        bound = dicom.bound(content, path)
    except (TrustError, UsageError) as error:
        return _report(verdict.Seen(readable=False, reason=error.what))
    if bound is None:
        words = "DICOM files cannot be signed, and this one names no signed image: nothing is known of its origin"
        return {**_report(verdict.Seen(readable=True, beside=words)), "media": dicom.MEDIA}
    differs = ""
    beside = "it says that a model made it, which anybody can write; the signed image that it names is not beside it"
    if bound.partner is not None:
        name = bound.partner.name
        differs = f"{'; '.join(bound.differs)} ({name} beside it)" if bound.differs else ""
        told = inspect_file(str(bound.partner), trust)
        beside = (
            f"DICOM files cannot be signed; its pixels and manifest are those of {name} beside it, which is "
            f"{told['status']} ({told['words']}); its other elements are not covered"
        )
    layer: verdict.Layer = "broken" if bound.manifest is None else "present"
    seen = verdict.Seen(readable=True, metadata=layer, beside=beside, differs=differs)
    return {**_report(seen, said=metadata.Said(manifest=bound.manifest)), "media": dicom.MEDIA}


def _report(
    seen: verdict.Seen,
    found: reading.Found | None = None,
    said: metadata.Said | None = None,
    manifest: Manifest | None = None,
    trouble: str = "",
) -> dict[str, Any]:
    report = verdict.judge(seen)
    extra: dict[str, Any] = {}
    if found is not None and found.there:
        extra["source"] = _source(found)
        extra["tool"] = _tool(found)
        extra["signed_by"] = seen.signer
        extra["time_stamp"] = _text((found.said.get("signature_info") or {}).get("time"))
        extra["changes"] = sorted({code for code in found.codes if verdict.breaks(code)})[:20]
        extra["parents"] = [_parent(one) for one in found.parents]
    if said is not None and said.there:
        extra["metadata"] = metadata.without_manifest(said)
    shown = manifest or (said.manifest if said else None)
    if shown is not None:
        extra["manifest"] = shown.to_json()
        extra["manifest_from"] = "signature" if manifest else "metadata"
    if trouble:
        extra["manifest_trouble"] = trouble
    return {**report, **{key: value for key, value in extra.items() if value}}


def _pixels(stream: IO[bytes], media: str) -> _Pixels:
    if media.startswith("video/") or media == "image/heic":
        return _Pixels(readable=True)
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(stream) as picture:
                said = metadata.read(picture)
                if picture.width * picture.height > MOST_PIXELS:
                    return _Pixels(reason="it has too many pixels to look at", said=said)
                picture.load()
                return _Pixels(readable=True, said=said, image=_image(picture))
    except MemoryError:
        return _Pixels(reason="it needs too much memory to decode")
    except Exception as error:  # a hostile file can raise anything in a decoder
        words = reading.plain_error(error) if isinstance(error, (OSError, SyntaxError, DataError)) else ""
        reason = f"the image is damaged ({words[:120]})" if words else "the image is damaged"
        return _Pixels(reason=reason, damaged=True)


def _image(picture: Any) -> Image | None:
    """The pixels, where they are of a mode that can carry a mark."""
    try:
        return from_pil(picture)
    except DataError:
        return None


def _mark(
    image: Image | None, marked: Sequence[Manifest], whole: bool, look: bool
) -> tuple[verdict.Layer, dict[str, Any]]:
    """The watermark, looked for where something could be learned from it. `marked` are the manifests that name one.

    Under a whole signature the image is as it was signed, so its mark is looked for at its own place first.
    """
    if image is None or not look:
        return "absent", {}
    found = marking.look(image, marked if whole else ())
    if not found.present:
        return "absent", {"p_value": found.p_value}
    told = {"p_value": found.p_value, "mark": found.payload.hex() if found.payload else "", "how": found.kind}
    broken = bool(marked) and found.payload is not None and found.payload.hex() not in {one.mark for one in marked}
    return "broken" if broken else "present", told


def _holds_block(stream: IO[bytes]) -> bool:
    """Whether the words of a signed block stand anywhere in the first 64 MB."""
    stream.seek(0)
    before = b""
    for _ in range(64):
        piece = stream.read(1 << 20)
        if b"jumbf" in before + piece or b"jumdc2pa" in before + piece:
            return True
        if not piece:
            return False
        before = piece[-16:]
    return False


def _verbatim(stream: IO[bytes], media: str, store: bytes) -> bool:
    """Whether the signed block stands in the file byte for byte as the library understood it.

    The library overlooks bits of a box's description that mean nothing to it, and hashes what it understood. (A JPEG
    keeps a block of more than 64 kB in pieces, which are not looked at here.)
    """
    if media == "image/jpeg" and len(store) > _PIECE:
        return True
    stream.seek(0)
    if media == "image/gif":
        return _gif_block(stream.read(1 << 28)) == store
    before = b""
    while piece := stream.read(max(1 << 22, len(store))):
        if store in before + piece:
            return True
        before = piece[-len(store) :]
    return False


def _gif_block(content: bytes) -> bytes:
    """The signed block of a GIF, which keeps it in pieces of at most 255 bytes, each after its length."""
    head = b"!\xff\x0bC2PA_GIF\x01\x00\x00"
    at = content.find(head) + len(head)
    pieces = []
    while at >= len(head) and at < len(content) and content[at]:
        pieces.append(content[at + 1 : at + 1 + content[at]])
        at += 1 + content[at]
    return b"".join(pieces)


def _manifest(found: reading.Found) -> tuple[Manifest | None, str]:
    """Maquette's own manifest in the signed block, if there is one that can be read."""
    data = reading.assertion(found.said, LABEL)
    if data is None:
        return None, ""
    try:
        return Manifest.from_json(data), ""
    except TrustError as error:
        return None, error.what


def _layer(said: metadata.Said, signed: Manifest | None) -> verdict.Layer:
    """Metadata are whole when they can be read and say what the signed manifest says."""
    if not said.there:
        return "absent"
    if said.trouble or (signed is not None and said.manifest != signed):
        return "broken"
    return "present"


_WHAT = {
    "trainedAlgorithmicMedia": "made by a model", "compositeWithTrainedAlgorithmicMedia": "made of other media",
    "digitalCapture": "taken by a camera", "algorithmicMedia": "made by a program",
}  # fmt: skip


def _source(found: reading.Found) -> str:
    """The IPTC term of the first action that has one."""
    for action in reading.actions(found.said):
        source = _text(action.get("digitalSourceType"))
        if source:
            return source.removeprefix(metadata.SOURCE_TYPES)
    return ""


def _tool(found: reading.Found) -> str:
    made = found.said.get("claim_generator_info")
    first = made[0] if isinstance(made, list) and made and isinstance(made[0], Mapping) else {}
    return f"{_text(first.get('name'))} {_text(first.get('version'))}".strip() or _text(
        found.said.get("claim_generator")
    )


def _before(found: reading.Found) -> list[Manifest]:
    """The manifests of what went in, as far as they are Maquette's."""
    manifests = []
    for said in found.parents:
        with contextlib.suppress(TrustError):
            manifests.append(Manifest.from_json(reading.assertion(said, LABEL)))
    return manifests


def _parent(said: Mapping[str, Any]) -> dict[str, Any]:
    told = said.get("signature_info") or {}
    report: dict[str, Any] = {"signed_by": _text(told.get("common_name") or told.get("issuer"))}
    with contextlib.suppress(TrustError):
        report["manifest"] = Manifest.from_json(reading.assertion(said, LABEL)).to_json()
    sources = [_text(action.get("digitalSourceType")) for action in reading.actions(said)]
    report["source"] = next((s.removeprefix(metadata.SOURCE_TYPES) for s in sources if s), "")
    return {key: value for key, value in report.items() if value}


def _text(value: Any) -> str:
    return " ".join(value.split())[:_CLAIMED] if isinstance(value, str) else ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
