"""Trials of all kinds of writing against power cuts and failing disks; the suite and the benchmark both run them."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
from scenarios import Scenario

from maquette.core.errors import MaquetteError


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Real syncs only take time where the disk is a pretended one."""
    real = os.fsync
    os.fsync = lambda handle: None  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = real


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried, and what was wrong with the outcome ("" when nothing was)."""

    what: str
    wrong: str


def _judge(scenario: Scenario, folder: Path, allowed: list[object]) -> str:
    try:
        found = scenario.seen(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if found in allowed else f"neither the old nor the new: {str(found)[:200]}"


def _both(scenario: Scenario, place: Path) -> tuple[object, object]:
    """What is seen before and after the work."""
    folder = place / "both" / "run"
    folder.parent.mkdir()
    scenario.prepare(folder)
    old = scenario.seen(folder) if folder.exists() else None
    scenario.work(folder)
    return old, scenario.seen(folder)


def power_cuts(scenario: Scenario, place: Path, *, most: int, seed: int) -> Iterator[Trial]:
    """Cut the power after every operation: the old or the new is found, and the new once the work has returned."""
    with no_waiting():
        yield from _power_cuts(scenario, place, most, seed)


def _power_cuts(scenario: Scenario, place: Path, most: int, seed: int) -> Iterator[Trial]:
    old, new = _both(scenario, place)
    top = place / "disk"
    top.mkdir()
    scenario.prepare(top / "run")
    disk = faults.Disk(top)
    with disk.watched():
        scenario.work(top / "run")
    chance = random.Random(seed)
    for number, moment in enumerate(disk.moments, 1):
        last = number == len(disk.moments)
        for tree in disk.power_cuts(moment, most, chance):
            copy = place / "after"
            faults.write_out(tree, copy)
            wrong = _judge(scenario, copy / "run", [new] if last else [old, new])
            shutil.rmtree(copy)
            yield Trial(f"power cut after operation {number} of {len(disk.moments)} ({disk.log[number - 1]})", wrong)


Fault = tuple[int, bool]
FAULTS: tuple[Fault, ...] = (
    (errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False), (errno.EIO, True), (errno.EDQUOT, True),
)  # fmt: skip
"""An error of the system, and whether it stays."""


def failures(scenario: Scenario, place: Path, of: tuple[Fault, ...] = FAULTS) -> Iterator[Trial]:
    """Fail every k-th operation, once or from then on: a clear sentence, the old or the new, and then it works."""
    with no_waiting():
        yield from _failures(scenario, place, of)


def _failures(scenario: Scenario, place: Path, of: tuple[Fault, ...]) -> Iterator[Trial]:
    old, new = _both(scenario, place)
    prepared = place / "prepared"
    prepared.mkdir()
    scenario.prepare(prepared / "run")
    for number, stays in of:
        for k in range(1, 1000):
            top = place / "disk"
            shutil.copytree(prepared, top)
            trial = _failure(scenario, top, (old, new), number, stays, k)
            shutil.rmtree(top)
            if trial is None:
                break
            yield trial


def _failure(
    scenario: Scenario, top: Path, both: tuple[object, object], number: int, stays: bool, k: int
) -> Trial | None:
    disk = faults.Disk(top)
    disk.fail_at, disk.fail_with, disk.stays_broken = k, number, stays
    run, error = top / "run", None
    with warnings.catch_warnings(), disk.watched():
        warnings.simplefilter("ignore")
        try:
            scenario.work(run)
        except MaquetteError as raised:
            error = raised
        except Exception as raised:
            error = raised
    if not disk.failed and k > disk.count:
        return None
    what = f"{errno.errorcode[number]}{' and ever after' if stays else ''} at operation {k} ({disk.log[k - 1]})"
    if error is not None and not isinstance(error, MaquetteError):
        return Trial(what, f"a bare {type(error).__name__}: {error}")
    if error is not None and (os.strerror(number).lower() not in str(error) or str(top) not in str(error)):
        return Trial(what, f"the sentence does not name the place and the reason: {error}")
    wrong = _judge(scenario, run, list(both) if error else [both[1]])
    if not wrong and scenario.once:
        scenario.work(run)
        wrong = _judge(scenario, run, [both[1]]) and "the same work afterwards does not lead to the new"
        left = [str(path) for path in run.rglob("*.partial")]
        if left and not wrong and (run / "checkpoints").exists():
            wrong = f"half-written files are left after the next save: {left}"
    return Trial(what, wrong)
