"""The verb measure: the parts of a mask in files, as CSV, as a table, and as facts."""

import csv

import numpy as np
import pytest

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.event import Made, Progress, Result, Table, Warning
from maquette.core.image import encode
from maquette.operations.operation import run
from maquette.store.workspace import Workspace


@pytest.fixture
def cells(tmp_path):
    """Three images with 1, 2 and 3 bright discs, and a file that is no image."""
    folder = tmp_path / "cells"
    folder.mkdir()
    rows, columns = np.indices((60, 90))
    for count in (1, 2, 3):
        image = np.full((60, 90, 3), 20, np.uint8)
        for at in range(count):
            image[np.hypot(rows - 30, columns - 15 - 30 * at) < 9 - at] = [200, 180, 40]
        (folder / f"{count}.png").write_bytes(encode(image))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def said(arguments, tmp_path):
    return list(run("measure", Workspace(tmp_path / "home"), arguments))


def test_images_in_the_folder_one_stands_in_are_measured(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, named in ((["cells"], "cells/1.png"), (["."], "./cells/1.png"), (["cells/*.png"], "cells/1.png")):
        assert said({"source": words, "mask": "otsu"}, tmp_path)[-1].facts["counts"][named] == 1


def test_parts_of_all_images_are_written_as_csv(cells, tmp_path):
    events = said({"source": [str(cells)], "mask": "otsu", "to": str(tmp_path / "out.csv")}, tmp_path)
    result = events[-1]
    assert isinstance(result, Result)
    assert sorted(result.facts["counts"].values()) == [1, 2, 3]
    assert [item["path"].rsplit("/", 1)[-1] for item in result.facts["set_aside"]] == ["broken.png"]
    assert any(isinstance(event, Warning) and "broken.png" in event.text for event in events)
    assert [event.path for event in events if isinstance(event, Made)] == [str(tmp_path / "out.csv")]
    assert max(event.done for event in events if isinstance(event, Progress)) == 4
    with open(tmp_path / "out.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 == len(result.facts["parts"])
    last = [row for row in rows if row["image"].endswith("3.png")]
    assert [round(float(row["x"])) for row in last] == [15, 45, 75]  # the largest first
    assert all(float(row["y"]) == 30 and float(row["red"]) == 200 for row in last)
    assert all(float(row["roundness"]) > 0.85 for row in rows)


def test_specks_are_left_out_and_masks_are_those_of_recipes(cells, tmp_path):
    table = said({"source": [str(cells / "3.png")], "mask": "otsu and not brightness-range", "smallest": 5}, tmp_path)
    assert table[-1].facts["parts"] == []
    events = said({"source": [str(cells / "3.png")], "mask": "otsu grow=2", "smallest": 250}, tmp_path)
    assert len(events[-1].facts["parts"]) == 2
    (shown,) = [event for event in events if isinstance(event, Table)]
    assert len(shown.rows) == 2


def test_a_table_that_is_there_is_not_overwritten(cells, tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(MaquetteError, match="other content is there"):
        said({"source": [str(cells)], "mask": "otsu", "to": str(tmp_path / "out.csv")}, tmp_path)
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_what_is_wrong_is_said(cells, tmp_path):
    with pytest.raises(UsageError, match="otzu"):
        said({"source": [str(cells)], "mask": "otzu"}, tmp_path)
    with pytest.raises(UsageError, match="needs a mask"):
        said({"source": [str(cells)], "mask": " "}, tmp_path)
    with pytest.raises(DataError, match="broken"):
        said({"source": [str(cells / "broken.png")], "mask": "otsu"}, tmp_path)
