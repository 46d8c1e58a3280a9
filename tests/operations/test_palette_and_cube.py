"""The verbs palette and cube: colours said and written, looks written and used again."""

import json

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

import maquette as mq
from maquette.core.errors import DataError, UsageError
from maquette.core.event import Made, Result
from maquette.core.image import encode
from maquette.operations.operation import run
from maquette.refining.run import refine
from maquette.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.fixture
def drawing(tmp_path):
    image = np.zeros((60, 90, 3), np.uint8)
    image[:, :45], image[:, 45:75], image[:, 75:] = (200, 30, 40), (20, 40, 160), (250, 250, 240)
    path = tmp_path / "drawing.png"
    path.write_bytes(encode(image))
    return path


def facts(verb, workspace, **values):
    events = list(run(verb, workspace, values))
    assert isinstance(events[-1], Result)
    return events[-1].to_json(), [event for event in events if isinstance(event, Made)]


def test_a_palette_is_said_the_commonest_first(workspace, drawing):
    said, _ = facts("palette", workspace, image=(str(drawing),), count=3)
    assert said["colours"] == ["#c81e28", "#1428a0", "#fafaf0"]
    assert said["shares"] == pytest.approx([0.5, 1 / 3, 1 / 6], abs=0.01)


def test_one_palette_of_several_images(workspace, drawing, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(encode(np.full((500, 500, 1), 0, np.uint8)))
    said, _ = facts("palette", workspace, image=(str(drawing), str(other)), count=4)
    assert said["colours"][0] == "#000000"
    assert said["shares"][0] == pytest.approx(0.5, abs=0.01)


def test_a_palette_in_every_kind_of_file(workspace, drawing, tmp_path):
    for ending in ("png", "css", "gpl", "json"):
        to = tmp_path / f"colours.{ending}"
        _, made = facts("palette", workspace, image=(str(drawing),), count=3, to=str(to))
        assert [event.path for event in made] == [str(to)]
    assert "--colour-1: #c81e28;" in (tmp_path / "colours.css").read_text()
    assert "200  30  40\t#c81e28" in (tmp_path / "colours.gpl").read_text()
    assert json.loads((tmp_path / "colours.json").read_text())[0] == {"colour": "#c81e28", "share": 0.5}
    with Pillow.open(tmp_path / "colours.png") as picture:
        assert {picture.getpixel((x, 40)) for x in (5, 300, 470)} == {(200, 30, 40), (20, 40, 160), (250, 250, 240)}


@pytest.mark.parametrize(
    ("values", "words"),
    [({"to": "colours.txt"}, "not written as"), ({"count": 0}, "count"), ({"image": ()}, "image")],
)
def test_a_palette_that_cannot_be(workspace, drawing, values, words):
    with pytest.raises(UsageError, match=words):
        facts("palette", workspace, **{"image": (str(drawing),), **values})
    with pytest.raises(DataError, match=r"missing\.png"):
        facts("palette", workspace, image=("missing.png",))


def test_files_that_are_there_stay(workspace, drawing, tmp_path):
    for verb, name, values in (
        ("palette", "a.css", {"image": (str(drawing),)}), ("cube", "a.cube", {"with_": "gamma value=2"}),
    ):  # fmt: skip
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match="already"):
            facts(verb, workspace, to=str(tmp_path / name), **values)
        assert (tmp_path / name).read_text() == "mine"
        facts(verb, workspace, to=str(tmp_path / name), overwrite=True, **values)
        assert (tmp_path / name).read_text() != "mine"


def test_a_look_that_was_written_is_the_recipe(workspace, tmp_path):
    image = np.ascontiguousarray(skimage.data.astronaut()[:120, 150:300])
    to = tmp_path / "film.cube"
    words = "temperature amount=0.3, contrast amount=0.3, split-tone amount=0.4"
    said, _ = facts("cube", workspace, with_=words, to=str(to))
    assert said["file"] == str(to)
    looked_up, done = refine(image, f"lut file={to}"), refine(image, words)
    assert np.abs(looked_up.astype(int) - done).mean() < 0.5


@pytest.mark.parametrize(
    "words", ["white-balance", "gaussian-blur radius=2", "clahe", "enhance", "sharpen, gamma value=2"]
)
def test_what_is_no_table_is_refused(workspace, tmp_path, words):
    with pytest.raises(UsageError, match="more than one pixel"):
        facts("cube", workspace, with_=words, to=str(tmp_path / "look.cube"))
    assert not (tmp_path / "look.cube").exists()


def test_the_same_from_python(drawing, tmp_path):
    assert mq.palette(str(drawing), count=3)[0] == "#c81e28"
    assert mq.cube(with_="saturation amount=-1", to=str(tmp_path / "grey.cube"), size=5).exists()
