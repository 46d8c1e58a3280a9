"""Image k depends on seed k alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.core.noise import SEED_LIMIT, Mix, Noise, leader, normal, uniform

seeds = st.lists(st.integers(0, SEED_LIMIT - 1), min_size=1, max_size=6)


@given(seeds, st.permutations(range(6)), st.sampled_from(["latent", "steps"]))
def test_a_row_depends_on_its_seed_alone(chosen, order, stream):
    together = Noise(chosen).normal(stream, 3, 2)
    shuffled = [chosen[i] for i in order if i < len(chosen)]
    for row, seed in zip(Noise(shuffled).normal(stream, 3, 2), shuffled, strict=True):
        assert np.array_equal(row, Noise([seed]).normal(stream, 3, 2)[0])
        assert np.array_equal(row, together[chosen.index(seed)])


def test_streams_and_seeds_differ():
    assert not np.array_equal(normal(1, "a", 8), normal(1, "b", 8))
    assert not np.array_equal(normal(1, "a", 8), normal(2, "a", 8))


def test_the_numbers_are_the_same_on_every_machine_and_day():
    assert uniform(0, "latent", 2).tolist() == pytest.approx([0.7181928494958031, 0.24065985177634286], abs=0)
    assert normal(42, "latent", 3).tolist() == pytest.approx(
        [0.4542679531242337, 1.2791788186889443, 0.6266772810672319], abs=1e-14
    )


def test_a_longer_row_of_uniform_numbers_begins_with_the_shorter():
    assert uniform(3, "x", 10)[:4].tolist() == uniform(3, "x", 4).tolist()


def test_the_numbers_are_normal():
    values = normal(7, "latent", 200_000)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs((values**3).mean()) < 0.03
    assert abs((values**4).mean() - 3) < 0.06
    assert np.isfinite(values).all()


def test_uniform_numbers_stay_below_one():
    values = Noise(range(50)).uniform("u", 1000)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01


def test_shapes():
    assert Noise([1, 2]).normal("a").shape == (2,)
    assert Noise([1, 2]).normal("a", 3, 4, 5).shape == (2, 3, 4, 5)
    assert len(Noise(np.array([1, 2]))) == 2


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(UsageError, match="a seed lies between"):
        Noise([seed])


# Mixes


def normals(mix, *shape):
    return Noise([mix]).normal("latent", *shape)[0]


@given(st.integers(0, SEED_LIMIT - 1), st.floats(1e-6, 1e6))
def test_a_mix_of_one_seed_is_that_seed(seed, weight):
    for kind in ("normal", "uniform"):
        alone, mixed = (getattr(Noise([row]), kind)("latent", 5) for row in (seed, Mix((seed,), (weight,))))
        assert np.array_equal(alone, mixed)


@given(seeds, st.lists(st.floats(-8, 8), min_size=6, max_size=6), st.floats(0.01, 100))
def test_a_mix_is_as_wide_as_a_seed_whatever_the_weights(chosen, weights, scale):
    weights = weights[: len(chosen)]
    if max(map(abs, weights)) < 1e-3:
        return
    together = {seed: sum(w for s, w in zip(chosen, weights, strict=True) if s == seed) for seed in chosen}
    if max(map(abs, together.values())) < 1e-3:
        return
    mix, scaled = (Mix(tuple(chosen), tuple(factor * w for w in weights)) for factor in (1, scale))
    values = normals(mix, 4000)
    assert 0.93 < values.std() < 1.07
    assert np.allclose(values, normals(scaled, 4000), atol=1e-5)
    assert np.allclose(normals(Mix(mix.seeds, tuple(-w for w in mix.weights)), 4000), -values)
    assert leader(mix) in chosen


def test_numbers_of_a_mix_are_uniform_and_move_smoothly():
    noise = Noise([Mix.between(3, 4, place) for place in np.linspace(0, 1, 65)])
    values = noise.uniform("u", 4000)
    counts = [np.histogram(row, 8, (0, 1))[0] for row in values]
    assert values.min() >= 0 and values.max() < 1 and np.abs(np.array(counts) - 500).max() < 110
    assert np.abs(np.diff(values, axis=0)).max() < 0.1
    assert np.array_equal(values[0], Noise([3]).uniform("u", 4000)[0])
    assert np.array_equal(values[-1], Noise([4]).uniform("u", 4000)[0])


def test_the_way_between_seeds_has_even_steps():
    path = Noise([Mix.between(1, 2, place) for place in np.linspace(0, 1, 9)]).normal("latent", 20_000)
    steps = np.sqrt((np.diff(path, axis=0) ** 2).mean(axis=1))
    assert steps.max() / steps.min() < 1.02


@given(st.lists(st.floats(-1e3, 1e3).filter(lambda w: abs(w) > 1e-3), min_size=1, max_size=6))
def test_a_mix_that_is_written_and_read_is_the_same(weights):
    mix = Mix(tuple(range(len(weights))), tuple(weights))
    assert Mix.from_json({"seeds": list(mix.seeds), "weights": list(mix.weights)}) == mix


def test_a_mix_in_a_batch_changes_no_other_row():
    rows = Noise([1, Mix.between(1, 2, 0.5), 2]).normal("latent", 7)
    assert np.array_equal(rows[[0, 2]], Noise([1, 2]).normal("latent", 7))
    assert np.allclose(rows[1], (rows[0] + rows[2]) / np.sqrt(2), atol=1e-6)


@pytest.mark.parametrize(
    ("chosen", "weights"),
    [((), ()), ((1, 2), (1.0,)), ((1, 2), (0.0, 0.0)), ((1, 1), (1.0, -1.0)), ((1,), (np.nan,)), ((1,), (np.inf,)),
     ((-1,), (1.0,)), (tuple(range(65)), (1.0,) * 65), ((1,), (1e300,))],
)  # fmt: skip
def test_what_mixes_nothing_is_refused(chosen, weights):
    with pytest.raises(UsageError):
        Mix(chosen, weights)


@pytest.mark.parametrize(
    "value", [{}, {"seeds": "12"}, {"seeds": [1.5]}, {"seeds": [1], "weights": ["1"]}, {"seeds": [1], "more": 2}]
)
def test_a_mix_of_another_form_is_refused(value):
    with pytest.raises(UsageError, match="mix of seeds"):
        Mix.from_json(value)
