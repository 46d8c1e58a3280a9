"""What went wrong in words, for every face: what no program can help, and what is our own fault."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
import traceback
from collections.abc import Iterable

_CIRCUMSTANCES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your share of the disk is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; choose another place or change the permissions",
    errno.EPERM: "permission denied; choose another place or change the permissions",
    errno.EROFS: "the disk can only be read; choose another place",
    errno.EIO: "the disk failed to read or write; check it, and copy what matters elsewhere",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "a part of the path is no folder; check the path",
    errno.EISDIR: "this is a folder, not a file; check the path",
    errno.EMFILE: "too many files are open; close other programs or raise the limit (ulimit -n)",
}
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def circumstance(error: BaseException) -> str | None:
    """The sentence for what no program can help: disks, permissions, memory."""
    if isinstance(error, MemoryError):
        return "the memory of this machine is used up; choose a smaller size, batch or scale."
    if isinstance(error, OSError) and error.errno in _CIRCUMSTANCES:
        where = error.filename2 or error.filename
        text = _CIRCUMSTANCES[error.errno]
        return (f"{os.fsdecode(where)}: {text}" if isinstance(where, (str, bytes)) else text) + "."
    return None


def fault(error: BaseException, what: str, folders: Iterable[str]) -> str:
    """The sentence for what is our own fault, and where its trace was written: the first folder that takes it."""
    trace = f"{what}\n\n{''.join(traceback.format_exception(error))}"
    name = f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (*folders, tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(trace)
            return f"this is a fault in Maquette ({type(error).__name__}); what happened was written to {path}."
    return f"this is a fault in Maquette ({type(error).__name__}: {error}); see it whole with MAQUETTE_DEBUG=1."
