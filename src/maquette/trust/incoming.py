"""What images that are to be learned from say of themselves: where they came from, and whether they may be trained on.

Runs in a decoding worker, on files that nobody vouches for. A wish not to be trained on is heard whoever says it and
whether or not its signature is whole: hearing it costs an image, overhearing it costs trust.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from maquette.trust import metadata, reading
from maquette.trust.reading import media_of

_SIGNED = b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
_PACKETS = (b"adobe:ns:meta", b"XML:com.adobe.xmp", b"ns.useplus.org")
"""Bytes without which a file says nothing of the kind: the type that every signed block begins with, and names of XMP.
Looking for them costs microseconds (the longer they are, the fewer), reading it all does not.
"""
_HEAD = 1 << 20
_LABELS = ("cawg.training-mining", "c2pa.training-mining")
_USES = ("ai_generative_training", "ai_training", "data_mining")
_FORBIDDEN = ("notAllowed", "constrained")


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What one file says."""

    source: str = ""
    """How it came to be, as an IPTC term: trainedAlgorithmicMedia, digitalCapture and so on."""
    signed: bool = False
    """Whether a signed block is there (whole or not)."""
    training: str = ""
    """Which mark forbids training; empty when none does."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without what was not said."""
        found = {"source": self.source, "signed": self.signed, "training": self.training}
        return {key: value for key, value in found.items() if value}


_SILENT = Marks()


def incoming(source: bytes | BinaryIO) -> Marks:
    """What a file says of its origin and of training. Whatever it holds, this returns."""
    if not isinstance(source, bytes):
        head = source.read(_HEAD)
        source.seek(0)
        if not _may_say(head, head):
            return _SILENT
    elif not _may_say(source, _before_scan(source)):
        return _SILENT
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    media = media_of(stream.read(64))
    stream.seek(0)
    said = metadata.Said() if media.startswith("video/") else _said(stream)
    stream.seek(0)
    found = reading.read(stream, media, _context()) if media else reading.Found(there=False)
    stream.seek(0)
    return Marks(
        source=_signed_source(found) or said.source, signed=found.there and not found.trouble,
        training=_forbidden(found) or said.training,
    )  # fmt: skip


def _may_say(content: bytes, start: bytes) -> bool:
    return _SIGNED in content or any(name in start for name in _PACKETS)


def _before_scan(content: bytes) -> bytes:
    """Of a JPEG all segments before the compressed pixels, where XMP stands; of other files all."""
    if content[:2] != b"\xff\xd8":
        return content
    place = 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] not in (b"\xda", b"\xff", b""):
        place += 2 + max(2, int.from_bytes(content[place + 2 : place + 4], "big"))
    return content[:place] if content[place : place + 2] == b"\xff\xda" else content


@functools.cache
def _context() -> Any:
    return reading.reading([], [])


def _said(stream: BinaryIO) -> metadata.Said:
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return metadata.read(Pillow.open(stream))
    except Exception:  # the decoder says what is wrong with the file; here it says nothing
        return metadata.Said()


def _signed_source(found: reading.Found) -> str:
    for said in (found.said, *found.parents):
        for action in reading.actions(said):
            source = action.get("digitalSourceType")
            if isinstance(source, str) and source.startswith(metadata.SOURCE_TYPES):
                return source.removeprefix(metadata.SOURCE_TYPES)[:60]
    return ""


def _forbidden(found: reading.Found) -> str:
    """The first entry of an assertion that forbids what training does, in the file or in what went into it."""
    for said in (found.said, *found.parents):
        for label in _LABELS:
            data = reading.assertion(said, label)
            entries = data.get("entries") if isinstance(data, Mapping) else None
            for name, entry in entries.items() if isinstance(entries, Mapping) else ():
                use = entry.get("use") if isinstance(entry, Mapping) else entry
                if str(name).rpartition(".")[2] in _USES and use in _FORBIDDEN:
                    return f"{label}: {str(name)[:60]} {use}"
    return ""
