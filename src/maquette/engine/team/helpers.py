"""Processes of this machine that help to train: started by the first one, and gone when it is gone.

Run as a program it is such a process: python -m maquette.engine.team.helpers RANK WORLD FOLDER DATASET DEVICE
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch.distributed as dist

from maquette.core.errors import MaquetteError, TrainingError
from maquette.engine.team.distributed import PATIENCE, Team, join

_STORE = "meeting"


@contextlib.contextmanager
def helped(processes: int, dataset: Path, device: str) -> Iterator[Team]:
    """A team of this process and so many more, less one, which are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="maquette-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        helpers = [_start(rank, processes, folder, dataset, device) for rank in range(1, processes)]
        try:
            team = _meet(0, processes, folder, device, helpers)
            team.why = lambda: _ended(folder, helpers)
            yield team
        finally:
            for helper in helpers:
                assert helper.stdin is not None
                helper.stdin.close()  # it ends when it reads the end
            began = time.monotonic()
            for helper in helpers:
                try:
                    helper.wait(max(0.1, 10 - (time.monotonic() - began)))
                except subprocess.TimeoutExpired:
                    helper.kill()
                    helper.wait()


def _start(rank: int, world: int, folder: Path, dataset: Path, device: str) -> subprocess.Popen[bytes]:
    words = [str(rank), str(world), str(folder), str(dataset.absolute()), device]
    with open(folder / f"{rank}.txt", "wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "maquette.engine.team.helpers", *words],
            stdin=subprocess.PIPE, stdout=errors, stderr=errors, start_new_session=True,  # Ctrl-C is for the first
        )  # fmt: skip


def _meet(
    rank: int, world: int, folder: Path, device: str, helpers: list[subprocess.Popen[bytes]] | None = None
) -> Team:
    """Find the others by a file, and speak to them within this machine only."""
    store = dist.FileStore(str(folder / _STORE), world)  # type: ignore[attr-defined]
    if helpers is None:
        store.set(f"here {rank}", "yes")
    else:
        began = time.monotonic()
        while not store.check([f"here {other}" for other in range(1, world)]):
            if any(helper.poll() is not None for helper in helpers) or time.monotonic() - began > PATIENCE:
                raise TrainingError(f"a process that should help did not start ({_ended(folder, helpers)})")
            time.sleep(0.02)
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    if sys.platform.startswith("linux"):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    try:
        return join(rank, world, local=rank, device=device, store=store)
    finally:
        if before is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)
        else:
            os.environ["GLOO_SOCKET_IFNAME"] = before


def _ended(folder: Path, helpers: list[subprocess.Popen[bytes]]) -> str:
    """What is known of the first helper that has ended."""
    time.sleep(0.2)  # its end may be seen before it has ended
    for rank, helper in enumerate(helpers, 1):
        if helper.poll() is not None:
            lines = (folder / f"{rank}.txt").read_text("utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            how = f"by signal {-helper.returncode}" if helper.returncode < 0 else f"with code {helper.returncode}"
            return f"process {rank} of {len(helpers) + 1} ended {how}" + (f": {last[:200]}" if last else "")
    return ""


def _watch() -> None:
    """End when the first process does: it holds the other end of standard input."""
    while os.read(0, 64):
        pass
    time.sleep(5)  # enough to end by oneself
    os._exit(1)


def main(words: list[str]) -> int:
    """Be a helper until the first process says that the work is done."""
    from maquette.data.dataset import Dataset
    from maquette.engine.team.follow import agree, follow

    rank, world, folder, path, device = words
    threading.Thread(target=_watch, daemon=True).start()
    try:
        dataset = Dataset.open(Path(path))
        team = _meet(int(rank), int(world), Path(folder), device)
        try:
            agree(team, dataset)
            follow(team, dataset)
        finally:
            team.end()
    except MaquetteError as error:
        print(str(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
