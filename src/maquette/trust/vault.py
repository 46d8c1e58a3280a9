"""A folder for secrets: files that the owner alone can read, changed by one process at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from maquette.core.errors import TrustError
from maquette.core.files import sync_folder
from maquette.store import disk
from maquette.store.lock import Held, file_lock

WAIT = 20.0
"""Seconds to wait for another process that is changing the keys."""
_LARGEST = 1 << 20
ROTATE = "maquette keys rotate makes another, or sample with --sign off"
_ELSEWHERE = "choose another workspace with MAQUETTE_HOME, or sample with --sign off"


class Vault:
    """One such folder; it is made when something is first written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that changes the keys."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise TrustError(
                f"the folder for keys cannot be made ({reason})", where=self.folder, do=_ELSEWHERE
            ) from None
        self._check_folder()
        end = time.monotonic() + WAIT
        with contextlib.ExitStack() as stack, disk.writing("the keys", self.folder, TrustError):
            while True:
                try:
                    stack.enter_context(file_lock(self.folder / ".lock"))
                    break
                except Held as held:
                    if time.monotonic() > end:
                        who = f"process {held.pid}" if held.pid else "another process"
                        raise TrustError(f"{who} is changing the keys", where=self.folder, do="try again") from None
                    time.sleep(0.02)
            yield

    def _check_folder(self) -> None:
        if os.name != "nt" and stat.S_IMODE(self.folder.stat().st_mode) & 0o077:
            raise TrustError(
                "others can look into the folder of the keys", where=self.folder, do="chmod 700 that folder"
            )

    def check_private(self, path: Path) -> None:
        """A key that others can read, or have put there, is no key."""
        self._check_folder()
        try:
            form = path.stat()
        except OSError:
            return  # reading it says what is wrong
        if os.name == "nt":
            return
        if stat.S_IMODE(form.st_mode) & 0o077:
            raise TrustError(
                f"others can read this key (mode {stat.S_IMODE(form.st_mode):o})", where=path,
                do="chmod 600 that file, and maquette keys rotate if anybody may have seen it",
            )  # fmt: skip
        if form.st_uid not in (os.geteuid(), 0):
            raise TrustError("this key belongs to another user", where=path, do="chown that file")

    def read(self, path: Path) -> bytes:
        """The content of one of the files."""
        try:
            with disk.open_regular(path) as stream:
                content = stream.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TrustError(f"it cannot be read ({reason.lower()})", where=path, do=ROTATE) from None
        if len(content) > _LARGEST:
            raise TrustError("it is far too large", where=path)
        return bytes(content)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file that the owner alone can read, whole or not at all."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.unlink(missing_ok=True)
        try:
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def read_outside(file: Path) -> bytes:
    """A file that a person named."""
    try:
        with disk.open_regular(Path(file).expanduser()) as stream:
            content: bytes = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrustError(f"it cannot be read ({reason.lower()})", where=file) from None
    if len(content) > _LARGEST:
        raise TrustError("it is far too large for certificates or a key", where=file)
    return content
