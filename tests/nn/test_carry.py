"""Squares of a picture that are taken from elsewhere, and where they seem to come from."""

import pytest
import torch
import torch.nn.functional as F

from maquette.nn.carry import carried, matched


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def shares(*places, count=2, reach=5, size=(3, 4)):
    """N ways reach h w: all from one place each."""
    found = torch.zeros(count, len(places), reach, *size)
    for way, place in enumerate(places):
        found[:, way, reach // 2 + place] = 1
    return found


@pytest.mark.parametrize("tile", ["", "x", "y", "xy"])
def test_each_pixel_is_the_mean_of_what_lies_around_it_as_the_shares_of_its_square_say(tile):
    images = torch.rand(2, 3, 12, 16)
    down, across = (torch.randn(2, 2, 5, 3, 4).softmax(dim=2) for _ in range(2))
    edged = F.pad(images, (2, 2, 0, 0), mode="circular" if "x" in tile else "replicate")
    edged = F.pad(edged, (0, 0, 2, 2), mode="circular" if "y" in tile else "replicate")
    expected = torch.empty(2, 2, 3, 12, 16)
    for row in range(12):
        for column in range(16):
            around = edged[:, :, row : row + 5, column : column + 5]
            square = (row // 4, column // 4)
            for way in range(2):
                expected[:, way, :, row, column] = torch.einsum(
                    "ncab,na,nb->nc", around, down[:, way, :, *square], across[:, way, :, *square]
                )
    assert torch.allclose(carried(images, down, across, tile), expected, atol=1e-6)


def test_ways_that_are_sure_move_the_picture_and_nothing_is_lost_to_half_precision():
    images = torch.rand(2, 1, 12, 16)
    with torch.autocast("cpu", torch.bfloat16):
        one, other = carried(images, shares(-2, 0), shares(1, 0), "xy").unbind(dim=1)
    assert torch.equal(one, images.roll((2, -1), dims=(2, 3)))
    assert torch.equal(other, images)


@pytest.mark.parametrize("move", [(0, 0), (3, -2), (-3, 3), (1, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_place_that_a_square_comes_from_is_found(move, channels):
    before = torch.rand(2, channels, 16, 24)
    found = matched(before.roll(move, dims=(2, 3)), before, 4, 7, "xy")
    assert found.shape == (2, 2 * 49, 4, 6)
    for part in found.split(49, dim=1):
        assert torch.allclose(part.sum(dim=1), torch.ones(2, 4, 6), atol=1e-5)
        assert (part.argmax(dim=1) == 7 * (3 - move[0]) + 3 - move[1]).all()


def test_nothing_to_see_may_come_from_anywhere():
    still = torch.zeros(1, 1, 8, 8)
    assert torch.allclose(matched(still, still, 4, 3), torch.full((1, 18, 2, 2), 1 / 9))
