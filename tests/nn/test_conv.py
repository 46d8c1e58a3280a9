"""Layers that wrap commute with rolling; layers that do not, do not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maquette.core.spec import DataSpec
from maquette.nn.conv import Convolution, Enlargement, grid, interior, pad

TILES = ["", "x", "y", "xy"]
SIDES = st.integers(1, 6).map(lambda side: 2 * side)


def roll(images, tile, amount):
    """Images rolled along the axes that tile."""
    for axis, name in ((3, "x"), (2, "y")):
        images = images.roll(amount if name in tile else 0, axis)
    return images


def layers(tile):
    """Every kind of layer, and by how much it enlarges."""
    return [
        (Convolution(2, 3, tile=tile), 1),
        (Convolution(2, 3, 1, tile=tile), 1),
        (Convolution(2, 3, 5, tile=tile), 1),
        (Convolution(2, 3, 4, stride=2, tile=tile), 0.5),
        (Enlargement(2, 3, tile=tile), 2),
    ]


@pytest.mark.parametrize("tile", TILES)
@given(height=SIDES, width=SIDES)
@settings(max_examples=20)
def test_layers_keep_halve_or_double_the_size_and_wrap(tile, height, width):
    torch.manual_seed(0)
    for layer, factor in layers(tile):
        if layer.kernel_size[0] == 5 and min(height, width) < 4:
            continue
        images = torch.randn(2, 2, height, width)
        with torch.no_grad():
            out = layer(images)
            assert out.shape == (2, 3, height * factor, width * factor)
            assert torch.allclose(layer(roll(images, tile, 2)), roll(out, tile, int(2 * factor)), atol=1e-5)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_an_axis_that_does_not_tile_does_not_wrap(axis):
    torch.manual_seed(0)
    other = "y" if axis == "x" else "x"
    images = torch.zeros(1, 2, 8, 8)
    if axis == "x":
        images[..., 0] = 1
    else:
        images[..., 0, :] = 1
    for layer, _ in layers(other):
        out = layer(images) - layer(torch.zeros_like(images))
        far = out[..., -1] if axis == "x" else out[..., -1, :]
        assert not far.any()
        assert out.any()


def test_a_layer_that_does_not_tile_is_the_plain_one():
    torch.manual_seed(0)
    images = torch.randn(2, 2, 6, 10)
    ours, plain = Enlargement(2, 3), nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(ours(images), plain(images))
    ours, plain = Convolution(2, 3), nn.Conv2d(2, 3, 3, padding=1)
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(ours(images), plain(images))


def test_padding_brings_the_opposite_edge_or_zeros():
    row = torch.arange(1.0, 5.0).reshape(1, 1, 1, 4)
    assert pad(row, 1, "x")[0, 0].tolist() == [[0] * 6, [4, 1, 2, 3, 4, 1], [0] * 6]
    assert pad(row, 1, "y")[0, 0].tolist() == [[0, 1, 2, 3, 4, 0]] * 3
    assert pad(row, 1, "")[0, 0].tolist() == [[0] * 6, [0, 1, 2, 3, 4, 0], [0] * 6]
    assert pad(row, 1, "xy")[0, 0].tolist() == [[4, 1, 2, 3, 4, 1]] * 3


@given(height=st.integers(1, 64), width=st.integers(1, 64), smallest=st.sampled_from([2, 4, 8]))
def test_the_grid_grows_into_the_image(height, width, smallest):
    spec = DataSpec(height=8 * height, width=8 * width)
    levels, low, across = grid(spec, smallest)
    assert (low << levels, across << levels) == (spec.height, spec.width)
    assert min(low, across) >= smallest
    assert levels >= 1 or smallest == 8
    could = low % 2 == across % 2 == 0 and min(low, across) // 2 >= smallest
    assert not could


@pytest.mark.parametrize("tile", TILES)
def test_the_interior_leaves_out_an_eighth_at_each_edge_that_wraps(tile):
    counted = interior(DataSpec(height=16, width=24, tile=tile))
    assert counted.shape == (1, 1, 16, 24)
    assert counted[0, 0, :, 12].sum() == (12 if "y" in tile else 16)
    assert counted[0, 0, 8].sum() == (18 if "x" in tile else 24)
    assert torch.equal(counted, counted.flip(2, 3))
