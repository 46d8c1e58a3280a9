"""Deleting takes what it names, wholly, and nothing that is no image, run or dataset of this program."""

import pytest

import maquette as mq
from maquette.core.errors import DataError, RunError, UsageError
from maquette.store.lock import file_lock
from maquette.store.workspace import Workspace


@pytest.fixture
def data(home):
    return mq.ingest("drawn:shapes", to="shapes", count=8, size=16)


def known(kind):
    return [entry.name for entry in Workspace().index.list(kind)]


def test_a_dataset_goes_from_the_disk_and_from_the_list(data, home):
    assert known("dataset") == ["shapes"]
    assert mq.delete("shapes", kind="dataset")["deleted"] == [str(data.path)]
    assert not data.path.exists() and known("dataset") == [] and list((home / "datasets").iterdir()) == []


def test_images_go_and_others_stay(home, data):
    from maquette.core.image import save

    paths = [save(data.images([k])[0], home / "images" / f"{k}.png") for k in range(3)]
    Workspace().index.add_images(paths)
    mq.delete(paths[0], paths[2])
    assert known("image") == ["1.png"] and paths[1].exists()


def test_what_is_something_else_is_never_touched(data, tmp_path, home):
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    for word, kind in ((text, "image"), (tmp_path, "run"), (tmp_path, "dataset"), (data.path, "run"), ("none", "run")):
        with pytest.raises(DataError, match=f"this is no {kind}"):
            mq.delete(str(word), kind=kind)
    with pytest.raises(DataError, match="shapes: this is no image; add --kind dataset"):
        mq.delete("shapes")
    assert text.read_text() == "mine" and data.path.exists()
    with pytest.raises(UsageError, match="what must be given"):
        mq.delete()


def test_all_or_nothing_where_one_is_no_image(home, data):
    from maquette.core.image import save

    path = save(data.images([0])[0], home / "images" / "a.png")
    with pytest.raises(DataError):
        mq.delete(path, home / "images" / "b.png")
    assert path.exists()


def test_a_run_in_training_stays(home):
    run = home / "runs" / "first"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    with file_lock(run / ".lock"), pytest.raises(RunError, match="being trained"):
        mq.delete("first", kind="run")
    mq.delete("first", kind="run")
    assert not run.exists()
