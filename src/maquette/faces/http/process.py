"""Commands that outlive the server: started apart from it, known again by number and time, and ended gently."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start(verb: str, words: Sequence[str], folder: Path, place: Path) -> subprocess.Popen[bytes]:
    """Start `maquette VERB ...` in a session of its own; its events go into events.jsonl of the folder.

    It writes there itself, so nothing is lost while no server listens. It works in `place`, where a verb writes that
    was told no other; `-P` keeps Python from importing what lies there.
    """
    environment = {name: value for name, value in os.environ.items() if name != "MAQUETTE_TOKEN"}
    with open(folder / "events.jsonl", "ab") as events, open(folder / "errors.txt", "ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "maquette", verb, "--json", "--quiet", *words],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=events,
            stderr=errors,
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def mark(pid: int) -> str:
    """What tells this process from a later one of the same number; empty when there is none (or no way to tell)."""
    try:
        # The name of the command stands in brackets and may hold anything; the state and the time follow behind.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"
    except (OSError, IndexError):
        pass
    if os.name == "nt" or sys.platform == "linux":
        return ""
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def is_alive(pid: int, known: str) -> bool:
    """Whether that very process still works."""
    return bool(known) and mark(pid) == known


def end(pid: int, known: str, times: int) -> None:
    """Ask it to stop as Ctrl-C does; asked again, as the system does; asked a third time, end it and all it started."""
    if not is_alive(pid, known):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            os.kill(pid, signal.CTRL_BREAK_EVENT if times < 3 else signal.SIGTERM)  # type: ignore[attr-defined]
        elif times < 3:
            os.kill(pid, signal.SIGINT if times == 1 else signal.SIGTERM)
        else:
            os.killpg(pid, signal.SIGKILL)
