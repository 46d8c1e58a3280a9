"""Files that hold many images (archives, Parquet, arrays) are read in a process of their own, with limits.

    with Reader() as reader:
        source = reader.source("zip", Path("photos.zip"))
        for entry in source.entries():
            ...

The process may be killed by what it reads; then the file counts as damaged from there on, and the next one gets a new
process. It hands entries over one by one, so that memory stays the same however many there are.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError, MaquetteError
from maquette.core.guard import Guard
from maquette.core.workers import put_down
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.patience import Patience
from maquette.data.decoding.worker import command, read_message, write_message
from maquette.data.source import Entry, Source, peek, registry

_START_SECONDS = 60.0
_BEATS = 1.0
"""Seconds between signs of life from a process that has nothing to hand over yet."""
_COLUMNS, _LETTERS = 200, 4000
"""How many columns an entry may have, and how many letters of a text are handed over."""


class Reader:
    """Processes that read containers: one, or as many as are asked at the same time. Use it as a context."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._idle: list[_Line] = []
        self._busy: list[_Line] = []
        self._watch: threading.Thread | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for line in (*self._idle, *self._busy):
            line.end()

    def source(self, kind: str, path: Path) -> Remote:
        """A container as a source."""
        return Remote(self, kind, path)

    def ask(self, question: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """All answers to one question. Whoever stops listening ends its process, and the next question starts one."""
        line = self._idle.pop() if self._idle else _Line(self.limits)
        self._busy.append(line)
        if self._watch is None:
            self._watch = threading.Thread(target=self._end_if_late, daemon=True)
            self._watch.start()
        done = False
        try:
            yield from line.ask(question)
            done = line.is_alive
        finally:
            self._busy.remove(line)
            if done:
                self._idle.append(line)
            else:
                line.end()

    def _end_if_late(self) -> None:
        while not self._closed.wait(0.1):
            for line in tuple(self._busy):
                line.end_if_late()


@functools.cache
def shared() -> Reader:
    """A reader for whoever has none; its processes end with this one."""
    reader = Reader()
    atexit.register(reader.__exit__)
    return reader


class _Line:
    """The line to one process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._patience = Patience()
        self._late = False
        self._seconds = max(_START_SECONDS, limits.seconds)  # For the first answer, which includes the start.
        self.is_alive = True
        more = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
        self._process = subprocess.Popen(
            command("maquette.data.decoding.reader"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more},
        )
        self._send(dataclasses.asdict(limits))

    def ask(self, question: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """All answers to one question; where the process dies, a last one that says so."""
        assert self._process.stdout
        try:
            self._send(dict(question))
            while True:
                self._patience.start(self._seconds)
                head, body = read_message(self._process.stdout)
                self._patience.stop()
                self._seconds = self._limits.seconds
                if "end" in head:
                    return
                if "beat" not in head:
                    yield head, body
        except (EOFError, OSError, ValueError, KeyError):
            self.is_alive = False
            yield {"trouble": "it took too long to read" if self._late else "reading it crashed"}, b""
        finally:
            self._patience.stop()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        write_message(self._process.stdin, message)
        self._process.stdin.flush()

    def end_if_late(self) -> None:
        """Kill the process if it has said nothing for too long."""
        if self._patience.is_over(self._process.pid):
            self._late = True
            self._patience.stop()
            self._process.kill()

    def end(self) -> None:
        """End the process."""
        put_down(self._process)


class Remote:
    """A container that the reader's process reads, as a source like any other."""

    def __init__(self, reader: Reader, kind: str, path: Path) -> None:
        self.where, self.kind, self._path, self._reader = str(path), kind, path, reader
        self.names: Mapping[str, tuple[str, ...]] = {}
        self.pictures: frozenset[str] = frozenset()
        self.notes: list[str] = []
        self.private = False
        self._stamp = peek(path)[1]
        for head, _ in self._ask("about"):
            self._learn(head)

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """Containers are claimed by their own kinds."""
        return 0

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """All entries; where the container is damaged, one more that says so."""
        for head, body in self._ask("entries", content=content):
            if "about" in head:
                self._learn(head)
            else:
                entry = _entry(head, body, self._path.name)
                yield entry if entry.stamp else dataclasses.replace(entry, stamp=self._stamp)

    def sample(self, count: int) -> Iterator[Entry]:
        """Some entries."""
        for head, body in self._ask("sample", count=count):
            if "about" not in head:
                yield _entry(head, body, self._path.name)

    def companion(self, name: str) -> bytes | Path | None:
        """What a container has to say about further pictures, it says with the entry."""
        return None

    def fingerprint(self) -> str:
        """Names, sizes and times of the file, or of the files of a folder."""
        digest = hashlib.blake2b(digest_size=16)
        found = sorted(self._path.rglob("*")) if self._path.is_dir() else [self._path]
        for file in found:
            with contextlib.suppress(OSError):
                form = file.stat()
                digest.update(f"{file.name}\0{form.st_size}\0{form.st_mtime_ns}\n".encode("utf-8", "replace"))
        return digest.hexdigest()

    def licences(self) -> Mapping[str, str]:
        """Containers do not say."""
        return {}

    def _ask(self, do: str, **more: Any) -> Iterator[tuple[dict[str, Any], bytes]]:
        question = {"do": do, "kind": self.kind, "path": os.fsencode(self._path).hex(), **more}
        for head, body in self._reader.ask(question):
            if "error" in head:
                what, where, advice = head["error"]
                raise DataError(what, where=where or None, do=advice)
            yield head, body

    def _learn(self, head: Mapping[str, Any]) -> None:
        if "trouble" in head:
            trouble = str(head["trouble"])
            raise DataError(trouble, where=self._path, do="" if ";" in trouble else "make it again, or leave it out")
        about = head["about"]
        self.names = {name: tuple(words) for name, words in about["names"].items()}
        # Some of it is only known after all entries: what was learned stays when they are read again.
        self.pictures |= frozenset(about["pictures"])
        self.notes += [note for note in about["notes"] if note not in self.notes]
        self.private |= bool(about["private"])


def _entry(head: Mapping[str, Any], body: bytes, name: str) -> Entry:
    said = dict(head.get("said", ()))
    start = int(head.get("length", 0))
    for column, length in head.get("further", {}).items():
        said[column] = body[start : start + length]
        start += length
    return Entry(
        path=head.get("path", name), content=body[: head["length"]] if "length" in head else None, said=said,
        folders=tuple(head.get("folders", ())), part=head.get("part"), trouble=head.get("trouble", ""),
        stamp=head.get("stamp", ""),
    )  # fmt: skip


# What runs in the process


def main() -> None:
    """Read the limits, then questions, and answer each with as many messages as there are entries."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    head, _ = read_message(questions)
    limits = Limits(**{key: value for key, value in head.items() if key != "size"})
    guard = Guard(limits.memory, limits.seconds)
    while True:
        try:
            question, _ = read_message(questions)
        except EOFError:
            return
        guard.renew()
        _Answers(question, answers, guard, limits).give()


class _Answers:
    """The answers to one question."""

    def __init__(self, question: Mapping[str, Any], answers: Any, guard: Guard, limits: Limits) -> None:
        self._question, self._answers, self._guard, self._limits = question, answers, guard, limits
        self._beat = time.monotonic()

    def give(self) -> None:
        """All of them, and the end."""
        try:
            path = Path(os.fsdecode(bytes.fromhex(self._question["path"])))
            source = registry().get(self._question["kind"])(path, self._limits)
            self._about(source)
            if self._question["do"] == "entries":
                for entry in source.entries(content=self._question["content"]):
                    self._give(entry)
                self._about(source)
            elif self._question["do"] == "sample":
                for entry in source.sample(self._question["count"]):
                    self._give(entry)
        except MaquetteError as error:
            self._send({"error": [error.what, error.where, error.do]})
        except Refused as error:
            self._send({"trouble": str(error)})
        except MemoryError:
            self._send({"trouble": f"it needs more than {self._limits.memory / 2**30:g} GB of memory to read"})
        except Exception as error:  # A hostile file can raise anything; it costs this file alone, from here on.
            words = " ".join(str(error).split())[:120] if isinstance(error, (OSError, ValueError)) else ""
            self._send({"trouble": f"it is damaged{f' ({words})' if words else ''}"})
        self._send({"end": True})
        self._answers.flush()

    def _about(self, source: Source) -> None:
        about = {
            "names": source.names, "pictures": sorted(source.pictures), "notes": source.notes,
            "private": source.private,
        }  # fmt: skip
        self._send({"about": about})

    def _give(self, entry: Entry | None) -> None:
        """Send an entry, or from time to time a sign of life."""
        self._guard.renew()
        if entry is None:
            if time.monotonic() - self._beat > _BEATS:
                self._send({"beat": True})
                self._answers.flush()
            return
        said, further, body = {}, {}, b""
        if isinstance(entry.content, bytes):
            body = entry.content
        for column, value in entry.said.items():
            if isinstance(value, bytes):
                further[column] = len(value)
                body += value
            else:
                said[column] = _plain(value)
        head: dict[str, Any] = {"path": entry.path, "said": said, "stamp": entry.stamp}
        if isinstance(entry.content, bytes):
            head["length"] = len(entry.content)
        for name, more in (("further", further), ("part", entry.part), ("trouble", entry.trouble)):
            if more:
                head[name] = more
        if entry.folders:
            head["folders"] = entry.folders
        if len(entry.said) > _COLUMNS:
            head |= {"said": {}, "trouble": f"more than {_COLUMNS} things are said about it"}
        self._send(head, body)

    def _send(self, head: dict[str, Any], body: bytes = b"") -> None:
        write_message(self._answers, head, body)
        now = time.monotonic()
        if body or "path" not in head or now - self._beat > _BEATS / 5:
            self._answers.flush()
            self._beat = now


def _plain(value: Any) -> Any:
    """A value that JSON can carry; what is neither word nor number nor list is only known to be something else."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if not isinstance(value, str) else value[:_LETTERS].encode("utf-8", "replace").decode()
    if isinstance(value, (list, tuple)) and len(value) <= 16 and all(isinstance(part, str) for part in value):
        return [part[:_LETTERS].encode("utf-8", "replace").decode() for part in value]
    return {}


if __name__ == "__main__":
    main()
