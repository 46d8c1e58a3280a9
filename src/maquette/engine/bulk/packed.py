"""Arrays as a task of bulk work carries them: what they are as JSON, and their bytes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[Any], bytes]:
    """The kind and shape of each, and all their bytes one after the other."""
    said = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    return said, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())


def unpack(said: Sequence[Any], body: bytes) -> dict[str, NDArray[Any]]:
    """The arrays again."""
    found: dict[str, NDArray[Any]] = {}
    whole, at = memoryview(bytearray(body)), 0  # bytes alone cannot be written to, which torch does not like
    for name, kind, shape in said:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        found[name] = np.frombuffer(whole[at : at + size], kind).reshape(shape)
        at += size
    return found
