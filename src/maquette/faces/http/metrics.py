"""What the server counts, in the text form that Prometheus reads."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

import maquette
from maquette.faces.http.endpoint import Call, endpoint

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds up to which requests are counted together."""


class Metrics:
    """Counts of requests."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[float] = Counter()
        self.total = 0.0
        self._lock = threading.Lock()

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """One request was answered; `path` is that of the route, never the words in it."""
        with self._lock:
            self.requests[method, path, status] += 1
            self.total += seconds
            for bound in BOUNDS:
                self.seconds[bound] += seconds <= bound


@endpoint("GET", "/health", "Whether it works", group="Service")
def health(studio: Studio, call: Call) -> Any:
    """For monitors."""
    return {"status": "ok", "version": maquette.__version__, "seconds": round(time.time() - studio.began, 1)}


@endpoint("GET", "/metrics", "Numbers for Prometheus", group="Service", media="text/plain")
def metrics(studio: Studio, call: Call) -> Any:
    """Requests, jobs, the queue of images, memory."""
    return Response("\n".join(_lines(studio)) + "\n", media_type="text/plain; version=0.0.4")


def _lines(studio: Studio) -> list[str]:
    counted = studio.metrics
    lines: list[str] = []

    def say(name: str, kind: str, help_: str, rows: list[tuple[str, float]]) -> None:
        lines.append(f"# HELP maquette_{name} {help_}")
        lines.append(f"# TYPE maquette_{name} {kind}")
        lines.extend(f"maquette_{name}{labels} {value:g}" for labels, value in rows)

    rows = [
        (f'{{method="{method}",route="{path}",status="{status}"}}', float(count))
        for (method, path, status), count in sorted(counted.requests.items())
    ]
    say("requests_total", "counter", "Requests that were answered.", rows)
    every = float(sum(counted.requests.values()))
    buckets = [(f'_bucket{{le="{bound:g}"}}', float(counted.seconds[bound])) for bound in BOUNDS]
    buckets += [('_bucket{le="+Inf"}', every), ("_sum", counted.total), ("_count", every)]
    say("request_seconds", "histogram", "How long answers took.", buckets)
    jobs = studio.jobs
    ended = [(f'{{verb="{verb}",state="{state}"}}', float(n)) for (verb, state), n in sorted(jobs.counts.items())]
    say("jobs_ended_total", "counter", "Jobs that ended since the start.", ended)
    say("jobs_waiting", "gauge", "Jobs in the queue.", [("", jobs.waiting)])
    say("jobs_running", "gauge", "Jobs in work.", [("", jobs.running)])
    say("listeners", "gauge", "Open streams of news.", [("", studio.hub.listeners)])
    warm = studio._warm
    if warm is not None:
        say("images_waiting", "gauge", "Requests for images that wait.", [("", warm.waiting)])
        say("images_total", "counter", "Images made by the models kept ready.", [("", warm.made)])
        say("passes_total", "counter", "Passes of these models.", [("", warm.passes)])
        say("models_ready", "gauge", "Models kept ready.", [("", len(warm.ready))])
    say("up_seconds", "gauge", "Seconds since the start.", [("", time.time() - studio.began)])
    memory = resident()
    if memory:
        say("resident_bytes", "gauge", "Memory of the server.", [("", memory)])
    return lines


def resident() -> int:
    """Bytes of memory of this process, where the system tells."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
