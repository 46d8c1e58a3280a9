"""A model that gives its training images back is named; one that makes new ones is not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.copying import copies_warning
from maquette.families.family import Family, FamilyConfig
from maquette.nn.pixels import to_tensor
from maquette.store.run import Run


class Player(Family):
    """Plays back images of a dataset."""

    Config = FamilyConfig
    summary = "plays back images"

    def __init__(self, spec, images):
        super().__init__(FamilyConfig(), spec)
        self.images = torch.nn.Parameter(to_tensor(images, spec.mode), requires_grad=False)

    def sample(self, noise, condition, options):
        rows = torch.from_numpy(noise.normal("which", 1)[:, 0].astype(np.float64)).mul(1e6).long() % len(self.images)
        yield self.images[rows]


class Silent(Family):
    """Makes nothing."""

    Config = FamilyConfig
    summary = "makes nothing"


@pytest.fixture(scope="module", params=[0.3, 0.0], ids=["held-out", "none held out"])
def dataset(request, tmp_path_factory):
    *_, made = make_drawn(
        "shapes", tmp_path_factory.mktemp("data") / "s.mq", width=32, height=32, count=720, held_out=request.param
    )
    return Dataset.open(made.value.path)


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {"maquette": "run"})


def plain(dataset):
    return dataclasses.replace(dataset.spec, conditions=())


def test_copies_are_counted_in_the_warning(run, dataset):
    text = copies_warning(run, dataset, Player(plain(dataset), dataset.images(dataset.indices("train")[:200])))
    assert "of 128 made images are all but copies of training images" in text
    assert int(text.split()[0]) > 100
    assert ("of held-out images" in text) == bool(len(dataset.indices("held-out")))


def test_other_images_are_no_copies(run, dataset):
    drawn = np.random.default_rng(0).integers(0, 256, (128, 32, 32, dataset.spec.channels)).astype(np.uint8)
    assert copies_warning(run, dataset, Player(plain(dataset), drawn)) == ""
    held = dataset.indices("held-out")
    if len(held):
        assert copies_warning(run, dataset, Player(plain(dataset), dataset.images(held[:200]))) == ""


def test_what_makes_no_images_copies_none(run, dataset):
    assert copies_warning(run, dataset, Silent(FamilyConfig(), plain(dataset))) == ""


class Asking(Player):
    """Plays back images, once it is given one."""

    def made(self, options):
        return dataclasses.replace(self.spec, conditions=(ConditionSpec(name="input", kind="image"),))


class Alone(Player):
    """Learns from one image."""

    least = 1


@pytest.mark.parametrize("kind", [Asking, Alone])
def test_what_is_given_an_image_or_goes_on_with_one_is_not_asked(run, dataset, kind):
    """Nothing can be drawn of the one from seeds alone, and the other is meant to look like what it learned from."""
    spec = plain(dataset)
    assert copies_warning(run, dataset, Player(spec, dataset.images(dataset.indices("train")[:40])))
    assert copies_warning(run, dataset, kind(spec, dataset.images(dataset.indices("train")[:40]))) == ""
