"""The workspace: the one folder where datasets, runs and images live unless a path is given by hand."""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError

if TYPE_CHECKING:
    from maquette.store.index import Index

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself; refused everywhere, so that a workspace can be copied."""
_LONGEST = 100


def default_home() -> Path:
    """Where the workspace is when nobody says otherwise: MAQUETTE_HOME, else a folder in the user's data."""
    given = os.environ.get("MAQUETTE_HOME")
    if given:
        return _expanded(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return _expanded(base) / "maquette"


class Workspace:
    """Knows where things are by their names. Folders are made by those who write into them."""

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = default_home() if home is None else _expanded(home)
        self.datasets = self.home / "datasets"
        self.runs = self.home / "runs"
        self.images = self.home / "images"

    def dataset_path(self, name_or_path: str | os.PathLike[str]) -> Path:
        """The folder of a dataset: a path given by hand as it is, else a name in the workspace."""
        return _place(self.datasets, name_or_path, "dataset")

    def run_path(self, name_or_path: str | os.PathLike[str]) -> Path:
        """The folder of a run: a path given by hand as it is, else a name in the workspace."""
        return _place(self.runs, name_or_path, "run")

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether the path lies in the workspace."""
        return Path(os.path.abspath(path)).is_relative_to(self.home)

    @cached_property
    def index(self) -> Index:
        """What is known of all datasets, runs and images."""
        from maquette.store.index import Index

        return Index(self)


def _expanded(path: str | os.PathLike[str]) -> Path:
    """The absolute path, with ~ as the user's home."""
    return Path(os.path.expanduser(path)).absolute()


def _place(folder: Path, name_or_path: str | os.PathLike[str], what: str) -> Path:
    text = os.fspath(name_or_path)
    if not text.strip() or "\0" in text:
        raise UsageError(f"{text!r} is no name of a {what}", do="give a name or a path")
    if _by_hand(text) or (os.path.lexists(text) and not os.path.lexists(folder / text)):
        return _expanded(text)
    if _UNSAFE.search(text) or _RESERVED.fullmatch(text) or text[0] in "- " or text[-1] in ". ":
        raise UsageError(
            f"{text!r} cannot be the name of a {what}",
            do=f"take letters, digits, - and _, or give a path such as ./{_UNSAFE.sub('_', text).strip('-. ') or what}",
        )
    if len(os.fsencode(text)) > _LONGEST:
        raise UsageError(f"the name {text[:20]!r}... is too long for a {what}", do=f"at most {_LONGEST} letters")
    return folder / text


def _by_hand(text: str) -> bool:
    """Whether this is a path that a person typed, not a name; photos.mq is a file's name, so it is a path."""
    separators = {"/", os.sep, os.altsep or "/"}
    path = Path(text)
    return (
        any(separator in text for separator in separators)
        or text[0] in ".~"
        or path.is_absolute()
        or bool(path.drive)
        or path.suffix == ".mq"
    )
