"""Rows of features kept on the disk under what they depend on, so that the same images are looked at once."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.files import make_folder, write_bytes
from maquette.features.extractor import Features
from maquette.store.digest import json_digest

LIMIT = 2 << 30
"""Bytes that the cache may take; what was used longest ago goes first."""


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

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.folder / f"{json_digest(dict(key))}.npy"

    def _trim(self) -> None:
        files = sorted(self.folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > LIMIT:
                path.unlink(missing_ok=True)
