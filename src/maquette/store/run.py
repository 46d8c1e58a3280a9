"""A run folder: what a training run is, what it saw, and from where it can go on.

    run.json            facts: family, settings, data, what the probe chose
    log.jsonl           numbers while training, one line each
    decisions.jsonl     what the run decided on its way and must decide again the same way when it resumes
    checkpoints/        the newest three states, each a folder named by the images seen
    best/               the state that was judged best so far, while the run learns
    model.safetensors   the model to sample with
    samples/            sheets made while training
    pause               there while somebody asks the run to pause

Whatever is written here is whole or absent, whenever the process or the machine stops: it is written to a temporary
name, flushed to the disk and renamed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maquette.core.errors import RunError
from maquette.core.files import atomic_file, make_folder, sync_folder
from maquette.store import disk, weights
from maquette.store.digest import file_digest
from maquette.store.lock import Held, file_lock
from maquette.store.shelf import PARTIAL, Shelf, State, sweep

VERSION = 1
KEPT = 3
RUN_FILE = "run.json"
MODEL_FILE = "model.safetensors"
_KIND = "maquette run"
_HARMLESS = {".DS_Store", "Thumbs.db", "desktop.ini"}


class Run:
    """One run folder. Reading is free to all; whoever writes holds the lock (`ask_pause` alone needs none)."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.facts: dict[str, Any] = dict(facts)
        self.damaged: list[str] = []
        """What was found damaged and left aside, in words."""
        self._shelves = {"checkpoints": Shelf(self.path / "checkpoints", KEPT), "best": Shelf(self.path / "best", 1)}

    # The folder

    @classmethod
    def create(cls, path: str | os.PathLike[str], facts: Mapping[str, Any]) -> Run:
        """Make a new run in a folder that is new or empty."""
        path = Path(path)
        if cls.exists(path):
            raise RunError("there is a run already", where=path, do="open it, or choose another folder")
        if path.exists() and not path.is_dir():
            raise RunError("this is a file, not a folder", where=path, do="choose another name")
        others = [child.name for child in path.iterdir()] if path.is_dir() else []
        others = [name for name in others if name not in _HARMLESS and not PARTIAL.fullmatch(name)]
        if others:
            what = ", ".join(sorted(others)[:3])
            raise RunError(f"the folder holds other things ({what})", where=path, do="choose a new or an empty folder")
        run = cls(path, {})
        with disk.writing("the run", path):
            make_folder(path)
            run._write_facts(disk.plain(facts, "the facts of the run"))
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open the run in this folder."""
        path = Path(path)
        if not path.is_dir():
            what = "this is not a folder" if path.exists() else "there is no such folder"
            raise RunError(what, where=path, do="see what there is: maquette list")
        if not cls.exists(path):
            raise RunError("this folder is not a run (it has no run.json)", where=path)
        return cls(path, cls._read_facts(path))

    @classmethod
    def exists(cls, path: str | os.PathLike[str]) -> bool:
        """Whether there is a run in this folder."""
        return (Path(path) / RUN_FILE).is_file()

    @staticmethod
    def _read_facts(path: Path) -> dict[str, Any]:
        file = path / RUN_FILE
        try:
            value = disk.read_object(file)
        except (OSError, ValueError) as error:
            raise RunError(f"the facts of the run are damaged ({error})", where=file) from None
        version = value.get("version")
        if value.get("kind") != _KIND or type(version) is not int:
            raise RunError("this file does not describe a run", where=file)
        if version > VERSION:
            raise RunError(
                f"the run has format {version}, written by a newer Maquette", where=file, do="update Maquette"
            )
        return {key: item for key, item in value.items() if key not in ("kind", "version")}

    def _write_facts(self, facts: Mapping[str, Any]) -> None:
        if facts.keys() & {"kind", "version"}:
            raise RunError("kind and version belong to the folder itself: they cannot be facts", where=self.path)
        disk.write_object(self._own(RUN_FILE), {"kind": _KIND, "version": VERSION, **facts})
        self.facts = dict(facts)

    def _own(self, name: str) -> Path:
        """A file or folder of the run. A link in its place could lead anywhere: a shared run may be hostile."""
        path = self.path / name
        if path.is_symlink():
            raise RunError("this is a link, and links inside a run are not followed", where=path, do="remove it")
        return path

    def update(self, **facts: Any) -> None:
        """Change some facts of the run."""
        given = disk.plain(facts, "the facts of the run")
        with disk.writing("the facts of the run", self.path / RUN_FILE):
            self._write_facts({**self._read_facts(self.path), **given})

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer; the lock ends with the process, however that ends."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self._own(".lock")))
            except Held as held:
                who = f"process {held.pid}" if held.pid else "another process"
                raise RunError(f"{who} is at work on this run", where=self.path, do="wait for it or stop it") from None
            yield

    @property
    def samples(self) -> Path:
        """The folder of sheets made while training."""
        with disk.writing("the folder of samples", self.path):
            return make_folder(self._own("samples"))

    # Checkpoints

    def save(self, state: State) -> Path:
        """Write a complete checkpoint or none; then let go of all but the newest three whole ones."""
        shelf = self._shelf("checkpoints")
        with disk.writing("the checkpoint", shelf.folder):
            sweep(self.path)
            self._sync_log()
        return shelf.save(state)

    def _shelf(self, name: str) -> Shelf:
        self._shelves[name].folder = self._own(name)
        return self._shelves[name]

    def _sync_log(self) -> None:
        log = self._own("log.jsonl")
        if log.exists():
            with open(log, "ab") as stream:
                os.fsync(stream.fileno())

    def checkpoints(self) -> list[int]:
        """The images seen at each checkpoint that is there, oldest first."""
        return self._shelf("checkpoints").images()

    def restore(self) -> State | None:
        """The newest whole checkpoint, or None when none was ever saved. What is damaged is described in `damaged`."""
        return self._restore("checkpoints")

    def _restore(self, name: str) -> State | None:
        shelf = self._shelf(name)
        try:
            return shelf.restore()
        finally:
            self.damaged = list(shelf.damaged)

    def keep_best(self, state: State) -> None:
        """Keep this state until a better one comes, so that training can go back to it."""
        self._shelf("best").save(state)

    def best(self) -> State | None:
        """The best state so far, or None when none was kept or it is damaged (described in `damaged`)."""
        with contextlib.suppress(RunError):
            return self._restore("best")
        return None

    def forget_best(self) -> None:
        """The run is finished."""
        self._shelf("best").clear()

    # Log and decisions

    def log(self, record: Mapping[str, Any]) -> None:
        """Add one line of numbers; those that are not finite are kept as null."""
        if type(record.get("images")) is not int:
            raise RunError("a line of the log needs a whole number of images", where=self.path)
        self._append("log.jsonl", disk.without_infinities(record))

    def rewind(self, images: int) -> None:
        """Forget the lines of the log after this many images: a resumed run writes them again."""
        path = self._own("log.jsonl")
        if not path.exists():
            return
        with disk.writing("the log", path), atomic_file(path) as stream:
            for _, record in disk.read_lines(path):
                if record is not None and _images(record) <= images:
                    stream.write(disk.line(record))

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of the log in their order. A damaged one is left out and described in `damaged`."""
        for number, record in disk.read_lines(self._own("log.jsonl")):
            if record is None:
                self.damaged.append(f"log.jsonl: line {number} cannot be read")
            else:
                yield record

    def decide(self, decision: Mapping[str, Any]) -> None:
        """Keep a decision on the disk before it is acted upon."""
        self._append("decisions.jsonl", decision, sync=True)

    def decisions(self) -> list[dict[str, Any]]:
        """All decisions in their order."""
        path = self._own("decisions.jsonl")
        found = []
        for number, decision in disk.read_lines(path):
            if decision is None:
                raise RunError(f"line {number} is damaged", where=path, do="remove it by hand to go on without it")
            found.append(decision)
        return found

    def _append(self, name: str, record: Mapping[str, Any], *, sync: bool = False) -> None:
        path = self._own(name)
        given = disk.plain(record, name)
        with disk.writing(f"a line of {name}", path):
            disk.append_line(path, given, sync=sync)

    # The model

    def save_model(self, tensors: weights.Tensors, facts: Mapping[str, Any]) -> str:
        """Write the model to sample with and note its digest in run.json.

        The note is made before the file takes its name, and names the file before it too: whenever this is cut short,
        run.json speaks of the file that is there.
        """
        path = self._own(MODEL_FILE)
        ready = self._own(f".{MODEL_FILE}.{os.getpid()}.ready.partial")
        before = file_digest(path) if path.exists() else None
        known = {self.facts.get("model"), self.facts.get("model_before")}
        with disk.writing("the model", path):
            sweep(self.path)
        try:
            digest = weights.write(ready, tensors, facts)
            self.update(model=digest, model_before=before if before in known else None)
            with disk.writing("the model", path):
                os.replace(ready, path)
                sync_folder(self.path)
        finally:
            with contextlib.suppress(OSError):
                ready.unlink(missing_ok=True)
        return digest

    def model(self, schema: weights.Schema) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The tensors and facts of the model, checked against the schema and the digest in run.json."""
        path = self._own(MODEL_FILE)
        if not path.exists():
            raise RunError("there is no model in this run yet", where=self.path, do="train it first")
        known = [self.facts[key] for key in ("model", "model_before") if isinstance(self.facts.get(key), str)]
        contents = weights.read_contents(path, schema, digest=known)
        self.facts["model"] = contents.digest
        return contents.tensors, contents.facts

    # Pause

    def ask_pause(self) -> None:
        """Ask the process that trains this run to save and stop."""
        path = self._own("pause")
        with disk.writing("the request to pause", path):
            path.touch()

    def pause_asked(self) -> bool:
        """Whether somebody asked the run to pause."""
        return (self.path / "pause").exists()

    def clear_pause(self) -> None:
        """The request has been followed."""
        path = self.path / "pause"
        with disk.writing("the request to pause", path):
            path.unlink(missing_ok=True)


def _images(record: Mapping[str, Any]) -> int:
    """The images of a line of the log; a line without them belongs to the beginning."""
    images = record.get("images")
    return images if type(images) is int else 0
