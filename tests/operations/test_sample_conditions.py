"""`sample` is given pictures: a map drawn by hand becomes what the model was trained with, or is refused."""

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


def result(verb, workspace, **values):
    return list(table.run(verb, workspace, values))[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a model that is given a map: a `flow` that has seen a few drawn facades."""
    workspace = Workspace(tmp_path_factory.mktemp("facades"))
    result("ingest", workspace, source=["drawn:facades"], to="facades", size=16, count=40)
    result("train", workspace, dataset="facades", family="flow", to="model", images=32, scale="nano", set=["batch=8"])
    return workspace


def test_a_map_from_a_file_is_what_the_images_are_made_from(trained, tmp_path):
    Pillow.fromarray(np.full((16, 16), 1, np.uint8)).save(tmp_path / "one.png")
    Pillow.fromarray(np.full((40, 32), 2, np.uint8)).save(tmp_path / "two.png")
    given = {"run": "model", "count": 1, "steps": 2}
    one = result("sample", trained, **given, image=[str(tmp_path / "one.png")], to=str(tmp_path / "a"))
    named = result("sample", trained, **given, image=[f"map={tmp_path / 'one.png'}"], to=str(tmp_path / "b"))
    two = result("sample", trained, **given, image=[str(tmp_path / "two.png")], to=str(tmp_path / "c"))
    assert np.array_equal(one.value[0], named.value[0])
    assert not np.array_equal(one.value[0], two.value[0])


def test_a_map_that_must_be_given_is_asked_for(trained, tmp_path):
    with pytest.raises(UsageError, match="this model needs the map 'map'; give --image map=FILE"):
        result("sample", trained, run="model", count=1, to=str(tmp_path / "a"))


def test_files_that_are_no_map_are_refused(trained, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png"):
        result("sample", trained, run="model", count=1, image=[str(tmp_path / "text.png")], to=str(tmp_path / "a"))
    with pytest.raises(DataError, match=r"none\.png"):
        result("sample", trained, run="model", count=1, image=[str(tmp_path / "none.png")], to=str(tmp_path / "a"))
    Pillow.fromarray(np.full((16, 16), 200, np.uint8)).save(tmp_path / "high.png")
    with pytest.raises(MaquetteError, match="the map 'map' holds 200"):
        result("sample", trained, run="model", count=1, image=[str(tmp_path / "high.png")], to=str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
