"""The verb `remove`: set images of a dataset aside by name or by finding, and bring them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maquette.core.errors import DataError, UsageError, nearest
from maquette.core.event import Event, Result
from maquette.core.settings import argument, setting
from maquette.core.words import plural
from maquette.operations.operation import operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Remove:
    """Which images of which dataset."""

    dataset: str = argument("the dataset")
    images: tuple[str, ...] = argument(
        "paths of images as the dataset names them; * stands for anything", many=True, default=()
    )
    finding: tuple[str, ...] = setting((), "what the last audit found", form="CHECK,...")
    because: str = setting("removed by hand", "the reason that is written down")
    back: bool = setting(False, "bring these images back instead")
    undo: bool = setting(False, "take back the last change of the dataset, whatever it was")


@operation
def remove(request: Remove, workspace: Workspace) -> Iterator[Event]:
    """Set images aside, by name or by what an audit found; --back brings them back.

    Images are never deleted: the dataset gets a new edition without them. Training and measuring leave them out.
    """
    from maquette.data.audit.repair import bring_back, find, set_aside
    from maquette.data.dataset import Dataset
    from maquette.data.edition import go_back, number

    data = Dataset.open(workspace.dataset_path(request.dataset))
    before = data.in_use
    if request.undo:
        if request.images or request.finding or request.back:
            raise UsageError("--undo takes back the last change as a whole", do="give it alone")
        data = go_back(data)
    else:
        if not request.images and not request.finding:
            raise UsageError("nothing is named", do="give paths of images, or --finding with the name of a check")
        items = find(data, request.images, aside=request.back) if request.images else None
        if request.finding:
            found = _found(data, request.finding, request.back)
            items = found if items is None else _both(items, found)
        assert items is not None
        if request.back:
            data = bring_back(data, items)
        else:
            check = ",".join(request.finding) or "by hand"
            because = request.because
            if request.finding and because == "removed by hand":
                because = f"removed for {', '.join(request.finding)}"
            data = set_aside(data, items, check=check, reason=because)
    workspace.index.add_dataset(data)
    change = data.in_use - before
    facts = {
        "dataset": str(data.path), "removed": max(0, -change), "brought_back": max(0, change), "kept": data.in_use,
        "digest": data.digest, "edition": number(data),
    }  # fmt: skip
    words = f"{plural(abs(change), 'image')} {'set aside' if change <= 0 else 'brought back'}"
    summary = f"{data.path}: {words}; {data.in_use:,} are in use (edition {number(data)})."
    yield Result(verb="remove", facts=facts, value=data, summary=summary)


def _both(items: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    return np.union1d(items, found)


def _found(data: Dataset, names: tuple[str, ...], back: bool) -> NDArray[np.int64]:
    """The images that these checks found: in the last audit, or, to bring them back, when they were set aside."""
    import numpy as np

    from maquette.data.audit import check as checks
    from maquette.store.disk import read_object

    for name in names:
        if name not in checks.names():
            raise UsageError(f"there is no check {name!r}", do=nearest(name, checks.names()))
    if back:
        rows = [row for row in data.set_aside() if "item" in row]
        return np.array([row["item"] for row in rows if set(str(row.get("check")).split(",")) & set(names)], np.int64)
    again = f"run maquette audit {data.path} first"
    try:
        known = read_object(data.path / "audit.json")
    except (OSError, ValueError):
        raise DataError("no audit has looked at it yet", where=data.path, do=again) from None
    if known.get("digest") != data.digest:
        raise DataError("the dataset has changed since its last audit", where=data.path, do=again)
    found = known.get("found", {})
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"the last audit found nothing by {missing[0]}", where=data.path, do="look at its table again")
    items = np.array([item for name in names for item in found[name]], np.int64)
    if len(items) and not (items.min() >= 0 and items.max() < len(data)):
        raise DataError("audit.json does not belong to this dataset", where=data.path, do=again)
    return np.unique(items)
