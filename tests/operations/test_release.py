"""`sample --release`: what is too like a training image stays behind, and nothing is let through unchecked."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from maquette.core.errors import DataError, UsageError
from maquette.core.event import to_line
from maquette.core.image import load, save
from maquette.data.dataset import Dataset
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.families.oracle import Oracle
from maquette.judge.release import Gate
from maquette.nn.pixels import to_tensor
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


def scenes(count, seed):
    """Images of many soft shapes, 32 x 32: no two alike, none plain."""
    generator = np.random.default_rng(seed)
    images = np.empty((count, 32, 32, 3), np.uint8)
    rows, columns = np.indices((32, 32))
    for image in images:
        canvas = np.full((32, 32, 3), generator.integers(0, 256, 3), np.float32)
        for _ in range(9):
            centre, radius = generator.uniform(0, 32, 2), generator.uniform(2, 8)
            canvas[np.hypot(rows - centre[0], columns - centre[1]) < radius] = generator.integers(0, 256, 3)
        image[:] = cv2.GaussianBlur(canvas, (0, 0), 0.8)
    return images


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace with a dataset of 1,000 images, a third held out, and a run."""
    home = tmp_path_factory.mktemp("home")
    (home / "images").mkdir()
    for number, image in enumerate(scenes(1000, 0)):
        save(image, home / "images" / f"{number:04d}.png")
    workspace = Workspace(home)
    facts = {"source": [str(home / "images")], "to": str(home / "images.mq"), "size": 32, "held_out": 0.3}
    list(table.run("ingest", workspace, facts))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    request = {"dataset": str(home / "images.mq"), "to": "run", "family": "oracle", "images": 640, "scale": "nano"}
    try:
        list(table.run("train", workspace, request))
    finally:
        starting.remembered = before
    return workspace


@pytest.fixture
def data(shared):
    return Dataset.open(shared.home / "images.mq")


def changed(images):
    """Moved, mirrored and in other colours, by turns."""
    out = images.copy()
    out[1::4] = np.pad(images[1::4], ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")[:, 5:37, :32]
    out[2::4] = images[2::4, :, ::-1]
    out[3::4] = images[3::4, ..., [2, 0, 1]]
    return out


@pytest.fixture
def copying(monkeypatch, data):
    """A model that hands out training images, changed, for seeds 0 to 19, and images of its own after them."""
    copies, own = changed(data.images(data.indices("train")[40:60])), scenes(200, 7)

    def sample(self, noise, condition, options):
        yield to_tensor(np.stack([copies[seed] if seed < 20 else own[seed % 200] for seed in noise.seeds]), "rgb")

    monkeypatch.setattr(Oracle, "sample", sample)


def sample(shared, to, **values):
    return list(table.run("sample", shared, {"run": "run", "to": str(to), "release": True, **values}))


def test_copies_stay_behind_and_are_said(shared, copying, tmp_path, data):
    result = json.loads(to_line(sample(shared, tmp_path / "out", count=120)[-1]))
    left = {entry["seed"]: entry for entry in result["left_out"]}
    assert len(set(left) & set(range(20))) >= 19 and len(set(left) - set(range(20))) <= 2
    train = data.indices("train")
    assert sum(left[seed]["like"] == train[40 + seed] for seed in left if seed < 20) >= 19
    assert len(result["images"]) == 120 - len(left) == len(result["seeds"])
    files = {path.name for path in (tmp_path / "out").iterdir()} - {"sheet.png", "samples.jsonl"}
    assert files == {f"seed-{seed:08d}.png" for seed in set(range(120)) - set(left)}
    head = json.loads((tmp_path / "out" / "samples.jsonl").read_text().splitlines()[0])["samples"]["release"]
    assert head["left_out"] == len(left) and head["looked_at"] == 120
    assert head["by"][0]["dataset"] == data.digest and head["by"][0]["training_images"] == len(train)


def test_the_sentence_says_what_it_does_not_show(shared, copying, tmp_path):
    said = sample(shared, tmp_path / "out", count=40)[-1].summary
    assert "left out" in said and "not proved" in said


def test_finishing_does_not_hide_a_copy(shared, copying, tmp_path):
    result = sample(shared, tmp_path / "out", count=40, refine="gaussian-blur radius=3")[-1].facts
    assert len([entry for entry in result["left_out"] if entry["seed"] < 20]) >= 19


def test_a_folder_with_unchecked_images_is_refused_and_a_released_one_may_grow(shared, copying, tmp_path):
    out = tmp_path / "out"
    sample(shared, out, count=30)
    assert len(sample(shared, out, count=10, seed=30)[-1].facts["images"]) >= 9
    save(scenes(1, 3)[0], out / "mine.png")
    with pytest.raises(UsageError, match=r"other files lie there, such as mine.png"):
        sample(shared, out, count=10, seed=50)
    list(table.run("sample", shared, {"run": "run", "to": str(tmp_path / "open"), "count": 4}))
    with pytest.raises(UsageError, match="not checked"):
        sample(shared, tmp_path / "open", count=4)


def test_when_all_are_copies_nothing_is_written(shared, copying, tmp_path):
    with pytest.raises(DataError, match="none of the 4 images may be released"):
        sample(shared, tmp_path / "out", count=4, seed=4)
    assert not (tmp_path / "out").exists()


def test_without_the_dataset_or_with_another_one_nothing_is_released(shared, tmp_path):
    kept, away = shared.home / "images.mq", shared.home / "away.mq"
    kept.rename(away)
    try:
        with pytest.raises(DataError, match="not there to compare with"):
            sample(shared, tmp_path / "out", count=4)
        facts = {"source": [str(shared.home / "images")], "to": str(kept), "size": 32, "held_out": 0.3, "seed": 5}
        list(table.run("ingest", shared, facts))
        with pytest.raises(DataError, match="not the one that run learned from"):
            sample(shared, tmp_path / "out", count=4)
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        away.rename(kept)
    assert not (tmp_path / "out").exists()


def test_too_few_held_out_images_are_said(shared, tmp_path):
    facts = {"source": [str(shared.home / "images")], "to": str(tmp_path / "few.mq"), "size": 32, "held_out": 0.05}
    list(table.run("ingest", shared, facts))
    with pytest.raises(DataError, match="200 are needed"):
        Gate(Dataset.open(tmp_path / "few.mq"))


def test_the_images_that_pass_are_the_same_as_without_the_gate(shared, copying, tmp_path):
    sample(shared, tmp_path / "out", count=12, seed=40)
    list(table.run("sample", shared, {"run": "run", "to": str(tmp_path / "open"), "count": 12, "seed": 40}))
    for path in sorted((tmp_path / "out").glob("seed-*.png")):
        np.testing.assert_array_equal(load(path), load(tmp_path / "open" / path.name))
