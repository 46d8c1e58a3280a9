"""What the critic sees: changed images that still tell what the unchanged ones are."""

from __future__ import annotations

import pytest
import torch

from maquette.core.image import MODES
from maquette.core.spec import TILES, DataSpec
from maquette.nn.augment import MOST, Augmentation, rolled
from maquette.nn.pixels import premultiply


def images(count=16, mode="rgb", height=16, width=24, dtype=torch.float32):
    """Random images as a model sees them."""
    spec = DataSpec(height=height, width=width, mode=mode)
    drawn = torch.rand(count, *spec.shape, generator=torch.Generator().manual_seed(3), dtype=dtype) * 2 - 1
    return premultiply(drawn) if mode == "rgba" else drawn


def changed(pictures, strength, mode="rgb", seed=0):
    """These images as the critic sees them."""
    part = Augmentation(DataSpec(height=pictures.shape[2], width=pictures.shape[3], mode=mode))
    part.strength.fill_(strength)
    return part(pictures, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mode", MODES)
def test_without_strength_nothing_is_changed(mode):
    pictures = images(mode=mode)
    torch.testing.assert_close(changed(pictures, 0.0, mode), pictures, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_some_images_are_changed_and_some_stay(mode):
    pictures = images(400, mode)
    seen = changed(pictures, 0.5, mode)
    same = float((seen - pictures).abs().amax(dim=(1, 2, 3)).lt(1e-5).float().mean())
    assert 0.06 < same < 0.2  # three changes, each left out half of the time: an eighth, and a little by chance
    assert seen.isfinite().all()


def test_random_numbers_come_from_the_generator_alone():
    pictures = images()
    torch.manual_seed(1)
    first = changed(pictures, 0.8, seed=4)
    torch.manual_seed(2)
    assert torch.equal(changed(pictures, 0.8, seed=4), first)
    assert not torch.equal(changed(pictures, 0.8, seed=5), first)


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grey"])
def test_gradients_are_those_of_what_is_seen(mode):
    pictures = images(3, mode, 8, 8, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: changed(x, 0.8, mode, seed=8), (pictures,))


def test_transparent_places_get_no_colour():
    empty = torch.full((200, 4, 16, 16), -1.0)
    seen = changed(empty, 0.8, "rgba")
    nothing, hidden = seen.eq(-1).all(dim=1), seen.eq(0).all(dim=1)
    assert (nothing | hidden).all()
    assert nothing.any() and hidden.any()


def test_what_is_seen_tells_what_was_there():
    """A generator that only has to look right once changed has to look right unchanged: the image is found again."""
    real = torch.full((1, 1, 8, 8), -0.6)
    real[..., 1:4, 2:7] = 0.7
    guess = torch.zeros_like(real, requires_grad=True)
    optimizer = torch.optim.Adam([guess], 0.05)
    for step in range(250):
        seen = [changed(x.expand(128, -1, -1, -1), MOST, "grey", seed=step).mean(dim=0) for x in (real, guess)]
        optimizer.zero_grad()
        (seen[0] - seen[1]).square().sum().backward()
        optimizer.step()
    assert float((guess.detach() - real).abs().max()) < 0.05


def test_strength_follows_how_sure_the_critic_is():
    part = Augmentation(DataSpec(height=8, width=8))
    limits = {"target": 0.6, "least": 0.1, "most": 1.0, "pace": 10_000}
    for _ in range(30):
        part.adapt(0.95, 1_000, **limits)
    assert float(part.strength) == pytest.approx(MOST)
    part.adapt(0.0, 1_000, **limits)
    assert float(part.strength) == pytest.approx(MOST - 0.1)
    for _ in range(30):
        part.adapt(0.2, 1_000, **limits)
    assert float(part.strength) == pytest.approx(0.1)


def test_its_state_goes_through_a_checkpoint():
    first, second = (Augmentation(DataSpec(height=8, width=8)) for _ in range(2))
    limits = {"target": 0.02, "least": 0.0, "most": 0.8, "pace": 700}
    for sure in (0.9, 0.95, -0.2):
        first.adapt(sure, 32, **limits)
    second.load_state_dict(first.state_dict())
    for part in (first, second):
        part.adapt(0.55, 32, **limits)
    assert first.state_dict() == second.state_dict()
    assert float(first.strength) > 0


@pytest.mark.parametrize("tile", TILES)
def test_images_that_tile_are_rolled_along_their_axes_alone(tile):
    pictures = images(64)
    seen = rolled(pictures, tile, torch.Generator().manual_seed(0))
    rolls = [
        {
            (down, across)
            for down in range(16)
            for across in range(24)
            if torch.equal(picture.roll((down, across), (1, 2)), moved)
        }
        for picture, moved in zip(pictures, seen, strict=True)
    ]
    assert all(len(found) == 1 for found in rolls)
    downs, acrosses = ({found[axis] for (found,) in map(tuple, rolls)} for axis in (0, 1))
    assert (len(downs) > 8) == ("y" in tile) and (len(acrosses) > 8) == ("x" in tile)
    assert "y" in tile or downs == {0}
    assert "x" in tile or acrosses == {0}


def test_rolling_lets_gradients_through():
    pictures = images(3, "grey", 8, 8, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rolled(x, "xy", torch.Generator().manual_seed(0)), (pictures,))
