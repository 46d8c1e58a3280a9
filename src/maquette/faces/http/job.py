"""One job: a verb with its values, and what became of it. It lives in a folder of the workspace.

jobs/ID/job.json       verb, values, state, and which process does it
jobs/ID/values.json    the values as the command is given them
jobs/ID/events.jsonl   what the command says, line by line
jobs/ID/errors.txt     what it says to people
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maquette.core.errors import DataError
from maquette.store import disk

State = Literal["queued", "running", "done", "failed", "cancelled"]
NOTES, FILES = 200, 5000
_LINE = 64 << 20
"""Bytes of one line that are looked at: the result of ten million images is not held."""
_BRIEF = 200
"""Entries of a list that are told of an ended job where many jobs are told of."""


@dataclass
class Job:
    """A verb with its values, on its way."""

    id: str
    folder: Path
    verb: str
    values: Mapping[str, Any]
    created: float
    state: State = "queued"
    began: float | None = None
    ended: float | None = None
    pid: int = 0
    mark: str = ""
    asked: int = 0
    """How often it was asked to stop."""
    run: str | None = None
    """The run that it trains."""
    progress: dict[str, Any] | None = None
    notes: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=NOTES))
    error: str | None = None
    files: list[tuple[str, Path]] = field(default_factory=list)
    """What was written and may be looked at: what it is, and where."""
    lines: int = 0
    place: int | None = None
    _offset: int = 0
    """How many bytes of the events were taken in."""
    _result_at: int | None = None
    """Where the result stands among them."""
    _result: dict[str, Any] | None = None

    @classmethod
    def new(cls, jobs: Path, verb: str, values: Mapping[str, Any], run: str | None) -> Job:
        """A job of now."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        return cls(name, jobs / name, verb, values, time.time(), run=run)

    @classmethod
    def open(cls, folder: Path) -> Job:
        """A job that an earlier server took."""
        try:
            facts = disk.read_object(folder / "job.json")
            job = cls(
                folder.name, folder, str(facts["verb"]), dict(facts["values"]), float(facts["created"]),
                state=facts["state"], began=facts["began"], ended=facts["ended"], pid=int(facts["pid"]),
                mark=str(facts["mark"]), asked=int(facts["asked"]), run=facts["run"], error=facts["error"],
            )  # fmt: skip
            job._remember(facts["told"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"the job cannot be read ({error})", where=folder) from None
        job.read()
        return job

    def _remember(self, told: Mapping[str, Any]) -> None:
        """What it had said when it was saved: a day of training says too much to be read again at every start."""
        self.lines, self._offset, self._result_at = int(told["lines"]), int(told["bytes"]), told["result_at"]
        self.progress = told["progress"]
        self.notes.extend(told["notes"])
        self.files = [(str(what), Path(path)) for what, path in told["files"]]

    def save(self) -> None:
        """Keep what it is on the disk."""
        facts = {
            "verb": self.verb, "values": self.values, "created": self.created, "state": self.state,
            "began": self.began, "ended": self.ended, "pid": self.pid, "mark": self.mark, "asked": self.asked,
            "run": self.run, "error": self.error,
            "told": {
                "lines": self.lines, "bytes": self._offset, "result_at": self._result_at, "progress": self.progress,
                "notes": list(self.notes), "files": [(what, str(path)) for what, path in self.files],
            },
        }  # fmt: skip
        with disk.writing("the job", self.folder, DataError):
            disk.write_object(self.folder / "job.json", facts)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def result(self) -> dict[str, Any] | None:
        """The facts of its result, read when they are asked for."""
        if self._result is None and self._result_at is not None:
            with contextlib.suppress(OSError, ValueError), open(self.folder / "events.jsonl", "rb") as stream:
                stream.seek(self._result_at)
                value = disk.parse_json(stream.readline(_LINE))
                self._result = {key: item for key, item in value.items() if key not in ("event", "verb")}
        return self._result

    def read(self) -> bool:
        """Take in what the command has said since the last look; whether it said anything."""
        before = self.lines
        try:
            stream = open(self.folder / "events.jsonl", "rb")  # noqa: SIM115
        except OSError:
            return False
        with stream:
            stream.seek(self._offset)
            while (line := stream.readline(_LINE)).endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    value = disk.parse_json(line)
                    if isinstance(value, dict):
                        self._take(value)
                self._offset += len(line)
                self.lines += 1
        return self.lines > before

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "progress":
            self.progress = {key: value for key, value in event.items() if key != "event"}
        elif kind in ("note", "warning"):
            self.notes.append({"kind": kind, "text": str(event.get("text", ""))[:2000]})
        elif kind == "error":
            self.error = str(event.get("message", ""))
        elif kind == "made":
            if len(self.files) < FILES:
                self.files.append((str(event.get("what", "image")), Path(str(event.get("path", "")))))
        elif kind == "result":
            self._result_at, self._result = self._offset, None

    def settle(self, code: int | None = None) -> None:
        """It has ended: what became of it, by what it said."""
        self.read()
        self.ended = time.time()
        if self.result is not None and not (self.asked and self.result.get("stopped") in ("interrupted", "terminated")):
            self.state, self.error = "done", None
        elif self.asked or self.result is not None:
            self.state = "cancelled"
        else:
            self.state = "failed"
            self.error = self.error or self._silent(code)
        self.pid, self.mark = 0, ""

    def _silent(self, code: int | None) -> str:
        if code is not None and code < 0:
            return f"the command was ended by the system (signal {-code}), perhaps for lack of memory; do it again."
        try:
            said = (self.folder / "errors.txt").read_text("utf-8", "replace").strip().split("\n")[-1][:500]
        except OSError:
            said = ""
        return said or "the command ended without saying why; do it again."

    def forget(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def facts(self, *, brief: bool = False) -> dict[str, Any]:
        """What every face is told. Where many are told of, long lists are cut."""
        result = self.result
        if brief and result is not None:
            result = {key: _cut(value) for key, value in result.items()}
        return {
            "id": self.id, "verb": self.verb, "values": _cut(self.values) if brief else self.values,
            "state": self.state, "place": self.place, "progress": self.progress,
            "notes": list(self.notes)[-20 if brief else -NOTES :], "error": self.error, "result": result,
            "created": self.created, "began": self.began, "ended": self.ended, "run": self.run, "events": self.lines,
        }  # fmt: skip


def _cut(value: Any) -> Any:
    if isinstance(value, list) and len(value) > _BRIEF:
        return value[:_BRIEF]
    return {key: _cut(item) for key, item in value.items()} if isinstance(value, dict) else value
