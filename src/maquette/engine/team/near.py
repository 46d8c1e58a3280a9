"""Memory that the processes of one machine share: what they sum is added up where it lies instead of being sent.

Each process has a place of its own in a file in memory. It writes its numbers there, says that it has, waits until all
have, and reads everybody's. The next sum uses a second set of places: nobody is two sums ahead of another, because each
sum waits for all, so that what is being read is never written over. Every process adds in the same order and gets the
same bits.

To say so and to wait take a few numbers in that memory as well, and no messages: a message goes through threads of the
library that sends it, and where every core computes they wait for a core in their turn. A sum of batch statistics, of
which a step of a gan has twenty, then takes longer than what it sums.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import sys
import tempfile
import time
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
_SMALLEST = 1 << 20
"""Bytes of a place, at least: room for all statistics without asking for more again and again."""
_LINE = 64
"""Bytes between what two processes say, so that their cores do not take one piece of memory from each other."""
_ORDERED = platform.machine().lower() in ("x86_64", "amd64", "i686")
"""Whether a processor shows others what it wrote in the order in which it wrote it, so that who sees that all is
written sees all of it."""
_TURNS, _SOON, _LONG = 200, 0.005, 0.5
"""How often to look before sleeping at all; seconds of short sleeps, and of longer ones."""
_LOOK = 0.1
"""Seconds between two looks at whether those that are waited for still live."""
_STOPPED = 1.0
"""Seconds between two such looks that count as waiting, at most."""


class Speaks(Protocol):
    """What is needed of a team."""

    rank: int
    world: int

    def send_up(self, values: Tensor) -> None:
        """Replace the values by their sum over all processes, by messages."""

    def share_json(self, value: Any = None) -> Any:
        """The first one's value, in all processes."""


class Near:
    """The shared memory of a team; all of its processes call it in the same order."""

    def __init__(self, team: Speaks, patience: float) -> None:
        self._team, self._patience = team, patience
        self._possible = sys.platform == "linux" and team.world <= MOST and _ORDERED
        self._room = 0
        """Bytes of a place."""
        self._places: list[list[Tensor]] = []
        """Turn x process: bytes."""
        self._said: Any = None
        """Of each process how many sums it has written, who it is, when it began, and whether it has left."""
        self._sums: dict[int, Tensor] = {}
        self._count = 0

    def summed(self, count: int, fill: Callable[[Tensor], None]) -> Tensor | None:
        """The sum over all processes of so many numbers that `fill` writes; None where no memory can be shared.

        The sum stays until the next one of as many numbers.
        """
        if not self._fits(4 * count):
            return None
        places = self._next(4 * count, torch.float32)
        fill(places[self._team.rank])
        self._meet()
        total = self._sums.get(count)
        if total is None:
            total = self._sums[count] = torch.empty(count)
        return _added(places, total)

    def add_up(self, values: Tensor) -> bool:
        """Replace the values by their sum over all processes; False, and nothing done, where no memory is shared."""
        size = values.numel() * values.element_size()
        if values.device.type != "cpu" or not self._fits(size):
            return False
        places = [place.view(values.shape) for place in self._next(size, values.dtype)]
        places[self._team.rank].copy_(values)
        self._meet()
        _added(places, values)
        return True

    def leave(self) -> None:
        """Say that this process sums no more, so that nobody waits for it."""
        if self._said is not None:
            self._said[self._team.rank * (_LINE // 8) + 3] = 1

    def _next(self, size: int, kind: torch.dtype) -> list[Tensor]:
        """Everybody's place for the sum that comes now."""
        self._count += 1
        return [place[:size].view(kind) for place in self._places[self._count % 2]]

    def _meet(self) -> None:
        """Say that one's own is written, and wait until everybody's is."""
        said, step = self._said, _LINE // 8
        said[self._team.rank * step] = self._count
        for other in range(self._team.world):
            if said[other * step] < self._count:
                self._wait(other)

    def _wait(self, other: int) -> None:
        said, place, count = self._said, other * (_LINE // 8), self._count
        for _ in range(_TURNS):
            if said[place] >= count:
                return
        looked, waited = time.monotonic(), 0.0
        began = looked
        while said[place] < count:
            now = time.monotonic()
            time.sleep(0.0 if now - began < _SOON else 0.0002 if now - began < _LONG else 0.002)
            if now - looked > _LOOK:
                # A wait that was itself stopped for an hour, and goes on, has not waited for an hour.
                waited += min(now - looked, _STOPPED)
                looked = now
                gone = said[place + 3] or _began(said[place + 1]) != said[place + 2]
                if said[place] >= count:
                    return
                if gone:
                    raise RuntimeError(f"process {other} of {self._team.world} has ended")
                if waited > self._patience:
                    raise RuntimeError(f"process {other} of {self._team.world} does not answer")

    def _fits(self, size: int) -> bool:
        """Make room, if all processes can: they are on one machine, and there is memory."""
        if not self._possible or size <= self._room:
            return self._possible
        rank, world = self._team.rank, self._team.world
        room = -(-max(size, _SMALLEST) // _LINE) * _LINE
        path, whole = "", _LINE * world + 2 * world * room
        if rank == 0 and whole <= _LARGEST:
            path = _reserve(whole)
        try:
            path = self._team.share_json(path)
            found = _mapped(path, whole) if path else None
            if found is not None:
                said = memoryview(found)[: _LINE * world].cast("q")
                said[rank * (_LINE // 8) + 1] = os.getpid()
                said[rank * (_LINE // 8) + 2] = _began(os.getpid())
                self._said = said
            there = torch.tensor([0.0 if found is None else 1.0])
            self._team.send_up(there)  # then all have said who they are, and have it
        except BaseException:
            _let_go(path)  # whoever is left: the first one may be the one that has ended
            raise
        if rank == 0:
            _let_go(path)  # who has it keeps it, and nothing of it is left when all have ended
        seen = torch.tensor([float(int(there.item()) == world and self._see())])
        self._team.send_up(seen)
        self._possible = found is not None and int(seen.item()) == world
        if self._possible and found is not None:
            flat = torch.frombuffer(found, dtype=torch.uint8, offset=_LINE * world)
            pieces = list(flat.split(room))
            self._places, self._room, self._count = [pieces[:world], pieces[world:]], room, 0
        return self._possible

    def _see(self) -> bool:
        """Whether this process could tell that any of the others has ended."""
        lines = [self._said[k * (_LINE // 8) :] for k in range(self._team.world)]
        return all(line[2] and _began(line[1]) == line[2] for line in lines)


def _added(places: list[Tensor], total: Tensor) -> Tensor:
    torch.add(places[0], places[1], out=total) if len(places) > 1 else total.copy_(places[0])
    for other in places[2:]:
        total.add_(other)
    return total


def _began(process: int) -> int:
    """When a process of this machine began, in the kernel's ticks; 0 if there is none, or it has ended."""
    try:
        content = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return 0
    words = content[content.rindex(b")") + 2 :].split()
    return 0 if words[0] in (b"Z", b"X") else int(words[19])


def _reserve(size: int) -> str:
    """A file in memory of that size, all of it there; nothing where that is not possible."""
    try:
        handle, path = tempfile.mkstemp(prefix="maquette-", dir=_FOLDER)
    except OSError:
        return ""
    try:
        os.posix_fallocate(handle, 0, size)  # else a write into what there is no memory for would end the process
    except OSError:
        _let_go(path)
        return ""
    finally:
        os.close(handle)
    return path


def _let_go(path: str) -> None:
    """Take away the name of a file in memory, if it still has one."""
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)


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
