"""The colour profile that says "these numbers are sRGB", for the files that are written.

Made here, byte for byte the same every time, so that the same image is the same file. (Libraries that make profiles
write the time of day into them.)
"""

from __future__ import annotations

import functools
import struct
from typing import Literal

Space = Literal["colour", "grey"]
# Primaries of sRGB adapted to D50, as profiles have them, and the curve of IEC 61966-2-1.
_PRIMARIES = {
    b"rXYZ": (0.43607, 0.22249, 0.01392), b"gXYZ": (0.38515, 0.71687, 0.09708), b"bXYZ": (0.14307, 0.06061, 0.71410),
}  # fmt: skip
_D50 = (0.96420, 1.0, 0.82491)
_ADAPTED = (1.04788, 0.02292, -0.05022, 0.02959, 0.99048, -0.01707, -0.00925, 0.01508, 0.75168)
_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def tag(channels: int, format: str) -> dict[str, bytes]:
    """What the writer of a file is told, so that the file says that its numbers are sRGB."""
    # WebP knows no grey: it holds it as colour.
    return {"icc_profile": srgb("grey" if channels == 1 and format != "webp" else "colour")}


@functools.cache
def srgb(space: Space = "colour") -> bytes:
    """An ICC profile (version 4) of sRGB, for colours or for greys with the same curve; about half a kilobyte."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(*_CURVE)
    name = "sRGB" if space == "colour" else "sRGB grey"
    tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50)}
    tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(*_ADAPTED)
    if space == "colour":
        tags |= {key: b"XYZ \0\0\0\0" + _fixed(*value) for key, value in _PRIMARIES.items()}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    else:
        tags[b"kTRC"] = curve
    start, places, body = 128 + 4 + 12 * len(tags), {}, b""
    table = b""
    for key, content in tags.items():
        if content not in places:  # the three curves are one
            places[content] = (start + len(body), len(content))
            body += content + bytes(-len(content) % 4)
        table += key + struct.pack(">II", *places[content])
    size = start + len(body)
    signature = b"RGB " if space == "colour" else b"GRAY"
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04200000, b"mntr", signature, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(*_D50)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body
