"""Reading what C2PA is made of: JUMBF boxes and CBOR, from files that anybody may have written. Every step is bounded.

The C2PA library tells what stands in a signed block as JSON of its own making, which is not always what stands there:
a list of small whole numbers, for example, comes as text. What matters is read from the block itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_DEPTH = 12
_MOST_BOXES = 10_000
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None}


def cbor(content: bytes) -> Any:
    """The value that these bytes of CBOR begin with; ValueError when they are none."""
    try:
        return _read(content, 0, 0)[0]
    except (TypeError, struct.error) as error:  # a key that is a list; a number that is cut off
        raise ValueError(str(error)) from None


def boxes(content: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """The content boxes of a JUMBF superbox, each with the labels that lead to it."""
    waiting: list[tuple[int, int, tuple[str, ...]]] = [(0, len(content), ())]
    seen = 0
    while waiting:
        at, end, path = waiting.pop()
        name = None
        while end - at >= 8:
            seen += 1
            if seen > _MOST_BOXES:
                raise ValueError("too many boxes")
            size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
            size = size or end - at
            if size < 8 or at + size > end:
                raise ValueError("a box ends outside the one that holds it")
            if kind == b"jumd":
                name = content[at + 25 : at + size].split(b"\0")[0].decode("utf-8", "replace")
            elif kind == b"jumb" and len(path) < _DEPTH:
                waiting.append((at + 8, at + size, path if name is None else (*path, name)))
            elif name is not None:
                yield (*path, name), content[at + 8 : at + size]
            at += size


def _read(content: bytes, at: int, depth: int) -> tuple[Any, int]:
    """One value of CBOR and where the next begins."""
    if depth > _DEPTH or at >= len(content):
        raise ValueError("CBOR that is too deep, or cut off")
    major, low = content[at] >> 5, content[at] & 31
    at += 1
    if major == 7:
        return _simple(content, at, low)
    if low < 24:
        value = low
    elif low < 28:
        width = 1 << (low - 24)
        value, at = int.from_bytes(content[at : at + width]), at + width
    else:
        raise ValueError("CBOR of a length that is not known")
    if major in (2, 3):
        if at + value > len(content):
            raise ValueError("CBOR that is cut off")
        text = content[at : at + value]
        return (text if major == 2 else text.decode()), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = _read(content, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        table: dict[Any, Any] = {}
        for _ in range(value):
            key, at = _read(content, at, depth + 1)
            table[key], at = _read(content, at, depth + 1)
        return table, at
    if major == 6:
        return _read(content, at, depth + 1)
    return (value if major == 0 else -1 - value), at


def _simple(content: bytes, at: int, low: int) -> tuple[Any, int]:
    """False, true, nothing, or a number of 2, 4 or 8 bytes."""
    if low in _FLOATS:
        return struct.unpack_from(_FLOATS[low], content, at)[0], at + (1 << (low - 24))
    return _CONSTANTS.get(low), at + (low == 24)
