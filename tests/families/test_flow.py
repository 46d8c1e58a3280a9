"""The way from noise to image, checked against distributions whose best denoiser is known."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from maquette.core.condition import ConditionSpec
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.families.family import latent
from maquette.families.flow import NEAREST, Dials, Flow, Settings

GREY = DataSpec(height=8, width=8, mode="grey")
LABELLED = dataclasses.replace(GREY, conditions=(ConditionSpec(name="kind", kind="label", classes=("a", "b")),))
MEAN, SCALE = 0.3, 0.2


class Known(nn.Module):
    """The best denoiser of pixels that are normal with known mean and scale: linear in the mixed image."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.leave, self.wish = inner.leave, inner.wish

    def forward(self, mixed, time, condition):
        at = time[:, None, None, None]
        gain = at * SCALE**2 / ((1 - at) ** 2 + (at * SCALE) ** 2)
        return MEAN + gain * (mixed - at * MEAN)


class Leaning(Known):
    """Says -0.2 where nothing was asked for, and 0.1 or 0.2 for the two labels."""

    def forward(self, mixed, time, condition):
        return torch.tensor([0.1, 0.2, -0.2])[condition["kind"]][:, None, None, None].expand_as(mixed)


def known_flow(spec=GREY, kind=Known) -> Flow:
    """A flow with a denoiser of which everything is known."""
    flow = Flow(Settings(width=8, embedding=8), spec).eval()
    flow.denoiser = kind(flow.denoiser)
    return flow.requires_grad_(False)


def last(flow, seeds, condition=None, **dials):
    *_, images = flow.sample(Noise(seeds), condition or {}, Dials(**dials))
    return images


def test_sampling_gives_the_distribution_of_the_data():
    images = last(known_flow(), range(200), steps=64)
    assert abs(float(images.mean()) - MEAN) < 0.01
    assert abs(float(images.std()) - SCALE) < 0.01


def test_more_steps_are_finer_and_the_method_is_of_second_order():
    flow = known_flow()
    exact = MEAN + SCALE * latent(Noise(range(8)), "flow", 1, 8, 8, like=flow.denoiser.leave.weight)
    errors = [float((last(flow, range(8), steps=steps) - exact).square().mean().sqrt()) for steps in (8, 16, 32)]
    assert errors[0] < 0.2 * SCALE
    assert errors[1] < errors[0] / 2.5
    assert errors[2] < errors[1] / 2.5


def test_every_step_yields_a_guess_and_the_last_is_the_result():
    flow = known_flow()
    for steps in (1, 5):
        guesses = list(flow.sample(Noise([3]), {}, Dials(steps=steps)))
        assert len(guesses) == steps
        assert torch.equal(guesses[-1], last(flow, [3], steps=steps))


def test_temperature_zero_gives_one_image():
    images = last(known_flow(), [1, 2], temperature=0.0)
    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize(("guidance", "expected"), [(0.0, -0.2), (1.0, 0.2), (2.0, 0.6)])
def test_guidance_goes_from_what_was_not_asked_to_what_was(guidance, expected):
    images = last(known_flow(LABELLED, Leaning), [5], {"kind": torch.tensor([1])}, guidance=guidance)
    assert torch.allclose(images, torch.full_like(images, expected), atol=1e-5)


def test_guidance_without_a_condition_is_an_error():
    with pytest.raises(UsageError, match="guidance"):
        last(known_flow(), [5], guidance=2.0)


@pytest.mark.parametrize("patch", [3, 5, 6, 7])
def test_patches_that_do_not_fill_an_image_are_refused(patch):
    with pytest.raises(UsageError, match="patches"):
        Flow(Settings(patch=patch), GREY)


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_every_other_patch_fills_every_image(patch):
    flow = Flow(Settings(patch=patch, width=8, embedding=8), dataclasses.replace(GREY, width=24))
    assert last(flow, [1, 2], steps=2).shape == (2, 1, 8, 24)


def test_the_loss_is_the_error_of_the_velocity_where_it_counts():
    flow = Flow(Settings(width=8, embedding=8), dataclasses.replace(GREY, tile="x"))  # a new one guesses zero
    images = torch.rand(64, 1, 8, 8) + 0.5

    def loss(images):
        return float(flow.loss(Batch(images, {}, torch.Generator().manual_seed(4)), "fit").total.detach())

    generator = torch.Generator().manual_seed(4)
    torch.randn(images.shape, generator=generator)
    time = torch.sigmoid(-0.8 + 0.8 * torch.randn(64, generator=generator))
    error = images / (1 - time).clamp_min(NEAREST)[:, None, None, None]
    assert loss(images) == pytest.approx(float(error[..., 1:-1].square().mean()), rel=1e-4)
    seam = images.clone()
    seam[..., 0], seam[..., -1] = -1, 1
    assert loss(seam) == loss(images)


@pytest.mark.parametrize(("kind", "tile", "moved"), [("text", "", True), ("text", "x", False), ("label", "", False)])
def test_words_can_say_where(kind, tile, moved):
    """What is said of the top left of the coarsest grid changes the top left of the image most."""
    classes = ("a", "b") if kind == "label" else ()
    asked = ConditionSpec(name="it", kind=kind, classes=classes, length=4 if kind == "text" else 0)
    spec = dataclasses.replace(GREY, height=32, width=32, tile=tile, conditions=(asked,))
    torch.manual_seed(0)
    family = Flow(Settings(width=8, depth=1, levels=2), spec)
    assert (family.denoiser.places is not None) == moved
    if not moved:
        return
    nn.init.normal_(family.denoiser.leave.weight, std=0.1)
    given = torch.zeros(1, 1, 32, 32), torch.full((1,), 0.5), {"it": torch.tensor([[97, 98, 99, 100]])}
    with torch.no_grad():
        before = family.denoiser(*given)
        family.denoiser.places.bias.unflatten(0, family.denoiser.coarse)[:, 0, 0] = 5.0
        change = (family.denoiser(*given) - before)[0, 0].abs()
    assert change[:8, :8].mean() > 3 * change[-8:, -8:].mean()
