"""Images that were made, reports, exports and other files of jobs: found in the index and in lists, then handed out."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, Response

from maquette.faces.http.endpoint import Call, Parameter, Refusal, endpoint, missing
from maquette.faces.http.jobs import find
from maquette.faces.http.looks import WIDEST
from maquette.faces.http.verbs import files_of
from maquette.store import disk
from maquette.store.index import Entry

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

REPORT_POLICY = (
    "sandbox allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Reports hold words of other people's files: they are shown, and can do nothing."""
_SHOWN = frozenset({
    "image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff", "image/gif", "video/mp4",
})  # fmt: skip
_ASKED = {
    "offset": Parameter("integer", "how many to leave out at the beginning", default=0, ge=0, le=10**9),
    "limit": Parameter("integer", "how many at most", default=100, ge=1, le=500),
    "run": Parameter("text", "only images of this run"),
    "label": Parameter("text", "only images that were asked to be this"),
    "recipe": Parameter("text", "only images finished by this recipe"),
    "folder": Parameter("text", "only images of this folder"),
    "find": Parameter("text", "only images of whose facts one holds these letters"),
}


class Records:
    """What `samples.jsonl` beside images says of them; read again when it changes."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, dict[str, Any]]] = {}
        self._looked: set[Path] = set()

    def look_again(self) -> None:
        """The files may have changed since."""
        self._looked.clear()

    def of(self, path: Path) -> Mapping[str, Any]:
        """The record of one image; empty where there is none."""
        folder = path.parent
        if folder not in self._looked:
            self._look(folder)
            self._looked.add(folder)
        record = self._known[folder][1].get(path.name, {}) if folder in self._known else {}
        return record if isinstance(record, dict) else {}

    def _look(self, folder: Path) -> None:
        file = folder / "samples.jsonl"
        try:
            changed = os.stat(file).st_mtime_ns
        except OSError:
            self._known.pop(folder, None)
            return
        known = self._known.get(folder)
        if known is None or known[0] != changed:
            rows = {str(row["file"]): row for _, row in disk.read_lines(file) if row is not None and "file" in row}
            self._known[folder] = (changed, rows)


RECORDS = Records()


def _facts(entry_id: str, entry: Entry) -> dict[str, Any]:
    facts, record = entry.facts, RECORDS.of(entry.path)
    conditions = record.get("conditions")
    run = facts.get("run")
    conditions = conditions if isinstance(conditions, dict) else {}
    return {
        "id": entry_id, "file": entry.name, "folder": entry.path.parent.name,
        "run": Path(run).name if isinstance(run, str) else None, "seed": facts.get("seed"),
        "recipe": facts.get("recipe"), "created": entry.added, "conditions": conditions,
        "label": next((v for v in conditions.values() if isinstance(v, str) and not v.startswith("sha256:")), None),
        "manifest": facts.get("manifest"), "missing": entry.missing, "by_hand": entry.by_hand,
        "kind": facts.get("kind") or "image", "url": f"/api/images/{entry_id}.png",
    }  # fmt: skip


@endpoint("GET", "/api/images", "Images that were made, the newest first", query=_ASKED)
def images(studio: Studio, call: Call) -> Any:
    """With how many there are of each run, label, recipe, folder and day."""
    asked = call.query
    there = _there(studio)
    letters = (asked["find"] or "").casefold()
    chosen = [
        one for one in there
        if all(asked[key] is None or one[key] == asked[key] for key in ("run", "label", "recipe", "folder"))
        and (not letters or letters in _words(one))
    ]  # fmt: skip
    facets = {
        key: Counter(str(one[key]) for one in chosen if one[key]).most_common(200)
        for key in ("run", "label", "recipe", "folder")
    }
    facets["day"] = sorted(
        Counter(time.strftime("%Y-%m-%d", time.localtime(one["created"])) for one in chosen).items(), reverse=True
    )[:200]
    page = chosen[asked["offset"] : asked["offset"] + asked["limit"]]
    return {"total": len(chosen), "images": page, "facets": facets}


def _there(studio: Studio) -> list[dict[str, Any]]:
    """All images that are there, made anew when the list is; but for sheets of trainings, which lie beside runs."""
    every = studio.catalogue.all("image")
    if studio.told[0] is not every:
        runs = f"{studio.workspace.runs}{os.sep}"
        RECORDS.look_again()
        found = [
            _facts(name, one) for name, one in every.items() if not one.missing and not str(one.path).startswith(runs)
        ]
        studio.told = (every, found)
    return studio.told[1]


def _words(one: Mapping[str, Any]) -> str:
    parts = [one["file"], one["folder"], one["run"], one["seed"], one["recipe"], *one["conditions"].values()]
    return " ".join(str(part) for part in parts if part is not None).casefold()


@endpoint("GET", "/api/images/{id}", "One image: its facts, and all that can be proved of it")
def image(studio: Studio, call: Call) -> Any:
    """What `verify` says of the file."""
    entry = studio.catalogue.find("image", call.path["id"])
    report = studio.proofs.of(entry.path)
    looked = studio.looks.image(entry.path)
    return {
        **_facts(call.path["id"], entry), "report": report, "width": looked.shape[1], "height": looked.shape[0],
        "bytes": entry.path.stat().st_size,
    }  # fmt: skip


_PNG = {
    "width": Parameter("integer", "so many pixels wide; as it is when left out", ge=8, le=WIDEST),
    "download": Parameter("integer", "1: the file itself, to be kept", default=0, ge=0, le=1),
}


@endpoint("GET", "/api/images/{id}.png", "One image for the screen", query=_PNG, media="image/png")
def image_png(studio: Studio, call: Call) -> Any:
    """Decoded by the bounded workers and written anew; it carries no signature then."""
    entry = studio.catalogue.find("image", call.path["id"])
    if call.query["download"]:
        return handed(entry.path, download=True)
    content = studio.looks.png(entry.path, call.query["width"])
    return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=60"})


@endpoint("GET", "/api/images/{id}/file", "The file of one image, signature and all", media="image/*")
def image_file(studio: Studio, call: Call) -> Any:
    """As it lies on the disk."""
    return handed(studio.catalogue.find("image", call.path["id"]).path)


@endpoint("DELETE", "/api/images/{id}", "Delete an image")
def image_delete(studio: Studio, call: Call) -> Any:
    """By the verb `delete`."""
    return _delete(studio, "image", call)


@endpoint("DELETE", "/api/datasets/{id}", "Delete a dataset")
def dataset_delete(studio: Studio, call: Call) -> Any:
    """By the verb `delete`."""
    return _delete(studio, "dataset", call)


@endpoint("DELETE", "/api/runs/{id}", "Delete a run")
def run_delete(studio: Studio, call: Call) -> Any:
    """By the verb `delete`; one that is in training is refused."""
    return _delete(studio, "run", call)


def _delete(studio: Studio, kind: str, call: Call) -> Any:
    from maquette.operations import operation as table

    entry = studio.catalogue.find(kind, call.path["id"])
    list(table.run("delete", studio.workspace, {"kind": kind, "what": [str(entry.path)]}))
    studio.catalogue.changed()
    studio.hub.tell("changed", {"what": [f"{kind}s"]})
    return {}


def handed(path: Path, *, download: bool = False) -> Response:
    """A file as it is: pictures and films to be shown, all else to be kept. What it is, its first bytes say."""
    from maquette.trust.reading import media_of

    try:
        with disk.open_regular(path) as stream:
            media = media_of(stream.read(64))
    except (OSError, ValueError):
        raise missing(f"file {path.name[:100]!r}") from None
    shown = media in _SHOWN and not download
    return FileResponse(
        path, media_type=media if media in _SHOWN else "application/octet-stream",
        filename=None if shown else re.sub(r"[^\w. -]", "_", path.name),
        content_disposition_type="attachment", headers={"cache-control": "private, max-age=60"},
    )  # fmt: skip


# Reports, exports, and what jobs wrote


def _listed(folder: Path, endings: Sequence[str]) -> dict[str, os.stat_result]:
    with contextlib.suppress(OSError):
        found = [one for one in os.scandir(folder) if one.is_file(follow_symlinks=False)]
        chosen = {one.name: one.stat() for one in found if one.name.lower().endswith(tuple(endings))}
        return dict(sorted(chosen.items(), key=lambda pair: -pair[1].st_mtime))
    return {}


_PAGES = (".html", ".htm")


@endpoint("GET", "/api/reports", "Reports, the newest first")
def reports(studio: Studio, call: Call) -> Any:
    """Pages that evaluate, compare and audit wrote."""
    folder = studio.workspace.home / "reports"
    return [
        {
            "id": name, "created": found.st_mtime, "url": f"/api/reports/{name}",
            "facts": (folder / name).with_suffix(".json").is_file(),
        }
        for name, found in _listed(folder, _PAGES).items()
    ]  # fmt: skip


@endpoint("GET", "/api/reports/{id}", "One report, to be read", media="text/html")
def report(studio: Studio, call: Call) -> Any:
    """A page without scripts, and with a policy under which none could run."""
    path = _report(studio, call)
    headers = {"content-security-policy": REPORT_POLICY, "cache-control": "no-cache"}
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


@endpoint("GET", "/api/reports/{id}/facts", "The numbers of one report")
def report_facts(studio: Studio, call: Call) -> Any:
    """What was written beside the page."""
    try:
        return disk.read_object(_report(studio, call).with_suffix(".json"))
    except (OSError, ValueError):
        raise missing("numbers beside this report") from None


def _report(studio: Studio, call: Call) -> Path:
    folder = studio.workspace.home / "reports"
    if call.path["id"] not in _listed(folder, _PAGES):
        raise missing("such report")
    return folder / str(call.path["id"])


@endpoint("GET", "/api/exports", "Files that were written to be handed on, the newest first")
def exports(studio: Studio, call: Call) -> Any:
    """Models, palettes, tables and the like."""
    return [
        {"id": name, "created": found.st_mtime, "bytes": found.st_size, "url": f"/api/exports/{name}"}
        for name, found in _listed(studio.workspace.home / "exports", ("",)).items()
    ]


@endpoint("GET", "/api/exports/{name}", "One of these files", media="application/octet-stream")
def export(studio: Studio, call: Call) -> Any:
    """Always to be kept, never to be shown: an exported page has scripts of its own."""
    folder = studio.workspace.home / "exports"
    if call.path["name"] not in _listed(folder, ("",)):
        raise missing("such file")
    return handed(folder / call.path["name"], download=True)


@endpoint("GET", "/api/jobs/{id}/files/{number}", "A file that a job wrote", group="Jobs", media="*/*",
          samples={"number": "0"})  # fmt: skip
def job_file(studio: Studio, call: Call) -> Any:
    """Those inside the workspace; pictures and films are shown, reports as reports."""
    files = files_of(find(studio.jobs, call.path["id"]))
    number = call.path["number"]
    if not (number.isascii() and number.isdigit() and len(number) < 8) or int(number) >= len(files):
        raise missing("such file of this job")
    what, path = files[int(number)]
    if not studio.paths and not path.resolve().is_relative_to(studio.workspace.home.resolve()):
        raise Refusal(403, "this file lies outside of the workspace.")
    if path.suffix.lower() in _PAGES and what == "report":
        return FileResponse(
            path, media_type="text/html; charset=utf-8", headers={"content-security-policy": REPORT_POLICY}
        )
    return handed(path)
