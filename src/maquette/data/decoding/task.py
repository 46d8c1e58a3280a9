"""What a decoder is asked and what it answers: one file to decode, and what became of one of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from maquette.data.decoding.shape import Form


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file to decode: where it lies or what it holds, and the form it is to get."""

    content: bytes | str | Path
    form: Form


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one image of a file: pixels, the digest of the file and facts about it, or a reason."""

    image: NDArray[Any] | None = None
    digest: str = ""
    pixels: int = 0
    """See `data.decoding.pixels`; 0 where the file was decoded whole."""
    reason: str = ""
    facts: tuple[Any, ...] = ()
    """See `data.origin`."""
    scene: int = 0
    frames: NDArray[Any] | None = None
    """In sequences: the images before it."""
    last: bool = True
    """Whether this is the last that is heard of its file."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What the file says beside its pixels, where it was decoded whole; see `data.decoding.kept`."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of its origin and of training on it; see `trust.incoming`."""


class Decodes(Protocol):
    """What decodes files: `Decoder`, or whatever stands in its place."""

    def decode(self, tasks: Iterable[Task | None], first: int = 8) -> Iterator[Outcome]:
        """The outcomes of each task, in order."""
        ...
