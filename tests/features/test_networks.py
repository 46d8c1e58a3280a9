"""Networks whose weights a person brings: equal to their makers' programs, and clear about files that do not fit.

The numbers under `EXPECTED` were printed by torch-fidelity 0.4 (Inception) and by the DINOv2 repository from the same
weights and images, which are made here by a formula.
"""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from maquette.core.errors import ModelFileError
from maquette.features.network import NETWORKS
from maquette.features.networks import dinov2, inception
from maquette.features.space import Space
from maquette.store import weights


def photos(side=32, count=3, channels=3):
    photo = skimage.data.astronaut()
    return np.stack([photo[100 + 40 * k : 100 + 40 * k + side, 150 : 150 + side, :channels] for k in range(count)])


def waves(shape, number):
    """Weights by a formula: waves of the size that keeps signals alive."""
    place = np.arange(np.prod(shape, dtype=int), dtype=np.int64)
    values = np.sin((place * place % 10_007) * 0.731 + number)  # near to noise, and the same everywhere
    scale = (2 / max(1, np.prod(shape[1:], dtype=int))) ** 0.5 * 1.4 if len(shape) > 1 else 0.2
    return (values * scale).astype(np.float32).reshape(shape)


def filled(shapes):
    """Name -> tensor for names and shapes; spreads are 1 and gains lie about 1."""
    found = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        values = waves(shape, number)
        one = name.endswith("running_var") or name.endswith("gamma") or ("norm" in name and name.endswith("weight"))
        found[name] = values + 1 if one or name.endswith("bn.weight") else values
    return found


def shapes_of(network):
    return {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}


def tiny_inception():
    with torch.device("meta"):
        return filled(shapes_of(inception.Inception(1 / 16)))


def tiny_dino(registers=0):
    with torch.device("meta"):
        shapes = shapes_of(dinov2.Transformer(64, 2, 14, 25, 128, registers))
    return filled({**shapes, "mask_token": (1, 64)})


def as_hugging_face(values):
    """The same tensors under the names of `facebook/dinov2-small`."""
    found = {}
    for name, value in values.items():
        if "attn.qkv" in name:
            for part, which in zip(np.split(value, 3), ("query", "key", "value"), strict=True):
                new = name.replace("blocks.", "encoder.layer.").replace("attn.qkv", f"attention.attention.{which}")
                found[new] = part
            continue
        for old, new in (
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"), ("attn.proj", "attention.output.dense"),
            ("blocks.", "encoder.layer."), ("ls1.gamma", "layer_scale1.lambda1"), ("ls2.gamma", "layer_scale2.lambda1"),
        ):  # fmt: skip
            name = name.replace(old, new)
        whole = {
            "cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
            "mask_token": "embeddings.mask_token", "register_tokens": "embeddings.register_tokens",
            "norm.weight": "layernorm.weight", "norm.bias": "layernorm.bias",
        }  # fmt: skip
        found[whole.get(name, name)] = value
    return found


def written(path, values):
    weights.write(path, values, {})
    return path


TINY = {"inception": tiny_inception, "dinov2": tiny_dino}


@pytest.mark.parametrize("name", NETWORKS.names())
@pytest.mark.parametrize(("side", "channels"), [(32, 3), (24, 1)])
def test_a_network_makes_rows_of_its_own_numbers(name, side, channels, tmp_path):
    extractor = NETWORKS.get(name)(written(tmp_path / "a.safetensors", TINY[name]()))
    images = photos(side, 8, channels)
    rows = extractor(images)
    assert rows.dtype == np.float32 and rows.shape == (8, 2048 // 16 if name == "inception" else 64)
    assert np.isfinite(rows).all() and rows.std(0).max() > 1e-3
    np.testing.assert_allclose(extractor(images[5:7]), rows[5:7], rtol=1e-3, atol=1e-5)
    assert extractor.name == name and len(extractor.digest) == 64
    assert "299" in extractor.resize or "224" in extractor.resize
    other = TINY[name]()
    key = sorted(other)[0]
    other[key] = other[key] + 1
    assert NETWORKS.get(name)(written(tmp_path / "b.safetensors", other)).digest != extractor.digest


@pytest.mark.parametrize("name", NETWORKS.names())
def test_alpha_lies_on_white_and_sixteen_bits_are_seen_as_eight(name, tmp_path):
    extractor = NETWORKS.get(name)(written(tmp_path / "a.safetensors", TINY[name]()))
    clear = np.concatenate([photos(), np.zeros((3, 32, 32, 1), np.uint8)], axis=3)
    np.testing.assert_array_equal(extractor(clear), extractor(np.full((3, 32, 32, 3), 255, np.uint8)))
    grey = photos(channels=1)
    np.testing.assert_array_equal(extractor(grey.astype(np.uint16) * 257), extractor(grey))


EXPECTED = {
    ("dinov2", 0): [[-1.777746, 0.933067, 0.510320, 1.170666], [-1.337262, 1.207876, -0.367489, 0.635362],
                    [-1.364879, 1.518592, -1.189626, 1.096671]],
    ("dinov2", 4): [[-1.681681, 0.986058, 0.446621, 1.194277], [-1.295880, 1.211828, -0.411830, 0.625798],
                    [-1.288927, 1.578833, -1.246280, 1.095481]],
    "inception": [[2.463771, 1.147399, 0.041743, 0.0], [2.802880, 1.700301, 0.027649, 0.0],
                  [2.827086, 1.908678, 0.056150, 0.0]],
}  # fmt: skip


def test_the_tiny_transformer_is_that_of_its_makers(tmp_path):
    for registers in (0, 4):
        path = written(tmp_path / f"{registers}.safetensors", tiny_dino(registers))
        rows = dinov2.read(path)(photos())
        np.testing.assert_allclose(rows[:, :4], EXPECTED["dinov2", registers], rtol=1e-4, atol=1e-5)
        other = written(tmp_path / f"h{registers}.safetensors", as_hugging_face(tiny_dino(registers)))
        np.testing.assert_array_equal(dinov2.read(other)(photos()), rows)


@pytest.mark.slow
def test_the_whole_inception_is_that_of_its_makers(tmp_path):
    with torch.device("meta"):
        shapes = shapes_of(inception.Inception())
    assert len([name for name in shapes if name.endswith("conv.weight")]) == 94
    assert sum(np.prod(shape) for name, shape in shapes.items() if name.endswith("conv.weight")) == 21_751_136
    values = filled({**shapes, "fc.weight": (8, 2048), "fc.bias": (8,)})
    rows = inception.read(written(tmp_path / "a.safetensors", values))(photos())
    np.testing.assert_allclose(rows[:, :4], EXPECTED["inception"], rtol=1e-4, atol=1e-5)


def test_images_are_enlarged_as_tensorflow_1_did():
    image = photos(8, 1)
    slow = np.zeros((1, 3, 299, 299))
    for row in range(299):
        for column in range(0, 299, 37):
            y, x = row * 8 / 299, column * 8 / 299
            top, left = int(y), int(x)
            bottom, right = min(top + 1, 7), min(left + 1, 7)
            a, b = y - top, x - left
            pixel = image[0].astype(float)
            value = (pixel[top, left] * (1 - b) + pixel[top, right] * b) * (1 - a)
            value += (pixel[bottom, left] * (1 - b) + pixel[bottom, right] * b) * a
            slow[0, :, row, column] = (value - 128) / 128
    found = inception.enter(image).numpy()
    np.testing.assert_allclose(found[..., ::37], slow[..., ::37], atol=1e-5)


def spoilt_shape(values, key):
    values[key] = np.zeros((*values[key].shape[:-1], values[key].shape[-1] + 1), np.float32)


def gone(values, key):
    del values[key]


def extra(values, key):
    values[f"{key}.more"] = np.zeros(3, np.float32)


KEYS = {"inception": ("Mixed_6b.branch1x1.bn.bias", "Conv2d_1a_3x3.conv.weight"), "dinov2": ("norm.bias", "pos_embed")}


@pytest.mark.parametrize("name", NETWORKS.names())
@pytest.mark.parametrize("change", [spoilt_shape, gone, extra])
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(name, change, which, tmp_path):
    values = TINY[name]()
    change(values, KEYS[name][which])
    with pytest.raises(ModelFileError, match="this is not") as caught:
        NETWORKS.get(name)(written(tmp_path / "a.safetensors", values))
    assert "\n" not in str(caught.value) and "a.safetensors" in str(caught.value)


@pytest.mark.parametrize("name", NETWORKS.names())
def test_pickles_are_never_opened_and_how_to_convert_them_is_said(name, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(ModelFileError, match=r"not opened here.*safetensors"):
        NETWORKS.get(name)(path)
    path.write_bytes(b"\x80\x02}q\x00." + bytes(200))
    with pytest.raises(ModelFileError, match=r"not opened here.*safetensors"):
        NETWORKS.get(name)(path)
    with pytest.raises(ModelFileError, match="no such file"):
        NETWORKS.get(name)(tmp_path / "nothing.safetensors")


def test_a_file_that_claims_to_be_huge_costs_nothing(tmp_path):
    values = tiny_dino()
    for block in range(2, 60):  # blocks of which only a crumb is there
        values[f"blocks.{block}.norm1.bias"] = np.zeros(64, np.float32)
    with pytest.raises(ModelFileError, match="it lacks"):
        dinov2.read(written(tmp_path / "a.safetensors", values))


def test_the_space_of_such_a_network_is_left_as_it_is():
    rows = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    space = Space.whole(rows)
    np.testing.assert_array_equal(space(rows), rows)
    assert space.is_whole and space.width == 7 and not Space.fit(rows).is_whole
    assert space.digest != Space.fit(rows).digest
