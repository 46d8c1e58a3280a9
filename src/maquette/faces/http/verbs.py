"""The table of verbs as routes: what there is, and doing it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.settings import Described, schema
from maquette.core.words import sentence
from maquette.faces.http.catalogue import image_id
from maquette.faces.http.endpoint import Call, Endpoint, Parameter, endpoint
from maquette.faces.http.job import Job
from maquette.faces.http.jobs import run_of
from maquette.faces.http.values import REFUSED
from maquette.operations import operation as table
from maquette.operations import schemas

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

LARGEST = 8 << 20
"""Bytes of the values of a verb: the names of a hundred thousand images."""
LONGEST = 30.0
"""Seconds that an answer waits for a job."""
MOST_IMAGES = 1000
"""Images of a result whose ids are told."""


@endpoint("GET", "/api", "What this studio is", group="Studio")
def about(studio: Studio, call: Call) -> Any:
    """Versions, limits, and how much there is."""
    from maquette.faces.http import uploads

    return {
        "version": studio.page.version, "boot": studio.boot, "home": str(studio.workspace.home), "paths": studio.paths,
        "limits": {"file": uploads.LARGEST, "files": uploads.MOST, "batch": uploads.TOGETHER, "queue": studio.queue},
        "workspace": {f"{kind}s": len(studio.catalogue.all(kind)) for kind in ("dataset", "run", "image")},
    }  # fmt: skip


@endpoint("GET", "/api/verbs", "Every verb with its settings", group="Studio")
def verbs(studio: Studio, call: Call) -> Any:
    """The table that the command line and Python render too."""
    found = []
    for group, names in table.grouped().items():
        for name in names:
            verb = table.get(name)
            found.append({
                "verb": name, "group": group, "summary": verb.summary, "description": verb.description,
                "settings": [told(setting) for setting in verb.settings], "schema": schema(verb.request),
                "here": name not in REFUSED,
            })  # fmt: skip
    return found


@endpoint("GET", "/api/families", "Every family with its settings and dials", group="Studio")
def families(studio: Studio, call: Call) -> Any:
    """From the cache, so that torch is not needed."""
    return [
        {
            "name": one.name, "summary": one.summary, "accepts": one.accepts, "powers": one.powers,
            "needs": dict(one.needs), "settings": [told(setting) for setting in one.settings],
            "dials": [told(dial) for dial in one.dials],
        }
        for one in schemas.read().values()
    ]  # fmt: skip


def told(setting: Described) -> dict[str, Any]:
    """A setting for forms."""
    return {
        "name": setting.name, "option": setting.option, "kind": setting.kind, "help": setting.help,
        "sentence": sentence(setting), "default": setting.default, "required": setting.required,
        "place": setting.place, "repeat": setting.repeat, "choices": setting.choices, "bounds": dict(setting.bounds),
        "form": setting.form,
    }  # fmt: skip


_WAIT = {"wait": Parameter("number", "seconds to wait for the end", default=0.0, ge=0, le=LONGEST)}


def endpoints() -> Sequence[Endpoint]:
    """One route for every verb that requests can do."""
    names = [name for names in table.grouped().values() for name in names if name not in REFUSED]
    return [_endpoint(name) for name in names]


def _endpoint(name: str) -> Endpoint:
    verb = table.get(name)

    async def work(studio: Studio, call: Call) -> Any:
        job = await take(studio, name, call.body)
        if call.query["wait"]:
            await studio.jobs.wait(job, call.query["wait"])
        from maquette.faces.http.endpoint import answer

        return answer({"job": studio.jobs.describe(job, not job.is_over)}, 200 if job.is_over else 202)

    return Endpoint(
        method="POST", path=f"/api/{name}", summary=verb.summary.rstrip("."), work=work, group="Verbs", query=_WAIT,
        body=schema(verb.request), largest=LARGEST, status=202,
    )  # fmt: skip


async def take(studio: Studio, verb: str, values: Mapping[str, Any]) -> Job:
    """Check the values and take the job, or refuse it."""

    def ready() -> Job:
        safe = studio.reader.read(table.get(verb), values)
        run = str(run_of(safe, studio.workspace)) if verb == "train" else None
        return studio.jobs.submit(verb, values, safe, run)

    job = await asyncio.to_thread(ready)
    studio.jobs.enqueue(job)
    return job


def described(studio: Studio, job: Job, brief: bool) -> dict[str, Any]:
    """A job as every face is told of it, with the ids of what it made."""
    facts = job.facts(brief=brief)
    if job.run:
        path = Path(job.run)
        facts["run"] = path.name if path.parent == studio.workspace.runs else job.run
    result = job.result or {}
    made = result.get("images")
    paths = [path for path in made if isinstance(path, str)] if isinstance(made, list) else []
    paths = paths[: 24 if brief else MOST_IMAGES]
    facts["images"] = [image_id(path) for path in paths]
    report = result.get("report")
    facts["report"] = Path(report).name if isinstance(report, str) else None
    files = [*job.files, *_written(result)]
    facts["files"] = [
        {"what": what, "name": path.name, "url": f"/api/jobs/{job.id}/files/{number}"}
        for number, (what, path) in enumerate(files)
        if what != "image"
    ][: 24 if brief else 200]
    return facts


def _written(result: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Files that only the result names."""
    found = [(key, Path(result[key])) for key in ("file", "film") if isinstance(result.get(key), str)]
    for key in ("films", "files"):
        value = result.get(key)
        if isinstance(value, list):
            found += [(key.removesuffix("s"), Path(one)) for one in value if isinstance(one, str)]
    return found


def files_of(job: Job) -> list[tuple[str, Path]]:
    """All files of a job, in the order of their numbers."""
    return [*job.files, *_written(job.result or {})]
