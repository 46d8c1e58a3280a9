"""`evaluate` from end to end: runs and folders, the report, the cache, and what cannot be judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from maquette.core.errors import DataError, MaquetteError, ModelFileError, UsageError
from maquette.core.event import Progress, to_line
from maquette.core.image import save
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.bulk.packed import pack, unpack
from maquette.engine.probe import Choice
from maquette.families.oracle import Oracle
from maquette.features import REGISTRY
from maquette.features.networks.dinov2 import Transformer
from maquette.operations import operation as table
from maquette.operations._judging import make
from maquette.operations.evaluate import bounds
from maquette.store import weights
from maquette.store.workspace import Workspace


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    make = list(make_drawn("shapes", home / "shapes.mq", width=16, height=16, count=1200, held_out=0.3))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    request = {"dataset": str(home / "shapes.mq"), "to": "run", "family": "oracle", "images": 3200, "scale": "nano"}
    try:
        list(table.run("train", Workspace(home), request))
    finally:
        starting.remembered = before
    assert make
    return Workspace(home)


@pytest.fixture
def evaluate(shared):
    def run(what, **values):
        return list(table.run("evaluate", shared, {"what": str(what), **values}))

    return run


def folder_of(images, path):
    for number, image in enumerate(images):
        save(image, path / f"{number:04d}.png")
    return path


@pytest.fixture
def real(shared, tmp_path):
    """A folder of held-out images."""
    data = Dataset.open(shared.home / "shapes.mq")
    path = tmp_path / "real"
    path.mkdir()
    return folder_of(data.images(data.indices("held-out")[:260]), path)


def test_a_run_is_judged_with_intervals_and_a_page(evaluate, shared, tmp_path):
    page = tmp_path / "page.html"
    events = evaluate("run", count=300, report=str(page))
    result = json.loads(to_line(events[-1]))
    assert result["verb"] == "evaluate" and result["headline"] == "distance" and result["report"] == str(page)
    headline = result["metrics"]["distance"]
    assert headline["low"] <= headline["value"] <= headline["high"]
    assert headline["low"] > headline["anchors"]["held-out"]  # one normal distribution a pixel makes no shapes
    assert {"copies", "duplicates", "membership", "coverage", "sharpness", "label-agreement"} <= set(result["metrics"])
    assert result["grade"] in ("very good", "good", "fair", "weak", "poor") and result["said"]
    html = page.read_text()
    assert "<script" not in html and "http://" not in html and "https://" not in html
    assert html.count("data:image") > 40
    assert json.loads(page.with_suffix(".json").read_text())["headline"] == "distance"
    kept = json.loads((shared.runs / "run" / "evaluation.json").read_text())
    assert kept["metrics"]["distance"]["value"] == headline["value"]
    assert {"dataset", "features digest", "made images", "resized with"} <= set(kept["basis"])


def units(events):
    """What was worked at."""
    return {event.unit for event in events if isinstance(event, Progress)}


def test_the_same_again_gives_the_same_and_is_drawn_and_looked_at_once(evaluate, monkeypatch):
    first, second = evaluate("run", count=220), evaluate("run", count=220)
    assert first[-1].facts["metrics"] == second[-1].facts["metrics"]
    assert "images drawn" in units(first) and not units(second)
    assert units(evaluate("run", count=220, seed=7)) == {"images drawn", "made images"}  # other images
    monkeypatch.setattr("maquette.engine.judging.programs", lambda: "another program")
    assert units(evaluate("run", count=220)) == {"images drawn"}  # it must draw by itself what may have changed


def test_held_out_images_are_very_good_and_no_copies(evaluate, real, shared):
    result = evaluate(real, against=str(shared.home / "shapes.mq"))[-1].facts
    assert result["grade"] == "very good"
    copies = result["metrics"]["copies"]
    assert copies["low"] <= copies["anchors"]["held-out"] <= copies["high"]  # drawn shapes resemble each other


def test_a_folder_is_decoded_once_and_again_when_a_file_changes(evaluate, real, shared):
    request = {"against": str(shared.home / "shapes.mq"), "copies": False}
    save(np.full((16, 16, 3), 255, np.uint8), real / "0007.png")  # a folder that no other test judges
    first, second = evaluate(real, **request), evaluate(real, **request)
    assert "images read" in units(first) and not units(second)
    assert first[-1].facts["metrics"] == second[-1].facts["metrics"]
    save(np.zeros((16, 16, 3), np.uint8), real / "0007.png")
    assert units(evaluate(real, **request)) == {"images read", "made images"}


def test_training_images_handed_in_as_made_are_copies(evaluate, shared, tmp_path):
    data = Dataset.open(shared.home / "shapes.mq")
    (tmp_path / "copied").mkdir()
    folder = folder_of(data.images(data.indices("train")[:250]), tmp_path / "copied")
    result = evaluate(folder, against=str(data.path))[-1].facts
    assert result["metrics"]["copies"]["low"] > 0.5 and len(result["copied"]) > 100
    assert result["metrics"]["membership"]["value"] > 0.5


def test_what_samples_were_asked_to_be_is_read_from_their_folder(evaluate, shared, tmp_path):
    out = tmp_path / "out"
    list(table.run("sample", shared, {"run": "run", "to": str(out), "count": 120}))
    result = evaluate(out, against=str(shared.home / "shapes.mq"))[-1].facts
    assert "label-agreement" in result["metrics"]


def test_foreign_files_in_a_folder_are_counted_and_named(evaluate, real, shared):
    (real / "broken.png").write_bytes(b"no image")
    (real / "words.txt").write_text("not an image")
    events = evaluate(real, against=str(shared.home / "shapes.mq"))
    (warning,) = [event.text for event in events if event.name == "warning"]
    assert "1 of 261" in warning and "broken.png" in warning


def test_images_of_another_size_and_mode_are_brought_to_the_datasets(evaluate, shared, tmp_path):
    (tmp_path / "large").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (40, 50, 60, 1), dtype=np.uint8)
    result = evaluate(folder_of(images, tmp_path / "large"), against=str(shared.home / "shapes.mq"))[-1].facts
    assert result["headline"] == "kernel-distance" and result["unmeasured"]["distance"]


def test_ten_images_are_enough_for_little_and_nine_for_nothing(evaluate, shared, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "ten").mkdir()
    folder = folder_of(images, tmp_path / "ten")
    events = evaluate(folder, against=str(shared.home / "shapes.mq"))
    result = events[-1].facts
    assert result["grade"] == "not graded" and "too few" in " ".join(result["unmeasured"].values())
    assert not any(event.name == "table" for event in events)  # a head without a figure says nothing
    (folder / "0009.png").unlink()
    with pytest.raises(DataError, match="9 images are too few"):
        evaluate(folder, against=str(shared.home / "shapes.mq"))


def test_images_that_are_all_equal_are_judged_as_what_they_are(evaluate, shared, tmp_path):
    (tmp_path / "equal").mkdir()
    folder = folder_of(np.full((250, 16, 16, 3), 80, np.uint8), tmp_path / "equal")
    result = evaluate(folder, against=str(shared.home / "shapes.mq"), report=str(tmp_path / "r.html"))[-1].facts
    assert result["grade"] in ("weak", "poor") and result["metrics"]["spread"]["value"] < 0.01


def test_a_dataset_without_held_out_images_gives_no_word_on_copies(evaluate, shared, tmp_path):
    list(make_drawn("shapes", tmp_path / "all.mq", width=16, height=16, count=400, held_out=0.0))
    result = evaluate("run", count=220, against=str(tmp_path / "all.mq"), report=str(tmp_path / "r.html"))[-1].facts
    assert "copies" not in result["metrics"] and "holds 0 images out" in result["no_copies"]


def test_a_dataset_of_equal_images_cannot_judge(evaluate, tmp_path):
    (tmp_path / "same").mkdir()
    folder_of(np.full((40, 16, 16, 3), 80, np.uint8), tmp_path / "same")
    request = {"source": [str(tmp_path / "same")], "to": str(tmp_path / "same.mq"), "size": 16}
    list(table.run("ingest", Workspace(tmp_path), request))
    with pytest.raises(MaquetteError, match=r"alike|too few"):
        evaluate(tmp_path / "same", against=str(tmp_path / "same.mq"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"what": "nothing-here"}, "neither a run nor a folder"),
        ({"what": "run", "features": "scatering"}, "scattering"),
        ({"what": "run", "against": "no-such"}, "no dataset"),
        ({"what": "run", "temprature": "2"}, "no setting"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(evaluate, request_, words):
    what = request_.pop("what")
    with pytest.raises(MaquetteError, match=words) as caught:
        evaluate(what, **request_)
    assert "\n" not in str(caught.value)


def test_a_folder_needs_a_dataset_and_has_no_dials(evaluate, real, shared):
    with pytest.raises(UsageError, match="--against"):
        evaluate(real)
    with pytest.raises(UsageError, match="no dials"):
        evaluate(real, against=str(shared.home / "shapes.mq"), guidance="2")


def test_a_network_whose_weights_a_person_brings_judges_in_its_own_numbers(
    evaluate, real, shared, tmp_path, monkeypatch
):
    assert bounds("dinov2=weights", 220) == {"largest": 5000, "anchors": 500} and not bounds("likeness=eyes", 220)
    monkeypatch.setattr("maquette.operations.evaluate.bounds", lambda *_: {"largest": 200, "anchors": 60})
    generator = torch.Generator().manual_seed(0)
    network = Transformer(64, 1, 56, 16, 64)
    values = {k: torch.randn(v.shape, generator=generator).numpy() * 0.2 for k, v in network.state_dict().items()}
    file = tmp_path / "tiny.safetensors"
    weights.write(file, values, {})
    against = str(shared.home / "shapes.mq")
    result = evaluate(real, against=against, count=220, features=f"dinov2={file}")[-1].facts
    published, distance = result["metrics"]["published-distance"], result["metrics"]["distance"]
    assert published["low"] <= published["value"] <= published["high"] and published["value"] > distance["value"]
    assert result["basis"]["features"] == "dinov2" and "224" in result["basis"]["resized with"]
    assert len(result["basis"]["features digest"]) == 64 and result["basis"]["training images"] == "200"
    with pytest.raises(UsageError, match=r"--features dinov2=FILE"):
        evaluate(real, against=against, features="dinov2")
    with pytest.raises(UsageError, match=r"no network 'vgg'.*dinov2, inception"):
        evaluate(real, against=against, features=f"vgg={file}")
    with pytest.raises(ModelFileError, match="this is not the Inception"):
        evaluate(real, against=against, features=f"inception={file}")


def test_a_network_of_likeness_learns_once_for_a_dataset_and_judges(evaluate, shared, tmp_path, monkeypatch):
    monkeypatch.setattr("maquette.operations._likeness.LEARNED", 256)
    monkeypatch.setattr(starting, "remembered", lambda *args: (Choice(rate=800.0, plain=800.0), False))
    first, second = (evaluate("run", count=220, copies=False, features="likeness") for _ in range(2))
    assert "images learned from" in units(first) and not units(second)
    assert first[-1].facts["metrics"] == second[-1].facts["metrics"]
    assert second[-1].facts["basis"]["features"] == "likeness"
    (path,) = (shared.home / "cache" / "likeness").iterdir()
    named = evaluate("run", count=220, copies=False, features=f"likeness={path}")[-1].facts
    assert named["basis"] == second[-1].facts["basis"]
    with pytest.raises(UsageError, match="no network of likeness"):
        evaluate("run", count=220, features="likeness=run")
    list(make_drawn("shapes", tmp_path / "small.mq", width=8, height=8, count=60))
    for number in range(12):
        save(np.full((8, 8, 3), number, np.uint8), tmp_path / f"{number}.png")
    with pytest.raises(UsageError, match=r"knows images of 16x16 rgb, the dataset holds 8x8 rgb"):
        evaluate(tmp_path, against=str(tmp_path / "small.mq"), features=f"likeness={path}")


def test_a_model_that_restores_is_measured_by_pairs_too(evaluate, shared, monkeypatch):
    def halve(self, images):
        return images[..., ::2, ::2]

    def double(self, latents):
        return latents.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    assert "restored-psnr" not in evaluate("run", count=60)[-1].facts["metrics"]
    monkeypatch.setattr(Oracle, "encode", halve, raising=False)
    monkeypatch.setattr(Oracle, "decode", double, raising=False)
    found = evaluate("run", count=60)[-1].facts["metrics"]
    for name in ("restored-psnr", "restored-ssim", "restored-multi-scale-ssim"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"] and "blurred" in found[name]["anchors"]
    assert 5 < found["restored-psnr"]["value"] < 40 and 0.1 < found["restored-ssim"]["value"] < 0.99


def test_figures_are_the_same_whoever_draws_and_looks(evaluate, shared):
    found = {}
    for workers in ("1", "2"):
        for kept in (shared.home / "cache" / "features").glob("*.npy"):
            kept.unlink()  # what is remembered needs no workers
        *_, result = evaluate("run", count=40, workers=workers, copies=False)
        found[workers] = {name: value for name, value in result.facts.items() if name != "seconds"}
    assert found["1"] == found["2"]


@pytest.mark.parametrize("features", ["scattering", "patches"])
def test_rows_of_features_are_the_same_in_a_worker(shared, features):
    data = Dataset.open(shared.home / "shapes.mq")
    images = data.images(data.indices("train")[:60])
    extractor = REGISTRY.get(features)(images)
    work = make({"run": "", "device": "cpu", "kind": features, "file": ""})
    said, body = pack({**extractor.arrays(), "images": images[:9]})
    head, found = work({"do": "look", "digest": extractor.digest, "arrays": said}, body)
    assert np.array_equal(unpack(head["found"], found)["features"], extractor(images[:9]))
    with pytest.raises(UsageError, match="looks at images in another way"):
        work({"do": "look", "digest": "of another version", "arrays": said}, body)
