"""What is drawn is read back without a fault, and what is no drawing is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from maquette.data.drawn.drawn import draw, spec_of
from maquette.data.drawn.facts import read_shapes


@pytest.mark.parametrize(("width", "height", "mode"), [(32, 32, "rgb"), (32, 32, "rgba"), (64, 64, "rgb")])
def test_facts_are_read_back(width, height, mode):
    spec = spec_of("shapes", width=width, height=height, mode=mode)
    for index in range(60):
        drawn = draw("shapes", spec, 11, index)
        found = read_shapes(drawn.image)
        assert (found.shape, found.colour, found.count, found.place) == tuple(
            drawn.facts[name] for name in ("shape", "colour", "count", "place")
        )
        assert found.fit > 0.5


def test_a_little_noise_and_softness_do_not_matter():
    spec = spec_of("shapes", width=32, height=32)
    randoms = np.random.default_rng(0)
    right = 0
    for index in range(60):
        drawn = draw("shapes", spec, 12, index)
        rough = np.clip(drawn.image + randoms.normal(0, 4, drawn.image.shape), 0, 255).astype(np.uint8)
        found = read_shapes(rough)
        right += all(getattr(found, name) == drawn.facts[name] for name in ("shape", "colour", "count", "place"))
    assert right >= 57


def test_nothing_and_smears_are_seen_as_such():
    empty = np.full((32, 32, 3), 240, np.uint8)
    assert read_shapes(empty).count == 0 and read_shapes(empty).shape is None
    smear = empty.copy()
    smear[4:28, 15:17] = (214, 40, 40)
    assert read_shapes(smear).colour == "red" and read_shapes(smear).fit < 0.5
