"""Power cuts and failing disks: whenever it happens, the old or the new is there, never neither."""

import errno
import os
import random
from pathlib import Path

import faults
import pytest
import scenarios
import trials

from maquette.core.files import write_bytes
from maquette.store.run import Run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shim knows POSIX only")


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_power_cuts_leave_the_old_or_the_new(tmp_path, name):
    found = list(trials.power_cuts(scenarios.SCENARIOS[name], tmp_path, most=4, seed=1))
    assert len(found) >= 6
    assert not [trial for trial in found if trial.wrong]


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_failing_disks_end_with_a_sentence_and_lose_nothing(tmp_path, name):
    some = ((errno.ENOSPC, True), (errno.EIO, False))
    found = list(trials.failures(scenarios.SCENARIOS[name], tmp_path, some))
    assert len(found) >= 6
    assert not [trial for trial in found if trial.wrong]


# The shim itself


def naive_replace(folder: Path) -> None:
    """Write a file without syncing it and give it the name of the old one."""
    (folder / "new").write_bytes(b"new" * 1000)
    os.replace(folder / "new", folder / "file")


def naive_sync(folder: Path) -> None:
    """Sync the file, but not its folder, and say it is done."""
    with open(folder / "new", "wb") as stream:
        stream.write(b"new" * 1000)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(folder / "new", folder / "file")


def careful(folder: Path) -> None:
    write_bytes(folder / "file", b"new" * 1000)


def outcomes(folder: Path, work) -> tuple[set[bytes], set[bytes]]:
    """What the file may be after a power cut: at any moment, and once the work has returned."""
    top = folder / "disk"
    top.mkdir()
    (top / "file").write_bytes(b"old")
    disk = faults.Disk(top)
    with disk.watched():
        work(top)
    found = [set(), set()]
    for number, moment in enumerate(disk.moments, 1):
        for tree in disk.power_cuts(moment, 1000, random.Random(0)):
            node = tree.names.get("file")
            content = bytes(node.data) if node else b"none"
            found[0].add(content)
            if number == len(disk.moments):
                found[1].add(content)
    assert (top / "file").read_bytes() == b"new" * 1000
    return found[0], found[1]


def test_the_shim_sees_what_is_not_synced(tmp_path):
    ever, _ = outcomes(tmp_path, naive_replace)
    assert b"" in ever and bytes(3000) in ever


def test_the_shim_sees_a_rename_that_is_not_synced(tmp_path):
    ever, last = outcomes(tmp_path, naive_sync)
    assert ever == {b"old", b"new" * 1000} and last == ever


def test_the_shim_finds_careful_work_sound(tmp_path):
    ever, last = outcomes(tmp_path, careful)
    assert ever == {b"old", b"new" * 1000} and last == {b"new" * 1000}


@pytest.mark.parametrize("left_out", ["sync", "sync folder"])
def test_a_save_without_its_syncs_would_be_found_out(tmp_path, monkeypatch, left_out):
    """The trials above can fail: they do when the syncs of files or of folders are left out."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    scenario = scenarios.SCENARIOS["a second save"]

    def work(folder: Path) -> None:
        watched = os.fsync

        def lazy(handle: int) -> None:
            if (left_out == "sync folder") != os.path.isdir(f"/proc/self/fd/{handle}"):
                watched(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lazy)
            scenario.work(folder)

    lax = scenarios.Scenario(scenario.prepare, work, scenario.seen)
    assert any(trial.wrong for trial in trials.power_cuts(lax, tmp_path, most=50, seed=1))


def test_the_log_is_safe_when_the_save_is(tmp_path):
    """A resumed run must find the lines up to the checkpoint it goes on from."""
    top = tmp_path / "disk"
    top.mkdir()
    run = Run.create(top / "run", {})
    disk = faults.Disk(top)
    with disk.watched():
        for images in (64, 128, 192):
            run.log({"images": images, "loss": 0.5})
        run.save(scenarios.state(192))
    for number, tree in enumerate(disk.power_cuts(disk.moments[-1], 200, random.Random(2))):
        copy = tmp_path / f"after {number}"
        faults.write_out(tree, copy)
        assert [record["images"] for record in Run.open(copy / "run").records()] == [64, 128, 192]
