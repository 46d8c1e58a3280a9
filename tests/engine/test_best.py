"""The best of many images: likely to be real one by one, and together as varied as real ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import best
from maquette.engine.best import Critic, Likeness, chosen, critic_of
from maquette.judge.evidence import Looking


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    *_, made = make_drawn("shapes", tmp_path_factory.mktemp("best") / "shapes.mq", width=16, height=16, count=200)
    return made.value


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_as_many_as_asked_for_each_once(count, more, seed):
    rng = np.random.default_rng(seed)
    rows, odds = rng.standard_normal((count + more, 3)), rng.standard_normal(count + more)
    order = chosen(rows, rng.standard_normal((30, 3)), odds, count)
    assert len(order) == len(set(order)) == count
    assert set(order) <= set(range(count + more))


def test_what_is_surely_not_real_is_left_out():
    rng = np.random.default_rng(0)
    odds = np.where(np.arange(100) % 2 == 0, -5.0, 5.0) + rng.standard_normal(100)
    order = chosen(rng.standard_normal((100, 4)), rng.standard_normal((200, 4)), odds, 25)
    assert all(at % 2 == 1 for at in order)


def test_the_chosen_are_as_varied_as_the_real_ones():
    """Of two kinds that are equally frequent among real images, one makes seven tenths of the made ones."""
    rng = np.random.default_rng(1)
    real = np.concatenate([rng.normal(-5, 1, (200, 2)), rng.normal(5, 1, (200, 2))])
    made = np.concatenate([rng.normal(-5, 1, (280, 2)), rng.normal(5, 1, (120, 2))])
    order = chosen(made, real, rng.standard_normal(400), 40)
    assert 15 <= sum(made[at].mean() > 0 for at in order) <= 25


def test_the_first_is_in_the_middle_of_the_real_ones():
    rows = np.array([[9.0, 9.0], [0.1, 0.0], [-9.0, 3.0]])
    assert chosen(rows, np.random.default_rng(2).standard_normal((50, 2)), np.zeros(3), 1) == [1]


class Noise:
    """Stands for a model that makes noise."""


@pytest.fixture
def learned(dataset, tmp_path, monkeypatch):
    """The critic of a model that makes noise, and how often it was learned."""
    from maquette.engine.judging import Drawn
    from maquette.store.run import Run

    made = np.random.default_rng(3).integers(0, 256, (96, 16, 16, 3)).astype(np.uint8)
    monkeypatch.setattr(best, "draw_many", lambda *given: iter([48, 96, Drawn(made, {}, 0)]))
    monkeypatch.setattr(best, "STEPS", 20)
    run = Run.create(tmp_path / "run", {"model": "one"})
    return run, lambda: list(critic_of(run, Noise(), {}, dataset)), made


def test_a_critic_tells_noise_from_drawings_and_is_kept_with_the_run(learned, dataset):
    _, ask, made = learned
    *steps, critic = ask()
    assert isinstance(critic, Critic)
    assert [step for step in steps if step.what == "steps of the critic"][-1] == Looking("steps of the critic", 20, 20)
    real = critic.judge(dataset.images(dataset.indices("held-out")), "rgb")
    assert real.min() > critic.judge(made, "rgb").max()
    (again,) = ask()
    np.testing.assert_array_equal(again.judge(made, "rgb"), critic.judge(made, "rgb"))


def test_it_is_learned_the_same_way_again_and_anew_for_another_model(learned, monkeypatch):
    run, ask, made = learned
    first = ask()[-1].judge(made, "rgb")
    run.update(model="two")
    *steps, second = ask()
    assert steps
    np.testing.assert_array_equal(second.judge(made, "rgb"), first)
    (run.path / best.FILE).write_bytes(b"damaged")
    monkeypatch.setattr(best, "STEPS", 1)
    assert len(ask()) > 1


def test_what_is_asked_for_is_compared_with_its_like(dataset):
    label = dataset.spec.condition("label")
    index = dataset.indices("train")
    stars = int((dataset.conditions(index)["label"] == label.encode("star")).sum())
    assert len(Likeness(dataset, {"label": "star"}).rows) == stars < len(Likeness(dataset, {}).rows)


def test_too_few_like_it_are_said(dataset, monkeypatch):
    monkeypatch.setattr(best, "FEWEST", 100)
    with pytest.raises(DataError, match=r"training images of what is asked for are too few.*leave out --best"):
        Likeness(dataset, {"label": "star"})
