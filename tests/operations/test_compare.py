"""`compare`: the ranking, and which differences are sure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.event import to_line
from maquette.core.image import save
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.judge.contest import contest
from maquette.judge.metric import Part
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A dataset, and three folders: held-out images, the same with noise, and others of the held-out images."""
    home = tmp_path_factory.mktemp("home")
    list(make_drawn("shapes", home / "shapes.mq", width=16, height=16, count=1600, held_out=0.4))
    data = Dataset.open(home / "shapes.mq")
    held = data.images(data.indices("held-out"))
    noisy = np.clip(held[:300] + np.random.default_rng(0).normal(0, 30, held[:300].shape), 0, 255).astype(np.uint8)
    for name, images in (("good", held[:300]), ("noisy", noisy), ("also-good", held[300:600])):
        (home / name).mkdir()
        for number, image in enumerate(images):
            save(image, home / name / f"{number:04d}.png")
    return Workspace(home)


def compare(shared, *names, **values):
    what = [str(shared.home / name) for name in names]
    return list(table.run("compare", shared, {"what": what, "against": str(shared.home / "shapes.mq"), **values}))


def test_the_better_one_comes_first_and_only_sure_differences_are_called_worse(shared, tmp_path):
    page = tmp_path / "page.html"
    events = compare(shared, "noisy", "good", "also-good", report=str(page))
    result = json.loads(to_line(events[-1]))
    ranking = {entry["what"]: entry for entry in result["ranking"]}
    assert result["ranking"][-1]["what"] == "noisy" and ranking["noisy"]["worse"]
    other = result["ranking"][1]
    assert not other["worse"] and other["behind_low"] <= 0
    assert result["floor"] is not None and result["measure"] == "distance"
    assert "cannot decide" in events[-1].summary and "better than noisy" in events[-1].summary
    html = page.read_text()
    assert "<script" not in html and html.count("data:image") >= 30


def test_few_images_are_compared_by_pairs(shared):
    result = compare(shared, "noisy", "good", count=40)[-1].facts
    assert result["measure"] == "kernel-distance" and result["ranking"][0]["what"] == "good"


def test_a_difference_on_the_same_images_is_surer_than_the_distances():
    generator = np.random.default_rng(0)
    real, shared = generator.normal(size=(1500, 10)), generator.normal(size=(800, 10))
    near, far = shared + 0.30, shared + 0.33
    measure, (first, second) = contest(Part(real), {"far": Part(far), "near": Part(near)})
    assert (measure, first.name, second.name) == ("distance", "near", "far")
    assert second.is_worse and second.behind.error < 0.3 * second.value.error
    assert first.behind.value == 0 and not first.is_worse


@pytest.mark.parametrize(
    ("names", "words"),
    [(["good"], "at least two"), (["good", "good"], "twice"), (["good", "nothing"], "neither a run")],
)
def test_what_cannot_be_compared_is_said(shared, names, words):
    with pytest.raises(MaquetteError, match=words):
        compare(shared, *names)


def test_folders_need_a_dataset(shared):
    with pytest.raises(UsageError, match="--against"):
        list(table.run("compare", shared, {"what": [str(shared.home / "good"), str(shared.home / "noisy")]}))
