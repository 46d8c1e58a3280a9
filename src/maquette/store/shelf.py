"""A shelf of complete states: the last few checkpoints of a run, or the one state that was the best so far.

Each state is a folder named by the images seen. It is written under a hidden name, flushed and renamed, so that it is
whole or absent whenever the process or the machine stops; its digests tell when the disk has lost some of it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maquette.core.errors import ModelFileError, RunError
from maquette.core.files import make_folder, sync_folder
from maquette.store import disk, weights
from maquette.store.digest import file_digest, json_digest

VERSION = 1
MAX_STATE = 256 * 2**30
PARTIAL = re.compile(r"\..+\.partial")
_FOLDER = re.compile(r"(\d{12})(\.before)?")


@dataclass(frozen=True)
class State:
    """All that training needs to go on: arrays by name, and plain facts with at least `images` and `step`."""

    tensors: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]

    @property
    def images(self) -> int:
        """How many images the run had seen."""
        return int(self.facts["images"])


class Shelf:
    """A folder that keeps the newest few states."""

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder, self.kept = folder, kept
        self.damaged: list[str] = []
        """What was found damaged and left aside, in words."""
        self._whole: set[str] = set()

    def save(self, state: State) -> Path:
        """Write a complete state or none; then let go of all but the newest whole ones.

        A state of more images than this one comes from a future that was abandoned (it was damaged, or training went
        back): it goes as soon as this one is safe.
        """
        facts = disk.plain(state.facts, "the facts of the state")
        images = facts.get("images")
        if type(images) is not int or not 0 <= images < 10**12 or type(facts.get("step")) is not int:
            raise RunError("a state needs whole numbers of images and steps", where=self.folder.parent)
        name = f"{images:012d}"
        with disk.writing("the checkpoint", self.folder / name):
            make_folder(self.folder)
            sweep(self.folder)
            partial = self.folder / f".{name}.{os.getpid()}.partial"
            try:
                self._write(partial, state.tensors, facts)
                self._put_in_place(partial, self.folder / name)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    remove(partial)
                if isinstance(error, ModelFileError):
                    raise RunError(error.what, where=self.folder / name, do=error.do) from error
                raise
        self._whole.add(name)
        # The state is safe now. What cannot be removed is tried again at the next save.
        with contextlib.suppress(OSError):
            self._prune(name)
        return self.folder / name

    def restore(self) -> State | None:
        """The newest whole state, or None when none was ever saved. What is damaged is described in `damaged`."""
        self.damaged = []
        folders = self._folders()
        for folder in folders:
            try:
                state = self._read(folder)
            except (ModelFileError, RunError) as error:
                self._whole.discard(folder.name)
                self.damaged.append(f"checkpoint {folder.name}: {error}")
            else:
                self._whole.add(folder.name)
                return state
        if folders:
            what = f"none of the {len(folders)} checkpoints is whole"
            raise RunError(
                f"{what} ({self.damaged[0].rstrip('.')})", where=self.folder.parent, do="start again in a new folder"
            )
        return None

    def images(self) -> list[int]:
        """The images seen at each state that is there, oldest first."""
        return sorted({int(child.name[:12]) for child in self._folders()})

    def clear(self) -> None:
        """Let go of all states."""
        with contextlib.suppress(OSError):
            self._discard(self._folders())

    def _write(self, partial: Path, tensors: weights.Tensors, facts: dict[str, Any]) -> None:
        digest = weights.write(partial / "state.safetensors", tensors, {"images": facts["images"]})
        content = {"version": VERSION, "facts": facts, "tensors": digest}
        disk.write_object(partial / "state.json", {**content, "digest": json_digest(content)})

    def _put_in_place(self, partial: Path, final: Path) -> None:
        """Rename the complete folder. A whole one that is there already stays readable under another name meanwhile."""
        before = final.with_name(f"{final.name}.before")
        if final.exists() and not self._is_whole(final):
            self._discard([final])
        elif final.exists():
            if before.exists():
                self._discard([before])
            os.rename(final, before)
            sync_folder(final.parent)
        os.rename(partial, final)
        sync_folder(final.parent)
        if before.exists():
            self._whole.discard(before.name)
            with contextlib.suppress(OSError):
                self._discard([before])

    def _discard(self, folders: list[Path]) -> None:
        """Remove whole folders so that no half of one is ever seen under its name."""
        moved = []
        for folder in folders:
            partial = folder.with_name(f".{folder.name}.{os.getpid()}.old.partial")
            os.rename(folder, partial)
            moved.append(partial)
        if moved:
            sync_folder(moved[0].parent)
        for partial in moved:
            remove(partial)

    def _prune(self, newest: str) -> None:
        kept, gone = 0, []
        for child in self._folders():
            keep = child.name <= newest and kept < self.kept and self._is_whole(child)
            kept += keep
            if not keep:
                gone.append(child)
        self._discard(gone)

    def _is_whole(self, folder: Path) -> bool:
        """Whether the state can be restored; those of this process are not read again."""
        if folder.name not in self._whole:
            try:
                _, digest = self._read_facts(folder)
                if file_digest(folder / "state.safetensors") != digest:
                    return False
            except (OSError, RunError):
                return False
            self._whole.add(folder.name)
        return True

    def _folders(self) -> list[Path]:
        """The folders of states, newest first; one that is being replaced comes after the one in its place."""
        if not self.folder.is_dir():
            return []
        found = [child for child in self.folder.iterdir() if _FOLDER.fullmatch(child.name)]
        return sorted(found, key=lambda child: (child.name[:12], len(child.name) == 12), reverse=True)

    def _read(self, folder: Path) -> State:
        facts, digest = self._read_facts(folder)
        tensors, _ = weights.read(folder / "state.safetensors", max_bytes=MAX_STATE, digest=digest)
        return State(tensors, facts)

    def _read_facts(self, folder: Path) -> tuple[dict[str, Any], str]:
        """The facts of a state, and the digest that its tensors must have."""
        file = folder / "state.json"
        try:
            value = disk.read_object(file, exact=True)
        except (OSError, ValueError) as error:
            raise RunError(f"it cannot be read ({error})", where=file) from None
        digest = value.pop("digest", None)
        facts, tensors = value.get("facts"), value.get("tensors")
        if digest != json_digest(value) or not isinstance(facts, dict) or not isinstance(tensors, str):
            raise RunError("the content is not what was written there (its digest differs)", where=file)
        if facts.get("images") != int(folder.name[:12]):
            raise RunError("it belongs to another checkpoint", where=file)
        return facts, tensors


def sweep(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for child in folder.iterdir():
        if PARTIAL.fullmatch(child.name):
            remove(child)


def remove(path: Path) -> None:
    """Remove a file, or a folder of files. Never follows a link and never goes deeper."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            child.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
