"""The number by which equal images are known, so that copies are never split between training and held-out images."""

from __future__ import annotations

import hashlib


def digest_of_pixels(pixels: bytes | memoryview) -> int:
    """64 bits of a digest of pixels, row by row."""
    return int.from_bytes(hashlib.blake2b(pixels, digest_size=8).digest(), "little")
