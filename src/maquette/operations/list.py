"""The verb `list`: what there is in the workspace, and which families of models can be trained."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event, Result, Table, Warning
from maquette.core.settings import argument
from maquette.operations import schemas
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.index import Entry
    from maquette.store.workspace import Workspace

What = Literal["all", "datasets", "runs", "images", "families"]
Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class List:
    """What to list."""

    what: What = argument("datasets, runs, images or families; all when left out", default="all")


@operation
def list_workspace(request: List, workspace: Workspace) -> Iterator[Event]:
    """List the datasets, runs and images that the workspace knows, and the families.

    Things at paths given by hand are listed too; what was moved or removed since is marked as missing.
    """
    groups = ("datasets", "runs", "images", "families") if request.what == "all" else (request.what,)
    facts: dict[str, Sequence[Facts]] = {}
    for group in groups:
        if group == "families":
            facts[group] = [_family(schema) for schema in schemas.read().values()]
        else:
            entries = workspace.index.list(group.removesuffix("s"))
            facts[group] = [_DESCRIBE[group](entry) for entry in entries]
        if facts[group] or group == request.what:
            yield _TABLES[group](facts[group])
    for note in workspace.index.notes:
        yield Warning(text=note)
    empty = [group for group in groups if not facts[group]]
    yield Result(
        verb="list",
        facts={"home": str(workspace.home), **facts},
        value=dict(facts),
        summary=f"workspace: {workspace.home}" + (f" (no {', no '.join(empty)} yet)" if empty else ""),
        next=("maquette demo", "maquette ingest photos --to photos.mq") if "datasets" in empty else (),
    )


def _base(entry: Entry) -> Facts:
    added = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.added))
    return {"name": entry.name, "path": str(entry.path), "added": added, "missing": entry.missing}


def _dataset(entry: Entry) -> Facts:
    spec = _mapping(entry.facts.get("spec"))
    conditions = spec.get("conditions")
    return {
        **_base(entry), "images": entry.facts.get("count"), "width": spec.get("width"), "height": spec.get("height"),
        "mode": spec.get("mode"), "digest": entry.facts.get("digest"),
        "conditions": [_mapping(c).get("name") for c in conditions] if isinstance(conditions, list) else [],
    }  # fmt: skip


def _run(entry: Entry) -> Facts:
    seen, total = entry.facts.get("images_seen", 0), _mapping(entry.facts.get("plan")).get("images")
    return {
        **_base(entry), "family": entry.facts.get("family"), "scale": entry.facts.get("scale"),
        "dataset": _mapping(entry.facts.get("dataset")).get("name"), "images_seen": seen, "images_planned": total,
        "state": "missing" if entry.missing else entry.facts.get("stopped") or "not finished",
    }  # fmt: skip


def _image(entry: Entry) -> Facts:
    return {**_base(entry), **entry.facts}


def _family(schema: schemas.FamilySchema) -> Facts:
    return {
        "name": schema.name, "summary": schema.summary, "accepts": schema.accepts, "powers": schema.powers,
        "needs": dict(schema.needs),
    }  # fmt: skip


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object of JSON; the files that these facts come from may be anybody's."""
    return value if isinstance(value, Mapping) else {}


def _datasets_table(facts: Sequence[Facts]) -> Table:
    rows = [
        [f["name"], _count(f["images"]), f"{f['width']}x{f['height']} {f['mode']}" if f["width"] else "",
         ", ".join(map(str, f["conditions"])), _place(f)]
        for f in facts
    ]  # fmt: skip
    return Table(title="Datasets", columns=("name", "images", "form", "conditions", "where"), rows=rows)


def _runs_table(facts: Sequence[Facts]) -> Table:
    rows = []
    for f in facts:
        seen = _count(f["images_seen"])
        if f["state"] != "finished":  # a run with a time ends where the clock says, not where it was planned
            seen += f" of {_count(f['images_planned'])}"
        rows.append([f["name"], _text(f["family"]), _text(f["dataset"]), seen, _text(f["state"]), _place(f)])
    return Table(title="Runs", columns=("name", "family", "dataset", "images seen", "state", "where"), rows=rows)


def _images_table(facts: Sequence[Facts]) -> Table:
    """Folder by folder: nobody reads a list of a thousand images."""
    folders: dict[str, list[Facts]] = defaultdict(list)
    for fact in facts:
        folders[str(Path(fact["path"]).parent)].append(fact)
    rows = []
    for folder, inside in folders.items():
        gone = sum(fact["missing"] for fact in inside)
        runs = sorted({Path(str(fact["run"])).name for fact in inside if fact.get("run")})
        rows.append([folder, f"{len(inside):,}" + (f" ({gone:,} missing)" if gone else ""), ", ".join(runs)])
    return Table(title="Images", columns=("folder", "images", "made by"), rows=rows)


def _families_table(facts: Sequence[Facts]) -> Table:
    rows = [[f["name"], f["summary"], ", ".join(f["accepts"])] for f in facts]
    return Table(title="Families", columns=("name", "good for", "conditions"), rows=rows)


def _place(fact: Facts) -> str:
    return f"{fact['path']} (missing)" if fact["missing"] else str(fact["path"])


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


_DESCRIBE = {"datasets": _dataset, "runs": _run, "images": _image}
_TABLES = {"datasets": _datasets_table, "runs": _runs_table, "images": _images_table, "families": _families_table}
