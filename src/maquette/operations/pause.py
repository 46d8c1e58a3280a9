"""The verb `pause`: ask a run in training to save and stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maquette.core.errors import RunError
from maquette.core.event import Event, Result
from maquette.core.settings import argument
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.run import Run
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
    if not _at_work(run):
        raise RunError("nothing is training this run now", where=run.path, do="there is nothing to pause")
    run.ask_pause()
    summary = f"{run.path} was asked to save and stop; it does so within a few seconds."
    yield Result(verb="pause", facts={"run": str(run.path)}, value=run, summary=summary)


def _at_work(run: Run) -> bool:
    """Whether somebody holds the lock of the run."""
    from maquette.store.lock import Held, file_lock

    path = run.path / ".lock"
    if not path.exists():
        return False
    try:
        with file_lock(path):
            return False
    except Held:
        return True
