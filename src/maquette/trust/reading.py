"""Reading C2PA signatures of files that anybody may have written, and asking no network."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from maquette.trust.boxes import boxes, cbor
from maquette.trust.manifest import LABEL

MEDIA = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".gif": "image/gif", ".heic": "image/heic", ".heif": "image/heif",
    ".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime", ".dcm": "application/dicom",
}  # fmt: skip
"""What can be verified, by the ending of its name."""
OFFLINE = {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False}


def media_of(head: bytes) -> str:
    """What kind of file it is, by its first bytes; empty when it is none of those that can be verified."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "image/tiff"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "image/avif"
        if brand in (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"hevc"):
            return "image/heic"
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    return ""


def plain_error(error: Exception) -> str:
    """What the library says, as one short line."""
    words = re.sub(r" ?<[^<>]*>", "", str(error))  # objects by their addresses, which tell nobody anything
    return " ".join(words.split())[:200] or type(error).__name__


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the library says about the signature of a file, before anybody is believed."""

    there: bool
    codes: tuple[str, ...] = ()
    """The codes of what failed in the file's own manifest."""
    trouble: str = ""
    """Why it could not be read at all."""
    state: str = ""
    store: bytes = b""
    """The signed block itself."""
    label: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    """The file's own manifest as the library tells it."""
    parents: tuple[Mapping[str, Any], ...] = ()
    """Those of the files that went into it, the nearest first."""


def read(stream: IO[bytes], media: str, context: Any) -> Found:
    """Read the signature of an open file. Whatever the file holds, this returns (or the process dies)."""
    import c2pa

    try:
        with c2pa.Reader(media, stream, context=context) as reader:
            told = json.loads(reader.json())
            label = str(told["active_manifest"])
            store = io.BytesIO()
            reader.resource_to_stream(label, store)
            _put_right(told["manifests"], store.getvalue())
            own = told["manifests"][label]
            results = told.get("validation_results") or {}
            failures = (results.get("activeManifest") or {}).get("failure") or []
            codes = [str(one.get("code", "")) for one in failures]
            codes += [f"ingredient:{code}" for code in _of_ingredients(results)]
            return Found(
                there=True, codes=tuple(codes), state=str(reader.get_validation_state()), store=store.getvalue(),
                label=label, said=own, parents=tuple(_parents(told["manifests"], own)),
            )  # fmt: skip
    except c2pa.C2paError.ManifestNotFound:
        return Found(there=False)
    except Exception as error:  # hostile files bring out errors of many kinds
        return Found(there=True, trouble=plain_error(error), state="Invalid")


def _put_right(manifests: Mapping[str, Any], store: bytes) -> None:
    """Maquette's own manifests as they stand in the block, where the library may tell them otherwise."""
    try:
        found = {path[1]: body for path, body in boxes(store) if len(path) == 4 and path[3] == LABEL}
    except ValueError:
        found = {}
    for label, said in manifests.items():
        for one in said.get("assertions") or []:
            if isinstance(one, dict) and one.get("label") == LABEL:
                one["data"] = _value(found.get(label, b""))


def _value(content: bytes) -> Any:
    try:
        return cbor(content)
    except ValueError:
        return {}  # which is no manifest


def _of_ingredients(results: Mapping[str, Any]) -> list[str]:
    deltas = results.get("ingredientDeltas") or []
    return [str(f.get("code", "")) for d in deltas for f in (d.get("validationDeltas") or {}).get("failure") or []]


def _parents(manifests: Mapping[str, Any], own: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The manifests of what went in, the nearest first; each once, however they refer to each other."""
    found: dict[str, Mapping[str, Any]] = {}
    waiting = [own]
    while waiting and len(found) < 100:
        for ingredient in waiting.pop(0).get("ingredients") or []:
            label = str(ingredient.get("active_manifest", ""))
            if label in manifests and label not in found:
                found[label] = manifests[label]
                waiting.append(manifests[label])
    return list(found.values())


def reading(anchors: Sequence[str], allowed: Sequence[str]) -> Any:
    """The library's context that believes these authorities and these very certificates, and asks no network."""
    import c2pa

    trust = {"user_anchors": "".join(anchors), "allowed_list": "".join(allowed)}
    return c2pa.Context.from_dict(
        {"version": 1, "trust": {key: text for key, text in trust.items() if text}, "verify": OFFLINE}
    )


def assertion(said: Mapping[str, Any] | None, label: str) -> Any:
    """The data of an assertion in a manifest, or None."""
    for one in (said or {}).get("assertions") or []:
        if isinstance(one, Mapping) and one.get("label") == label:
            return one.get("data")
    return None


def actions(said: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """What a manifest says was done, in order."""
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        data = assertion(said, label)
        if isinstance(data, Mapping) and isinstance(data.get("actions"), list):
            return [one for one in data["actions"] if isinstance(one, Mapping)]
    return []
