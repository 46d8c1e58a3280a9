"""Codes and tokens are the same thing written twice, gradients pass, and all codes are used."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.nn.quantize import LEVELS, Quantizer, levels_of


@pytest.mark.parametrize("codes", LEVELS)
def test_every_token_is_a_code_and_comes_back(codes):
    quantizer = Quantizer(levels_of(codes))
    assert quantizer.codes == codes
    tokens = torch.arange(codes).reshape(1, 1, -1)
    values = quantizer.values(tokens)
    assert values.shape == (1, len(quantizer.levels), 1, codes)
    assert values.abs().max() < 1
    assert torch.equal(quantizer.tokens(values), tokens)
    assert torch.allclose(quantizer.snapped(values), values)
    assert len(torch.unique(values.squeeze(2), dim=2)[0, 0]) == codes


@given(st.lists(st.floats(-50, 50), min_size=4, max_size=4))
def test_rounding_takes_the_nearest_code_whatever_comes(numbers):
    quantizer = Quantizer(levels_of(1000))
    given = torch.tensor(numbers).reshape(1, 4, 1, 1)
    found = quantizer(given)
    everything = quantizer.values(torch.arange(1000).reshape(1, 1, -1)).reshape(4, -1)
    even = (2 * torch.sigmoid(1.6 * given) - 1).reshape(4, 1)
    nearest = (everything - even).abs().amax(dim=0).min()
    assert (found.reshape(4, 1) - even).abs().amax() <= nearest + 1e-5
    assert torch.allclose(quantizer.values(quantizer.tokens(found)), found, atol=1e-6)


def test_gradients_pass_as_if_nothing_were_rounded():
    numbers = torch.randn(2, 4, 3, 3, requires_grad=True)
    Quantizer(levels_of(1000))(numbers).sum().backward()
    even = torch.sigmoid(1.6 * numbers.detach())
    assert torch.allclose(numbers.grad, 2 * 1.6 * even * (1 - even), atol=1e-6)


def test_normal_numbers_use_all_codes_about_alike():
    quantizer = Quantizer(levels_of(1000))
    generator = torch.Generator().manual_seed(0)
    tokens = quantizer.tokens(quantizer(torch.randn(1, 4, 300, 300, generator=generator)))
    counts = torch.bincount(tokens.flatten(), minlength=1000)
    assert counts.min() > 0
    shares = counts / counts.sum()
    assert -(shares * shares.log2()).sum() > 9.9  # of 9.97 bits


def test_another_number_of_codes_is_refused_in_words():
    with pytest.raises(UsageError, match="1000"):
        levels_of(999)
