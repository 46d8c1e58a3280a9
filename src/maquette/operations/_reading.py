"""Files that go through a model: read one after the other, handed over in full passes, and what was left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError
from maquette.core.event import Event, Progress, Warning
from maquette.engine.files.fitted import Files
from maquette.engine.likely import TOGETHER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.spec import DataSpec


class Reading:
    """All files that words name, as images of the form that a model takes."""

    def __init__(self, words: Sequence[str], spec: DataSpec) -> None:
        self._files = Files(words, spec)
        self.names: list[str] = []
        """Of the images that were handed over, in their order."""
        self._aside = [*self._files.troubles]

    def __len__(self) -> int:
        return len(self._files)

    @property
    def set_aside(self) -> list[dict[str, str]]:
        """The files that could not be read, as a result names them."""
        return [{"path": path, "reason": reason} for path, reason in self._aside]

    def through(self, take: Callable[[Sequence[NDArray[Any]]], None], verb: str) -> Iterator[Event]:
        """Hand the images over, as many together as the model makes in one pass, and say how far it is."""
        waiting: list[NDArray[Any]] = []
        began = time.perf_counter()
        for done, file in enumerate(self._files, 1):
            if file.image is None:
                self._aside.append((file.source, file.reason))
                yield Warning(text=f"{file.source}: {file.reason}")
            else:
                self.names.append(file.name)
                waiting.append(file.image)
            if len(waiting) == TOGETHER:
                take(waiting)
                waiting = []
            yield Progress.since(began, verb, done, len(self))
        if waiting:  # fewer may have come than there were when they were counted
            take(waiting)
        if not self.names:
            name, reason = next(iter(self._aside), ("the files", "they are not there any more"))
            raise DataError(reason, where=name, do="give images that can be read")
