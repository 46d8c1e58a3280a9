"""The names in a folder, sorted, in little memory: a folder of a million files takes some tens of megabytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PIECE = 8192
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Listing:
    """What lies in one folder: names and kinds (f file, d folder, l link), in the order of their bytes."""

    def __init__(self, folder: Path) -> None:
        pieces: list[NDArray[np.bytes_]] = []
        kinds: list[NDArray[np.bytes_]] = []
        names: list[bytes] = []
        letters: list[bytes] = []
        with os.scandir(folder) as found:
            for entry in found:
                names.append(os.fsencode(entry.name))
                letters.append(_kind(entry))
                if len(names) == _PIECE:
                    pieces.append(np.array(names))
                    kinds.append(np.array(letters, "S1"))
                    names, letters = [], []
        pieces.append(np.array(names, None if names else "S1"))
        kinds.append(np.array(letters, "S1"))
        every = np.concatenate(pieces)
        order = np.argsort(every, kind="stable")
        self._names, self._kinds = every[order], np.concatenate(kinds)[order]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name and kind."""
        for start in range(0, len(self), _PIECE):
            names = self._names[start : start + _PIECE].tolist()
            kinds = self._kinds[start : start + _PIECE].astype("U1").tolist()
            for name, kind in zip(names, kinds, strict=True):
                yield name.decode(_ENCODING, _ERRORS), kind

    def holds(self, endings: tuple[str, ...]) -> bool:
        """Whether some name ends like that, in small or capital letters."""
        pieces = (self._names[start : start + _PIECE] for start in range(0, len(self), _PIECE))
        return any(
            bool(np.strings.endswith(low, ending.encode()).any())
            for low in (np.strings.lower(piece) for piece in pieces)
            for ending in endings
        )

    def __contains__(self, name: object) -> bool:
        wanted = os.fsencode(str(name))
        if not len(self) or len(wanted) > self._names.itemsize:
            return False
        place = int(np.searchsorted(self._names, np.bytes_(wanted)))
        return place < len(self) and bool(self._names[place] == wanted)


def _kind(entry: os.DirEntry[str]) -> bytes:
    try:
        return b"l" if entry.is_symlink() else b"d" if entry.is_dir(follow_symlinks=False) else b"f"
    except OSError:
        return b"f"
