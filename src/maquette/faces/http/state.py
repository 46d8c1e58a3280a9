"""What all routes of one server share."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from maquette.faces.http.catalogue import Catalogue
from maquette.faces.http.hub import Hub
from maquette.faces.http.jobs import Jobs
from maquette.faces.http.looks import Looks
from maquette.faces.http.metrics import Metrics
from maquette.faces.http.page import Page
from maquette.faces.http.printing import Presses, Printer
from maquette.faces.http.proofs import Proofs
from maquette.faces.http.values import Reader

if TYPE_CHECKING:
    from maquette.engine.warm import Ready, Warm
    from maquette.store.workspace import Workspace

T = TypeVar("T")


@dataclass
class Studio:
    """One open studio."""

    workspace: Workspace
    paths: bool
    """Whether requests may name paths of this machine."""
    queue: int
    catalogue: Catalogue
    reader: Reader
    hub: Hub
    jobs: Jobs
    looks: Looks
    page: Page
    presses: Presses
    proofs: Proofs
    metrics: Metrics = field(default_factory=Metrics)
    boot: str = field(default_factory=lambda: secrets.token_hex(8))
    began: float = field(default_factory=time.time)
    told: tuple[Any, list[dict[str, Any]]] = (None, [])
    """What the gallery was told last, and of which list."""
    _two: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "print"))
    _warm: Warm | None = None
    _waking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def open(cls, workspace: Workspace, *, paths: bool, queue: int, at_once: int) -> Studio:
        """Everything of a workspace, before anybody is let in."""
        catalogue, hub = Catalogue(workspace), Hub()
        jobs = Jobs(workspace, hub, queue=queue, at_once=at_once)
        jobs.changed = catalogue.changed
        return cls(
            workspace=workspace, paths=paths, queue=queue, catalogue=catalogue,
            reader=Reader(catalogue, paths=paths), hub=hub,
            jobs=jobs, looks=Looks(), page=Page.read(),
            presses=Presses(workspace), proofs=Proofs(workspace),
        )  # fmt: skip

    @property
    def warm(self) -> Warm:
        """The models that are kept ready. Loads torch."""
        if self._warm is None:
            from maquette.engine.warm import Warm

            self._warm = Warm(waiting=self.queue)
        return self._warm

    @property
    def crowded(self) -> bool:
        """Whether as many requests for images wait as may."""
        return self._warm is not None and self._warm.waiting >= self.queue

    async def waked(self) -> Warm:
        """The same without holding up the loop while torch is loaded."""
        if self._warm is None:
            async with self._waking:
                await asyncio.to_thread(lambda: self.warm)
        return self.warm

    async def aside(self, work: Callable[[], T]) -> T:
        """Work for a processor, by two threads at most: more would only keep the loop from its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._two, work)

    def printer(self, ready: Ready, format: str, options: Any, size: tuple[int, int] | None) -> Printer:
        """What makes files of the images of one request."""
        return Printer(self.workspace, self.presses.of(format), ready, options, size)

    def close(self) -> None:
        """Let go of threads and processes; jobs go on."""
        if self._warm is not None:
            self._warm.close()
        self.looks.close()
        self.proofs.close()
        self._two.shutdown(wait=False)
        self.jobs.leave()
