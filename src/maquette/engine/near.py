"""Memory that the processes of one machine share: what they sum is added up where it lies instead of being sent.

Each process has a place of its own in a file in memory. It writes its numbers there, waits until all have, and reads
everybody's. The next sum uses a second set of places: nobody is two sums ahead of another, because each sum waits for
all, so that what is being read is never written over. Every process adds in the same order and gets the same bits.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

MOST = 8
"""Processes, at most: each reads what all have written, which grows with their number."""
_FOLDER = Path("/dev/shm")
_LARGEST = 1 << 30
"""Bytes of shared memory, at most."""


class Speaks(Protocol):
    """What is needed of a team."""

    rank: int
    world: int

    def add_up(self, values: Tensor) -> None:
        """Replace the values by their sum over all processes."""

    def share_json(self, value: Any = None) -> Any:
        """The first one's value, in all processes."""


class Near:
    """The shared memory of a team; all of its processes call it in the same order."""

    def __init__(self, team: Speaks) -> None:
        self._team = team
        self._possible = sys.platform == "linux" and team.world <= MOST
        self._places = torch.zeros(2, team.world, 0)
        """Turn x process x numbers."""
        self._sums: dict[int, Tensor] = {}
        self._turn = 0

    def summed(self, count: int, fill: Callable[[Tensor], None]) -> Tensor | None:
        """The sum over all processes of so many numbers that `fill` writes; None where no memory can be shared.

        The sum stays until the next one of as many numbers.
        """
        if not self._possible or not self._fits(count):
            return None
        self._turn = 1 - self._turn
        places = self._places[self._turn, :, :count]
        fill(places[self._team.rank])
        self._team.add_up(torch.zeros(1))  # all have written
        total = self._sums.setdefault(count, torch.empty(count))
        torch.add(places[0], places[1], out=total)
        for other in places[2:]:
            total.add_(other)
        return total

    def _fits(self, count: int) -> bool:
        """Make room, if all processes can: they are on one machine, and there is memory."""
        if count <= self._places.shape[2]:
            return True
        path, size = "", 8 * self._team.world * count
        if self._team.rank == 0 and size <= _LARGEST:
            path = _reserve(size)
        path = self._team.share_json(path)
        found = _mapped(path, size) if path else None
        there = torch.tensor([0.0 if found is None else 1.0])
        self._team.add_up(there)
        if self._team.rank == 0 and path:
            os.unlink(path)  # who has it keeps it, and nothing of it is left when all have ended
        self._possible = found is not None and int(there.item()) == self._team.world
        if self._possible and found is not None:
            self._places = torch.frombuffer(found, dtype=torch.float32).reshape(2, self._team.world, count)
        return self._possible


def _reserve(size: int) -> str:
    """A file in memory of that size, all of it there; nothing where that is not possible."""
    try:
        handle, path = tempfile.mkstemp(prefix="maquette-", dir=_FOLDER)
    except OSError:
        return ""
    try:
        os.posix_fallocate(handle, 0, size)  # else a write into what there is no memory for would end the process
    except OSError:
        os.unlink(path)
        return ""
    finally:
        os.close(handle)
    return path


def _mapped(path: str, size: int) -> mmap.mmap | None:
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        return mmap.mmap(handle, size)
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)
