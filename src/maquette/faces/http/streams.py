"""Jobs, and the news of them: what is queued and in work, what a command says line by line, and one stream for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from maquette.faces.http.endpoint import Call, Parameter, Refusal, endpoint, to_json
from maquette.faces.http.job import Job
from maquette.faces.http.jobs import find

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

BEAT = 15.0
"""Seconds after which a stream says that it is still there."""
_QUERY = {
    "state": Parameter("text", "only jobs of this state"),
    "verb": Parameter("text", "only jobs of this verb"),
    "limit": Parameter("integer", "how many at most", default=200, ge=1, le=1000),
}


@endpoint("GET", "/api/jobs", "All jobs, the newest first", group="Jobs", query=_QUERY)
async def jobs(studio: Studio, call: Call) -> Any:
    """What waits, works, and is over."""
    state, verb = call.query["state"], call.query["verb"]
    chosen = [job for job in studio.jobs.listed() if state in (None, job.state) and verb in (None, job.verb)]
    return [studio.jobs.describe(job, True) for job in chosen[: call.query["limit"]]]


@endpoint("GET", "/api/jobs/{id}", "One job with its whole result", group="Jobs")
async def job_one(studio: Studio, call: Call) -> Any:
    """By its id."""
    return studio.jobs.describe(find(studio.jobs, call.path["id"]), False)


@endpoint("DELETE", "/api/jobs/{id}", "Forget a job that is over", group="Jobs")
async def job_forget(studio: Studio, call: Call) -> Any:
    """What it made stays."""
    job = find(studio.jobs, call.path["id"])
    if not job.is_over:
        raise Refusal(409, "the job is not over; cancel it first.")
    studio.jobs.forget(job)
    return {}


@endpoint("POST", "/api/jobs/{id}/cancel", "Stop a job as Ctrl-C does", group="Jobs", status=202)
async def job_cancel(studio: Studio, call: Call) -> Any:
    """Training saves first; asked a third time, the job is ended at once."""
    job = find(studio.jobs, call.path["id"])
    studio.jobs.cancel(job)
    return {"job": studio.jobs.describe(job, True)}


@endpoint("POST", "/api/jobs/{id}/pause", "Let a training save and stop", group="Jobs", status=202)
async def job_pause(studio: Studio, call: Call) -> Any:
    """By the verb `pause`; the same values again go on."""
    from maquette.operations import operation as table

    job = find(studio.jobs, call.path["id"])
    if job.state == "queued":
        studio.jobs.cancel(job)
    elif job.state != "running" or job.run is None:
        raise Refusal(409, "only a training can be paused.")
    else:
        run = job.run
        await asyncio.to_thread(lambda: list(table.run("pause", studio.workspace, {"run": run})))
    return {"job": studio.jobs.describe(job, True)}


@endpoint("POST", "/api/jobs/{id}/again", "Do the same once more; a training goes on", group="Jobs", status=202)
async def job_again(studio: Studio, call: Call) -> Any:
    """The same verb with the same values, as a new job."""
    from maquette.faces.http.verbs import take

    job = find(studio.jobs, call.path["id"])
    again = await take(studio, job.verb, job.values)
    return {"job": studio.jobs.describe(again, True)}


_AFTER = {"after": Parameter("integer", "only lines behind this one; else the header Last-Event-ID", ge=0)}


@endpoint("GET", "/api/jobs/{id}/events", "What the command says, as server-sent events", group="Jobs", query=_AFTER,
          media="text/event-stream")  # fmt: skip
async def job_events(studio: Studio, call: Call) -> Any:
    """Every line from the first (or the last that was seen) on; at the end the job itself."""
    job = find(studio.jobs, call.path["id"])
    last = call.request.headers.get("last-event-id", "")
    after = call.query["after"] if call.query["after"] is not None else int(last) if _is_small(last) else 0
    return _stream(_lines(studio, job, after))


def _is_small(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 16


async def _lines(studio: Studio, job: Job, after: int) -> AsyncIterator[bytes]:
    number, offset = 0, 0
    with studio.hub.bell(job.id) as bell:
        while True:
            bell.clear()
            over = job.is_over
            lines, offset = await asyncio.to_thread(_read, job, offset)
            for line in lines:
                number += 1
                if number > after:
                    yield _event(_kind(line), line, number)
            if not lines and (over or studio.hub.closing.is_set() or job.id not in studio.jobs.all):
                break
            if not lines:
                async for beat in _until(bell):
                    yield beat
    if not studio.hub.closing.is_set():
        yield _event("end", to_json(studio.jobs.describe(job, False)), None)


def _read(job: Job, offset: int) -> tuple[list[bytes], int]:
    """Whole lines behind this place, a few at a time, and the place behind them."""
    try:
        with open(job.folder / "events.jsonl", "rb") as stream:
            stream.seek(offset)
            content = stream.read(1 << 20)
            if content and b"\n" not in content:
                content += stream.readline()
    except OSError:
        return [], offset
    end = content.rfind(b"\n") + 1
    return content[:end].split(b"\n")[:-1], offset + end


def _kind(line: bytes) -> str:
    try:
        kind = json.loads(line)["event"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "note"
    return kind if isinstance(kind, str) and kind.isalpha() else "note"


async def _until(bell: asyncio.Event) -> AsyncIterator[bytes]:
    """Wait until something is new, with a sign of life now and then."""
    while True:
        try:
            await asyncio.wait_for(bell.wait(), BEAT)
            return
        except TimeoutError:
            yield b": still here\n\n"


@endpoint("GET", "/api/events", "News of everything, as server-sent events", group="Jobs", media="text/event-stream")
async def events(studio: Studio, call: Call) -> Any:
    """First how all stands, then what changes; after a break the same again, so nothing is missed."""
    from maquette.faces.http.hub import LISTENERS

    if studio.hub.listeners >= LISTENERS:
        raise Refusal(429, "too many pages are open; close some.", {"retry-after": "10"})
    return _stream(_news(studio))


async def _news(studio: Studio) -> AsyncIterator[bytes]:
    with studio.hub.listening() as news:
        jobs = [studio.jobs.describe(job, True) for job in studio.jobs.listed()[:200]]
        yield _event("hello", to_json({"boot": studio.boot, "version": studio.page.version, "jobs": jobs}), None)
        while not studio.hub.closing.is_set():
            try:
                one = await asyncio.wait_for(news.get(), BEAT)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if one is None:
                return
            yield _event(one[0], to_json(one[1]), None)


def _event(kind: str, data: bytes, number: int | None) -> bytes:
    name = b"" if number is None else b"id: %d\n" % number
    return b"event: " + kind.encode() + b"\n" + name + b"data: " + data + b"\n\n"


def _stream(parts: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(parts, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
