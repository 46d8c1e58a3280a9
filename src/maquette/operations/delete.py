"""The verb `delete`: remove images, runs or datasets from the disk, for good."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import DataError, MaquetteError, RunError, UsageError
from maquette.core.event import Event, Result
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Delete:
    """What is to go."""

    what: tuple[str, ...] = argument("images by their files; runs or datasets by name or folder", many=True)
    kind: str = setting("image", "what they are", choices=("image", "run", "dataset"))


@operation
def delete(request: Delete, workspace: Workspace) -> Iterator[Event]:
    """Delete images, or with --kind runs or datasets, from the disk and from the list, for good.

    What is no image, run or dataset of this program is never touched, and a run that is being trained is left alone.
    """
    from maquette.store.index import MARKERS, SUFFIXES

    if not request.what:
        raise UsageError("there is nothing to delete", do="name images, or runs or datasets with --kind")
    places = {"run": workspace.run_path, "dataset": workspace.dataset_path}
    paths: list[Path] = []
    for word in request.what:
        path = places[request.kind](word) if request.kind in places else Path(word).expanduser().absolute()
        whole = path.is_file() and path.suffix.lower() in SUFFIXES
        if not (path / MARKERS[request.kind]).is_file() if request.kind in MARKERS else not whole:
            other = None
            with contextlib.suppress(MaquetteError):  # a word that can be no name of a run names none
                other = next((kind for kind in places if (places[kind](word) / MARKERS[kind]).is_file()), None)
            do = f"add --kind {other}, if that is meant" if other else "look at what there is: maquette list"
            raise DataError(f"this is no {request.kind}", where=word if other else path, do=do)
        paths.append(path)
    for path in paths:
        if request.kind == "image":
            path.unlink()
        else:
            _delete_folder(path, request.kind)
    workspace.index.forget(paths)
    many = f"{len(paths):,} {request.kind}s" if len(paths) > 1 else f"the {request.kind} {paths[0].name}"
    facts = {"deleted": [str(path) for path in paths], "kind": request.kind}
    yield Result(verb="delete", facts=facts, summary=f"{many} deleted.")


def _delete_folder(path: Path, kind: str) -> None:
    """Hidden at once, so that no half of it is ever taken for the whole."""
    from maquette.store.lock import Held, file_lock

    if kind == "run":
        try:
            with file_lock(path / ".lock"):
                pass
        except Held:
            raise RunError("it is being trained", where=path, do="stop that first: maquette pause RUN") from None
    hidden = path.with_name(f".{path.name}.{os.getpid()}.deleted.partial")
    os.rename(path, hidden)
    shutil.rmtree(hidden)
