"""What an image file says beside its pixels, and what of it is true of an image that was made from it.

`kept` runs in a decoding worker, on files nobody vouches for; `for_saving` turns its answer into what Pillow writes.
Pixels come out of decoding upright and in sRGB, so the orientation and the colour profile are not handed on; nor is the
thumbnail, which would show the image as it was, nor the size.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image as Pillow

MOST = 128 << 10
"""Bytes of one block that are kept; the worker's answers are short."""
_ORIENTATION, _SOFTWARE, _XMP = 0x0112, 0x0131, 0x02BC
_FORGOTTEN = (
    0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011A, 0x011B, 0x011C, 0x0128,
    0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x0152, 0x0153, 0x02BC, 0x8773, 0xC4A5,
)  # fmt: skip
"""Tags of TIFF that describe how its own pixels lie, its profile and its packets: not true of another file."""
_INNER = (0x8769, 0x8825)
"""Where the camera's data and the place are."""
_INNER_FORGOTTEN = (0xA001, 0xA002, 0xA003, 0xA005, 0x927C)
"""Colour space, sizes, and what points to other places in the old file (a maker's note does)."""


def kept(content: bytes) -> dict[str, Any]:
    """The blocks worth keeping, as text; nothing where the file says nothing that can be read."""
    try:
        with Pillow.open(io.BytesIO(content)) as picture:
            exif, found = picture.getexif(), picture.info
            answer: dict[str, Any] = {}
            dpi = found.get("dpi")
            if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(side) < 1e5 for side in dpi):
                answer["dpi"] = [round(float(side), 3) for side in dpi]
            xmp = found.get("xmp", found.get("XML:com.adobe.xmp", b""))
            xmp = xmp.encode() if isinstance(xmp, str) else xmp
            if isinstance(xmp, bytes) and 0 < len(xmp) <= MOST:
                answer["xmp"] = base64.b64encode(_upright(xmp)).decode()
            block = _exif(exif)
            if 0 < len(block) <= MOST:
                answer["exif"] = base64.b64encode(block).decode()
            return answer
    except Exception:  # whatever a hostile block does to its reader, it costs the block, not the image
        return {}


def _upright(xmp: bytes) -> bytes:
    return re.sub(rb'(tiff:Orientation(?:="|>))[2-8]', rb"\g<1>1", xmp)


def _exif(exif: Any) -> bytes:
    for tag in _FORGOTTEN:
        if tag in exif:
            del exif[tag]
    if _ORIENTATION in exif:
        exif[_ORIENTATION] = 1
    clean = Pillow.Exif()
    for tag, value in exif.items():
        if tag not in _INNER:
            clean[tag] = value
    for part in _INNER:
        inner = {tag: value for tag, value in exif.get_ifd(part).items() if tag not in _INNER_FORGOTTEN}
        if inner:
            clean.get_ifd(part).update(inner)
    return bytes(clean.tobytes()) if len(clean) or any(clean.get_ifd(part) for part in _INNER) else b""


def for_saving(blocks: Mapping[str, Any], format: str, software: str) -> dict[str, Any]:
    """Arguments for Pillow's `save`: the blocks that this format can carry, with the program that wrote the file."""
    arguments: dict[str, Any] = {}
    if "dpi" in blocks and format in ("png", "jpeg", "tiff"):
        arguments["dpi"] = tuple(blocks["dpi"])
    if "exif" in blocks:
        exif = Pillow.Exif()
        exif.load(base64.b64decode(blocks["exif"]))
        exif[_SOFTWARE] = software
        arguments["exif"] = exif.tobytes() if format != "tiff" else exif
        if format == "tiff" and any(exif.get_ifd(part) for part in _INNER):
            arguments["compression"] = None  # Pillow writes the inner blocks without compression alone
    if "xmp" in blocks:
        xmp = base64.b64decode(blocks["xmp"])
        if format in ("jpeg", "webp", "avif"):
            arguments["xmp"] = xmp
        elif format == "png":
            from PIL.PngImagePlugin import PngInfo

            arguments["pnginfo"] = PngInfo()
            arguments["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        elif format == "tiff":
            arguments.setdefault("exif", Pillow.Exif())[_XMP] = xmp
    return arguments
