"""The verb `pause`: ask a run in training to save and stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maquette.core.event import Event, Result
from maquette.core.settings import argument
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Which run."""

    run: str = argument("the run to pause")


@operation
def pause(request: Pause, workspace: Workspace) -> Iterator[Event]:
    """Ask a run in training to save and stop; train it again to go on."""
    from maquette.store.run import Run

    run = Run.open(workspace.run_path(request.run))
    run.ask_pause()
    summary = f"{run.path} was asked to save and stop; it does so within a few seconds."
    yield Result(verb="pause", facts={"run": str(run.path)}, value=run, summary=summary)
