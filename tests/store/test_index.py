"""The index: knows what there is, notices what is gone, and never stops work."""

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from maquette.core.errors import RunError, UsageError
from maquette.store import index as module
from maquette.store.run import Run
from maquette.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def dataset(path, **facts):
    path.mkdir(parents=True)
    (path / "dataset.json").write_text(json.dumps({"count": 3, **facts}))
    return path


def filled(workspace, tmp_path):
    """Two runs, a dataset and an image in the workspace, a run, a dataset and an image elsewhere."""
    index = workspace.index
    for path in (workspace.run_path("faces"), workspace.run_path("trees"), tmp_path / "elsewhere" / "run"):
        index.add_run(Run.create(path, {"family": "gan", "name": path.name}))
    for path in (workspace.dataset_path("photos"), tmp_path / "elsewhere" / "data"):
        index.add_dataset(dataset(path))
    images = [workspace.images / "a.png", tmp_path / "elsewhere" / "b.png"]
    for image in images:
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"x")
    index.add_images(images, [{"seed": 1}, {"seed": 2}])
    return index


def names(index, kind=None):
    return sorted(os.path.relpath(entry.path, index.workspace.home.parent) for entry in index.list(kind))


ALL = [
    "elsewhere/b.png", "elsewhere/data", "elsewhere/run", "home/datasets/photos", "home/images/a.png",
    "home/runs/faces", "home/runs/trees",
]  # fmt: skip


def test_an_empty_one(workspace):
    assert list(workspace.index.list()) == [] and workspace.index.notes == []


def test_it_knows_what_it_was_told(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    assert names(index) == ALL and index.notes == []
    assert names(index, "run") == ["elsewhere/run", "home/runs/faces", "home/runs/trees"]
    assert names(index, "dataset") == ["elsewhere/data", "home/datasets/photos"]
    found = {entry.path.name: entry for entry in Workspace(workspace.home).index.list()}
    assert found["faces"].facts["family"] == "gan" and found["faces"].kind == "run" and found["faces"].name == "faces"
    assert found["photos"].facts == {"count": 3} and found["a.png"].facts == {"seed": 1}
    assert found["run"].by_hand and found["b.png"].by_hand and not found["faces"].by_hand
    assert not any(entry.missing for entry in found.values())
    with pytest.raises(UsageError, match="no kind 'runs'"):
        index.list("runs")


def test_the_newest_comes_first_and_keeps_its_age(workspace, tmp_path, monkeypatch):
    index = workspace.index
    for number, name in enumerate(("b", "a", "c"), 1):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda n=number: 100.0 * n, monotonic=lambda: 0.0))
        index.add_images([tmp_path / name])
    assert [entry.name for entry in index.list()] == ["c", "a", "b"]
    index.add_images([tmp_path / "b"], [{"seed": 5}])
    assert [entry.name for entry in index.list()] == ["c", "a", "b"] and index.list()[2].facts == {"seed": 5}


def test_a_path_may_be_given_in_any_way(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create(tmp_path / "run", {})
    for place in (run, run.path, str(run.path), "run", "./x/../run"):
        workspace.index.add_run(place)
    assert [entry.path for entry in workspace.index.list()] == [run.path]


def test_what_is_gone_is_marked_and_comes_back(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    shutil.move(workspace.run_path("faces"), tmp_path / "aside")
    (tmp_path / "elsewhere" / "b.png").unlink()
    (workspace.dataset_path("photos") / "dataset.json").unlink()
    assert {entry.path.name for entry in index.list() if entry.missing} == {"faces", "b.png", "photos"}
    shutil.move(tmp_path / "aside", workspace.run_path("faces"))
    assert {entry.path.name for entry in index.list() if entry.missing} == {"b.png", "photos"}


def test_what_was_put_into_the_folders_is_noticed(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    Run.create(workspace.run_path("copied"), {"family": "flow"})
    dataset(workspace.dataset_path("given"))
    (workspace.runs / "notes").mkdir()
    (workspace.runs / "file").write_bytes(b"x")
    assert set(names(index)) - set(ALL) == {"home/runs/copied", "home/datasets/given"}


def test_facts_follow_their_files(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    Run.open(workspace.run_path("faces")).update(images_seen=640, long=["x" * 600])
    found = next(entry for entry in index.list("run") if entry.name == "faces")
    assert found.facts["images_seen"] == 640 and "long" not in found.facts


def test_it_can_be_made_again_from_the_folders(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    (workspace.run_path("faces") / "samples").mkdir()
    (workspace.run_path("faces") / "samples" / "sheet.png").write_bytes(b"x")
    shutil.rmtree(workspace.run_path("trees"))
    index.rebuild()
    expected = {*ALL, "home/runs/faces/samples/sheet.png"} - {"home/runs/trees"}
    assert set(names(index)) == expected
    index.path.unlink()
    assert set(names(index)) == {name for name in expected if name.startswith("home")}


def test_a_path_that_is_not_unicode_and_words_of_all_kinds(workspace, tmp_path):
    image = tmp_path / "\udcff'; DROP TABLE entries; --.png"
    workspace.index.add_images([image], [{"text": "'\"; \u2603"}])
    assert [(entry.path, entry.facts) for entry in workspace.index.list()] == [(image, {"text": "'\"; \u2603"})]
    with pytest.raises(RunError, match="facts of an image"):
        workspace.index.add_images([image], [{"seed": object()}])


# Damage


def spoil(path, kind, chance):
    content = bytearray(path.read_bytes())
    if kind == "empty":
        content.clear()
    elif kind == "text":
        content = bytearray(b"this is no database\n" * 400)
    elif kind == "cut":
        del content[chance.randrange(1, len(content)) :]
    elif kind == "zeros":
        place = chance.randrange(len(content))
        content[place : place + 4096] = bytes(len(content[place : place + 4096]))
    elif kind == "random":
        place = chance.randrange(len(content))
        content[place : place + 300] = chance.randbytes(len(content[place : place + 300]))
    else:
        for _ in range(8):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "zeros", "random", "bits"])
def test_a_damaged_one_never_stops_work(workspace, tmp_path, kind):
    """After any damage what lies in the folders is listed, things can be added, and the index is sound again."""
    filled(workspace, tmp_path)
    pristine, chance = workspace.index.path.read_bytes(), random.Random(kind)
    for _ in range(12):
        workspace.index.path.write_bytes(pristine)
        spoil(workspace.index.path, kind, chance)
        index = Workspace(workspace.home).index
        index.add_images([tmp_path / "new.png"])
        found = set(names(index, "run")) | set(names(index, "dataset"))
        assert {name for name in ALL if name.startswith(("home/runs", "home/datasets"))} <= found
        index.rebuild()
        assert {name for name in ALL if name.startswith("home")} <= set(names(index))
        again = Workspace(workspace.home).index
        again.add_images([tmp_path / "newer.png"])
        assert "newer.png" in names(again, "image") and again.notes == []
        for aside in workspace.home.glob("index.damaged-*"):
            aside.unlink()


def test_a_damaged_one_is_set_aside_with_a_note(workspace, tmp_path):
    filled(workspace, tmp_path)
    for number in (1, 2):
        spoil(workspace.index.path, "text", random.Random(0))
        index = Workspace(workspace.home).index
        assert names(index, "run") == ["home/runs/faces", "home/runs/trees"]
        aside = workspace.home / f"index.damaged-{number}.sqlite"
        assert len(index.notes) == 1 and str(aside) in index.notes[0]
        assert aside.read_bytes().startswith(b"this is no database")


def test_what_lies_elsewhere_is_saved_from_a_damaged_one(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    with contextlib.closing(sqlite3.connect(index.path)) as connection:
        connection.execute("ALTER TABLE entries RENAME COLUMN changed TO altered")
        connection.execute("ALTER TABLE entries ADD COLUMN changed INTEGER NOT NULL DEFAULT 0")
        connection.execute("PRAGMA user_version=99")
        connection.commit()
    again = Workspace(workspace.home).index
    assert names(again) == ALL
    assert "99" in again.notes[0] and "set aside" in again.notes[0]


def test_rows_that_make_no_sense_are_left_out(workspace, tmp_path):
    index = filled(workspace, tmp_path)
    with contextlib.closing(sqlite3.connect(index.path)) as connection:
        for row in [
            (b"/x\0y", "run", 1.0, 1, "{}"), (b"/a", "nonsense", 1.0, 1, "{}"), ("text", "run", 1.0, 1, "{}"),
            (b"/c", "run", "soon", 1, "{}"), (b"/d" * 5000, "run", 1.0, 1, "{"), (b"/e", "image", 1.0, 1, "[1]"),
        ]:  # fmt: skip
            connection.execute("INSERT INTO entries (path, kind, added, changed, facts) VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    found = [entry for entry in index.list() if str(tmp_path) not in str(entry.path)]
    assert sorted(str(entry.path)[:4] for entry in found) == ["/d/d", "/e"]
    assert all(entry.missing and entry.facts == {} for entry in found)


@pytest.mark.parametrize("obstacle", ["folder", "home is a file", "locked", "full"])
def test_where_there_can_be_none_the_folders_are_looked_through(workspace, tmp_path, monkeypatch, obstacle):
    monkeypatch.setattr(module, "WAIT", 0.2)
    filled(workspace, tmp_path)
    index = Workspace(workspace.home).index
    with contextlib.ExitStack() as stack:
        if obstacle == "folder":
            index.path.unlink()
            index.path.mkdir()
        elif obstacle == "home is a file":
            index = Workspace(tmp_path / "file" / "home").index
            (tmp_path / "file").write_bytes(b"")
        elif obstacle == "locked":
            other = stack.enter_context(contextlib.closing(sqlite3.connect(index.path, isolation_level=None)))
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            other.execute("DELETE FROM entries")
        else:
            real = module._writing

            @contextlib.contextmanager
            def full(connection):
                with real(connection):
                    yield
                    error = sqlite3.OperationalError("database or disk is full")
                    error.sqlite_errorcode = sqlite3.SQLITE_FULL
                    raise error

            monkeypatch.setattr(module, "_writing", full)
        index.add_images([tmp_path / "new.png"])
        assert len(index.notes) == 1 and "cannot be used" in index.notes[0]
        if obstacle != "home is a file":
            assert {"home/runs/faces", "home/datasets/photos"} <= set(names(index))
        assert not list(workspace.home.glob("index.damaged-*"))


def test_an_older_one_is_brought_up_to_date(workspace, tmp_path, monkeypatch):
    filled(workspace, tmp_path)

    def second(connection):
        connection.execute("ALTER TABLE entries ADD COLUMN stars INTEGER NOT NULL DEFAULT 0")

    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, second))
    assert names(workspace.index) == ALL and workspace.index.notes == []
    with contextlib.closing(sqlite3.connect(workspace.index.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT sum(stars) FROM entries").fetchone() == (0,)


# Many at once


def test_threads_share_it(workspace, tmp_path):
    def add(number):
        for k in range(10):
            workspace.index.add_images([tmp_path / f"{number}-{k}.png"])
            workspace.index.list()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(workspace.index.list()) == 50 and workspace.index.notes == []


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_share_it(workspace, tmp_path, damaged):
    """Three processes make it, or make it anew, at the same moment; nothing that is added afterwards is lost."""
    program = """
import sys
from maquette.store.workspace import Workspace
index = Workspace(sys.argv[1]).index
print("ready", flush=True)
sys.stdin.readline()
for k in range(15):
    index.add_images([f"/nowhere/{sys.argv[2]}-{k}.png"])
print(len(index.notes), sum(entry.path.name.startswith(sys.argv[2]) for entry in index.list()))
"""
    if damaged:
        filled(workspace, tmp_path)
        spoil(workspace.index.path, "text", random.Random(0))
    words = [sys.executable, "-c", program, str(workspace.home)]
    running = [
        subprocess.Popen([*words, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("first", "second", "third")
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in running]
    assert [answer[1] for answer in answers] == ["15"] * 3
    assert sum(int(answer[0]) for answer in answers) == (1 if damaged else 0)
    assert len([entry for entry in workspace.index.list("image") if "nowhere" in str(entry.path)]) == 45
