"""Dials cut exactly where they say, and what is drawn comes as often as it is probable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.noise import Noise
from maquette.nn.choice import pick, shaped

LOGITS = st.lists(st.floats(-8, 8), min_size=2, max_size=12)


@given(LOGITS, st.floats(0.05, 4), st.integers(0, 14))
def test_top_k_keeps_exactly_so_many_likeliest(logits, temperature, count):
    values = torch.tensor([logits], dtype=torch.float64)
    found = shaped(values, temperature=temperature, top_k=count)[0]
    assert float(found.sum()) == pytest.approx(1)
    kept = count if 0 < count < len(logits) else len(logits)
    order = sorted(range(len(logits)), key=lambda at: (-logits[at], at))
    assert all(float(found[at]) == 0 for at in order[kept:])
    plain = (values / temperature).softmax(1)[0][order[:kept]]
    assert torch.allclose(found[order[:kept]], plain / plain.sum())


@given(LOGITS, st.floats(0.05, 4), st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_that_reach_it(logits, temperature, share):
    values = torch.tensor([logits], dtype=torch.float64)
    found = shaped(values, temperature=temperature, top_p=share)[0]
    plain = (values / temperature).softmax(1)[0]
    kept = found > 0
    assert float(found.sum()) == pytest.approx(1)
    reached = float(plain[kept].sum())
    assert reached >= share - 1e-9
    if int(kept.sum()) > 1:
        assert reached - float(plain[kept].min()) < share + 1e-9
    if not kept.all():
        assert float(plain[kept].min()) >= float(plain[~kept].max()) - 1e-12


@given(LOGITS)
def test_temperature_0_is_the_mode_whatever_else_is_set(logits):
    values = torch.tensor([logits])
    for dials in ({}, {"top_k": 2}, {"top_p": 0.5}):
        found = shaped(values, temperature=0, **dials)[0].tolist()
        first = values[0].tolist().index(float(values.max()))  # the first of equals
        assert found == [float(at == first) for at in range(len(logits))]


@pytest.mark.parametrize("dials", [{}, {"temperature": 0.6}, {"top_k": 3}, {"top_p": 0.8}], ids=str)
def test_frequencies_match_the_probabilities(dials):
    """Pearson's chi-squared over 40,000 draws of fixed seeds, held against its 99.9 % point."""
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
    chances = shaped(logits[None], **dials)
    places = torch.from_numpy(Noise(range(400)).uniform("tokens", 100)).flatten()
    drawn = torch.bincount(pick(chances.expand(len(places), -1), places), minlength=6).numpy()
    expected = chances[0].numpy() * len(places)
    assert np.all(drawn[expected == 0] == 0)
    there = expected > 0
    statistic = ((drawn - expected)[there] ** 2 / expected[there]).sum()
    assert statistic < {2: 13.82, 3: 16.27, 5: 20.52}[int(there.sum()) - 1]


def test_a_place_at_the_end_never_picks_what_has_no_chance():
    chances = torch.tensor([[0.5, 0.5 - 1e-9, 0.0, 0.0]])
    assert pick(chances, torch.tensor([1 - 2**-24])).item() == 1
    assert pick(chances, torch.tensor([0.0])).item() == 0
    assert pick(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([0.0])).item() == 2
