"""`list` shows what the workspace knows."""

import json

import numpy as np
import pytest

from maquette.core.event import Result, Table, Warning
from maquette.core.spec import DataSpec
from maquette.data.dataset import Writer
from maquette.operations import operation as table
from maquette.operations import schemas
from maquette.store.run import Run
from maquette.store.workspace import Workspace


def make_dataset(path, count=3):
    with Writer(path, DataSpec(height=8, width=16), settings={}) as writer:
        writer.append(np.zeros((count, 8, 16, 3), np.uint8), {}, [{"path": f"{n}.png"} for n in range(count)])
        return writer.finish(np.zeros(count, np.uint8), np.arange(count, dtype=np.int32))


def run_list(workspace, **values):
    events = list(table.run("list", workspace, values))
    return [event for event in events if isinstance(event, Table)], events[-1]


def test_an_empty_workspace_says_what_to_do(home):
    tables, result = run_list(Workspace())
    assert [t.title for t in tables] == ["Families"]
    assert (result.facts["datasets"], result.facts["runs"], result.facts["images"]) == ([], [], [])
    assert "no datasets" in result.summary
    assert result.next[0] == "maquette demo"
    assert not home.joinpath("datasets").exists()


def test_datasets_runs_and_images_are_listed(tmp_path):
    workspace = Workspace()
    workspace.datasets.mkdir(parents=True)
    make_dataset(workspace.dataset_path("a"))
    by_hand = make_dataset(tmp_path / "b.mq", 4)
    workspace.index.add_dataset(by_hand)
    run = Run.create(
        workspace.run_path("r"),
        {"family": "gan", "dataset": {"name": "a"}, "images_seen": 640, "plan": {"images": 1000}, "stopped": "paused"},
    )
    workspace.index.add_run(run)
    images = [tmp_path / "out" / f"{n}.png" for n in range(3)]
    images[0].parent.mkdir()
    for path in images[:2]:
        path.write_bytes(b"")
    workspace.index.add_images(images, [{"run": str(run.path), "seed": n} for n in range(3)])

    tables, result = run_list(workspace)
    facts = result.facts
    assert {(d["name"], d["images"], d["width"], d["height"], d["mode"]) for d in facts["datasets"]} == {
        ("a", 3, 16, 8, "rgb"), ("b.mq", 4, 16, 8, "rgb"),
    }  # fmt: skip
    (listed,) = facts["runs"]
    assert (listed["family"], listed["dataset"], listed["images_seen"], listed["images_planned"], listed["state"]) == (
        "gan", "a", 640, 1000, "paused",
    )  # fmt: skip
    assert sorted((image["seed"], image["missing"]) for image in facts["images"]) == [(0, False), (1, False), (2, True)]
    by_title = {t.title: t for t in tables}
    assert by_title["Images"].rows == [[str(images[0].parent), "3 (1 missing)", "r"]]
    assert by_title["Runs"].rows[0][3] == "640 of 1,000"
    json.dumps(facts)


def test_what_is_gone_is_marked(tmp_path):
    workspace = Workspace()
    dataset = make_dataset(tmp_path / "b.mq")
    workspace.index.add_dataset(dataset)
    (tmp_path / "b.mq").rename(tmp_path / "c.mq")
    tables, result = run_list(workspace, what="datasets")
    assert [d["missing"] for d in result.facts["datasets"]] == [True]
    assert "(missing)" in tables[0].rows[0][-1]


@pytest.mark.parametrize("what", ["datasets", "runs", "images", "families"])
def test_one_kind_alone_is_listed_also_when_there_is_none(what):
    tables, result = run_list(Workspace(), what=what)
    assert [t.title.lower() for t in tables] == [what]
    assert set(result.facts) == {"home", what}


def test_hostile_facts_of_a_run_do_no_harm():
    workspace = Workspace()
    run = Run.create(
        workspace.run_path("r"), {"family": ["x"], "dataset": "no object", "plan": 3, "images_seen": "many"}
    )
    workspace.index.add_run(run)
    tables, result = run_list(workspace, what="runs")
    assert len(result.facts["runs"]) == 1
    assert tables[0].rows[0][3] == "? of ?"


def test_a_damaged_index_is_said_and_the_list_goes_on():
    workspace = Workspace()
    workspace.datasets.mkdir(parents=True)
    make_dataset(workspace.dataset_path("a"))
    (workspace.home / "index.sqlite").write_bytes(b"this is no database" * 100)
    events = list(table.run("list", workspace, {}))
    assert any(isinstance(event, Warning) for event in events)
    assert isinstance(events[-1], Result)
    assert [d["name"] for d in events[-1].facts["datasets"]] == ["a"]


def test_every_family_is_listed_with_its_powers():
    _, result = run_list(Workspace(), what="families")
    assert [family["name"] for family in result.facts["families"]] == sorted(schemas.read())
