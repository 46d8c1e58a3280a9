"""Run folders: made once, opened by anybody, saved whole, restored from the newest checkpoint that is whole."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as some
import numpy as np
import pytest
import scenarios
import trials
from hypothesis import given
from scenarios import state

from maquette.core.errors import ModelFileError, RunError
from maquette.store import disk
from maquette.store.digest import file_digest
from maquette.store.run import Run
from maquette.store.shelf import State
from maquette.store.weights import schema_of


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {"family": "gan", "seed": 0})


def folder_of(run: Run, images: int) -> Path:
    return run.path / "checkpoints" / f"{images:012d}"


def same(one: State, two: State) -> bool:
    return (
        one.facts == two.facts
        and one.tensors.keys() == two.tensors.keys()
        and all(
            one.tensors[name].tobytes() == value.tobytes()
            and (one.tensors[name].dtype, one.tensors[name].shape) == (value.dtype, value.shape)
            for name, value in two.tensors.items()
        )
    )


# The folder


def test_a_run_says_what_it_was_made_with(tmp_path):
    path = tmp_path / "deep" / "folder" / "run"
    assert not Run.exists(path)
    made = Run.create(path, {"family": "gan", "size": (64, 32), "name": "größe"})
    assert Run.exists(path) and made.facts == Run.open(path).facts == {
        "family": "gan",
        "size": [64, 32],
        "name": "größe",
    }
    made.update(images_seen=640)
    assert Run.open(path).facts["images_seen"] == made.facts["images_seen"] == 640
    assert json.loads((path / "run.json").read_text(encoding="utf-8"))["name"] == "größe"


def test_people_can_read_the_facts(run):
    run.update(name="größe", list=[1])
    text = (run.path / "run.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "kind": "maquette run",\n  "version": 1,\n') and '\n  "name": "größe",\n' in text
    run.update(source="/photos/\udcff")
    assert '\n  "list": [\n    1\n  ],\n' in (run.path / "run.json").read_text(encoding="utf-8")


def test_facts_that_are_too_large_are_not_read(run, monkeypatch):
    size = (run.path / "run.json").stat().st_size
    monkeypatch.setattr(disk, "MAX_JSON", size)
    assert Run.open(run.path).facts["family"] == "gan"
    monkeypatch.setattr(disk, "MAX_JSON", size - 1)
    with pytest.raises(RunError, match="too large"):
        Run.open(run.path)


def test_facts_changed_by_another_are_kept(run):
    other = Run.open(run.path)
    other.update(note="from elsewhere")
    run.update(images_seen=1)
    assert Run.open(run.path).facts == {"family": "gan", "seed": 0, "note": "from elsewhere", "images_seen": 1}


@pytest.mark.parametrize("key", ["kind", "version"])
def test_facts_cannot_hide_what_the_folder_is(tmp_path, run, key):
    with pytest.raises(RunError, match="cannot be facts"):
        run.update(**{key: 7})
    with pytest.raises(RunError, match="cannot be facts"):
        Run.create(tmp_path / "other", {key: 7})
    assert Run.open(run.path).facts == {"family": "gan", "seed": 0} and not Run.exists(tmp_path / "other")


def test_a_path_that_is_not_unicode_can_be_a_fact(run):
    run.update(source=os.fsdecode(b"/photos/\xff"))
    assert os.fsencode(Run.open(run.path).facts["source"]) == b"/photos/\xff"


def test_a_run_is_made_only_in_a_new_or_empty_folder(tmp_path, run):
    with pytest.raises(RunError, match="there is a run already"):
        Run.create(run.path, {})
    full = tmp_path / "full"
    full.mkdir()
    (full / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RunError, match=r"holds other things \(holiday.jpg\)"):
        Run.create(full, {})
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(RunError, match="a file, not a folder"):
        Run.create(tmp_path / "file", {})
    assert [path.name for path in full.iterdir()] == ["holiday.jpg"]
    empty = tmp_path / "empty"
    empty.mkdir()
    for leftover in (".DS_Store", ".run.json.123-4.partial"):
        (empty / leftover).write_bytes(b"x")
    assert Run.create(empty, {}).facts == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not a run"), (b"", "damaged"), (b"{", "damaged"), (b"[1]", "damaged"), (b"\xff\xfe", "damaged"),
        (b"{}", "does not describe a run"), (b'{"kind": "a", "version": 1}', "does not describe a run"),
        (b'{"kind": "maquette run", "version": "1"}', "does not describe"),
        (b'{"kind": "maquette run", "version": true}', "does not describe"),
        (b'{"kind": "maquette run", "version": 2}', "newer Maquette"),
        (b'{"kind": "maquette run", "version": 1, "version": 1}', "damaged"),
        (b'{"kind": "maquette run", "version": 1, "a": NaN}', "damaged"), (b"[" * 100_000, "nested too deeply"),
        (b'{"kind": "maquette run", "version": 1, "a": ' + b"9" * 5000 + b"}", "damaged"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_sound_run_is_refused_by_a_sentence(tmp_path, content, words):
    folder = tmp_path / "folder"
    folder.mkdir()
    if content is not None:
        (folder / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=words) as caught:
        Run.open(folder)
    assert str(folder) in str(caught.value)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no such folder.*maquette list"):
        Run.open(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="not a folder"):
        Run.open(tmp_path / "file")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), np.float32(1), object(), {1: 2}, {"a": [{"b": {3: 4}}]}, b"x"]
)
def test_facts_that_json_cannot_hold_are_refused_by_name(run, value):
    with pytest.raises(RunError, match="the facts of the run: learned"):
        run.update(learned=value)
    with pytest.raises(RunError, match="the facts of the state: learned"):
        run.save(State({}, {"images": 1, "step": 1, "learned": value}))
    assert Run.open(run.path).facts == {"family": "gan", "seed": 0} and run.checkpoints() == []


# Checkpoints


def test_nothing_saved_is_nothing_restored(run):
    assert run.restore() is None and run.checkpoints() == [] and run.damaged == []


def test_the_newest_three_are_kept(run):
    for images in range(64, 640, 64):
        assert run.save(state(images)) == folder_of(run, images)
        assert run.checkpoints() == list(range(max(64, images - 128), images + 64, 64))
        assert same(Run.open(run.path).restore(), state(images))
    kept = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert kept == [f"{images:012d}" for images in (448, 512, 576)]
    for name in kept:
        assert sorted(path.name for path in (run.path / "checkpoints" / name).iterdir()) == [
            "state.json",
            "state.safetensors",
        ]


NUMBER = some.floats(allow_nan=False, allow_infinity=False) | some.integers(-(10**38), 10**38)


@given(numbers=some.dictionaries(some.text(max_size=6), NUMBER, max_size=4), images=some.integers(0, 10**12 - 1))
def test_facts_of_a_state_come_back_to_the_last_bit(tmp_path_factory, numbers, images):
    run = Run.create(tmp_path_factory.mktemp("run") / "run", {})
    saved = State({"a": np.array(0.1)}, {**numbers, "images": images, "step": 3, "nested": {"list": [numbers]}})
    run.save(saved)
    assert same(run.restore(), saved)


@pytest.mark.parametrize(
    "facts",
    [
        {}, {"images": 1}, {"step": 1}, {"images": -1, "step": 0}, {"images": 10**12, "step": 1},
        {"images": 1.0, "step": 1}, {"images": True, "step": 1}, {"images": "1", "step": 1},
        {"images": 1, "step": None}, {"images": 1, "step": 0.5},
    ],
)  # fmt: skip
def test_a_state_needs_images_and_steps(run, facts):
    with pytest.raises(RunError, match="whole numbers of images and steps"):
        run.save(State({"a": np.ones(1)}, facts))


def test_numbers_that_are_not_finite_are_never_saved(run):
    run.save(state(64))
    bad = dict(state(128).tensors)
    bad["average/a.weight"] = np.full((2, 2), np.nan, np.float32)
    with pytest.raises(RunError, match=r"'average/a.weight' holds numbers that are not finite"):
        run.save(State(bad, {"images": 128, "step": 2}))
    assert same(run.restore(), state(64))
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == [f"{64:012d}"]


def test_a_damaged_newest_one_is_passed_over_and_said(tmp_path):
    found = list(trials.corruptions(tmp_path, count=40, seed=5))
    assert len(found) == 40 and [trial for trial in found if trial.wrong] == []


def test_every_byte_of_a_state_counts(run):
    """One bit of every byte of state.json, and of every 40th of the tensors, spaces between words too."""
    run.save(state(64))
    run.save(state(128))
    for name, step in (("state.json", 1), ("state.safetensors", 40)):
        file = folder_of(run, 128) / name
        content = file.read_bytes()
        for place in range(0, len(content), step):
            changed = bytearray(content)
            changed[place] ^= 1 << (place % 8)
            file.write_bytes(changed)
            assert run.restore().images == 64, (name, place)
        file.write_bytes(content)
    for other in (b"\t", b"\n", b"\r"):
        (folder_of(run, 128) / "state.json").write_bytes(
            content := _respaced(folder_of(run, 128) / "state.json", other)
        )
        assert json.loads(content)["facts"]["images"] == 128 and run.restore().images == 64


def _respaced(file: Path, space: bytes) -> bytes:
    content = file.read_bytes()
    place = content.index(b'"version"') - 1
    return content[:place] + space + content[place + 1 :]


def test_when_none_is_whole_it_is_said(run):
    for images in (64, 128):
        run.save(state(images))
        (folder_of(run, images) / "state.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="none of the 2 checkpoints is whole") as caught:
        run.restore()
    assert str(run.path) in str(caught.value) and len(run.damaged) == 2


def test_a_checkpoint_under_another_name_is_not_believed(run):
    run.save(state(64))
    run.save(state(128))
    os.rename(folder_of(run, 128), folder_of(run, 256))
    assert run.restore().images == 64 and "another checkpoint" in run.damaged[0]


def test_the_last_good_one_is_never_let_go(run):
    """Newer ones that are damaged do not count as kept, and the one that was just saved stays."""
    for images in (64, 128, 192):
        run.save(state(images))
    for images in (128, 192):
        (folder_of(run, images) / "state.json").write_bytes(b"{}")
    again = Run.open(run.path)
    assert again.restore().images == 64
    again.save(state(96))
    assert again.checkpoints() == [64, 96] and same(Run.open(run.path).restore(), state(96))


def test_damaged_ones_do_not_push_out_whole_ones(run):
    """A process that never restored, too, counts only what is whole."""
    for images in (64, 128, 192):
        run.save(state(images))
    for images in (128, 192):
        (folder_of(run, images) / "state.safetensors").write_bytes(b"")
    again = Run.open(run.path)
    again.save(state(256))
    again.save(state(320))
    assert again.checkpoints() == [64, 256, 320]


def test_a_save_takes_the_place_of_one_with_as_many_images(run):
    run.save(state(64))
    run.save(state(128))
    run.save(state(128, salt=1))
    assert run.checkpoints() == [64, 128] and same(Run.open(run.path).restore(), state(128, salt=1))
    assert len(list((run.path / "checkpoints").iterdir())) == 2


def test_what_is_being_replaced_can_be_restored(run):
    run.save(state(64))
    os.rename(folder_of(run, 64), folder_of(run, 64).with_name(f"{64:012d}.before"))
    again = Run.open(run.path)
    assert same(again.restore(), state(64)) and again.checkpoints() == [64]
    again.save(state(64, salt=1))
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == [f"{64:012d}"]


def test_half_written_ones_are_not_seen_and_are_swept(run):
    run.save(state(64))
    half = run.path / "checkpoints" / f".{128:012d}.4242.partial"
    shutil.copytree(folder_of(run, 64), half)
    (run.path / ".model.safetensors.4242-0.partial").write_bytes(b"x" * 1000)
    assert run.checkpoints() == [64] and run.restore().images == 64
    run.save(state(192))
    assert not list(run.path.rglob("*.partial"))


def test_what_is_nested_as_deeply_as_may_be_comes_back(run):
    deep = functools.reduce(lambda inner, _: {"a": inner}, range(13), 1)
    run.update(deep=deep)
    run.save(State({"a": np.ones(1)}, {"images": 1, "step": 1, "deep": deep}))
    run.decide({"deep": deep})
    again = Run.open(run.path)
    assert again.facts["deep"] == again.restore().facts["deep"] == again.decisions()[0]["deep"] == deep


def test_links_inside_a_run_are_not_followed(tmp_path, run):
    """A run that somebody shares could otherwise write to or remove what lies elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes").write_text("mine\n")
    for name, use in {
        "log.jsonl": lambda: run.log({"images": 1}), "decisions.jsonl": lambda: run.decide({"a": 1}),
        "model.safetensors": lambda: run.save_model({"a": np.ones(1)}, {}), ".lock": lambda: run.lock().__enter__(),
        "pause": run.ask_pause,
    }.items():  # fmt: skip
        (run.path / name).symlink_to(outside / "notes")
        with pytest.raises(RunError, match="links inside a run are not followed"):
            use()
        (run.path / name).unlink()
    (run.path / "checkpoints").symlink_to(outside)
    (outside / f"{64:012d}").mkdir()
    for use in (lambda: run.save(state(128)), run.restore, run.checkpoints):
        with pytest.raises(RunError, match="links inside a run are not followed"):
            use()
    assert (outside / "notes").read_text() == "mine\n"
    assert sorted(path.name for path in outside.iterdir()) == [f"{64:012d}", "notes"]


def test_a_folder_that_cannot_be_written_is_said(run):
    run.save(state(64))
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").write_bytes(b"a file")
    with pytest.raises(RunError, match="the checkpoint could not be written"):
        run.save(state(128))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_killed_while_it_saves_loses_nothing(tmp_path):
    assert [trial for trial in trials.kills(tmp_path, count=5, seed=3) if trial.wrong] == []


# Lock


def test_there_is_one_writer(run):
    with run.lock():
        with pytest.raises(RunError, match=f"process {os.getpid()} is at work on this run"), Run.open(run.path).lock():
            pass
        with pytest.raises(RunError, match="at work"), run.lock():
            pass
    with run.lock():
        pass


def test_the_lock_ends_with_its_process_even_when_a_child_lives_on(run):
    program = """
import os, sys, time
from maquette.store.run import Run
with Run.open(sys.argv[1]).lock():
    child = os.fork() if hasattr(os, "fork") else None
    if child == 0:
        os.close(1)
        time.sleep(20)
        os._exit(0)
    print(os.getpid(), child or "", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(run.path)], stdout=subprocess.PIPE, text=True) as process:
        numbers = process.stdout.readline().split()
        assert int(numbers[0]) == process.pid
        with pytest.raises(RunError, match=f"process {process.pid} is at work"), run.lock():
            pass
        process.kill()
        process.wait()
        with run.lock():
            pass
        for child in numbers[1:]:
            os.kill(int(child), signal.SIGKILL)


# Log and decisions


def test_the_log_comes_back(run):
    lines = [{"images": 64 * k, "loss": 0.1 * k, "words": "größe\n"} for k in range(5)]
    for line in lines:
        run.log(line)
    assert list(run.records()) == lines == list(Run.open(run.path).records())
    assert (run.path / "log.jsonl").read_bytes().count(b"\n") == 5


def test_the_log_can_say_that_a_number_broke(run):
    run.log({"images": 1, "loss": float("nan"), "all": [float("inf"), 1.0], "deep": {"a": -float("inf")}})
    assert list(run.records()) == [{"images": 1, "loss": None, "all": [None, 1.0], "deep": {"a": None}}]


@pytest.mark.parametrize("record", [{}, {"images": 1.5}, {"images": None}, {"images": True}])
def test_a_line_of_the_log_needs_images(run, record):
    with pytest.raises(RunError, match="whole number of images"):
        run.log(record)


def test_rewinding_forgets_what_came_later(run):
    for images in (64, 128, 192, 256):
        run.log({"images": images, "loss": 1 / images})
    before = (run.path / "log.jsonl").read_bytes()
    run.rewind(128)
    assert [record["images"] for record in run.records()] == [64, 128]
    for images in (192, 256):
        run.log({"images": images, "loss": 1 / images})
    assert (run.path / "log.jsonl").read_bytes() == before
    run.rewind(0)
    assert list(run.records()) == []


@given(cut=some.integers(0, 200), images=some.integers(0, 8))
def test_a_log_torn_anywhere_goes_on(tmp_path_factory, cut, images):
    run = Run.create(tmp_path_factory.mktemp("run") / "run", {})
    for k in range(1, 6):
        run.log({"images": k, "loss": 1 / k})
        run.decide({"k": k})
    for name in ("log.jsonl", "decisions.jsonl"):
        file = run.path / name
        file.write_bytes(file.read_bytes()[:cut])
    whole = (run.path / "log.jsonl").read_bytes().count(b"\n")
    decided = (run.path / "decisions.jsonl").read_bytes().count(b"\n")
    assert [record["images"] for record in run.records()] == list(range(1, whole + 1))
    run.rewind(images)
    run.log({"images": 9})
    run.decide({"k": 9})
    assert [record["images"] for record in run.records()] == [*range(1, min(images, whole) + 1), 9]
    assert [decision["k"] for decision in run.decisions()] == [*range(1, decided + 1), 9]


def test_a_damaged_line_of_the_log_is_left_out_and_said(run):
    for images in (1, 2, 3):
        run.log({"images": images})
    file = run.path / "log.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"images":2}', b'{"images":2'))
    assert [record["images"] for record in run.records()] == [1, 3]
    assert run.damaged == ["log.jsonl: line 2 cannot be read"]
    run.rewind(3)
    assert file.read_bytes() == b'{"images":1}\n{"images":3}\n'


def test_decisions_outlive_a_rewind_and_damage_is_said(run):
    assert run.decisions() == []
    run.decide({"kind": "rate", "value": 0.1})
    run.decide({"kind": "stop", "at": [1, 2]})
    run.rewind(0)
    assert Run.open(run.path).decisions() == [{"kind": "rate", "value": 0.1}, {"kind": "stop", "at": [1, 2]}]
    file = run.path / "decisions.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"rate"', b'"rate'))
    with pytest.raises(RunError, match="line 1 is damaged"):
        run.decisions()
    with pytest.raises(RunError, match="number"):
        run.decide({"number": float("nan")})


# The model


def test_a_model_is_noted_and_comes_back(run):
    tensors = scenarios.model(1)
    with pytest.raises(RunError, match="no model in this run yet"):
        run.model(schema_of(tensors))
    digest = run.save_model(tensors, {"images": 64})
    assert digest == run.facts["model"] == Run.open(run.path).facts["model"]
    assert digest == file_digest(run.path / "model.safetensors")
    found, facts = Run.open(run.path).model(schema_of(tensors))
    assert facts == {"images": 64} and found["a"].tobytes() == tensors["a"].tobytes()
    second = run.save_model(scenarios.model(2), {"images": 128})
    assert second != digest and Run.open(run.path).model(schema_of(tensors))[1] == {"images": 128}


def test_a_model_of_another_shape_or_content_is_refused(run):
    run.save_model(scenarios.model(1), {})
    with pytest.raises(ModelFileError, match="shape"):
        run.model({"a": ("float32", (30, 31))})
    file = run.path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # the number stays finite
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match="digest differs"):
        Run.open(run.path).model(schema_of(scenarios.model(1)))


def test_a_model_cut_short_before_its_name_leaves_the_old_one(run, monkeypatch):
    run.save_model(scenarios.model(1), {"which": 1})
    real = os.replace

    def stop(source, target):
        if Path(target).name == "model.safetensors":
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        run.save_model(scenarios.model(2), {"which": 2})
    monkeypatch.undo()
    assert not list(run.path.glob(".*.partial"))
    again = Run.open(run.path)
    assert again.model(schema_of(scenarios.model(1)))[1] == {"which": 1}
    assert again.facts["model"] == file_digest(run.path / "model.safetensors")
    again.save_model(scenarios.model(3), {"which": 3})
    assert Run.open(run.path).model(schema_of(scenarios.model(1)))[1] == {"which": 3}
    assert not list(run.path.glob(".*.partial"))


# Pause and samples


def test_somebody_else_may_ask_for_a_pause(run):
    assert not run.pause_asked()
    with run.lock():
        Run.open(run.path).ask_pause()
    assert run.pause_asked()
    run.clear_pause()
    run.clear_pause()
    assert not Run.open(run.path).pause_asked()


def test_samples_have_a_folder(run):
    assert run.samples == run.path / "samples" and run.samples.is_dir()
