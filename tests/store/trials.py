"""Trials of model files, run folders and failing disks: a few of them for the suite, all for the benchmark."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faults
import hostile
import safetensors.numpy
from scenarios import Scenario, state

from maquette.core.errors import MaquetteError, ModelFileError
from maquette.store import weights
from maquette.store.digest import bytes_digest
from maquette.store.run import Run
from maquette.store.weights import digest_of


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


# Kills

SAVING = """
import sys
sys.path.insert(0, sys.argv[2])
from maquette.store.run import Run
from scenarios import state
run = Run.open(sys.argv[1])
with run.lock():
    images = run.restore().images
    print("ready", flush=True)
    while True:
        images += 64
        run.log({"images": images, "loss": 1 / images})
        run.save(state(images))
"""
"""A process that does nothing but log and save."""


def kills(place: Path, *, count: int, seed: int) -> Iterator[Trial]:
    """Kill a process that saves all the time: each next one goes on from a whole checkpoint no older than before."""
    run = Run.create(place / "killed", {})
    run.save(state(64))
    chance, last = random.Random(seed), 64
    for number in range(1, count + 1):
        words = [sys.executable, "-c", SAVING, str(run.path), str(Path(__file__).parent)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.15))
            process.kill()
        again = Run.open(run.path)
        with again.lock():
            found = again.restore()
            again.rewind(found.images if found else 0)
        lines = [record["images"] for record in again.records()]
        wrong = ""
        if found is None or again.damaged or found.images < last:
            wrong = f"from {last} images to {found and found.images}: {again.damaged}"
        elif digest_of(found.tensors) != digest_of(state(found.images).tensors):
            wrong = "the state is not the one that was saved"
        elif lines != list(range(128, found.images + 64, 64)):
            wrong = "the log does not go as far as the checkpoint"
        yield Trial(f"kill {number}", wrong)
        last = found.images if found else last


def corruptions(place: Path, *, count: int, seed: int) -> Iterator[Trial]:
    """Damage the newest checkpoint: it is detected and said, and the one before is used."""
    run = Run.create(place / "corrupted", {})
    for images in (64, 128, 192):
        run.save(state(images))
    newest, older = (run.path / "checkpoints" / f"{images:012d}" for images in (192, 128))
    shutil.copytree(newest, place / "pristine")
    expected, chance = digest_of(state(128).tensors), random.Random(seed)
    for number in range(1, count + 1):
        done = hostile.corrupt(chance, newest, older)
        again = Run.open(run.path)
        found = again.restore()
        wrong = ""
        if found is None or found.images != 128 or digest_of(found.tensors) != expected:
            wrong = f"{found and found.images} images were restored, not 128"
        elif len(again.damaged) != 1 or newest.name not in again.damaged[0]:
            wrong = f"it was not said: {again.damaged}"
        yield Trial(f"corruption {number} ({done})", wrong)
        shutil.rmtree(newest)
        shutil.copytree(place / "pristine", newest)


# Model files


def hostile_files(place: Path) -> Iterator[Trial]:
    """Files made to harm or to be of another model: each refused by a named error, and nothing else happens."""
    for number, (name, case) in enumerate({**hostile.FORM, **hostile.SCHEMA_CASES}.items()):
        folder = place / f"hostile {number}"
        folder.mkdir()
        path = case(folder)
        before = sorted(folder.iterdir())
        wrong = _refusal(path, hostile.SCHEMA)[0]
        if not wrong and name in hostile.FORM:
            wrong = _refusal(path, None)[0]
        if not wrong and sorted(folder.iterdir()) != before:
            wrong = "something was left behind"
        yield Trial(name, wrong)


def mutated_files(place: Path, *, count: int, seed: int) -> Iterator[Trial]:
    """Damaged model files: refused, or exactly what the library reads; never another error, never slow."""
    path = place / "mutated.safetensors"
    weights.write(path, state(64).tensors, {"family": "gan", "images": 64})
    bases = [(hostile.good(), hostile.SCHEMA), (path.read_bytes(), weights.schema_of(state(64).tensors))]
    digests = [bytes_digest(content) for content, _ in bases]
    for number in range(count):
        which = number % 2
        content, schema = bases[which]
        changed = hostile.mutant(random.Random(f"{seed} {number}"), content)
        path.write_bytes(changed)
        wrong, found = _refusal(path, None)
        if wrong == LOADED:
            wrong = "" if _as_the_library(changed, found) else "the library reads something else"
            if not wrong and changed != content:
                wrong = _refusal(path, None, digests[which])[0]
        strict, found = _refusal(path, schema)
        if not wrong and strict:
            sound = strict == LOADED and weights.schema_of(found) == schema
            wrong = "" if sound else strict if strict != LOADED else "it is not of the schema"
        yield Trial(f"mutant {number}", wrong)


LOADED = "it was loaded"


def _refusal(path: Path, schema: weights.Schema | None, digest: str | None = None) -> tuple[str, dict[str, Any]]:
    """What is wrong with how the file was refused, or LOADED and its tensors."""
    began, wrong, found = time.monotonic(), LOADED, {}
    try:
        found, _ = weights.read(path, schema, digest=digest)
    except ModelFileError as error:
        wrong = "" if str(path) in str(error) else f"the sentence does not name the file: {error}"
    except BaseException as error:
        wrong = f"a bare {type(error).__name__}: {error}"
    if time.monotonic() - began > 2:
        wrong = f"it took {time.monotonic() - began:.1f} seconds"
    return wrong, found


def _as_the_library(content: bytes, found: dict[str, Any]) -> bool:
    library = safetensors.numpy.load(content)
    return library.keys() == found.keys() and all(
        library[name].dtype == value.dtype and library[name].shape == value.shape
        and library[name].tobytes() == value.tobytes()
        for name, value in found.items()
    )  # fmt: skip
