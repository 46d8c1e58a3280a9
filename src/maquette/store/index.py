"""The index: which datasets, runs and images there are, in the workspace and at paths given by hand.

It is a convenience that can be made again from the folders at any time, so it never stops work: a damaged file is set
aside and made anew, and where none can be written the folders themselves are looked through. `notes` says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

from maquette.core.errors import MaquetteError, UsageError, nearest
from maquette.core.files import make_folder
from maquette.store import disk
from maquette.store.lock import Held, file_lock
from maquette.store.workspace import Workspace

T = TypeVar("T")
Kind = Literal["dataset", "run", "image"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MARKERS: Mapping[str, str] = {"dataset": "dataset.json", "run": "run.json"}
"""The file that makes a folder a dataset or a run."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff"})
WAIT = 10.0
"""Seconds to wait for another process that is at work on the index."""
_SMALL = 500
_NOT_DAMAGE = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip


class Placed(Protocol):
    """Something with a folder: a dataset, a run."""

    @property
    def path(self) -> Path:
        """The folder."""
        ...


Place = str | os.PathLike[str] | Placed


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that the index knows."""

    kind: Kind
    name: str
    path: Path
    by_hand: bool
    """Whether it lies outside the workspace."""
    added: float
    """Seconds since 1970."""
    facts: Mapping[str, Any]
    """The short facts of its JSON file; for images what was said when they were added."""
    missing: bool
    """Whether it is no longer there."""


@dataclass(frozen=True)
class _Row:
    kind: str
    path: bytes
    added: float
    changed: int
    """When the JSON file was changed last, in nanoseconds; 0 when there is none."""
    facts: str


def _first(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE entries (path BLOB PRIMARY KEY, kind TEXT NOT NULL, added REAL NOT NULL,"
        " changed INTEGER NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID"
    )
    connection.execute("CREATE INDEX entries_by_kind ON entries (kind, added)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)
"""Each takes the index from one version of its form to the next; never change one, add another."""


class Index:
    """The index of one workspace. Every call opens and closes the file, so threads and processes may share it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.path = workspace.home / "index.sqlite"
        self.notes: list[str] = []
        """What a person should know about the index itself."""

    # What callers ask

    def add_dataset(self, dataset: Place) -> None:
        """Remember a dataset, or what has changed about it."""
        self._add([_folder_row("dataset", _path_of(dataset))])

    def add_run(self, run: Place) -> None:
        """Remember a run, or what has changed about it."""
        self._add([_folder_row("run", _path_of(run))])

    def add_images(
        self, paths: Iterable[str | os.PathLike[str]], facts: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Remember images, each with its own facts (such as its run and seed) when they are given."""
        places = [_path_of(path) for path in paths]
        said = [{} for _ in places] if facts is None else [disk.plain(fact, "facts of an image") for fact in facts]
        now = time.time()
        self._add(
            [
                _Row("image", os.fsencode(place), now, 0, json.dumps(fact))
                for place, fact in zip(places, said, strict=True)
            ]
        )

    def forget(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """No longer know these: they were deleted."""
        places = [(os.fsencode(_path_of(path)),) for path in paths]

        def work(connection: sqlite3.Connection) -> None:
            with _writing(connection):
                connection.executemany("DELETE FROM entries WHERE path = ?", places)

        self._do(work, lambda: None)

    def list(self, kind: str | None = None) -> Sequence[Entry]:
        """All entries, or those of one kind, the newest first; what is gone is marked as missing."""
        if kind is not None and kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r} in the index", do=nearest(kind, KINDS))
        rows = self._do(self._refreshed, lambda: list(self._found(("dataset", "run", "image"))))
        entries = [self._entry(row) for row in rows if kind is None or row.kind == kind]
        return sorted(entries, key=lambda entry: (-entry.added, entry.kind, entry.path))

    def rebuild(self) -> None:
        """Make the index anew from the folders of the workspace; paths given by hand are kept."""

        def work(connection: sqlite3.Connection) -> None:
            rows = [row for row in _rows(connection) if not self.workspace.holds(os.fsdecode(row.path))]
            with _writing(connection):
                connection.execute("DELETE FROM entries")
                _put(connection, [*rows, *self._found(KINDS)])

        self._do(work, lambda: None)

    # Rows

    def _entry(self, row: _Row) -> Entry:
        path = Path(os.fsdecode(row.path))
        marker = path / MARKERS[row.kind] if row.kind in MARKERS else path
        kind: Kind = "dataset" if row.kind == "dataset" else "run" if row.kind == "run" else "image"
        return Entry(
            kind=kind, name=path.name, path=path, by_hand=not self.workspace.holds(path), added=row.added,
            facts=_read_facts(row.facts), missing=not os.path.isfile(marker),
        )  # fmt: skip

    def _add(self, rows: Sequence[_Row]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with _writing(connection):
                _put(connection, rows)

        self._do(work, lambda: None)

    def _refreshed(self, connection: sqlite3.Connection) -> Sequence[_Row]:
        """All rows, with what is new or changed in the folders."""
        rows = {row.path: row for row in _rows(connection)}
        news = []
        for kind, path in self._folders(rows.values()):
            known, changed = rows.get(os.fsencode(path)), _changed(kind, path)
            if changed and (known is None or known.kind != kind or known.changed != changed):
                row = _folder_row(kind, path)
                news.append(row)
                rows[row.path] = row
        if news:
            with _writing(connection):
                _put(connection, news)
        return list(rows.values())

    def _folders(self, rows: Iterable[_Row]) -> Iterator[tuple[str, Path]]:
        yield from ((row.kind, Path(os.fsdecode(row.path))) for row in list(rows) if row.kind in MARKERS)
        for kind, place in (("dataset", self.workspace.datasets), ("run", self.workspace.runs)):
            with contextlib.suppress(OSError):
                yield from ((kind, child) for child in sorted(place.iterdir()) if child.name[0] != ".")

    def _found(self, kinds: Sequence[str]) -> Iterator[_Row]:
        """What lies in the folders of the workspace."""
        for kind, path in self._folders(()):
            if kind in kinds and _changed(kind, path):
                yield _folder_row(kind, path)
        if "image" not in kinds:
            return
        for top in (self.workspace.images, self.workspace.runs):
            for folder, _, files in os.walk(top):
                for name in files:
                    image = os.path.join(folder, name)
                    if os.path.splitext(name)[1].lower() in SUFFIXES:
                        with contextlib.suppress(OSError):
                            yield _Row("image", os.fsencode(image), os.stat(image).st_mtime, 0, "{}")

    # The file

    def _do(self, work: Callable[[sqlite3.Connection], T], without: Callable[[], T]) -> T:
        """Do the work on the index; make a damaged one anew first; do without where there can be none."""
        try:
            make_folder(self.path.parent)
            try:
                return self._with(work)
            except (sqlite3.Error, _TooNew) as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_DAMAGE:
                    raise
                self._set_aside(str(error))
                return self._with(work)
        except (sqlite3.Error, _TooNew, OSError, MaquetteError, Held) as error:
            note = f"the index {self.path} cannot be used ({str(error).rstrip('.')}); the folders were looked through"
            if note not in self.notes:
                self.notes.append(note)
            return without()

    def _with(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self.path.exists():
            with self._alone():
                if not self.path.exists():
                    self._make()
        try:
            connection = _connect(self.path)
        except sqlite3.OperationalError:
            if self.path.exists():
                raise
            return self._with(work)  # another process has just set it aside and is about to make it anew
        with contextlib.closing(connection):
            return work(connection)

    def _make(self, extra: Sequence[_Row] = ()) -> None:
        """Make a new file under another name, with all that lies in the folders, and give it its name at the end."""
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        partial.unlink(missing_ok=True)
        try:
            partial.touch()
            with contextlib.closing(_connect(partial)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                with _writing(connection):
                    _put(connection, [*extra, *self._found(KINDS)])
            os.replace(partial, self.path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{partial}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one who makes or replaces the file."""
        end = time.monotonic() + WAIT
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(file_lock(self.path.with_name(".index.lock")))
                    break
                except Held:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.02)
            yield

    def _set_aside(self, reason: str) -> None:
        """Keep the damaged file under another name and make a new one, with what can still be read of the old."""
        with self._alone():
            if not self._is_damaged():
                return  # another process was quicker
            number = 1
            while (aside := self.path.with_name(f"index.damaged-{number}.sqlite")).exists():
                number += 1
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
            self._make(self._salvaged(aside))
            self.notes.append(
                f"the index could not be read ({reason}): it was set aside as {aside} and made anew from the folders;"
                " what lies elsewhere comes back when it is used next"
            )

    def _is_damaged(self) -> bool:
        try:
            with contextlib.closing(_connect(self.path)) as connection:
                _rows(connection)
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
        except (sqlite3.Error, _TooNew):
            return True

    def _salvaged(self, aside: Path) -> Sequence[_Row]:
        """Entries by hand that can still be read."""
        rows: list[_Row] = []
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(aside, timeout=WAIT)) as connection:
            for row in _each(connection):
                if not self.workspace.holds(os.fsdecode(row.path)) and _is_there(row):
                    rows.append(row)
        return rows


class _TooNew(Exception):
    pass


def _connect(path: Path) -> sqlite3.Connection:
    # Never make a file here: it would be lost where another process is just making one.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS) or version < 0:
            raise _TooNew(f"it has form {version}, and this Maquette knows {len(MIGRATIONS)}")
        if version < len(MIGRATIONS):
            with _writing(connection):
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                for migrate in MIGRATIONS[version:]:
                    migrate(connection)
                connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _put(connection: sqlite3.Connection, rows: Iterable[_Row]) -> None:
    """Add the rows; one that is known keeps the time when it was added."""
    connection.executemany(
        "INSERT INTO entries (path, kind, added, changed, facts) VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE"
        " SET kind = excluded.kind, changed = excluded.changed, facts = excluded.facts",
        ((row.path, row.kind, row.added, row.changed, row.facts) for row in rows),
    )


def _rows(connection: sqlite3.Connection) -> list[_Row]:
    return list(_each(connection))


def _each(connection: sqlite3.Connection) -> Iterator[_Row]:
    """All rows; one whose values a damaged disk has changed into something else is left out."""
    for path, kind, added, changed, facts in connection.execute(
        "SELECT path, kind, added, changed, facts FROM entries"
    ):
        sound = isinstance(path, bytes) and isinstance(added, (int, float)) and isinstance(changed, int)
        if sound and b"\0" not in path and kind in KINDS and isinstance(facts, str):
            yield _Row(kind, path, float(added), changed, facts)


# Folders


def _path_of(place: Place) -> Path:
    found = place if isinstance(place, (str, os.PathLike)) else place.path
    return Path(os.path.abspath(found))


def _changed(kind: str, path: Path) -> int:
    try:
        return os.stat(path / MARKERS[kind]).st_mtime_ns
    except OSError:
        return 0


def _folder_row(kind: str, path: Path) -> _Row:
    """A row of what a folder says about itself; only its short facts."""
    changed = _changed(kind, path)
    facts: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        value = disk.read_object(path / MARKERS[kind])
        own = {key: item for key, item in value.items() if key not in ("kind", "version")}
        facts = {key: item for key, item in own.items() if len(json.dumps(item)) <= _SMALL}
    return _Row(kind, os.fsencode(path), changed / 1e9 if changed else time.time(), changed, json.dumps(facts))


def _is_there(row: _Row) -> bool:
    path = Path(os.fsdecode(row.path))
    return os.path.isfile(path / MARKERS[row.kind] if row.kind in MARKERS else path)


def _read_facts(text: str) -> dict[str, Any]:
    try:
        value = disk.parse_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
