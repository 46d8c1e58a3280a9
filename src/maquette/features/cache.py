"""Rows of features, and images that were drawn, kept on the disk under what they depend on: each is made once."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maquette.core.files import atomic_file, make_folder, write_bytes
from maquette.features.extractor import Features
from maquette.store.digest import json_digest

LIMIT = 2 << 30
"""Bytes that the cache may take; what was used longest ago goes first."""
MOST = LIMIT // 8
"""Bytes of one array that `put_array` keeps, at most: more would drive out what else is kept."""


class Cache:
    """A folder of arrays; losing it costs time only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: Mapping[str, Any]) -> Features | None:
        """What was kept under this key. A file that cannot be read counts as not kept."""
        path = self._path(key)
        try:
            rows = np.load(path, allow_pickle=False)
            path.touch()
        except (OSError, ValueError, EOFError):
            return None
        return rows if rows.ndim == 2 and rows.dtype == np.float32 else None

    def put(self, key: Mapping[str, Any], rows: Features) -> None:
        """Keep the rows, and make room for them."""
        make_folder(self.folder)
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(rows, np.float32), allow_pickle=False)
        write_bytes(self._path(key), stream.getvalue())
        self._trim()

    def array(self, key: Mapping[str, Any], shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any] | None:
        """The array of this form and kind kept under this key, read from the disk as it is looked at."""
        path = self._path(key)
        try:
            found = np.load(path, mmap_mode="c", allow_pickle=False)
            path.touch()
        except (OSError, ValueError, EOFError):
            return None
        return found if found.shape == shape and found.dtype == kind else None

    def put_array(self, key: Mapping[str, Any], array: NDArray[Any]) -> None:
        """Keep an array of any kind, such as drawn images, unless it is too large; and make room for it."""
        if array.nbytes > MOST:
            return
        make_folder(self.folder)
        with atomic_file(self._path(key)) as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)
        self._trim()

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.folder / f"{json_digest(dict(key))}.npy"

    def _trim(self) -> None:
        files = sorted(self.folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > LIMIT:
                with contextlib.suppress(PermissionError):  # Windows keeps what is being looked at
                    path.unlink(missing_ok=True)
