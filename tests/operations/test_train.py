"""`train` and `pause`: what they say, how they stop, and that the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import torch

from maquette.core.errors import DataError, MaquetteError, RunError, UsageError
from maquette.core.event import to_line
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import copying
from maquette.engine import start as starting
from maquette.engine.load import load
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.operations import train as verb
from maquette.store.run import Run
from maquette.store.workspace import Workspace

IMAGES = 400


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    *_, result = make_drawn("shapes", tmp_path_factory.mktemp("data") / "shapes.mq", width=8, height=8, count=40)
    return result.value


@pytest.fixture
def workspace(home, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)  # nothing here is about power cuts
    monkeypatch.setattr(starting, "remembered", lambda *args: (Choice(rate=800.0, plain=800.0), False))
    yield Workspace(home)
    left = [path for path in home.rglob("*") if path.name.endswith(".partial")]
    assert not left, "something half-written is left"


@pytest.fixture
def command(workspace, data):
    """The events of one and the same command, as they come."""

    def command(**changes):
        values = {"dataset": str(data.path), "to": "mine", "family": "oracle", "scale": "nano"}
        values |= {"images": IMAGES, "set": ["batch=8"]}
        return table.run("train", workspace, {**values, **changes})

    return command


def run_of(workspace) -> Run:
    return Run.open(workspace.runs / "mine")


def of_kind(events, name):
    return [event for event in events if event.name == name]


def test_the_events_say_what_happens_and_the_result_holds_what_is_promised(command, workspace, data):
    events = list(command())
    lines = [json.loads(to_line(event)) for event in events]
    result = lines[-1]
    assert result["event"] == "result" and result["verb"] == "train"
    assert result["run"] == str(workspace.runs / "mine") and result["family"] == "oracle"
    assert result["images_seen"] == IMAGES and result["seconds"] > 0 and result["stopped"] == "finished"
    assert result["model"] == run_of(workspace).facts["model"] and result["scale"] == "nano"
    assert isinstance(events[-1].value, Run) and events[-1].summary and events[-1].next
    progress = [line for line in lines if line["event"] == "progress"]
    assert {"verb", "done", "total", "unit", "seconds", "eta", "numbers"} <= progress[0].keys()
    assert {line["verb"] for line in progress} == {"train"} and {line["unit"] for line in progress} == {"images"}
    assert [line["done"] for line in progress] == sorted(line["done"] for line in progress)
    assert progress[-1]["done"] == progress[-1]["total"] == IMAGES and "nats" in progress[-1]["numbers"]
    notes = " | ".join(line["text"] for line in lines if line["event"] == "note")
    assert f"{len(data)} images in {data.path}" in notes
    assert "'text' is not used (the family oracle cannot be given it)" in notes
    assert "computing in float32, channels first, on 1 thread: 800 images/s" in notes
    sheets = [line["path"] for line in lines if line["event"] == "made"]
    assert sheets and all(os.path.getsize(path) for path in sheets)
    assert sheets[-1].endswith(f"{IMAGES:012d}.png")
    assert [entry.path for entry in workspace.index.list("run")] == [workspace.runs / "mine"]


def test_a_run_has_a_name_of_its_own_when_none_is_given(command, workspace):
    assert list(command(to=""))[-1].facts["run"] == str(workspace.runs / "shapes-oracle")


def test_whoever_stops_listening_finds_it_saved_and_the_same_command_goes_on(command, workspace, monkeypatch):
    monkeypatch.setattr(verb, "TELL_EVERY", 0.0)
    whole = list(command(to="whole"))[-1]
    for target in (80, 160, 240):
        events = command()
        for event in events:
            if event.name == "progress" and event.done >= target:
                break
        events.close()
        assert run_of(workspace).checkpoints()[-1] == target
        with run_of(workspace).lock():  # nobody holds it any more
            assert load(run_of(workspace)) is not None
    events = list(command())
    assert "going on from 240 images" in [event.text for event in of_kind(events, "note")]
    assert not any("measuring" in event.text for event in of_kind(events, "note"))
    assert events[-1].facts["images_seen"] == IMAGES and events[-1].facts["stopped"] == "finished"
    one, other = load(Run.open(workspace.runs / "whole")).state_dict(), load(run_of(workspace)).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert whole.facts["model"] is not None


def test_an_error_of_the_listener_does_not_lose_what_was_learned(command, workspace, monkeypatch):
    monkeypatch.setattr(verb, "TELL_EVERY", 0.0)

    def listen():
        for event in command():
            if event.name == "progress" and event.done >= 200:
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        listen()
    assert run_of(workspace).checkpoints()[-1] >= 200
    with run_of(workspace).lock():
        pass


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_signals_save_first(command, workspace, monkeypatch, number, word):
    monkeypatch.setattr(verb, "TELL_EVERY", 0.0)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    events, sent = [], False
    for event in command():
        events.append(event)
        if event.name == "progress" and event.done >= 100 and not sent:
            sent = True
            signal.raise_signal(number)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    facts = events[-1].facts
    assert facts["stopped"] == word and 100 <= facts["images_seen"] < 150
    assert run_of(workspace).checkpoints()[-1] == facts["images_seen"]
    assert "The same command goes on" in events[-1].summary
    # Somebody who pressed Ctrl-C may want to see what was learned; who ends a process wants it to end.
    assert bool(of_kind(events[-3:], "made")) == (word == "interrupted")
    assert list(command())[-1].facts["stopped"] == "finished"
    assert run_of(workspace).facts["stopped"] == "finished"


def test_a_signal_while_a_sheet_is_drawn_ends_it_soon(command, workspace, monkeypatch):
    from maquette.engine import sample as sampling

    real, drawn = sampling.draw, []

    def slow(family, seeds, conditions, *args):
        for batch in real(family, seeds, conditions, *args):
            drawn.append(len(batch))
            signal.raise_signal(signal.SIGTERM)
            yield batch

    monkeypatch.setattr(sampling, "draw", slow)
    events = list(command())
    assert events[-1].facts["stopped"] == "terminated" and not of_kind(events, "made")
    assert drawn == [16, 16]  # one pass of the sheet on the way, one of the last sheet
    monkeypatch.setattr(sampling, "draw", real)
    assert list(command())[-1].facts["images_seen"] == IMAGES


def test_a_pause_saves_stops_and_is_forgotten(command, workspace, monkeypatch):
    monkeypatch.setattr(verb, "TELL_EVERY", 0.0)
    monkeypatch.setattr(verb, "LOOK_EVERY", 0.0)
    events, paused = [], None
    for event in command():
        events.append(event)
        if event.name == "progress" and event.done >= 100 and paused is None:
            *_, paused = table.run("pause", workspace, {"run": "mine"})
    assert json.loads(to_line(paused)) == {"event": "result", "verb": "pause", "run": str(workspace.runs / "mine")}
    assert events[-1].facts["stopped"] == "paused" and 100 <= events[-1].facts["images_seen"] < 150
    assert not run_of(workspace).pause_asked()
    assert list(command())[-1].facts["images_seen"] == IMAGES


def test_there_is_nothing_to_pause_when_nobody_trains(command, workspace):
    with pytest.raises(RunError, match="no such folder"):
        list(table.run("pause", workspace, {"run": "mine"}))
    list(command())
    with pytest.raises(RunError, match="nothing is training this run now"):
        list(table.run("pause", workspace, {"run": "mine"}))
    assert not run_of(workspace).pause_asked()


def test_stopped_while_the_machine_is_measured_nothing_is_left(command, workspace, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "remembered", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(command())
    assert not (workspace.runs / "mine").exists()


def test_two_cannot_train_one_run(command, workspace):
    first = command()
    for event in first:
        if event.name == "progress":
            break
    with pytest.raises(RunError, match=rf"process {os.getpid()} is at work on this run.*wait for it or stop it"):
        list(command())
    first.close()
    assert list(command())[-1].facts["stopped"] == "finished"


def test_it_works_beside_the_main_thread_where_no_signal_arrives(command):
    found = []
    thread = threading.Thread(target=lambda: found.extend(command()))
    thread.start()
    thread.join()
    assert found[-1].facts["stopped"] == "finished"


def test_a_dataset_that_moved_is_followed(command, workspace, data, tmp_path):
    list(command())
    moved = shutil.copytree(data.path, tmp_path / "moved.mq")
    assert list(command(dataset=str(moved)))[-1].facts["stopped"] == "finished"
    assert run_of(workspace).facts["dataset"]["path"] == str(moved)


def test_a_finished_run_says_that_it_finished_however_it_was_stopped_before(command, workspace):
    list(command())
    run_of(workspace).update(stopped="interrupted")  # as if killed between the last save and this note
    result = list(command())[-1]
    assert result.facts["stopped"] == "finished" and result.facts["images_seen"] == IMAGES
    assert result.facts["seconds"] > 0


@pytest.mark.parametrize("judge", [True, False])
def test_a_model_that_copies_is_warned_of_at_the_end(command, workspace, monkeypatch, judge):
    monkeypatch.setattr(verb, "COPIES_TAKE", 0.0)
    monkeypatch.setattr(copying, "PLAINLY_SAME", -1.0)  # then every image is a copy
    warned = [event.text for event in command(judge=judge) if type(event).__name__ == "Warning"]
    assert any("128 of 128 made images are all but copies" in text for text in warned) == judge


@pytest.mark.parametrize(
    ("given", "names"),
    [("none", []), ("label", ["label"]), (["label", "text"], ["label", "text"]), (None, ["label", "text"])],
)
def test_conditions_are_chosen_by_name(command, workspace, given, names):
    events = list(command(family="flow", given=given, images=16, set=["batch=8", "width=8"]))
    spec = load(run_of(workspace)).spec
    assert [condition.name for condition in spec.conditions] == names
    said = [event.text for event in of_kind(events, "note") if "is not used" in event.text]
    assert len(said) == 2 - len(names)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"images": None, "time": "0"}, UsageError, r"a time of '0' is not possible"),
        ({"images": None, "time": "soon"}, UsageError, r"'soon' is not a time.*90s, 10m"),
        ({"images": "0"}, UsageError, r"a count of '0' is not possible"),
        ({"images": None}, UsageError, r"training needs an end"),
        ({"time": "5s"}, UsageError, r"one end only"),
        ({"given": ""}, UsageError, r"--given needs names of conditions.*write none"),
        ({"given": "lable"}, MaquetteError, r"no condition 'lable'.*did you mean label\?"),
        ({"given": "text"}, MaquetteError, r"oracle cannot be given 'text'"),
        ({"tile": "z"}, UsageError, r"tile = 'z' is not possible"),
        ({"scale": "huge"}, UsageError, r"scale = 'huge' is not possible"),
        ({"family": "gna"}, UsageError, r"no family 'gna'.*did you mean gan\?"),
        ({"set": ["batch"]}, UsageError, r"'batch' is not of the form KEY=VALUE"),
        ({"set": ["bath=8"]}, UsageError, r"no setting 'bath'.*did you mean batch\?"),
        ({"dataset": "nowhere"}, DataError, r"there is no dataset here"),
        ({"from": "nowhere"}, RunError, r"there is no such folder"),
        ({"on": "nowhere"}, UsageError, r"oracle does not stand on another run"),
        ({"epochs": 3}, UsageError, r"there is no setting 'epochs'"),
        ({"save_every": "0"}, UsageError, r"save-every.*'0' is not possible|save_every.*'0' is not possible"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_and_nothing_is_left(command, workspace, changes, error, words):
    with pytest.raises(error, match=words):
        list(command(**changes))
    assert not (workspace.runs / "mine").exists()


@pytest.mark.parametrize("changes", [{"images": None}, {"family": "gna"}])
def test_what_is_plainly_wrong_is_said_before_all_else(command, changes):
    with pytest.raises(UsageError):
        next(iter(command(**changes)))


def test_the_same_command_with_another_word_is_refused(command, workspace):
    list(command())
    with pytest.raises(RunError, match=r"begun with --seed 0, not --seed 1.*another name with --to"):
        list(command(seed=1))


def test_a_damaged_checkpoint_is_a_warning(command, workspace):
    list(command())
    (newest,) = (run_of(workspace).path / "checkpoints").glob(f"{IMAGES:012d}")
    (newest / "state.json").write_text("{}")
    events = list(command())
    (warning,) = of_kind(events, "warning")
    assert f"{IMAGES:012d}" in warning.text
    assert events[-1].facts["images_seen"] == IMAGES


def test_a_family_without_samples_has_no_sheets(command, workspace, monkeypatch):
    from maquette.families import REGISTRY
    from maquette.families.oracle import Oracle

    class Mute(Oracle):
        sample = None

    monkeypatch.setitem(REGISTRY._loaded, "oracle", Mute)
    events = list(command())
    assert not of_kind(events, "made") and events[-1].facts["stopped"] == "finished"


def test_memory_does_not_grow_with_the_steps(command, workspace):
    import tracemalloc

    list(command(to="warm"))
    peaks = []
    for number, images in enumerate((2_000, 8_000)):
        tracemalloc.start()
        for _ in command(to=f"run-{number}", images=images):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000, peaks


def test_a_probe_is_asked_once_and_its_choice_kept(data, home, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("maquette.engine.probe.HAD", 0.0)  # however busy this machine is, what it measured counts
    workspace = Workspace(home)
    values = {"dataset": str(data.path), "family": "oracle", "images": 80, "set": ["batch=8"]}
    first = list(table.run("train", workspace, {**values, "to": "one"}))
    second = list(table.run("train", workspace, {**values, "to": "two"}))
    choices = [Run.open(workspace.runs / name).facts["choice"] for name in ("one", "two")]
    assert choices[0] == choices[1] and choices[0]["rate"] > 0
    told = [" ".join(event.text for event in of_kind(events, "note")) for events in (first, second)]
    assert "(measured before)" not in told[0] and "(measured before)" in told[1]
    assert np.isfinite(next(iter(json.loads((home / "probes.json").read_text()).values()))["plain"])


def test_with_a_time_it_ends_at_about_its_time(data, workspace):
    values = {"dataset": str(data.path), "to": "mine", "family": "oracle", "time": "2s", "set": ["batch=8"]}
    result = list(table.run("train", workspace, values))[-1]
    assert 1.0 < result.facts["seconds"] < 6.0  # the machine may be busy
    assert run_of(workspace).decisions()
