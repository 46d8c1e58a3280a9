"""Colour as brightness and differences."""

import pytest
import torch

from maquette.nn.colour import apart, together


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_together_undoes_apart(channels):
    images = torch.rand(2, channels, 5, 7) * 2 - 1
    torch.testing.assert_close(together(apart(images)), images)


def test_grey_has_no_colour_and_alpha_stays():
    grey = torch.rand(2, 1, 4, 4).expand(2, 3, 4, 4)
    alpha = torch.rand(2, 1, 4, 4)
    found = apart(torch.cat([grey, alpha], dim=1))
    torch.testing.assert_close(found[:, 0], grey[:, 0])
    assert found[:, 1:3].abs().max() < 1e-6
    torch.testing.assert_close(found[:, 3:], alpha)


def test_small_differences_are_kept_where_numbers_are_small():
    """Two colours that bfloat16 could not tell apart as numbers near one are apart as differences."""
    near = torch.full((1, 3, 1, 1), 0.9)
    other = near.clone()
    other[:, 0] += 0.001
    assert (apart(other) - apart(near))[:, 1].item() == pytest.approx(0.001 * 5 / 3, rel=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert apart(near.expand(1, 3, 2, 2)).dtype == torch.float32
