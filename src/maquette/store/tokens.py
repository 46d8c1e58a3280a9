"""A file of images as tokens: a head in JSON, the tokens packed by an adaptive arithmetic coder, and a checksum.

    MQTOKENS | length of the head (4 bytes, least byte first) | head | packed tokens | SHA-256 of all that (32 bytes)

Tokens are what an autoencoder made of images; only the same model turns them back. Nothing in the file is believed
before the checksum fits and the head's sizes are within bounds.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError

MAGIC = b"MQTOKENS"
LARGEST = 256 << 20
"""Bytes of a file."""
LARGEST_HEAD = 16 << 20
MOST = 1 << 24
"""Tokens in a file."""
_DO = "get a fresh copy of the file, or encode the images again"
_SUM = 32


@dataclass(frozen=True)
class TokenFile:
    """Images as tokens, and which model made them."""

    model: str
    """The digest of the model file."""
    levels: tuple[int, ...]
    """Steps of each number that a token stands for; their product is how many tokens there are."""
    names: tuple[str, ...]
    tokens: NDArray[np.int32]
    """N h w."""


def pack(content: TokenFile) -> bytes:
    """The bytes of a file."""
    if len(content.names) != len(content.tokens):
        raise ValueError(f"{len(content.names)} names for the tokens of {len(content.tokens)} images")
    head = {
        "format": 1, "model": content.model, "levels": list(content.levels), "grid": list(content.tokens.shape[1:]),
        "names": list(content.names),
    }  # fmt: skip
    written = json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogatepass")
    body = _squeeze(content.tokens, content.levels)
    whole = MAGIC + len(written).to_bytes(4, "little") + written + body
    return whole + hashlib.sha256(whole).digest()


def read(path: Path) -> TokenFile:
    """The file at a path, checked."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"it has more than {LARGEST >> 20} MB, and no file of tokens does", where=path)
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    try:
        return unpack(content)
    except DataError as error:
        raise DataError(error.what, where=path, do=error.do) from None


def unpack(content: bytes) -> TokenFile:
    """The inverse of `pack`, for bytes that anybody may have written."""
    if content[:8] != MAGIC:
        raise DataError("it is no file of tokens", do="give a file that maquette encode wrote")
    if len(content) < 12 + _SUM or hashlib.sha256(content[:-_SUM]).digest() != content[-_SUM:]:
        raise DataError("the file of tokens is damaged (its checksum does not fit)", do=_DO)
    length = int.from_bytes(content[8:12], "little")
    if length > min(LARGEST_HEAD, len(content) - 12 - _SUM):
        raise DataError("the file of tokens is damaged (its head is longer than it)", do=_DO)
    model, levels, names, grid = _head(content[12 : 12 + length])
    count = len(names) * math.prod(grid)
    tokens = _expand(content[12 + length : -_SUM], levels, (len(names), *grid)) if count else _none(grid)
    return TokenFile(model, levels, names, tokens)


def _none(grid: Sequence[int]) -> NDArray[np.int32]:
    return np.zeros((0, *grid), np.int32)


def _head(content: bytes) -> tuple[str, tuple[int, ...], tuple[str, ...], tuple[int, int]]:
    try:
        head: Any = json.loads(content.decode("utf-8", "surrogatepass"))
        model, levels, names, grid = head["model"], head["levels"], head["names"], head["grid"]
        lists = isinstance(levels, list) and isinstance(names, list) and isinstance(grid, list)
        right = head["format"] == 1 and isinstance(model, str) and lists and len(grid) == 2 and 1 <= len(levels) <= 16
        right = right and all(type(n) is int and 2 <= n <= 64 for n in levels) and math.prod(levels) < 2**31
        right = right and all(type(n) is int and 1 <= n <= 4096 for n in grid)
        right = right and all(isinstance(name, str) for name in names)
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right:
        raise DataError("the head of the file of tokens cannot be read", do=_DO)
    if len(names) * math.prod(grid) > MOST:
        raise DataError(f"the file claims more than {MOST:,} tokens", do="encode fewer images into one file")
    return model, tuple(levels), tuple(names), (grid[0], grid[1])


# Packing: the digits of each token, each by how often it came where its neighbours were the same.

_TOP, _QUARTER = (1 << 32) - 1, 1 << 30
_GAIN, _LIMIT = 24, 1 << 14


class _Counts:
    """How often each digit came, by context: the digit to the left and the one above."""

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = levels
        self._rows: list[dict[int, list[int]]] = [{} for _ in levels]

    def row(self, place: int, left: int, above: int) -> list[int]:
        """The counts of this digit's values, the last number their sum."""
        size = self.levels[place]
        rows = self._rows[place]
        key = left * (size + 1) + above
        if key not in rows:
            rows[key] = [4] * size + [4 * size]
        return rows[key]

    @staticmethod
    def learn(row: list[int], digit: int) -> None:
        """Count one more."""
        row[digit] += _GAIN
        row[-1] += _GAIN
        if row[-1] > _LIMIT:
            row[:-1] = [(count + 1) // 2 for count in row[:-1]]
            row[-1] = sum(row[:-1])


def _contexts(
    digits: NDArray[np.int32], levels: Sequence[int], counts: _Counts
) -> Iterator[tuple[list[int], int, Any]]:
    """Every place in order: the counts that hold there, and where the digit is. Digits may be filled in on the way."""
    number, places, height, width = digits.shape
    table = digits.tolist()
    for image in range(number):
        planes = table[image]
        for y in range(height):
            for x in range(width):
                for place in range(places):
                    plane = planes[place]
                    left = plane[y][x - 1] if x else levels[place]
                    above = plane[y - 1][x] if y else levels[place]
                    yield counts.row(place, left, above), plane[y][x], (plane[y], x)
    digits[...] = np.asarray(table, np.int32).reshape(digits.shape)


def _digits(tokens: NDArray[np.int32], levels: Sequence[int]) -> NDArray[np.int32]:
    """N h w -> N places h w."""
    rest, found = tokens.astype(np.int64), []
    for size in levels:
        found.append(rest % size)
        rest = rest // size
    return np.stack(found, axis=1).astype(np.int32)


def _squeeze(tokens: NDArray[np.int32], levels: Sequence[int]) -> bytes:
    low, high, waiting = 0, _TOP, 0
    bits: list[int] = []
    for row, digit, _ in _contexts(_digits(tokens, levels), levels, _Counts(levels)):
        span, total = high - low + 1, row[-1]
        below = sum(row[:digit])
        high = low + span * (below + row[digit]) // total - 1
        low = low + span * below // total
        _Counts.learn(row, digit)
        while True:
            if high < 2 * _QUARTER:
                bits += [0] + [1] * waiting
                waiting = 0
            elif low >= 2 * _QUARTER:
                bits += [1] + [0] * waiting
                waiting, low, high = 0, low - 2 * _QUARTER, high - 2 * _QUARTER
            elif low >= _QUARTER and high < 3 * _QUARTER:
                waiting, low, high = waiting + 1, low - _QUARTER, high - _QUARTER
            else:
                break
            low, high = 2 * low, 2 * high + 1
    bits += [0] + [1] * (waiting + 1) if low < _QUARTER else [1] + [0] * (waiting + 1)
    return np.packbits(np.array(bits, np.uint8)).tobytes()


def _expand(body: bytes, levels: Sequence[int], shape: tuple[int, int, int]) -> NDArray[np.int32]:
    bits = iter(np.unpackbits(np.frombuffer(body, np.uint8)).tolist())
    code = 0
    for _ in range(32):
        code = 2 * code + next(bits, 0)
    low, high = 0, _TOP
    number, height, width = shape
    digits = np.zeros((number, len(levels), height, width), np.int32)
    for row, _, (line, x) in _contexts(digits, levels, _Counts(levels)):
        span, total = high - low + 1, row[-1]
        aim = ((code - low + 1) * total - 1) // span
        digit, below = 0, 0
        while digit < len(row) - 2 and below + row[digit] <= aim:
            below += row[digit]
            digit += 1
        high = low + span * (below + row[digit]) // total - 1
        low = low + span * below // total
        line[x] = digit
        _Counts.learn(row, digit)
        while True:
            if high < 2 * _QUARTER:
                pass
            elif low >= 2 * _QUARTER:
                low, high, code = low - 2 * _QUARTER, high - 2 * _QUARTER, code - 2 * _QUARTER
            elif low >= _QUARTER and high < 3 * _QUARTER:
                low, high, code = low - _QUARTER, high - _QUARTER, code - _QUARTER
            else:
                break
            low, high, code = 2 * low, 2 * high + 1, 2 * code + next(bits, 0)
    places = np.array([math.prod(levels[:at]) for at in range(len(levels))], np.int64).reshape(1, -1, 1, 1)
    return np.asarray((digits * places).sum(axis=1), np.int32)
