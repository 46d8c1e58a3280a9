"""News for everybody who listens: every open page has one stream of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

MOST = 500
"""News that may wait for a listener; one that is slower is let go, and asks for everything when it comes again."""
LISTENERS = 200


class Hub:
    """Tells all listeners, from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self._bells: dict[str, set[asyncio.Event]] = {}
        self.closing = asyncio.Event()

    def open(self) -> None:
        """News begin; in the loop's thread."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """No more news: all streams end."""
        self.closing.set()
        for listener in list(self._listeners):
            _put(listener, None)
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def tell(self, kind: str, data: Any) -> None:
        """Tell everybody."""
        if self._loop is None or self._loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._tell(kind, data)
        else:
            self._loop.call_soon_threadsafe(self._tell, kind, data)

    def _tell(self, kind: str, data: Any) -> None:
        for listener in list(self._listeners):
            if not _put(listener, (kind, data)):
                self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Queue[tuple[str, Any] | None]]:
        """News as they come; None at the end."""
        listener: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(MOST)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def wake(self, name: str) -> None:
        """There is something new about this job."""
        for bell in self._bells.get(name, ()):
            bell.set()

    @contextlib.contextmanager
    def bell(self, name: str) -> Iterator[asyncio.Event]:
        """Rings when there is something new about a job."""
        bell = asyncio.Event()
        self._bells.setdefault(name, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[name].discard(bell)
            if not self._bells[name]:
                del self._bells[name]


def _put(listener: asyncio.Queue[tuple[str, Any] | None], news: tuple[str, Any] | None) -> bool:
    try:
        listener.put_nowait(news)
        return True
    except asyncio.QueueFull:
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                listener.get_nowait()
        listener.put_nowait(None)
        return False
