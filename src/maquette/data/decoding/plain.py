"""Small files of the plainest kind, by a shorter way to the same pixels. Runs inside a decoding worker.

Of a small image, Pillow spends more time on the way to the pixels than on the pixels. OpenCV calls the same libraries
in one step. It is asked only where nothing has to be understood: PNG of 8 bits, grey or RGB, without transparency,
profile or orientation, and baseline JPEG with nothing but a JFIF head. Whatever else a file holds, and whatever is
wrong with it, is for the long way in data/decoding/picture.py.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.data.origin import jpeg_quality

_LARGEST = 256 * 256
"""Pixels up to which the way matters; of more, Pillow's libraries are faster."""
_GREY = {1: cv2.IMREAD_GRAYSCALE, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
         8: cv2.IMREAD_REDUCED_GRAYSCALE_8}  # fmt: skip
_COLOUR = {1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
           8: cv2.IMREAD_REDUCED_COLOR_8}  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_JFIF, _NAME = b"\xff\xd8\xff\xe0", b"JFIF\0"
_UNDERSTOOD = (b"IDAT", b"pHYs", b"sRGB", b"tIME")
"""Chunks of PNG: the pixels, and some that change none."""
_TABLES, _FRAME, _HUFFMAN, _COMMENT, _SCAN, _END = 0xDB, 0xC0, 0xC4, 0xFE, 0xDA, b"\xff\xd9"
_MARKER = re.compile(rb"\xff(?!\0)")
"""What is no pixel among pixels; sought, it costs a third of counting both."""
_CHUNK, _HEADER, _SIZES = struct.Struct(">I4s"), struct.Struct(">IIBBBBB"), struct.Struct(">BHHB")


@dataclass(frozen=True)
class Plain:
    """What a plain file says of itself."""

    format: str
    width: int
    height: int
    channels: int
    """1 or 3."""
    quality: int = 0


def look(content: bytes) -> Plain | None:
    """What a file says of itself if it is plain; nothing else can be in it."""
    if content.startswith(_PNG):
        return _png(content)
    return _jpeg(content) if content.startswith(_JFIF) else None


def pixels(content: bytes, plain: Plain, reduction: int = 1) -> NDArray[np.uint8] | None:
    """Its pixels (height x width x channels), of a JPEG at an integer part of its size.

    None where the long way is no longer, or where something is wrong with the file.
    """
    width, height = -(-plain.width // reduction), -(-plain.height // reduction)
    if width * height > _LARGEST:
        return None
    flags = (_GREY if plain.channels == 1 else _COLOUR)[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found: Any = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    if found is None or found.shape[:2] != (height, width) or found.dtype != np.uint8:
        return None
    if reduction > 1 and plain.channels == 3:  # OpenCV has no reduced reading in the order red, green, blue.
        found = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
    return np.asarray(found.reshape(height, width, plain.channels))


def _png(content: bytes) -> Plain | None:
    """Whether the pixels of a PNG are all there and whole, libpng says."""
    if len(content) < 33:
        return None
    width, height, bits, colour, *rest = _HEADER.unpack_from(content, 16)
    if bits != 8 or colour not in (0, 2) or any(rest) or not 0 < width * height <= _LARGEST:
        return None
    at = 33
    while at + 12 <= len(content):
        length, kind = _CHUNK.unpack_from(content, at)
        at += 12 + length
        if kind == b"IEND":
            return Plain("PNG", width, height, 1 if colour == 0 else 3) if at == len(content) else None
        if kind not in _UNDERSTOOD:
            return None
    return None


def _jpeg(content: bytes) -> Plain | None:
    if content[6:11] != _NAME or not content.endswith(_END):
        return None
    tables: dict[int, bytes] = {}
    size: tuple[int, int, int] | None = None
    at = 2 + 2 + int.from_bytes(content[4:6], "big")
    while at + 4 <= len(content) and content[at] == 0xFF:
        kind, end = content[at + 1], at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if kind == _SCAN:
            # A marker among the pixels is damage, for which Pillow has other rules than OpenCV.
            whole = _MARKER.search(content, end, len(content) - 2) is None
            return Plain("JPEG", *size, jpeg_quality(tables)) if whole and size else None
        if kind == _TABLES:
            for start in range(at + 4, end, 65):
                if content[start : start + 1] > b"\x0f" or start + 65 > end:
                    return None
                tables[content[start]] = content[start + 1 : start + 65]
        elif kind == _FRAME and size is None and at + 10 <= len(content):
            bits, height, width, channels = _SIZES.unpack_from(content, at + 4)
            if bits != 8 or channels not in (1, 3) or not width * height:
                return None
            size = width, height, channels
        elif kind not in (_HUFFMAN, _COMMENT):
            return None
        at = end
    return None
