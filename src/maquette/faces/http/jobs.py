"""The queue of jobs: taken or refused at once, done in child processes, watched, and found again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.event import to_line
from maquette.core.files import make_folder
from maquette.faces import trouble
from maquette.faces.http import process
from maquette.faces.http.endpoint import busy
from maquette.faces.http.hub import Hub
from maquette.faces.http.job import Job
from maquette.operations import operation as table
from maquette.store import disk

if TYPE_CHECKING:
    import subprocess

    from maquette.store.workspace import Workspace

LEARNING = frozenset({"train", "demo", "use"})
"""Verbs that take the machine for long: one of them at a time, beside the others."""
AT_ONCE = frozenset({"list", "pause", "label", "remove", "card", "delete"})
"""Verbs of an instant, done in this process; all others are commands of their own."""
LOOK, TELL, SAVE = 0.05, 0.25, 30.0
"""Seconds between two looks at the events of a job, between two tellings of its progress, and between two times when
it is written down how far its events were read."""
KEPT, KEPT_SECONDS = 500, 30 * 86400
"""How many ended jobs are remembered, and for how long."""


class Jobs:
    """All jobs of a workspace. Everything that changes them happens in the thread of the server's loop."""

    def __init__(self, workspace: Workspace, hub: Hub, *, queue: int, at_once: int) -> None:
        self.workspace, self.hub, self.queue, self.at_once = workspace, hub, queue, at_once
        self.folder = workspace.home / "jobs"
        self.all: dict[str, Job] = {}
        self.counts: dict[tuple[str, str], int] = {}
        """How many ended, by verb and state."""
        self._waiting: list[Job] = []
        self._commands: dict[str, subprocess.Popen[bytes]] = {}
        self._told: dict[str, float] = {}
        self._saved = 0.0
        self._threads: dict[str, bool] = {}
        """The jobs done in this process, and whether their work is over."""
        self._reserved = 0
        self._lock = threading.Lock()
        self._over: dict[str, asyncio.Event] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called when a job has ended: there may be other things than before."""
        self.describe: Callable[[Job, bool], dict[str, Any]] = lambda job, brief: job.facts(brief=brief)

    # What the routes ask

    def submit(self, verb: str, values: Mapping[str, Any], ready: Mapping[str, Any], run: str | None = None) -> Job:
        """Take a job or refuse it; it is on the disk when this returns. `ready` is what the command is given."""
        with self._lock:
            waiting = len(self._waiting) + self._reserved
            if waiting >= self.queue:
                raise busy(5, f"{waiting} jobs are waiting already")
            self._reserved += 1
        try:
            job = Job.new(self.folder, verb, values, run)
            try:
                make_folder(job.folder)
                disk.write_object(job.folder / "values.json", ready)
                job.save()
            except BaseException:
                job.forget()
                raise
        finally:
            with self._lock:
                self._reserved -= 1
        return job

    def enqueue(self, job: Job) -> None:
        """Line a new job up; in the loop's thread."""
        self.all[job.id] = job
        # A table of labels is a file of anybody, so it is read by a command.
        if job.verb in AT_ONCE and not {"from", "from_"} & set(job.values):
            self._in_thread(job)
        else:
            self._waiting.append(job)
            self._start_next()
        self._tell(job)

    async def wait(self, job: Job, seconds: float) -> None:
        """Until it is over, or the time is."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.setdefault(job.id, asyncio.Event()).wait(), seconds)

    def cancel(self, job: Job) -> None:
        """Ask it to stop; one that waits is gone at once."""
        if job.state == "queued":
            self._waiting.remove(job)
            job.asked += 1
            self._end(job)
        elif job.state == "running" and job.pid:
            job.asked += 1
            self._save(job)
            process.end(job.pid, job.mark, job.asked)

    def forget(self, job: Job) -> None:
        """Forget one that is over."""
        self.all.pop(job.id, None)
        self._over.pop(job.id, None)
        job.forget()
        self.hub.tell("gone", {"id": job.id})

    def listed(self) -> Sequence[Job]:
        """All, the newest first."""
        return sorted(self.all.values(), key=lambda job: (-job.created, job.id))

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many are in work."""
        return sum(job.state == "running" for job in self.all.values())

    # Before and beside the requests

    def recover(self) -> None:
        """Find the jobs of an earlier server: what still works is watched on, what waited is lined up again."""
        with contextlib.suppress(OSError):
            for folder in sorted(self.folder.iterdir()):
                with contextlib.suppress(DataError):
                    job = Job.open(folder)
                    self.all[job.id] = job
                    if job.state == "queued":
                        self._waiting.append(job)
                    elif job.state == "running" and not process.is_alive(job.pid, job.mark):
                        if not job.pid and job.result is None:
                            job.error = "the studio was ended while this was done; do it again."
                        self._end(job)
        over = [job for job in self.listed() if job.is_over]
        for job in over[KEPT:] + [job for job in over[:KEPT] if time.time() - job.created > KEPT_SECONDS]:
            self.forget(job)
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            self.enqueue(job)

    async def watch(self) -> None:
        """Follow what the commands say, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            due = time.monotonic() - self._saved > SAVE
            self._saved = time.monotonic() if due else self._saved
            for job in [job for job in self.all.values() if job.state == "running"]:
                try:
                    self._look(job)
                    if due:
                        self._save(job)
                except Exception as error:
                    trouble.fault(error, f"watching {job.verb}", [os.fspath(self.workspace.home / "faults")])

    def leave(self) -> None:
        """The server ends; what works goes on without it."""
        for command in self._commands.values():
            command.returncode = command.returncode or 0  # else Python complains that nobody waited for it

    def _look(self, job: Job) -> None:
        command = self._commands.get(job.id)
        if job.id in self._threads:
            over = self._threads[job.id]
        elif command is not None:
            over = command.poll() is not None
        else:
            over = not process.is_alive(job.pid, job.mark)
        said = job.read()
        if over:
            self._end(job, None if command is None else command.returncode)
        elif said:
            self._tell(job, self._told.get(job.id, 0.0) + TELL)

    def _end(self, job: Job, code: int | None = None) -> None:
        job.settle(code)
        self._commands.pop(job.id, None)
        self._threads.pop(job.id, None)
        self._told.pop(job.id, None)
        self.counts[job.verb, job.state] = self.counts.get((job.verb, job.state), 0) + 1
        self._save(job)
        self.changed()
        self._over.pop(job.id, asyncio.Event()).set()
        self._tell(job)
        self.hub.tell("changed", {"what": ["datasets", "runs", "images", "reports"]})
        self._start_next()

    def _start_next(self) -> None:
        for job in list(self._waiting):
            working = [other.verb in LEARNING for other in self.all.values() if other.pid]
            most = 1 if job.verb in LEARNING else self.at_once
            if working.count(job.verb in LEARNING) < most:
                self._waiting.remove(job)
                self._start(job)
        places = {True: 0, False: 0}
        for job in self._waiting:
            places[job.verb in LEARNING] += 1
            job.place = places[job.verb in LEARNING]

    def _start(self, job: Job) -> None:
        job.state, job.began, job.place = "running", time.time(), None
        words = ["--home", str(self.workspace.home), "--values", str(job.folder / "values.json")]
        try:
            command = process.start(job.verb, words, job.folder, make_folder(self.workspace.images))
        except OSError as error:
            job.error = trouble.circumstance(error) or f"the command could not be started ({error})."
            self._end(job)
            return
        self._commands[job.id] = command
        job.pid, job.mark = command.pid, process.mark(command.pid)
        self._save(job)
        self._tell(job)

    def _in_thread(self, job: Job) -> None:
        job.state, job.began = "running", time.time()
        self._save(job)
        self._threads[job.id] = False
        loop = asyncio.get_running_loop()

        def work() -> None:
            self._do(job)
            self._threads[job.id] = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the next server finds what was said
                loop.call_soon_threadsafe(self._look_once, job)

        threading.Thread(target=work, name=f"job {job.id}").start()

    def _look_once(self, job: Job) -> None:
        if job.state == "running":
            self._look(job)

    def _do(self, job: Job) -> None:
        """Do a verb of an instant here, and write down what it says as its command would."""
        with open(job.folder / "events.jsonl", "ab", buffering=0) as stream:

            def say(line: str) -> None:
                stream.write(line.encode() + b"\n")

            try:
                ready = disk.read_object(job.folder / "values.json")
                for event in table.run(job.verb, self.workspace, ready):
                    say(to_line(event))
            except MaquetteError as error:
                say(_error(str(error)))
            except Exception as error:
                folders = [os.fspath(self.workspace.home / "faults")]
                say(_error(trouble.circumstance(error) or trouble.fault(error, f"maquette {job.verb}", folders)))

    def _save(self, job: Job) -> None:
        with contextlib.suppress(
            MaquetteError, OSError
        ):  # a full disk: the next server asks the process and its events
            job.save()

    def _tell(self, job: Job, at: float = 0.0) -> None:
        now = time.monotonic()
        if now >= at:
            self._told[job.id] = now
            try:
                self.hub.tell("job", self.describe(job, True))
            except Exception as error:  # one job that cannot be told of must not end the watching of all
                trouble.fault(error, f"telling of {job.verb}", [os.fspath(self.workspace.home / "faults")])
            self.hub.wake(job.id)


def _error(text: str) -> str:
    import json

    return json.dumps({"event": "error", "message": text})


def find(jobs: Jobs, name: str) -> Job:
    """The job of that name."""
    if name not in jobs.all:
        from maquette.faces.http.endpoint import missing

        raise missing("such job")
    return jobs.all[name]


def run_of(values: Mapping[str, Any], workspace: Workspace) -> Path:
    """The folder of the run that these values of `train` lead to."""
    to = values.get("to")
    if to:
        return workspace.run_path(str(to))
    if "dataset" not in values:
        raise UsageError("train: dataset must be given")
    name = Path(str(values["dataset"])).name.removesuffix(".mq")
    return workspace.run_path(f"{name}-{values.get('family', 'flow')}")
