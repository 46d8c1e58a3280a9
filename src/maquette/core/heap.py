"""Memory that is freed is kept for what comes next.

A network's step frees as much as it takes, a few hundred megabytes each time. The C library of Linux hands pieces of
that size back to the system at once, which must clear every page when it gives them out again: up to a fifth of a
step, for a pair of small networks, went into that.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_KEPT = -1
"""How much of it: all. A bound below what a step frees would be worse than none, since every step crosses it."""
_LARGE = 1 << 30
"""Bytes from which on a piece is asked of the system alone, and handed back alone."""


@functools.cache
def keep_freed() -> None:
    """Do so in this process from now on, where its C library can: elsewhere nothing changes."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's has no mallopt
        library = ctypes.CDLL(None)
        if library.mallopt(_MAP, _LARGE):
            library.mallopt(_TRIM, _KEPT)
