"""Judging while learning: lost variety is seen, healthy runs are left alone, the best weights become the model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from maquette.core.image import CHANNELS
from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.watch import FILE, Watch, read_points
from maquette.families.family import Family, FamilyConfig
from maquette.nn.pixels import to_tensor
from maquette.store.run import Run


class Player(Family):
    """Plays back images with some noise: as varied and as good as it is told to be."""

    Config = FamilyConfig
    summary = "plays back images"

    def __init__(self, spec, images, noise):
        super().__init__(FamilyConfig(), spec)
        self.images = torch.nn.Parameter(to_tensor(images, spec.mode), requires_grad=False)
        self.noise = noise

    def sample(self, noise, condition, options):
        rows = torch.from_numpy(noise.normal("which", 1)[:, 0].astype(np.float64)).mul(1e6).long() % len(self.images)
        shape = (CHANNELS[self.spec.mode], self.spec.height, self.spec.width)
        extra = torch.from_numpy(noise.normal("noise", *shape)).float()
        yield (self.images[rows] + self.noise * extra).clamp(-1, 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    *_, made = make_drawn(
        "shapes", tmp_path_factory.mktemp("data") / "s.mq", width=16, height=16, count=900, held_out=0.3
    )
    return Dataset.open(made.value.path)


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {"maquette": "run"})


def player(dataset, count, noise, seed=0):
    import dataclasses

    indices = np.random.default_rng(seed).permutation(dataset.indices("train"))[:count]
    return Player(dataclasses.replace(dataset.spec, conditions=()), dataset.images(indices), noise)


def test_a_model_that_gets_better_is_judged_better(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.5))
    values = []
    for images, noise in ((100, 0.5), (200, 0.2), (300, 0.05)):
        point, warned = watch.judge(player(dataset, 400, noise), images)
        assert not warned and point.low <= point.value <= point.high
        assert watch.is_best(point)
        values.append(point.value)
    assert values == sorted(values, reverse=True)
    assert [point["images"] for point in read_points(run.path)] == [100, 200, 300]


def test_grades_are_counted_from_what_real_images_are_to_what_a_tenth_of_noise_makes_of_them(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.0))
    places = []
    for images, noise in ((100, 0.2), (200, 0.0)):  # a tenth of the full range is 0.2 of -1 to 1
        point, _ = watch.judge(player(dataset, 600, noise), images)
        places.append((point.value - watch.floor) / watch.unit)
    assert watch.floor >= 0
    assert 0.4 < places[0] < 2.5
    assert abs(places[1]) < 0.1


def test_lost_variety_is_seen_at_once_and_healthy_runs_raise_no_alarm(dataset, tmp_path):
    """A fifth of the injections that docs/promises.md counts."""
    flagged, alarms = 0, 0
    for trial in range(4):
        watch = Watch.of(Run.create(tmp_path / f"run{trial}", {}), dataset, player(dataset, 400, 0.1))
        for step in range(1, 5):
            alarms += bool(watch.judge(player(dataset, 400, 0.02 / step, seed=trial), 100 * step)[1])
        _, warned = watch.judge(player(dataset, 3, 0.0, seed=trial), 600)
        flagged += watch.lost and "lost their variety" in " ".join(warned)
    assert (flagged, alarms) == (4, 0)


def test_a_few_images_are_not_the_best_although_they_are_nearer_than_noise(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.1))
    noisy, _ = watch.judge(player(dataset, 400, 2.0), 100)
    assert watch.is_best(noisy)
    few, _ = watch.judge(player(dataset, 2, 0.0), 200)
    assert watch.lost and few.value < noisy.value and not watch.is_best(few)
    good, _ = watch.judge(player(dataset, 400, 0.1), 200)  # after the run went back
    assert watch.is_best(good)


def test_a_model_that_gets_worse_is_warned_of(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.1))
    for images, noise in ((100, 0.1), (200, 0.1), (300, 0.6)):
        point, warned = watch.judge(player(dataset, 400, noise), images)
    assert "best model so far is kept" in warned[0] and not watch.is_best(point)


def test_the_best_is_chosen_only_when_it_is_surely_better(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.1))
    good, bad = player(dataset, 400, 0.05), player(dataset, 400, 0.4)
    assert watch.choose({"bad": bad, "good": good})[0] == "good"
    assert watch.choose({"good": good, "bad": bad})[0] == "good"
    assert watch.choose({"one": good, "same": good})[0] == "one"
    watch.pace = 1.0  # an image takes a second: there is no time for an honest comparison
    assert watch.choose({"bad": bad, "good": good}, seconds=30) == ("bad", {})


def test_what_was_judged_survives_and_is_forgotten_when_the_run_goes_back(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.1))
    for images in (100, 200, 300):
        watch.judge(player(dataset, 400, 0.1), images)
    (run.path / FILE).write_text((run.path / FILE).read_text() + "damaged\n")
    again = Watch.of(run, dataset, player(dataset, 400, 0.1))
    assert [point.images for point in again.points] == [100, 200, 300]
    again.judge(player(dataset, 400, 0.1), 200)
    assert [json.loads(line)["images"] for line in (run.path / FILE).read_text().splitlines()] == [100, 200]


def test_learning_has_settled_when_nothing_improves_any_more(run, dataset):
    watch = Watch.of(run, dataset, player(dataset, 400, 0.1))
    for step in range(1, 4):
        watch.judge(player(dataset, 400, 0.5 / step**2), step)
    assert not watch.settled
    for step in range(4, 8):
        watch.judge(player(dataset, 400, 0.05), step)
    assert watch.settled


def test_where_nothing_can_be_judged_there_is_no_watch(run, tmp_path):
    *_, made = make_drawn("shapes", tmp_path / "few.mq", width=8, height=8, count=60)
    few = Dataset.open(made.value.path)
    assert Watch.of(run, few, player(few, 20, 0.1)) is None
