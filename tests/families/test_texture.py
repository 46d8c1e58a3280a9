"""`texture`: any size from one photograph, seamless as asked, in pieces as in one, and materials laid by a picture."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from maquette.core.condition import ConditionSpec
from maquette.core.errors import MaquetteError, UsageError
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.engine import start as starting
from maquette.engine.load import build
from maquette.engine.probe import Choice
from maquette.families import texture
from maquette.families.texture import Dials, Settings
from maquette.operations import operation as table
from maquette.store.workspace import Workspace

MATERIALS = ConditionSpec(name="label", kind="label", classes=("brick", "grass", "sand"))
SMALL = Settings(width=8, judge=8, crop=32, batch=2, crops=2)


def make(conditions=(), config=SMALL, **form):
    """A family whose weights say something of everything: no layer begins at zero."""
    spec = DataSpec(**{"height": 64, "width": 64, "mode": "rgb", **form}, conditions=conditions)
    family = build("texture", config, spec, {}, 0)
    with torch.no_grad():
        for name, value in family.generator.named_parameters():
            if "steer" in name:
                value.normal_(std=0.5, generator=torch.Generator().manual_seed(3))
    batches = [
        Batch(torch.rand(2, *spec.shape) * 2 - 1, labels(spec, 2), torch.Generator().manual_seed(k)) for k in (0, 1)
    ]
    with torch.no_grad():
        family.settle(batches)
    return family.eval()


def labels(spec, count):
    return {c.name: torch.arange(count) % len(c.classes) for c in spec.conditions}


def sample(family, seeds=(5,), condition=None, **dials):
    with torch.inference_mode():
        (image,) = family.sample(Noise(seeds), condition or {}, Dials(**dials))
    return image


@pytest.mark.parametrize("size", [(64, 64), (8, 8), (136, 40), (24, 200)])
def test_it_makes_any_size(size):
    height, width = size
    image = sample(make(), height=height, width=width)
    assert image.shape == (1, 3, height, width)
    assert float(image.std()) > 0.001


@pytest.mark.parametrize("tile", ["none", "x", "y", "xy"])
def test_pieces_are_as_the_whole(tile, monkeypatch):
    family = make((MATERIALS,))
    condition = {
        "label": torch.tensor([1]),
        "blend": torch.linspace(-1, 1, 96)[None, None, :, None].expand(1, 1, 96, 160),
    }
    whole = sample(family, condition=condition, height=96, width=160, tile=tile)
    monkeypatch.setattr(texture, "WINDOW", 40)
    pieces = sample(family, condition=condition, height=96, width=160, tile=tile)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("tile", ["x", "y", "xy"])
def test_what_tiles_goes_on_over_the_edge_as_it_goes_on_elsewhere(tile, monkeypatch):
    """Noise that is turned round gives the image turned round: no place of a tiled axis is an edge."""
    family = make()
    image = sample(family, tile=tile)
    turned = {"y": 2 * ("y" in tile), "x": 1 * ("x" in tile)}
    plain = texture.latent

    def latent(noise, stream, *shape, like):
        scale = family.generator.step >> int(stream.split()[-1])
        by = [turned[axis] * family.generator.step // scale for axis in "yx"]
        return plain(noise, stream, *shape, like=like).roll(by, dims=(2, 3))

    monkeypatch.setattr(texture, "latent", latent)
    expected = image.roll([turned["y"] * 16, turned["x"] * 16], dims=(2, 3))
    torch.testing.assert_close(sample(family, tile=tile), expected, rtol=0, atol=1e-4)


def test_a_side_without_a_seam_is_made_of_whole_steps():
    family = make()
    with pytest.raises(UsageError, match="a width of 72 pixels cannot be made without a seam; choose a multiple of 16"):
        sample(family, width=72, tile="x")
    assert sample(family, width=72, tile="y").shape[3] == 72
    assert make(height=24, width=24, tile="xy").generator.step == 8  # what was asked for in training is always possible
    with pytest.raises(MaquetteError, match="a width of 500 pixels is not possible"):
        sample(family, width=500)


def test_a_picture_lays_the_materials():
    """Far from the border each half is exactly its own material; grey between two neighbours lies between them."""
    family = make((MATERIALS,))
    form = {"height": 64, "width": 384}
    pure = [sample(family, condition={"label": torch.tensor([k])}, **form) for k in range(3)]
    assert (pure[0] - pure[1]).abs().mean() > 0.005
    map_ = torch.full((1, 1, 64, 384), -1.0)
    map_[..., 192:] = 1.0
    laid = sample(family, condition={"label": torch.tensor([1]), "blend": map_}, **form)
    torch.testing.assert_close(laid[..., :96], pure[0][..., :96], rtol=0, atol=1e-5)
    torch.testing.assert_close(laid[..., 288:], pure[2][..., 288:], rtol=0, atol=1e-5)
    middle = sample(family, condition={"label": torch.tensor([0]), "blend": 0 * map_}, **form)
    torch.testing.assert_close(middle, pure[1], rtol=0, atol=1e-5)


def test_only_several_materials_can_be_laid():
    one = dataclasses.replace(MATERIALS, classes=("brick",))
    assert [c.name for c in make((MATERIALS,)).made(Dials()).conditions] == ["label", "blend"]
    assert [c.name for c in make((one,)).made(Dials()).conditions] == ["label"]
    assert make().made(Dials()).conditions == ()


def test_crops_come_from_everywhere_and_nowhere_else():
    family = make()
    ramp = torch.linspace(-1, 1, 64)[None, None, :, None].expand(2, 3, 64, 64)
    tops = {
        round((float(crop[0, 0, 0]) + 1) * 31.5)
        for seed in range(100)
        for crop in family._crops(Batch(ramp, {}, torch.Generator().manual_seed(seed)))
    }
    assert tops == set(range(33))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two photographs of two materials, and a model of each kind: of one photograph, and of both."""
    home = tmp_path_factory.mktemp("home")
    randoms = np.random.default_rng(0)
    for name, values in (("dark", (0, 90)), ("light", (160, 255))):
        (home / "photos" / name).mkdir(parents=True)
        Pillow.fromarray(randoms.integers(*values, (64, 96), dtype=np.uint8)).save(home / "photos" / name / "a.png")
    space = Workspace(home / "space")
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        for name, source in (("one", home / "photos" / "dark" / "a.png"), ("two", home / "photos")):
            result("ingest", space, source=[str(source)], to=name, size=64)
            words = ["batch=4", "crops=1", "crop=32", "width=8", "judge=8", "rate=0.002"]
            result("train", space, dataset=name, to=name, family="texture", images=240, scale="nano", set=words)
    finally:
        starting.remembered = before
    return space


def result(verb, workspace, **values):
    return list(table.run(verb, workspace, values))[-1]


def test_one_photograph_is_enough(workspace, tmp_path):
    made = result(
        "sample", workspace, run="one", count=1, to=str(tmp_path / "out"), dials={"width": "160", "height": "32"}
    )
    assert made.value[0].shape == (32, 160, 1)


def test_what_is_made_has_no_grid(workspace, tmp_path):
    """The step from one line of pixels to the next is as large at every place of the network's coarsest cells."""
    dials = {"width": "512", "height": "512", "tile": "xy"}
    made = result("sample", workspace, run="one", count=4, seed=1, to=str(tmp_path / "out"), dials=dials)
    images = np.stack(made.value).astype(np.float64)
    for axis in (1, 2):
        steps = np.abs(images - np.roll(images, 1, axis)).mean(axis=tuple({0, 1, 2, 3} - {axis}))
        places = steps.reshape(-1, 16).mean(axis=0)
        assert places.std() < 0.13 * places.mean()


def test_a_painted_map_is_asked_for_by_a_file_and_replayed(workspace, tmp_path):
    map_ = np.zeros((64, 128), np.uint8)
    map_[:, 64:] = 255
    Pillow.fromarray(map_).save(tmp_path / "map.png")
    given = {"run": "two", "count": 1, "dials": {"width": "128", "tile": "y"}, "to": str(tmp_path / "out")}
    made = result("sample", workspace, image=[str(tmp_path / "map.png")], **given)
    picture = np.asarray(made.value[0], np.float64)
    assert picture[:, :40].mean() + 30 < picture[:, -40:].mean()
    again = result(
        "replay", workspace, image=made.facts["images"][0], model="two", given=[f"blend={tmp_path / 'map.png'}"]
    )
    assert again.facts["same"]
    without = result(
        "replay",
        workspace,
        image=result("sample", workspace, **{**given, "to": str(tmp_path / "b")}).facts["images"][0],
        model="two",
    )
    assert without.facts["same"]


def test_a_map_for_one_material_is_refused(workspace, tmp_path):
    Pillow.new("L", (64, 64)).save(tmp_path / "map.png")
    with pytest.raises(MaquetteError, match="this model cannot be given an image"):
        result("sample", workspace, run="one", count=1, image=[str(tmp_path / "map.png")], to=str(tmp_path / "out"))
