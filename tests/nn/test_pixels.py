"""Images to tensors and back without loss, alpha premultiplied inside."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maquette.core.condition import ConditionSpec
from maquette.core.image import CHANNELS, MODES, dtype
from maquette.nn.pixels import condition_tensors, from_tensor, premultiply, to_tensor


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_round_trip(mode, data):
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.just(CHANNELS[mode])))
    images = data.draw(arrays.arrays(dtype(mode), shape))
    tensor = to_tensor(images, mode)
    assert tensor.shape == (shape[0], shape[3], shape[1], shape[2])
    assert tensor.dtype == torch.float32
    assert -1 <= float(tensor.min()) <= float(tensor.max()) <= 1
    expected = images.copy()
    if mode == "rgba":
        expected[..., :3] *= images[..., 3:] > 0  # what is invisible has no colour
    assert np.array_equal(from_tensor(tensor, mode), expected)


def test_alpha_is_premultiplied():
    images = np.array([[[[200, 100, 0, 51]]]], np.uint8)  # alpha is a fifth
    colour = (to_tensor(images, "rgba")[0, :, 0, 0] + 1) / 2 * 255
    assert torch.allclose(colour, torch.tensor([40.0, 20.0, 0.0, 51.0]), atol=1e-3)


@given(arrays.arrays(np.float32, (2, 4, 3, 3), elements=st.floats(-3, 3, width=32)))
def test_what_a_model_makes_is_always_an_image(values):
    images = from_tensor(torch.from_numpy(values), "rgba")
    assert images.dtype == np.uint8
    assert images.shape == (2, 3, 3, 4)
    inside = to_tensor(images, "rgba")
    assert (inside[:, :3] <= inside[:, 3:] + 1e-6).all()
    assert torch.allclose(premultiply(torch.cat([inside[:, :3], torch.ones(2, 1, 3, 3)], dim=1))[:, :3], inside[:, :3])


def test_conditions_as_tensors():
    specs = [
        ConditionSpec(name="kind", kind="label", classes=("a", "b")),
        ConditionSpec(name="size", kind="number", low=10, high=30),
        ConditionSpec(name="text", kind="text", length=3),
        ConditionSpec(name="before", kind="frames", mode="grey16", length=2),
        ConditionSpec(name="regions", kind="map", classes=("a", "b")),
    ]
    encoded = {
        "kind": np.array([1, -1], np.int32),
        "size": np.array([30, np.nan], np.float32),
        "text": np.array([[97, 0, 0], [98, 99, 0]], np.uint8),
        "before": np.array([0, 65535], np.uint16).reshape(1, 2, 1, 1, 1).repeat(2, 0),
        "regions": np.ones((2, 4, 4), np.uint8),
    }
    tensors = condition_tensors(specs, encoded)
    assert tensors["kind"].tolist() == [1, 2]  # what was not given has the last number
    assert tensors["size"][0] == 1.0
    assert tensors["size"][1].isnan()
    assert tensors["text"].tolist() == [[97, 0, 0], [98, 99, 0]]
    assert tensors["before"].shape == (2, 2, 1, 1, 1)
    assert tensors["before"].flatten().tolist() == [-1.0, 1.0, -1.0, 1.0]
    assert tensors["regions"].dtype == torch.int64
    constant = ConditionSpec(name="size", kind="number", low=5, high=5)
    assert condition_tensors([constant], {"size": np.array([5], np.float32)})["size"].tolist() == [0.0]
