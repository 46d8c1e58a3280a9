"""Datasets and runs as the studio shows them, from the index and from their own folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, Response

from maquette.faces.http.endpoint import Call, Parameter, endpoint, is_number, missing
from maquette.faces.http.looks import png, scaled
from maquette.faces.http.verbs import told
from maquette.faces.progress import duration
from maquette.operations import schemas
from maquette.store import disk
from maquette.store.index import Entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset
    from maquette.faces.http.state import Studio

_WIDTH = {"width": Parameter("integer", "so many pixels wide; as it is when left out", ge=8, le=1024)}
_PARTS = ("train", "held-out", "aside")
SHEETS, RECORDS = 5000, 5000
FLOOR = 0.0
"""The distance of real images to other real ones: the measure of judgements while training has no bias, so nothing."""


def _base(studio: Studio, entry: Entry) -> dict[str, Any]:
    return {
        "id": studio.catalogue.id_of(entry), "name": entry.name, "created": entry.added, "by_hand": entry.by_hand,
        "missing": entry.missing,
    }  # fmt: skip


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


# Datasets


def _dataset(studio: Studio, entry: Entry) -> dict[str, Any]:
    spec = _mapping(entry.facts.get("spec"))
    return {
        **_base(studio, entry), "images": entry.facts.get("count"), "width": spec.get("width"),
        "height": spec.get("height"), "mode": spec.get("mode"), "digest": entry.facts.get("digest"),
        "conditions": [_mapping(one).get("name") for one in _list(spec.get("conditions"))],
    }  # fmt: skip


@endpoint("GET", "/api/datasets", "All datasets, the newest first")
def datasets(studio: Studio, call: Call) -> Any:
    """Those in the workspace and those at paths given by hand."""
    return [_dataset(studio, entry) for entry in studio.catalogue.all("dataset").values()]


@endpoint("GET", "/api/datasets/{id}", "One dataset: its form, its labels, what was set aside, what the audit found")
def dataset(studio: Studio, call: Call) -> Any:
    """All that the page shows of it."""
    from maquette.data.edition import history, number

    entry = studio.catalogue.find("dataset", call.path["id"])
    with studio.catalogue.dataset(call.path["id"]) as data:
        aside = data.set_aside()
        return {
            **_dataset(studio, entry), "images": len(data), "width": data.spec.width, "height": data.spec.height,
            "mode": data.spec.mode, "digest": data.digest, "in_use": data.in_use,
            "held_out": len(data.indices("held-out")), "aside": len(data) - data.in_use, "edition": number(data),
            "editions": history(data), "conditions": [_condition(data, one) for one in data.spec.conditions],
            "set_aside": aside[:1000], "set_aside_total": len(aside), **_findings(data),
        }  # fmt: skip


def _condition(data: Dataset, one: Any) -> dict[str, Any]:
    import numpy as np

    facts = {**one.to_json(), "missing": data.missing(one.name), "counts": None}
    if one.kind == "label":
        used = np.flatnonzero(_part(data) != 2)
        values = data.conditions(used, [one.name])[one.name]
        counts = np.bincount(values[values >= 0], minlength=len(one.classes))
        facts["counts"] = {name: int(count) for name, count in zip(one.classes, counts, strict=True)}
    return facts


def _part(data: Dataset) -> NDArray[Any]:
    """0 train, 1 held out, 2 aside, for each image."""
    import numpy as np

    part = np.full(len(data), 2, np.int8)
    part[data.indices("train")], part[data.indices("held-out")] = 0, 1
    return part


def _findings(data: Dataset) -> dict[str, Any]:
    """What the last audit said, and whether it was about this edition."""
    try:
        known = disk.read_object(data.path / "audit.json")
    except (OSError, ValueError):
        return {"findings": None, "grade": None, "findings_current": False}
    said = _mapping(known.get("said"))
    findings = [
        {"check": check, **_mapping(said.get(check)), "items": list(_list(items))[:24], "total": len(_list(items))}
        for check, items in _mapping(known.get("found")).items()
    ]
    return {
        "findings": findings, "grade": known.get("grade"), "findings_current": known.get("digest") == data.digest
    }  # fmt: skip


_ITEMS = {
    "offset": Parameter("integer", "how many to leave out at the beginning", default=0, ge=0, le=10**9),
    "limit": Parameter("integer", "how many at most", default=100, ge=1, le=1000),
    "label": Parameter("text", "only images of this label"),
    "find": Parameter("text", "only images whose name or text holds these letters"),
    "part": Parameter("text", "only this part", choices=(*_PARTS, "used")),
    "finding": Parameter("text", "only what this check of the last audit found"),
}


@endpoint("GET", "/api/datasets/{id}/items", "Images of a dataset, page by page", query=_ITEMS)
def items(studio: Studio, call: Call) -> Any:
    """In their order; `path` is what the verbs label and remove take."""
    with studio.catalogue.dataset(call.path["id"]) as data:
        return _page(data, call.query)


def _page(data: Dataset, asked: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    part = _part(data)
    chosen = np.arange(len(data))
    if asked["part"]:
        wanted = part != 2 if asked["part"] == "used" else part == _PARTS.index(asked["part"])
        chosen = chosen[wanted]
    labels = [one for one in data.spec.conditions if one.kind == "label"]
    if asked["label"] is not None:
        if not labels or asked["label"] not in labels[0].classes:
            return {"total": 0, "items": []}
        values = data.conditions(chosen, [labels[0].name])[labels[0].name]
        chosen = chosen[values == labels[0].classes.index(asked["label"])]
    if asked["finding"]:
        try:
            found = _list(_mapping(disk.read_object(data.path / "audit.json").get("found")).get(asked["finding"]))
        except (OSError, ValueError):
            found = ()
        there = set(chosen.tolist())
        chosen = np.array([k for k in found if k in there], np.int64)
    if asked["find"]:
        letters = asked["find"].casefold()
        chosen = np.array([k for k in chosen.tolist() if letters in _said(data, k).casefold()], np.int64)
    page = chosen[asked["offset"] : asked["offset"] + asked["limit"]]
    rows = data.conditions(page) if len(page) else {}
    return {
        "total": len(chosen),
        "items": [_item(data, int(k), at, rows, _PARTS[part[k]]) for at, k in enumerate(page)],
    }  # fmt: skip


def _said(data: Dataset, index: int) -> str:
    record = data.item(index)
    values = _mapping(record.get("conditions"))
    return " ".join([str(record.get("path", "")), *(str(value) for value in values.values())])


def _item(data: Dataset, index: int, at: int, rows: Mapping[str, NDArray[Any]], part: str) -> dict[str, Any]:
    values = {
        one.name: one.describe(rows[one.name][at])
        for one in data.spec.conditions
        if one.kind in ("label", "number", "text")
    }
    first = {
        kind: next((values[one.name] for one in data.spec.conditions if one.kind == kind), None)
        for kind in ("label", "text")
    }
    return {"index": index, "path": data.item(index).get("path"), **first, "values": values, "part": part}


@endpoint("GET", "/api/datasets/{id}/items/{index}.png", "One image of a dataset", query=_WIDTH, media="image/png",
          samples={"index": "0"})  # fmt: skip
def item_png(studio: Studio, call: Call) -> Any:
    """As the model sees it."""
    word = call.path["index"]
    with studio.catalogue.dataset(call.path["id"]) as data:
        if not (word.isascii() and word.isdigit() and len(word) < 12) or int(word) >= len(data):
            raise missing(f"image {word[:12]!r} in this dataset")
        image = data.images([int(word)])[0]
    return Response(png(scaled(image, call.query["width"])), media_type="image/png", headers=_KEEP)


_KEEP = {"cache-control": "private, max-age=60"}


# Runs


def _run(studio: Studio, entry: Entry) -> dict[str, Any]:
    facts = entry.facts
    working = {job.run for job in studio.jobs.all.values() if job.state == "running" and job.run}
    state = "missing" if entry.missing else facts.get("stopped") or "not finished"
    return {
        **_base(studio, entry), "family": facts.get("family"), "scale": facts.get("scale"),
        "dataset": _mapping(facts.get("dataset")).get("name"), "images_seen": facts.get("images_seen", 0),
        "images_planned": _mapping(facts.get("plan")).get("images"), "seconds": facts.get("seconds", 0.0),
        "state": "running" if str(entry.path) in working else state,
        "makes": can_sample(entry),
    }  # fmt: skip


def can_sample(entry: Entry) -> bool:
    """Whether it has a model that makes images."""
    there = not entry.missing and (entry.path / "model.safetensors").is_file()
    return there and "samples" in _powers(entry.facts.get("family"))


def _powers(family: Any) -> Sequence[str]:
    known = schemas.read().get(str(family))
    return known.powers if known else ()


@endpoint("GET", "/api/runs", "All runs, the newest first")
def runs(studio: Studio, call: Call) -> Any:
    """Those in the workspace and those at paths given by hand."""
    return [_run(studio, entry) for entry in studio.catalogue.all("run").values()]


@endpoint("GET", "/api/runs/{id}", "One run: what it was made of, what it takes, how far it is")
def run(studio: Studio, call: Call) -> Any:
    """All that the page shows of it."""
    entry = studio.catalogue.find("run", call.path["id"])
    facts = _facts(entry.path)
    known = schemas.read().get(str(facts.get("family")))
    recipe = _mapping(facts.get("model_recipe")) or _mapping(facts.get("recipe"))
    spec = _mapping(recipe.get("spec"))
    powers = _powers(facts.get("family"))
    made = _run(studio, entry)
    kinds = {_mapping(one).get("kind") for one in _list(spec.get("conditions"))}
    return {
        **made, "form": {key: spec.get(key) for key in ("width", "height", "mode", "tile")},
        "conditions": [_mapping(one) for one in _list(spec.get("conditions"))],
        "dials": [told(dial) for dial in known.dials] if known else [], "powers": powers,
        "accepts": list(known.accepts) if known else [],
        "lives": made["makes"] and not kinds & {"image", "map", "frames"},
        "completes": "completes" in powers, "plan": facts.get("plan"), "choice": facts.get("choice"),
        "promise": _promise(studio, facts), "floor": FLOOR,
        "chosen": facts.get("chosen"), "stopped": facts.get("stopped"),
        "judged": [line for _, line in disk.read_lines(entry.path / "judged.jsonl") if line is not None],
        "evaluation": _object(entry.path / "evaluation.json"), "card": _object(entry.path / "card.json"),
        "sheets": len(_sheets(entry.path)),
        "facts": {key: value for key, value in facts.items() if key not in ("recipe", "model_recipe")},
    }  # fmt: skip


def _promise(studio: Studio, facts: Mapping[str, Any]) -> str | None:
    """What the first minute's measuring led to, in a sentence; nothing for what is done or was not measured."""
    plan, rate = _mapping(facts.get("plan")), _mapping(facts.get("choice")).get("rate")
    images, seconds = plan.get("images"), plan.get("seconds")
    if facts.get("stopped") in ("finished", "settled") or not images:
        return None
    seconds = seconds or (images / rate if rate else None)
    within = f" in {duration(seconds)} of training" if seconds else ""
    digest = _mapping(facts.get("dataset")).get("digest")
    same = [name for name, one in studio.catalogue.all("dataset").items() if one.facts.get("digest") == digest]
    if not same:
        return f"it will see about {images:,} images{within}"
    with studio.catalogue.dataset(same[0]) as data:
        count = len(data.indices("train"))
    times = images / max(1, count)
    each = f"each of the {count:,} about {times:,.0f} times" if times >= 1.5 else f"of {count:,} there are"
    return f"it will see about {images:,} images{within}, {each}"


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        return disk.read_object(path / "run.json")
    except (OSError, ValueError) as error:
        raise missing(f"readable run at {path.name!r} ({error})") from None


def _object(path: Path) -> Any:
    try:
        return disk.read_object(path)
    except (OSError, ValueError):
        return None


_SINCE = {"since": Parameter("integer", "only lines behind this one", default=0, ge=0, le=10**12)}


@endpoint("GET", "/api/runs/{id}/log", "Numbers while it learned, line by line", query=_SINCE)
def run_log(studio: Studio, call: Call) -> Any:
    """`next` is what to ask for next time."""
    path = studio.catalogue.find("run", call.path["id"]).path / "log.jsonl"
    since, found, number = call.query["since"], [], 0
    for number, record in disk.read_lines(path):
        if number > since and record is not None:
            found.append(record)
            if len(found) >= RECORDS:
                break
    return {"records": found, "next": max(number, since)}


@endpoint("GET", "/api/runs/{id}/decisions", "What the run decided on its way")
def run_decisions(studio: Studio, call: Call) -> Any:
    """In their order."""
    path = studio.catalogue.find("run", call.path["id"]).path
    lines = [line for _, line in disk.read_lines(path / "decisions.jsonl") if line is not None]
    return lines[-RECORDS:]


@endpoint("GET", "/api/runs/{id}/sheets", "Sheets that were drawn while it learned, the oldest first")
def run_sheets(studio: Studio, call: Call) -> Any:
    """By the number of images that it had seen."""
    entry = studio.catalogue.find("run", call.path["id"])
    base = f"/api/runs/{call.path['id']}/sheets"
    return [
        {"file": name, "images": int(name[:12]) if is_number(name[:12]) else None, "url": f"{base}/{name}"}
        for name in _sheets(entry.path)
    ]  # fmt: skip


def _sheets(run: Path) -> list[str]:
    with contextlib.suppress(OSError):
        found = [child.name for child in os.scandir(run / "samples") if child.is_file(follow_symlinks=False)]
        return sorted(name for name in found if name.endswith(".png"))[-SHEETS:]
    return []


@endpoint("GET", "/api/runs/{id}/sheets/{file}", "One sheet", media="image/png")
def run_sheet(studio: Studio, call: Call) -> Any:
    """By its name in the list."""
    path = studio.catalogue.find("run", call.path["id"]).path
    if call.path["file"] not in _sheets(path):
        raise missing("such sheet")
    return FileResponse(path / "samples" / call.path["file"], media_type="image/png", headers=_KEEP)
