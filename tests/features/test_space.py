"""The space of likeness, nearest neighbours and the cache."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.features.cache import Cache
from maquette.features.neighbours import nearest, squared_distances
from maquette.features.space import FEWEST, Space


def rows(count=200, width=30, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, width)) @ generator.normal(size=(width, width))


def test_a_space_is_centred_and_no_direction_rules_it():
    space = Space.fit(rows(2000))
    placed = space(rows(2000))
    np.testing.assert_allclose(placed.mean(0), 0, atol=1e-9)
    assert np.all(placed.std(0) <= 1.0 + 1e-9)
    covariance = np.cov(placed.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-6


def test_scale_and_shift_of_the_features_do_not_matter():
    values = rows(500)
    factor = np.random.default_rng(1).uniform(0.1, 10, values.shape[1])
    np.testing.assert_allclose(
        np.abs(Space.fit(values)(values)), np.abs(Space.fit(values * factor + 3)(values * factor + 3)), atol=1e-6
    )
    changes = 0.2 * rows(200, seed=1)
    one, two = Space.fit(values, changes=changes), Space.fit(values * factor + 3, changes=changes * factor)
    np.testing.assert_allclose(np.abs(one(values)), np.abs(two(values * factor + 3)), atol=1e-5)


def test_a_feature_that_never_varies_adds_nothing():
    values = rows(300)
    padded = np.concatenate([values, np.full((300, 4), 7.0)], axis=1)
    np.testing.assert_allclose(Space.fit(values)(values), Space.fit(padded)(padded), atol=1e-8)


def test_what_changes_do_is_weighed_down_and_what_tells_images_apart_is_not():
    generator = np.random.default_rng(3)
    values = generator.normal(size=(1500, 12))
    values[:, 6:] = generator.normal(size=(1500, 6)) @ np.diag([3, 2, 2, 1, 1, 1])
    changes = 0.05 * generator.normal(size=(800, 12))
    changes[:, :4] += 3 * generator.normal(size=(800, 4))  # four features that a view changes as much as another image
    plain, wise = Space.fit(values, 6), Space.fit(values, 6, changes=changes)
    spoilt = values + np.array([1.0] * 4 + [0.0] * 8)
    other = values + np.array([0.0] * 4 + [1.0] * 8)
    moved = lambda space, rows: np.linalg.norm(space(rows).mean(0) - space(values).mean(0))  # noqa: E731
    assert moved(wise, spoilt) < 0.25 * moved(plain, spoilt)
    assert moved(wise, other) > 3 * moved(wise, spoilt)
    np.testing.assert_allclose(wise(values).std(0), 1, atol=0.05)


def test_changes_of_features_that_never_vary_add_nothing():
    values, changes = rows(300), 0.3 * rows(100, seed=1)
    padded = np.concatenate([values, np.full((300, 4), 7.0)], axis=1)
    still = np.concatenate([changes, np.zeros((100, 4))], axis=1)
    np.testing.assert_allclose(
        Space.fit(values, changes=changes)(values), Space.fit(padded, changes=still)(padded), atol=1e-6
    )


def test_too_few_and_all_equal_are_said():
    with pytest.raises(DataError, match="too few"):
        Space.fit(rows(FEWEST - 1))
    with pytest.raises(DataError, match="alike"):
        Space.fit(np.ones((100, 8)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 7), st.integers(0, 1000))
def test_the_nearest_are_those_that_a_slow_search_finds(queries, base, count, seed):
    generator = np.random.default_rng(seed)
    q, b = generator.normal(size=(queries, 5)), generator.normal(size=(base, 5))
    distances, indices = nearest(q, b, count)
    slow = np.linalg.norm(q[:, None] - b[None], axis=2)
    np.testing.assert_allclose(distances, np.sort(slow, axis=1)[:, :count], atol=1e-7)
    np.testing.assert_allclose(np.take_along_axis(slow, indices, 1), distances, atol=1e-7)


def test_a_row_is_not_its_own_neighbour():
    values = rows(50)
    _, indices = nearest(values, values, 3, not_itself=True)
    assert not (indices == np.arange(50)[:, None]).any()
    assert nearest(values[:1], values[:1], 1, not_itself=True)[0].shape == (1, 0)


def test_squared_distances_are_never_negative():
    values = rows(100).astype(np.float32)
    assert squared_distances(values, values).min() >= 0


def test_the_cache_keeps_what_it_was_given_and_forgets_what_is_damaged(tmp_path):
    cache = Cache(tmp_path / "cache")
    key = {"dataset": "a", "count": 3}
    assert cache.get(key) is None
    values = rows(3, 4).astype(np.float32)
    cache.put(key, values)
    np.testing.assert_array_equal(cache.get({"count": 3, "dataset": "a"}), values)
    assert cache.get({**key, "count": 4}) is None
    (file,) = (tmp_path / "cache").glob("*.npy")
    file.write_bytes(file.read_bytes()[:40])
    assert cache.get(key) is None


def test_the_cache_keeps_images_as_they_are_and_none_that_would_drive_out_the_rest(tmp_path, monkeypatch):
    cache, images = Cache(tmp_path), np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    cache.put_array({"drawn": 1}, images)
    np.testing.assert_array_equal(cache.array({"drawn": 1}, (4, 2, 2, 3), np.uint8), images)
    assert cache.array({"drawn": 1}, (4, 2, 2, 1), np.uint8) is None  # another form is not what was asked for
    assert cache.array({"drawn": 1}, (4, 2, 2, 3), np.uint16) is None
    monkeypatch.setattr("maquette.features.cache.MOST", images.nbytes - 1)
    cache.put_array({"drawn": 2}, images)
    assert cache.array({"drawn": 2}, images.shape, np.uint8) is None
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:-1])
    assert cache.array({"drawn": 1}, images.shape, np.uint8) is None


def test_the_cache_drops_what_was_used_longest_ago(tmp_path, monkeypatch):
    import os

    monkeypatch.setattr("maquette.features.cache.LIMIT", 5000)
    cache = Cache(tmp_path)
    values = np.zeros((100, 4), np.float32)
    for number in range(3):
        cache.put({"number": number}, values)
        for file in tmp_path.glob("*.npy"):
            os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns - 10**9))
    cache.put({"number": 3}, values)
    assert cache.get({"number": 3}) is not None and cache.get({"number": 0}) is None
