"""What one file may cost: bounds that are checked before anything is allocated, and held by the system as well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost."""

    pixels: int = 100_000_000
    """Pixels of one image."""
    seconds: float = 9.0
    """For one image."""
    memory: int = 1 << 30
    """Bytes of address space that a worker may take beside its libraries, where the system can hold it to them."""
    file: int = 256 << 20
    """Bytes of a file that is read whole; films are read piece by piece."""
    frames: int = 4096
    """Images that are taken of one file."""


class Refused(Exception):
    """The file does not become an image; says why in words for people."""
