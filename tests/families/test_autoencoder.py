"""Images come back, latents have the grid that was asked for, and labels reach the images that are made."""

from __future__ import annotations

import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.families.autoencoder import Autoencoder, Dials, Settings, _edges

KIND = ConditionSpec(name="kind", kind="label", classes=("dark", "light"))
SPEC = DataSpec(height=16, width=16, mode="grey", conditions=(KIND,))


def waves(count):
    """Smooth waves of random phase, dark or light by label."""
    generator = torch.Generator().manual_seed(0)
    phase = 6.3 * torch.rand(count, 1, 1, 1, generator=generator)
    kind = torch.arange(count) % 2
    x = torch.linspace(0, 6.3, 16)
    images = 0.3 * torch.sin(x + phase) + 0.3 * torch.cos(x[:, None] - phase) + (0.8 * kind - 0.4)[:, None, None, None]
    return images, {"kind": kind}


@pytest.fixture(scope="module", params=[1000, 0], ids=["tokens", "numbers"])
def trained(request) -> Autoencoder:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    family = Autoencoder(Settings(width=16, depth=1, components=4, codes=request.param, compression=2), SPEC)
    optimizer = torch.optim.Adam(family.parameters(), 2e-3)
    images, condition = waves(64)
    for step in range(150):
        rows = torch.randperm(64, generator=torch.Generator().manual_seed(step))[:32]
        batch = Batch(images[rows], {"kind": condition["kind"][rows]}, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        family.loss(batch, "fit").total.backward()
        optimizer.step()
    with torch.no_grad():
        family.settle([Batch(images[:32], {"kind": condition["kind"][:32]}, torch.Generator())] * 2)
    return family.eval().requires_grad_(False)


def test_images_come_back(trained):
    images, _ = waves(64)
    error = (trained.decode(trained.encode(images)) - images).square().mean()
    assert error < 0.03 * images.var()


def test_tokens_are_whole_numbers_and_say_all_there_is(trained):
    images, _ = waves(8)
    if trained.quantizer is None:
        assert trained.levels == ()
        with pytest.raises(UsageError, match="no tokens"):
            trained.to_tokens(images)
        return
    tokens = trained.to_tokens(images)
    assert tokens.shape == (8, *trained.grid) and tokens.dtype == torch.int64
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 1000 and len(tokens.unique()) > 20
    back = trained.from_tokens(tokens)
    assert torch.allclose(back, trained.decode(trained.encode(images)).clamp(-1, 1), atol=1e-5)


def test_what_is_unlike_the_training_images_is_less_probable(trained):
    images, condition = waves(64)
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(64, 1, 16, 16, generator=generator) * 2 - 1
    usual, odd = (trained.log_prob(some, condition) for some in (images, noise))
    assert usual.shape == (64,)
    assert odd.max() < usual.min()
    flat = torch.zeros(8, 1, 16, 16)
    assert trained.log_prob(flat, condition).max() < usual.quantile(0.05)  # too plain is odd as well


def test_images_of_other_sizes_come_back_too(trained):
    images, _ = waves(2)
    large = torch.cat([images, images.flip(3)], dim=3)[:, :, :, :27]
    back = trained.predict(large)
    assert back.shape == large.shape
    assert (back - large).square().mean() < 0.1 * large.var()


def test_images_that_are_made_follow_the_label_and_differ(trained):
    asked = torch.arange(64) % 2
    *_, made = trained.sample(Noise(range(64)), {"kind": asked}, Dials())
    light = made.mean(dim=(1, 2, 3)) > 0
    assert (light == (asked == 1)).float().mean() >= 0.95
    assert made[::2].std(dim=0).mean() > 0.1
    *_, still = trained.sample(Noise(range(8)), {"kind": asked[:8]}, Dials(temperature=0.0))
    assert len({tuple(image.flatten().tolist()) for image in still}) <= 4  # one image for each normal distribution


def test_settling_on_nothing_changes_nothing():
    family = Autoencoder(Settings(width=8, depth=1), SPEC)
    before = {name: value.clone() for name, value in family.mixture.state_dict().items()}
    family.settle([])
    assert all(torch.equal(value, before[name]) for name, value in family.mixture.state_dict().items())


@pytest.mark.parametrize(
    ("height", "width", "asked", "grid"),
    [
        (8, 8, 4, (4, 4)), (16, 16, 4, (4, 4)), (32, 32, 4, (8, 8)), (32, 32, 8, (4, 4)), (32, 32, 16, (4, 4)),
        (64, 64, 4, (16, 16)), (24, 40, 16, (6, 10)), (128, 128, 16, (8, 8)),
    ],
)  # fmt: skip
def test_the_grid_of_latents(height, width, asked, grid):
    spec = DataSpec(height=height, width=width)
    family = Autoencoder(Settings(width=8, depth=1, compression=asked), spec)
    images = torch.zeros(2, *spec.shape)
    latents = family.encode(images)
    assert latents.shape == (2, 4, *grid)
    assert family.grid == grid
    assert family.decode(latents).shape == images.shape


def test_a_compression_that_is_none_is_refused_in_words():
    with pytest.raises(UsageError, match="4, 8 or 16"):
        Autoencoder(Settings(compression=6), SPEC)


def test_the_critic_joins_in_later():
    family = Autoencoder(Settings(width=8, depth=1, critic_from=0.5), SPEC)
    images, condition = waves(4)
    found = [
        family.loss(Batch(images, condition, torch.Generator().manual_seed(0), progress), "fit").statistics
        for progress in (0.2, 0.7)
    ]
    assert "features" not in found[0] and "features" in found[1]
    assert not family.phases[1].due(0, 0.2) and family.phases[1].due(0, 0.7)
    alone = Autoencoder(Settings(width=8, depth=1, features=0, real=0), SPEC)
    assert [phase.name for phase in alone.phases] == ["fit"]


def test_images_far_longer_than_wide_are_refused_in_words():
    with pytest.raises(DataError, match="latents"):
        Autoencoder(Settings(), DataSpec(height=8, width=4096))


def test_edges_see_differences_and_not_levels():
    error = torch.zeros(1, 1, 8, 8)
    assert _edges(error + 3) == 0
    error[..., 4:] = 1.0
    assert _edges(error) == pytest.approx(1 / 7 + 1 / 3 + 1, rel=1e-5)


@pytest.mark.parametrize("mode", ["rgb", "rgba"])
def test_an_untrained_model_already_brings_back_what_colour_things_have(mode):
    """Left to itself, training took minutes to find that red is not orange and green is not brown."""
    torch.manual_seed(0)
    colours = (
        torch.tensor([[1, 0, 0], [0, 0.6, 0], [0, 0, 1], [1, 0.6, 0], [1, 0.5, 0.8], [0, 0, 0], [1, 1, 1]]) * 1.6 - 0.8
    )
    spec = DataSpec(height=16, width=16, mode=mode)
    family = Autoencoder(Settings(width=16, depth=1, components=4), spec).eval()
    images = colours[:, :, None, None].expand(-1, -1, 16, 16)
    images = torch.cat([images, torch.ones(len(colours), 1, 16, 16)], dim=1) if mode == "rgba" else images
    with torch.no_grad():
        back = family.from_tokens(family.to_tokens(images))[:, :3].mean(dim=(2, 3))
    assert torch.equal(torch.cdist(back, colours.float()).argmin(dim=1), torch.arange(len(colours)))
