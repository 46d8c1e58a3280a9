"""Images drawn to be judged are remembered under all that decides their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from toys import Toy, ToyConfig, ToyOptions

from maquette.core.spec import DataSpec
from maquette.engine.judging import Drawn, Memory, draw_many
from maquette.families.oracle import Oracle
from maquette.features.cache import Cache

SPEC = DataSpec(height=8, width=8, mode="grey")


@pytest.fixture
def memory(tmp_path):
    return Memory(Cache(tmp_path / "cache"), {"weights": "a"})


def test_what_decides_the_pixels_decides_where_they_are_kept(memory, monkeypatch):
    model = Oracle(Oracle.variant("nano", SPEC), SPEC)

    def key(memory=memory, model=model, options=None, seed=0, labels=(), together=16):
        return memory.key(model, options or Oracle.Options(), seed, {"label": np.array(labels, np.int32)}, together)

    other = Memory(memory.cache, {"weights": "b"})
    keys = [key(), key(memory=other), key(seed=1), key(labels=(1,)), key(together=8)]
    monkeypatch.setattr("maquette.engine.judging.programs", lambda: "another")
    assert len({str(value) for value in [*keys, key()]}) == len(keys) + 1 and key() == key()


def test_a_model_with_code_from_elsewhere_is_drawn_every_time(memory):
    model = Toy(ToyConfig(), SPEC)
    assert memory.key(model, ToyOptions(), 0, {}, 16) is None


def test_what_is_remembered_is_what_was_drawn(memory):
    model = Oracle(Oracle.variant("nano", SPEC), SPEC)
    *counts, first = draw_many(model, {}, 20, 5, memory=memory)
    (second,) = draw_many(model, {}, 20, 5, memory=memory)
    assert counts and isinstance(first, Drawn) and isinstance(second, Drawn)
    np.testing.assert_array_equal(first.pictures, second.pictures)
    *counts, fewer = draw_many(model, {}, 19, 5, memory=memory)
    assert counts
    np.testing.assert_array_equal(fewer.pictures, first.pictures[:19])
