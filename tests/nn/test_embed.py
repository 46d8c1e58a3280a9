"""Conditions inside a network: what is not given differs from everything that can be given."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import ConditionSpec
from maquette.nn.embed import ConditionPlanes, ConditionVector, NumberEncoder, fourier, nothing, withhold

LABEL = ConditionSpec(name="label", kind="label", classes=("a", "b", "c"))
NUMBER = ConditionSpec(name="number", kind="number")
TEXT = ConditionSpec(name="text", kind="text", length=5)
IMAGE = ConditionSpec(name="image", kind="image", mode="rgb")
MAP = ConditionSpec(name="map", kind="map", classes=("sky", "sea"))
FRAMES = ConditionSpec(name="frames", kind="frames", mode="grey", length=3)
ALL = (LABEL, NUMBER, TEXT, IMAGE, MAP, FRAMES)


def some(count):
    """A batch of every kind."""
    return {
        "label": torch.arange(count) % 3,
        "number": torch.linspace(-1, 1, count),
        "text": torch.arange(count * 5).reshape(count, 5) % 200 + 1,
        "image": torch.randn(count, 3, 8, 16),
        "map": torch.arange(count * 128).reshape(count, 8, 16) % 2,
        "frames": torch.randn(count, 3, 1, 8, 16),
    }


def test_every_value_has_its_own_vector_and_so_has_nothing():
    torch.manual_seed(0)
    embed = ConditionVector(ALL, 16).eval()
    assert bool(embed)
    assert not bool(ConditionVector((IMAGE, MAP), 16))
    batch = some(6)
    given_vectors, no_vectors = embed(batch), embed(nothing(batch, ALL))
    assert given_vectors.shape == (6, 16)
    assert len({tuple(row) for row in given_vectors.tolist()}) == 6
    assert len({tuple(row) for row in no_vectors.tolist()}) == 1
    for name in ("label", "number", "text"):  # each part reaches the sum
        changed = {**batch, name: batch[name].roll(1, 0)}
        assert (embed(changed) != given_vectors).any(dim=1).all()


def test_a_number_that_was_not_given_is_no_zero():
    torch.manual_seed(0)
    encoder = NumberEncoder(8)
    rows = encoder(torch.tensor([0.0, math.nan, 0.0]))
    assert torch.equal(rows[0], rows[2])
    assert not torch.allclose(rows[0], rows[1])
    assert rows.isfinite().all()
    rows.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_fourier_features_tell_numbers_apart(one, other):
    waves = fourier(torch.tensor([one, other], dtype=torch.float32), 8)
    assert waves.shape == (2, 16)
    assert waves.abs().max() <= 1
    # The slowest wave has its period at 4: what differs by a thousandth differs in it.
    if abs(one - other) > 1e-3:
        assert (waves[0] - waves[1]).abs().max() > 1e-4


def test_planes_stack_what_is_as_large_as_the_image():
    planes = ConditionPlanes(ALL)
    batch = some(4)
    stacked = planes(batch)
    assert planes.channels == 3 + 2 + 3
    assert stacked.shape == (4, 8, 8, 16)
    assert torch.equal(stacked[:, :3], batch["image"])
    assert torch.equal(stacked[:, 3], (batch["map"] == 0).float())
    assert torch.equal(stacked[:, 5:], batch["frames"][:, :, 0])


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("specs", [(LABEL,), (LABEL, NUMBER, TEXT, IMAGE)], ids=["one", "several"])
def test_that_share_is_withheld(specs, share):
    batch = {name: value for name, value in some(4000).items() if name in {spec.name for spec in specs}}
    kept = withhold(batch, specs, share, torch.Generator().manual_seed(0))
    empty = nothing(batch, specs)
    gone = {name: _same(kept[name], empty[name]) for name in batch if name != "image"}
    stayed = {name: _same(kept[name], batch[name]) for name in batch}
    for name, rows in gone.items():
        assert (rows | stayed[name]).all()
        assert abs(float(rows.float().mean()) - share) < 0.03
    if len(gone) > 1:
        every = torch.stack(list(gone.values())).all(dim=0).float().mean()
        assert float(every) >= share / 2 - 0.02  # rows that lose everything: guidance needs them
    if "image" in batch:
        assert stayed["image"].all()
    again = withhold(batch, specs, share, torch.Generator().manual_seed(0))
    assert all(_same(kept[name], again[name]).all() for name in batch)


def _same(one, other):
    equal = (one == other) | ((one != one) & (other != other))
    return equal.flatten(1).all(dim=1) if equal.ndim > 1 else equal
