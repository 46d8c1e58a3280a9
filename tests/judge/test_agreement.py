"""Agreement of maps: counted by hand, whole where maps are the same, and the classes that are nowhere do not count."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maquette.judge.agreement import agreement

MAPS = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


@given(maps=MAPS)
def test_a_map_agrees_with_itself_alone(maps):
    """And of classes that are nowhere nothing is said."""
    found = agreement(maps, maps, 5)
    assert found.mean.value == 1 and math.isnan(found.classes[4])
    assert math.isnan(found.mean.low), "three images say nothing of how sure it is"


@given(one=MAPS, other=MAPS)
def test_it_is_what_counting_says(one, other):
    """Both ways round, against the definition."""
    shares = []
    for value in range(4):
        either = ((one == value) | (other == value)).sum()
        if either:
            shares.append(((one == value) & (other == value)).sum() / either)
    assert agreement(one, other, 4).mean.value == pytest.approx(np.mean(shares))
    assert agreement(other, one, 4).mean.value == pytest.approx(np.mean(shares))


def test_the_interval_narrows_with_the_number_of_images():
    """A tenth of the pixels is read wrongly, at random."""
    rng = np.random.default_rng(0)
    widths = []
    for count in (40, 400):
        truth = rng.integers(0, 3, (count, 8, 8))
        seen = np.where(rng.random(truth.shape) < 0.1, (truth + 1) % 3, truth)
        found = agreement(seen, truth, 3).mean
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_maps_of_other_sizes_do_not_go_together():
    """Said before anything is counted."""
    with pytest.raises(ValueError, match="do not go"):
        agreement(np.zeros((1, 4, 4), int), np.zeros((1, 4, 5), int), 2)
