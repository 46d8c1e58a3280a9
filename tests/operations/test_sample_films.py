"""`sample` goes on from frames: films, their frames and their sheet, signed, made again, and refused in clear words."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import ConditionError, DataError, MaquetteError, UsageError
from maquette.core.image import load, save
from maquette.data.dataset import Dataset
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


def result(verb, workspace, **values):
    return list(table.run(verb, workspace, values))[-1]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with a forecast that has seen a few films of digits, and a folder of frames to go on from."""
    workspace = Workspace(tmp_path_factory.mktemp("films"))
    result("ingest", workspace, source=["drawn:digits"], to="digits", size=16, count=40, past=6)
    result("train", workspace, dataset="digits", family="forecast", to="model", images=32, scale="nano")
    known = Dataset.open(workspace.dataset_path("digits")).conditions([3], ["frames"])["frames"][0]
    for number, frame in enumerate(known):
        save(frame, workspace.home / "known" / f"frame-{number:02d}.png")
    return workspace


def sampled(home, to, **values):
    given = {"run": "model", "count": 2, "frames": str(home.home / "known"), "to": str(to)}
    return result("sample", home, **{**given, **values})


def test_each_seed_is_a_film_with_its_frames(home, tmp_path):
    made = sampled(home, tmp_path / "out")
    assert made.facts["frames"] == 4 and made.facts["seeds"] == [0, 1]
    assert (
        len(made.value) == 2 and made.value[0].shape == (4, 16, 16, 1) and made.value[1:].paths == made.value.paths[1:]
    )
    assert [path.removeprefix(str(tmp_path / "out")) for path in made.facts["images"][:4]] == [
        f"/seed-00000000/000{moment}.png" for moment in (1, 2, 3, 4)
    ]
    for film, frames in zip(made.facts["films"], made.value, strict=True):
        with Pillow.open(film) as picture:
            assert picture.n_frames == len({frame.tobytes() for frame in frames}) == 4
            for number, frame in enumerate(frames):
                picture.seek(number)
                assert np.array_equal(np.asarray(picture.convert("L")), frame[..., 0])
    with Pillow.open(tmp_path / "out" / "sheet.png") as picture:
        assert picture.width > 1000
    lines = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines[1:3]] == ["seed-00000000/0001.png", "seed-00000000/0002.png"]
    assert lines[1]["conditions"]["frames"].startswith("sha256:")


def test_a_longer_film_begins_with_the_shorter_one_and_another_seed_is_another_future(home, tmp_path):
    short, long = (sampled(home, tmp_path / "out", dials={"ahead": str(count)}) for count in (2, 7))
    assert np.array_equal(long.value[1][:2], short.value[1])
    assert not np.array_equal(long.value[0], long.value[1])
    assert np.array_equal(sampled(home, tmp_path / "b", count=1, seed=1).value[0], long.value[1][:4])


def test_frames_films_and_the_sheet_are_signed_and_a_frame_is_made_again(home, tmp_path):
    sampled(home, tmp_path / "out", film="webp")
    sampled(home, tmp_path / "gif", film="gif", count=1)
    report = result("verify", home, file=[str(tmp_path / "out"), str(tmp_path / "gif")])
    images = {one["path"].removeprefix(str(tmp_path)): one for one in report.facts["images"]}
    assert {one["status"] for one in images.values()} == {"intact"}
    film, frame = images["/gif/seed-00000000.gif"], images["/out/seed-00000001/0003.png"]
    assert film["manifest"]["seeds"] == [0, 0] and film["manifest"]["kind"] == "sheet"
    assert frame["manifest"]["dials"]["ahead"] == 3 and frame["manifest"]["kind"] == "guided"
    words = {"image": str(tmp_path / "out" / "seed-00000001" / "0003.png"), "model": "model"}
    assert result("replay", home, **words, given=[f"frames={home.home / 'known'}"]).facts["same"]
    with pytest.raises(ConditionError, match="made from another one"):
        result("replay", home, **words)


def test_a_film_that_was_made_can_be_gone_on_from(home, tmp_path):
    first = sampled(home, tmp_path / "out", count=1)
    further = sampled(home, tmp_path / "more", count=1, frames=first.facts["films"][0])
    files = sampled(home, tmp_path / "same", count=1, frames=str(tmp_path / "out" / "seed-00000000"))
    assert np.array_equal(further.value[0], files.value[0])


def test_films_are_refined_frame_by_frame(home, tmp_path):
    made = sampled(home, tmp_path / "out", count=1, refine="invert")
    plain = sampled(home, tmp_path / "plain", count=1, film="none")
    assert made.facts["films"] and not plain.facts["films"]
    assert np.array_equal(255 - made.value[0], plain.value[0])
    with Pillow.open(made.facts["films"][0]) as picture:
        assert np.array_equal(np.asarray(picture.convert("L")), made.value[0][0, ..., 0])


def test_one_frame_is_an_image_like_any_other(home, tmp_path):
    made = sampled(home, tmp_path / "out", dials={"ahead": "1"})
    assert [path.rpartition("/")[2] for path in made.facts["images"]] == ["seed-00000000.png", "seed-00000001.png"]
    whole = sampled(home, tmp_path / "whole")
    assert np.array_equal(load(tmp_path / "out" / "seed-00000001.png"), whole.value[1][0])


def test_what_cannot_be_gone_on_from_is_said(home, tmp_path):
    with pytest.raises(UsageError, match="this model needs the frames 'frames'; give --frames FILE or FOLDER"):
        sampled(home, tmp_path / "out", frames="")
    with pytest.raises(DataError, match="it holds 1 frame, and the model goes on from 3"):
        sampled(home, tmp_path / "out", frames=str(home.home / "known" / "frame-01.png"))
    with pytest.raises(MaquetteError, match="ahead"):
        sampled(home, tmp_path / "out", dials={"ahead": "100000"})
    result("ingest", home, source=["drawn:fields"], to="fields", size=16, count=20)
    result("train", home, dataset="fields", family="forecast", to="numbers", images=8, scale="nano")
    with pytest.raises(ConditionError, match="this model goes on from no frames"):
        sampled(home, tmp_path / "out", run="numbers")
    made = sampled(home, tmp_path / "field", run="numbers", frames="", number=("east=0.5", "unrest=0.2"))
    assert "films" not in made.facts and made.value[0].shape == (16, 16, 1)
    assert not (tmp_path / "out").exists()


def test_films_that_do_not_fit_into_memory_are_refused(home, tmp_path, monkeypatch):
    monkeypatch.setattr("maquette.engine.sample.LARGEST_FILM", 10_000)
    words = r"16 films of 4 frames of 16x16 do not fit into memory; ask for at most 2 frames"
    with pytest.raises(UsageError, match=words):
        sampled(home, tmp_path / "out")
    assert len(sampled(home, tmp_path / "out", dials={"ahead": "2"}).value[0]) == 2


def test_clips_that_are_too_short_teach_nothing_and_that_is_said(home, tmp_path):
    from maquette.core.film import encode_film

    (tmp_path / "clips").mkdir()
    for number in range(2):
        frames = [np.full((16, 16, 1), 40 + 20 * number + 5 * k, np.uint8) for k in range(3)]
        (tmp_path / "clips" / f"{number}.webp").write_bytes(encode_film(frames))
    with pytest.raises(DataError, match="a sequence needs 5 frames"):
        result("ingest", home, source=[str(tmp_path / "clips")], to="clips", size=16, frames="sequences")
