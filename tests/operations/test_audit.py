"""The verbs audit, remove and label, as they are called."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFilter

import maquette as mq
from maquette.core.errors import DataError, UsageError
from maquette.faces.cli import main


def picture(seed, side=40):
    rng = np.random.default_rng([3, seed])
    image = np.full((side, side, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(14):
        top, left = rng.integers(0, side - 4, 2)
        tall, wide = rng.integers(3, side // 2, 2)
        image[top : top + tall, left : left + wide] = rng.integers(0, 256, 3)
    return Pillow.fromarray(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Forty photographs, a copy, a blurred one and a broken file, as a dataset."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        picture(number).save(folder / f"{number}.png")
    picture(0).transpose(Pillow.Transpose.FLIP_LEFT_RIGHT).save(folder / "again.png")
    picture(90).filter(ImageFilter.GaussianBlur(3)).save(folder / "soft.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return mq.ingest("photos", to="photos.mq", size=32, held_out=0, workers=1)


def test_the_result_holds_what_was_found(photos, capsys):
    assert main(["audit", "photos.mq", "--report", "page.html", "--json"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    found = {one["check"]: one for one in result["findings"]}
    assert sorted(found["near-duplicates"]["groups"][0]) == ["0.png", "again.png"]
    assert found["blurred"]["items"] == ["soft.png"] and found["unreadable"]["items"] == ["broken.png"]
    assert result["report"] == "page.html" and 1 <= len(result["steps"]) <= 3
    assert json.loads(Path("page.json").read_text())["grade"] == result["grade"]
    kept = json.loads((photos.path / "audit.json").read_text("utf-8"))  # what the studio shows later
    assert kept["grade"] == result["grade"] and kept["said"].keys() == found.keys()
    assert kept["said"]["blurred"]["text"] == found["blurred"]["text"] and len(kept["found"]["blurred"]) == 1
    page = Path("page.html").read_text("utf-8")
    assert "soft.png" in page and "Near duplicates" in page


def test_people_are_told_what_to_do_first(photos, capsys):
    assert main(["audit", "photos.mq"]) == 0
    captured = capsys.readouterr()
    assert "near-duplicates" in captured.out and "soft.png" in captured.out
    assert "1. Repair 2 images" in captured.err and "next: maquette audit" in captured.err


def test_what_is_accepted_is_no_longer_held_against_the_dataset(photos, capsys):
    before = json.loads(mq_json(capsys, "audit", "photos.mq"))
    assert "near-duplicates" in {one["check"] for one in before["findings"] if one["severity"] == "harmful"}
    after = json.loads(mq_json(capsys, "audit", "photos.mq", "--accept", "near-duplicates"))
    [found] = [one for one in after["findings"] if one["check"] == "near-duplicates"]
    assert found["severity"] == "note" and found["accepted"] == "as it is meant"
    assert after["shares"]["harmful"] < before["shares"]["harmful"]
    kept = json.loads(mq_json(capsys, "audit", "photos.mq", "--accept", "blurred"))
    assert {one["check"] for one in kept["findings"] if one["accepted"]} == {"near-duplicates", "blurred"}
    forgot = json.loads(mq_json(capsys, "audit", "photos.mq", "--accept", "none"))
    assert forgot["findings"] == before["findings"]
    assert main(["audit", "photos.mq", "--accept", "none,blurred"]) == 2


def mq_json(capsys, *words):
    """The result event of a command line."""
    assert main([*words, "--json"]) == 0
    return capsys.readouterr().out.splitlines()[-1]


def test_a_repair_and_its_undo(photos):
    files = {path: path.read_bytes() for path in (photos.path.parent / "photos").iterdir()}
    mq.audit("photos.mq", repair=True)
    data = mq.Dataset.open("photos.mq")
    assert data.in_use == 40 and data.digest != photos.digest
    assert {path: path.read_bytes() for path in files} == files
    mq.audit("photos.mq", undo=True)
    assert mq.Dataset.open("photos.mq").digest == photos.digest


def test_adding_to_a_repaired_dataset_never_undoes_the_repair(photos):
    Path("more").mkdir()
    picture(300).save("more/300.png")
    changed = mq.remove("photos.mq", "soft.png")
    with pytest.raises(DataError, match="would undo"):
        mq.ingest("more", to="photos.mq", size=32, held_out=0, workers=1, add=True)
    assert mq.Dataset.open("photos.mq").digest == changed.digest
    mq.remove("photos.mq", undo=True)
    assert len(mq.ingest("more", to="photos.mq", size=32, held_out=0, workers=1, add=True)) == len(photos) + 1


def test_what_an_audit_found_can_be_removed_and_brought_back(photos):
    with pytest.raises(DataError, match="no audit has looked at it yet"):
        mq.remove("photos.mq", finding="blurred")
    mq.audit("photos.mq")
    assert mq.remove("photos.mq", finding="blurred").in_use == 41
    with pytest.raises(DataError, match="changed since its last audit"):
        mq.remove("photos.mq", finding="near-duplicates")
    assert mq.remove("photos.mq", back=True, finding="blurred").digest == photos.digest
    assert mq.remove("photos.mq", "1?.png", "soft.png", because="dull").in_use == 31
    assert mq.remove("photos.mq", "soft.png", back=True).in_use == 32


def test_labels_by_hand(photos):
    assert mq.label("photos.mq", "1?.png", as_="cat").spec.condition("label").classes == ("cat",)
    assert mq.label("photos.mq", rename="cat=dog").spec.condition("label").classes == ("dog",)
    assert mq.label("photos.mq", undo=True).spec.condition("label").classes == ("cat",)
    Path("t.csv").write_text("file_name,label\nsoft.png,bird\n")
    assert mq.label("photos.mq", from_="t.csv").spec.condition("label").classes == ("cat", "bird")


@pytest.mark.parametrize(
    "words",
    [
        ["audit", "photos.mq", "--also", "blurred"], ["audit", "photos.mq", "--only", "blured"],
        ["audit", "photos.mq", "--report", "page.txt"], ["audit", "photos.mq", "--set", "blurred=3"],
        ["audit", "photos.mq", "--repair", "--only", "blurred", "--also", "outliers"],
        ["remove", "photos.mq"], ["remove", "photos.mq", "1.png", "--undo"],
        ["remove", "photos.mq", "--finding", "blur"],
        ["label", "photos.mq", "1.png"], ["label", "photos.mq", "--as", "cat"],
        ["label", "photos.mq", "1.png", "--as", "x", "--undo"],
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_2_and_change_nothing(photos, words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("maquette: ")
    assert mq.Dataset.open("photos.mq").digest == photos.digest


def test_an_edition_is_another_dataset_to_a_run(photos):
    mq.train("photos.mq", family="oracle", to="run", images=64)
    mq.remove("photos.mq", "soft.png")
    with pytest.raises(mq.MaquetteError, match="learned from another dataset"):
        mq.train("photos.mq", family="oracle", to="run", images=64)
    mq.remove("photos.mq", undo=True)
    mq.train("photos.mq", family="oracle", to="run", images=64)


def test_nothing_is_looked_at_for_a_dataset_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="there is no dataset here"):
        mq.audit(str(tmp_path / "none.mq"))
    with pytest.raises(UsageError):
        mq.audit("")


# What a repair is worth


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Three hundred small pictures, a half of those to train on blank, with enough held out to compare by."""
    from maquette.core.spec import DataSpec
    from maquette.data.dataset import Writer

    monkeypatch.chdir(tmp_path)
    images = np.stack([np.asarray(picture(k, 16)) for k in range(300)])
    images[:200:2] = 255
    with Writer(tmp_path / "large.mq", DataSpec(height=16, width=16), settings={}) as writer:
        writer.append(images, {}, [{"path": f"{k}.png"} for k in range(300)])
        parts = np.zeros(300, np.uint8)
        parts[200:] = 1
        return writer.finish(parts, np.arange(300, dtype=np.int32))


def test_what_if_compares_pairs_of_runs_and_changes_nothing(large, home, capsys):
    words = [
        "audit",
        "large.mq",
        "--what-if",
        "4s",
        "--seeds",
        "2",
        "--family",
        "oracle",
        "--report",
        "p.html",
        "--json",
    ]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["what_if"]
    assert len(result["without"]) == len(result["repaired"]) == 2
    assert result["gain"]["low"] <= result["gain"]["value"] <= result["gain"]["high"]
    # The oracle makes what it has seen on average: without the blank ones it is nearer to clean held-out images.
    assert result["gain"]["value"] > 0 and min(result["without"]) > max(result["repaired"])
    assert "What the repair is worth" in Path("p.html").read_text("utf-8")
    assert mq.Dataset.open("large.mq").digest == large.digest
    assert not list(home.glob("what-if-*")), "the runs are removed"


def test_what_if_says_when_it_cannot_tell(large, photos):
    with pytest.raises(DataError, match="too few to compare by"):
        mq.audit("photos.mq", what_if="2s", family="oracle")
    with pytest.raises(DataError, match="nothing to repair"):
        mq.audit("large.mq", what_if="2s", only="too-dark", family="oracle")


def test_the_interval_over_seeds_is_that_of_student():
    from maquette.judge.interval import over_seeds

    estimate = over_seeds([0.1, 0.3])
    assert estimate.value == pytest.approx(0.2)
    assert estimate.high - estimate.value == pytest.approx(6.314 * 0.1)
