"""Colour images of 16 bits a channel, which Pillow cannot hold: read from PNG and TIFF, written as PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError

Deep = NDArray[np.uint16]
_PNG = b"\x89PNG\r\n\x1a\n"
_COLOUR, _WITH_ALPHA, _GREY_WITH_ALPHA = 2, 6, 4
_LEVEL = 3


def is_deep(content: bytes, bits: Any = ()) -> bool:
    """Whether a file holds colours, or grey with alpha, of 16 bits; `bits` are what a TIFF says of its samples."""
    if content[:8] == _PNG:
        return len(content) > 26 and content[24] == 16 and content[25] in (_COLOUR, _WITH_ALPHA, _GREY_WITH_ALPHA)
    return content[:2] in (b"II", b"MM") and tuple(bits) in ((16, 16, 16), (16, 16, 16, 16))


def decode(content: bytes) -> Deep | None:
    """The pixels, height x width x 3 or 4, straight alpha; None where the reader knows no such file."""
    import cv2

    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3 or found.shape[2] not in (3, 4):
        return None
    order = [2, 1, 0, 3][: found.shape[2]]
    return np.ascontiguousarray(found[..., order], np.uint16)


def encode(image: Deep, **said: Any) -> bytes:
    """A PNG of 16 bits a channel; `said` goes in as Pillow writes it, around pixels of our own."""
    import io

    from PIL import Image as Pillow

    height, width, channels = image.shape
    if channels not in (3, 4) or image.dtype != np.uint16:
        raise DataError(f"an array of shape {image.shape} and type {image.dtype} is no colour image of 16 bits")
    stream = io.BytesIO()
    Pillow.new("RGBA" if channels == 4 else "RGB", (1, 1)).save(stream, "PNG", **said)
    parts = [_PNG]
    for name, body in _chunks(stream.getvalue()):
        if name == b"IHDR":
            body = (
                struct.pack(">II", width, height) + bytes([16, _WITH_ALPHA if channels == 4 else _COLOUR]) + body[10:]
            )
        if name == b"IDAT":
            body = _pixels(image)
        parts += [struct.pack(">I", len(body)), name, body, struct.pack(">I", zlib.crc32(name + body))]
    return b"".join(parts)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += length + 12


def _pixels(image: Deep) -> bytes:
    """All rows, compressed; each as the differences to the row above, which compress well."""
    rows = image.astype(">u2").reshape(len(image), -1).view(np.uint8)
    lines = np.empty((len(image), 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 2
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return zlib.compress(lines.tobytes(), _LEVEL)
