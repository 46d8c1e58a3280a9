"""Digests: short words that change when the content does. SHA-256 everywhere, so that `sha256sum` agrees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bytes_digest(content: bytes | bytearray | memoryview) -> str:
    """The digest of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def content_name(content: bytes) -> str:
    """What content is called in manifests: its digest, with the kind of digest."""
    return f"sha256:{bytes_digest(content)}"


def file_digest(path: str | PathLike[str]) -> str:
    """The digest of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON in its one canonical form: keys sorted, no spaces, ASCII, finite numbers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def json_digest(value: Any) -> str:
    """The digest of a JSON value, whatever the order of its keys and the spaces in its file."""
    return bytes_digest(canonical_json(value))


def tensors_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The digest of named arrays, whatever their order and the layout of the file that holds them."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        form = canonical_json([name, array.dtype.name, list(array.shape)])
        digest.update(len(form).to_bytes(8, "little") + form)
        digest.update(little_endian(array).tobytes())
    return digest.hexdigest()


def little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """The array in the byte order of files."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
