"""The verb `label`: say what images show, one by one, by a pattern, or by a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError
from maquette.core.event import Event, Result
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Label:
    """What to say about which images of which dataset."""

    dataset: str = argument("the dataset")
    images: tuple[str, ...] = argument(
        "paths of images as the dataset names them; * stands for anything", many=True, default=()
    )
    as_: str | None = setting(None, "what they are; nothing (--as '') takes the value away", form="VALUE")
    name: str = setting("label", "the condition that is meant, such as label or text; made when there is none")
    kind: str = setting("label", "what a new condition is", choices=("label", "text", "number"))
    from_: str | None = setting(
        None, "a table with a column file_name (or path) and one for each condition", form="FILE.csv"
    )
    rename: tuple[str, ...] = setting((), "give a label another name, or unite it with one", form="OLD=NEW,...")
    undo: bool = setting(False, "take back the last change of the dataset, whatever it was")


@operation
def label(request: Label, workspace: Workspace) -> Iterator[Event]:
    """Correct or assign labels, captions and numbers: by name, by pattern, or from a table.

    The dataset gets a new edition; the one before can be had back with --undo.
    """
    from maquette.data.dataset import Dataset
    from maquette.data.edition import go_back, number
    from maquette.data.ingest import labels

    data = Dataset.open(workspace.dataset_path(request.dataset))
    ways = [bool(request.images), request.from_ is not None, bool(request.rename), request.undo]
    if sum(ways) != 1:
        raise UsageError("give images with --as, or --from a table, or --rename, or --undo", do="one of them")
    if bool(request.images) != (request.as_ is not None):
        raise UsageError("images and --as belong together", do="give both")
    changed = 0
    if request.undo:
        data = go_back(data)
    elif request.rename:
        data, changed = labels.rename(data, request.name, request.rename)
    elif request.from_ is not None:
        data, changed = labels.from_table(data, Path(request.from_).expanduser())
    else:
        data, changed = labels.assign(data, request.images, request.name, request.as_ or None, kind=request.kind)
    workspace.index.add_dataset(data)
    facts = {"dataset": str(data.path), "changed": changed, "digest": data.digest, "edition": number(data)}
    words = "taken back" if request.undo else f"{changed:,} value{'s' if changed != 1 else ''} changed"
    yield Result(verb="label", facts=facts, value=data, summary=f"{data.path}: {words} (edition {number(data)}).")
