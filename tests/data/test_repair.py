"""Repairs and editions: what is harmful goes, nothing is lost, and every step can be taken back."""

import importlib.util
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import ConditionError, DataError, MaquetteError, UsageError
from maquette.core.event import Result
from maquette.data.audit.audit import accept, audit
from maquette.data.audit.repair import bring_back, find, plan, repair, set_aside
from maquette.data.dataset import Dataset
from maquette.data.edition import Changes, go_back, history, number, revise
from maquette.data.ingest import labels
from maquette.data.loader import Loader
from maquette.store.lock import file_lock


def load(name):
    """A neighbour of this file, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planted = load("planted")


def look(data, **given):
    *_, result = audit(data, **given)
    assert isinstance(result, Result)
    return result.value


def bytes_of(folder):
    """Every file of a dataset but the few that may change: its description, its lock, the memory of its audit."""
    moving = {"dataset.json", ".lock", "audit.json"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in moving]
    return {path.relative_to(folder): path.read_bytes() for path in files if "editions" not in path.parts}


@pytest.fixture
def faulty(tmp_path):
    """Thirty good pictures, a dark one, copies on both sides, and one in a frame."""
    images = [planted.scene(k) for k in range(30)]
    images.append((planted.scene(50) // 9).astype(np.uint8))  # 30: dark
    images += [images[0].copy(), images[1].copy(), images[2].copy()]  # 31, 32: copies to train on; 33: held out
    framed = np.full((32, 32, 3), 255, np.uint8)
    framed[3:29, 3:29] = planted.scene(60)[3:29, 3:29]
    images.append(framed)  # 34
    return planted.build(tmp_path / "a.mq", images, held_out=(3, 33))


def test_a_repair_sets_aside_merges_crops_and_never_touches_what_was_there(faulty):
    before = bytes_of(faulty.path)
    result = look(faulty)
    made = plan(result)
    assert set(made.aside) == {30, 31, 32, 33} and set(made.cropped) == {34} and not made.moved
    assert made.aside[30] == ("too-dark", "too dark") and "exact duplicate of 0.png" in made.aside[31][1]
    data = repair(result, made)
    after = bytes_of(data.path)
    assert {name: after[name] for name in before} == before
    assert data.digest != faulty.digest and number(data) == 2
    assert data.in_use == 31 and len(data.indices("train")) == 30
    assert not {30, 31, 32, 33} & set(Loader(data).indices(0, 30).tolist())
    assert (data.images([34])[0][0] != 255).any() and np.array_equal(data.images([5]), faulty.images([5]))
    assert {row["path"] for row in data.set_aside()} == {"broken.png", "30.png", "31.png", "32.png", "33.png"}
    data.verify()
    again = look(data)
    assert not plan(again), "a repair leaves nothing to repair"


def test_the_manifest_says_what_was_decided_and_why(faulty):
    result = look(faulty)
    data = repair(result, plan(result))
    manifest = json.loads((data.path / "editions" / "2.manifest.json").read_text())
    assert manifest["digest"] == data.digest and manifest["before"] == faulty.digest
    assert manifest["sources"] == ["made"] and manifest["checks"]["too-dark"]["settings"] == {"most": 45.0}
    decided = {row["item"]: row for row in manifest["decisions"]}
    assert decided[30]["decision"] == "set aside" and decided[30]["digest"] == f"{30:064x}"
    assert decided[34]["decision"] == "cropped" and "top 3 px" in decided[34]["reason"]
    assert manifest["items"]["digest"] == data.description["records"]["items.jsonl"]


def test_everything_can_be_taken_back(faulty):
    result = look(faulty)
    data = go_back(repair(result, plan(result)))
    assert data.digest == faulty.digest and data.in_use == len(faulty)
    assert np.array_equal(data.images(np.arange(35)), faulty.images(np.arange(35)))
    with pytest.raises(DataError, match="nothing to take back"):
        go_back(data)
    again = repair(look(data), plan(look(data)))
    assert number(again) == 3, "the files of the edition that was taken back are not written over"


def test_leakage_moves_what_a_merge_has_left_on_both_sides(tmp_path):
    """With other captions the copies stay, so the held-out ones have to change sides."""
    images = [planted.scene(k) for k in range(30)] + [planted.scene(0)]
    data = planted.build(tmp_path / "a.mq", images, texts=["one"] * 30 + ["other"], held_out=(30, 7))
    result = look(data)
    made = plan(result)
    assert made.moved == {30: "leakage"} and not made.aside
    assert sorted(repair(result, made).indices("held-out").tolist()) == [7]


def test_what_is_only_doubtful_is_left_unless_it_is_named(tmp_path):
    images = [planted.scene(k) for k in range(30)] + [np.rint(120 + planted.scene(70) / 255 * 20).astype(np.uint8)]
    result = look(planted.build(tmp_path / "a.mq", images))
    assert result["low-contrast"].finding.count == 1
    assert not plan(result)
    assert set(plan(result, also=["low-contrast"]).aside) == {30}
    assert not plan(result, also=["low-contrast"], leave=["low-contrast"])
    for name in ("to-dark", "outliers"):
        with pytest.raises(UsageError):
            plan(result, also=[name])


def test_what_is_meant_is_accepted_once_and_neither_counted_nor_repaired(faulty):
    graded = look(faulty)
    assert graded["too-dark"].severity == "harmful" and graded.grade == "Poor"
    accept(faulty, {"too-dark": "it is night", "exact-duplicates": "as it is meant", "borders": "frames"})
    result = look(Dataset.open(faulty.path))
    assert result["too-dark"].severity == "note" and result["too-dark"].sentence == "1 image; accepted: it is night"
    assert result.share("harmful") < graded.share("harmful")
    assert not {"too-dark", "exact-duplicates", "borders"} & {check for check, _ in plan(result).aside.values()}
    assert 30 in plan(result, also=["too-dark"]).aside
    accept(faulty, {})
    assert look(faulty)["too-dark"].severity == "harmful"
    with pytest.raises(UsageError, match="no check"):
        accept(faulty, {"to-dark": "a slip"})
    (faulty.path / "accepted.json").write_text("[1]")
    with pytest.raises(DataError, match="which findings are accepted"):
        look(faulty)


def test_a_repair_that_would_leave_nothing_is_refused(tmp_path):
    data = planted.build(tmp_path / "a.mq", [np.zeros((16, 16, 3), np.uint8)] * 3)
    result = look(data)
    with pytest.raises(DataError, match="nothing to train on"):
        repair(result, plan(result))
    assert Dataset.open(data.path).digest == data.digest


def test_images_are_found_by_name_and_pattern(faulty):
    assert find(faulty, ["3.png", "1?.png"]).tolist() == [3, *range(10, 20)]
    with pytest.raises(DataError, match=r"no image is called 'x.png'"):
        find(faulty, ["1.png", "x.png"])


def test_single_images_come_back_into_the_part_they_came_from(faulty):
    data = set_aside(faulty, find(faulty, ["2.png", "3.png"]), check="by hand", reason="ugly")
    assert data.in_use == 33 and not len(set(data.indices("held-out")) & {3})
    assert [row["reason"] for row in data.set_aside()[1:]] == ["ugly", "ugly"]
    data = bring_back(data, find(data, ["3.png"], aside=True))
    assert 3 in data.indices("held-out") and 2 not in data.indices("train")
    data = bring_back(data, find(data, ["2.png"], aside=True))
    assert data.digest == faulty.digest and [row["path"] for row in data.set_aside()] == ["broken.png"]
    assert history(data)[0]["what"] == "ingested" and number(data) == 4


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 11), min_size=1)), max_size=6))
def test_any_order_of_removing_and_bringing_back_keeps_count(tmp_path_factory, steps):
    """Whatever is removed and brought back, and then taken back step by step, ends where it began."""
    first = planted.build(
        tmp_path_factory.mktemp("d") / "a.mq", [planted.scene(k, 16) for k in range(12)], held_out=(1, 2)
    )
    data, gone, digests = first, set(), [first.digest]
    for back, items in steps:
        wanted = gone - items if back else gone | items
        if len(wanted | {1, 2}) == 12:
            continue
        before = number(data)
        data = (bring_back if back else lambda d, i: set_aside(d, i, check="x", reason="y"))(
            data, np.array(sorted(items))
        )
        gone = wanted
        assert data.in_use == 12 - len(gone)
        assert {row["item"] for row in data.set_aside() if "item" in row} == gone
        if number(data) != before:
            digests.append(data.digest)
    for digest in reversed(digests[:-1]):
        data = go_back(data)
        assert data.digest == digest
    assert data.digest == first.digest


# Editions


def test_whoever_reads_an_edition_goes_on_reading_it(faulty):
    reader = Dataset.open(faulty.path)
    data = revise(faulty, Changes(what="black", images={k: np.zeros_like for k in range(5)}))
    assert not data.images([0, 4]).any() and reader.images([0, 4]).any()
    assert np.array_equal(data.images([5]), reader.images([5]))


def test_two_changes_at_once_are_refused(faulty):
    stale = Dataset.open(faulty.path)
    set_aside(faulty, np.array([1]), check="x", reason="y")
    with pytest.raises(DataError, match="changed meanwhile"):
        set_aside(stale, np.array([2]), check="x", reason="y")
    with file_lock(faulty.path / ".lock"), pytest.raises(DataError, match="another process"):
        go_back(Dataset.open(faulty.path))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_dataset_that_cannot_be_written_stays_as_it_was(faulty):
    faulty.path.chmod(0o555)
    try:
        with pytest.raises(DataError):
            set_aside(faulty, np.array([1]), check="x", reason="y")
    finally:
        faulty.path.chmod(0o755)
    assert Dataset.open(faulty.path).digest == faulty.digest


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_change_that_breaks_anywhere_leaves_the_edition_before(faulty, monkeypatch, stop):
    """Every write of a change fails once: the dataset is the old one or the new one, whole."""
    from maquette.data import edition
    from maquette.data.decoding import arrays

    calls = iter(range(1, 100))

    def failing(function):
        def wrapped(*given, **named):
            if next(calls) == stop:
                raise OSError(28, "No space left on device")
            return function(*given, **named)

        return wrapped

    monkeypatch.setattr(arrays.Stream, "finish", failing(arrays.Stream.finish))
    monkeypatch.setattr(edition, "write_json", failing(edition.write_json))
    digest = faulty.digest
    try:
        digest = set_aside(faulty, np.array([1, 2]), check="x", reason="y").digest
    except MaquetteError as error:
        assert "no space left" in str(error)
    monkeypatch.undo()
    data = Dataset.open(faulty.path)
    assert data.digest == digest
    data.verify()
    assert set_aside(data, np.array([5]), check="x", reason="y").in_use == data.in_use - 1


@pytest.mark.parametrize(
    "files", [{"images.npy": "../images.npy"}, {"parts.npy": "/etc/passwd"}, {"images.npy": 3}, ["x"], {"a": "b.txt"}]
)
def test_a_description_that_names_other_files_is_refused(faulty, files):
    path = faulty.path / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": files}))
    with pytest.raises(DataError, match="names files that no dataset has"):
        Dataset.open(faulty.path)


def _aside(path, item):
    try:
        set_aside(Dataset.open(path), np.array([item]), check="x", reason="y")
    except DataError:
        os._exit(3)


def test_processes_that_change_at_once_do_not_undo_each_other(faulty):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_aside, args=(faulty.path, k)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done = sum(worker.exitcode == 0 for worker in workers)
    assert done >= 1 and Dataset.open(faulty.path).in_use == len(faulty) - done


# Labels


def test_labels_are_assigned_renamed_and_taken_away(faulty):
    data, changed = labels.assign(faulty, ["1?.png"], "label", "cat")
    assert changed == 10 and data.spec.condition("label").classes == ("cat",) and data.missing("label") == 25
    data, changed = labels.assign(data, ["2?.png"], "label", "Cat")
    data, changed = labels.rename(data, "label", ["Cat=cat"])
    assert changed == 10 and data.spec.condition("label").classes == ("cat",) and data.missing("label") == 15
    data, changed = labels.assign(data, ["10.png"], "label", None)
    assert changed == 1 and data.missing("label") == 16
    assert labels.assign(data, ["11.png"], "label", "cat")[1] == 0
    data.verify()
    assert [c.name for c in go_back(go_back(go_back(go_back(data)))).spec.conditions] == []


def test_a_table_says_many_things_at_once(faulty, tmp_path):
    table = tmp_path / "said.csv"
    table.write_text("file_name,label,height,caption\n1.png,cat,3,\n2.png,dog,-4.5,\n3.png,,,\n", "utf-8-sig")
    with pytest.raises(UsageError):  # a new number cannot be told from a new label by a table alone
        labels.assign(faulty, ["1.png"], "not a name", "x")
    data, _ = labels.assign(faulty, ["0.png"], "height", "1", kind="number")
    data, changed = labels.from_table(data, table)
    assert changed == 4
    values = data.conditions([1, 2, 3], ["height", "label"])
    assert values["height"][:2].tolist() == [3.0, -4.5] and np.isnan(values["height"][2])
    spec = data.spec.condition("height")
    assert (spec.low, spec.high) == (-4.5, 3.0)
    assert [data.spec.condition("label").describe(v) for v in values["label"]] == ["cat", "dog", None]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("file_name,label\nnone.png,cat\n", "line 2: no image in use"),
        ("name,label\n1.png,cat\n", "no column file_name"),
        ("file_name,label\n", "no rows"), ("file_name,label\n1.png\n", "line 2 has another number"),
        ("file_name,label\n1.png,a,b\n", "line 2 has another number"), ("file_name,label\n\"1.png,a\n", "not a table"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read_change_nothing(faulty, tmp_path, text, what):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=what):
        labels.from_table(faulty, tmp_path / "t.csv")
    assert number(Dataset.open(faulty.path)) == 1


def test_labels_that_do_not_exist_cannot_be_renamed(faulty):
    data, _ = labels.assign(faulty, ["1.png"], "label", "cat")
    with pytest.raises(ConditionError, match="there is no label 'dog'"):
        labels.rename(data, "label", ["dog=cat"])
    with pytest.raises(UsageError, match="OLD=NEW"):
        labels.rename(data, "label", ["dog"])
