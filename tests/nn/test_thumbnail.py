"""Squares of one colour come back as they were; every number has about the size of a normal one."""

import pytest
import torch
import torch.nn.functional as F

from maquette.nn.thumbnail import squares, undone


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("side", [2, 4, 8])
def test_flat_squares_come_back(channels, side):
    torch.manual_seed(0)
    weights = squares(channels, 4, side)
    flat = torch.rand(2, channels, 3, 3) * 2 - 1
    images = flat.repeat_interleave(side, 2).repeat_interleave(side, 3)
    numbers = F.conv2d(images, weights, stride=side)
    assert torch.allclose(F.conv_transpose2d(numbers, undone(weights), stride=side), images, atol=1e-5)
    assert numbers.std() < 4


@pytest.mark.parametrize(("channels", "numbers"), [(1, 2), (3, 3), (4, 5), (3, 64)])
def test_there_are_as_many_numbers_as_asked_for_and_none_says_what_another_says(channels, numbers):
    weights = squares(channels, numbers, 4).flatten(1)
    assert weights.shape == (numbers, channels * 16)
    alike = weights @ weights.T
    assert torch.allclose(alike, torch.diag(alike.diagonal()), atol=1e-6)
