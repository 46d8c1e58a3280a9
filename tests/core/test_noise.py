"""Image k depends on seed k alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.core.noise import SEED_LIMIT, Noise, normal, uniform

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
