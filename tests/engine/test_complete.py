"""Completing images: what is given stays, what is made fits beside it, in every family that can."""

import numpy as np
import pytest
import torch
from hypothesis import given as tried
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.core.spec import DataSpec
from maquette.engine.latent.complete import completed, extended, seamless
from maquette.engine.load import build
from maquette.families import REGISTRY, gan
from maquette.families.family import Completes

SPEC = DataSpec(height=16, width=16)
NAMES = [name for name in REGISTRY.names() if issubclass(REGISTRY.get(name), Completes)]


def model(name):
    kind = REGISTRY.get(name)
    parts = {
        part: build(need.default, REGISTRY.get(need.default).variant("nano", SPEC), SPEC, {}, 0)
        for part, need in kind.needs.items()
    }
    family = build(name, kind.variant("nano", SPEC), SPEC, parts, 3)
    family.together = 4
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in family.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=generator))
    return family.eval().requires_grad_(False)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(gan, "SEARCH", 8)


def image(seed=0):
    return np.random.default_rng(seed).integers(60, 200, (16, 16, 3)).astype(np.uint8)


def half():
    kept = np.zeros((16, 16), bool)
    kept[:, :8] = True
    return kept


def test_the_families_that_complete():
    assert {"gan", "flow", "recurrent"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_stays_and_seeds_differ(name, quick):
    family, kept = model(name), half()
    made = np.stack(list(completed(family, image(), kept, range(5), {}, family.Options())))
    assert made.shape == (5, 16, 16, 3) and (made[:, kept] == image()[kept]).all()
    assert len({one[~kept].tobytes() for one in made}) == 5
    (alone,) = completed(family, image(), kept, [4], {}, family.Options())
    np.testing.assert_array_equal(alone, made[4])
    others = np.stack([image(seed) for seed in range(5)])
    each = np.stack(list(completed(family, others, kept, range(5), {}, family.Options())))
    np.testing.assert_array_equal(each[0], made[0])
    assert (each[:, kept] == others[:, kept]).all()


def test_searching_finds_what_is_given(monkeypatch):
    monkeypatch.setattr(gan, "NEARBY", 0.0)
    family = model("gan")
    target = torch.tanh(torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    mask = torch.ones(4, 1, 16, 16)
    mask[..., 8:] = 0
    from maquette.core.noise import Noise

    few, many = (_last(family, target, mask, Noise(range(4)), steps, monkeypatch) for steps in (4, 60))
    assert ((many - target) * mask).square().mean() < 0.93 * ((few - target) * mask).square().mean()


def _last(family, target, mask, noise, steps, monkeypatch):
    monkeypatch.setattr(gan, "SEARCH", steps)
    *_, made = family.complete(target, mask, noise, {}, family.Options())
    return made


@tried(st.integers(-60, 60), st.floats(1, 8))
def test_a_seam_of_one_shade_disappears(shade, reach):
    whole = np.full((16, 16, 1), 120, np.uint8)
    made = np.full((16, 16, 1), 120 + shade, np.uint8)
    blended = seamless(made, whole, half(), reach).astype(int)
    assert abs(blended[8, 8, 0] - 120) <= abs(shade) * (1 - np.exp(-1.4 / reach)) + 1
    assert abs(blended[8, 15, 0] - 120) >= abs(blended[8, 8, 0] - 120)  # far away it stays as it was made
    np.testing.assert_array_equal(seamless(whole, whole, half(), reach), whole)


def test_masks_of_all_or_nothing_blend_nothing():
    for kept in (np.ones((16, 16), bool), np.zeros((16, 16), bool)):
        np.testing.assert_array_equal(seamless(image(1), image(2), kept, 3.0), image(1))


@pytest.mark.parametrize(
    "more", [{"right": 5}, {"left": 16, "top": 8}, {"top": 3, "bottom": 20, "left": 1, "right": 9}], ids=str
)
def test_an_image_goes_on_beyond_its_sides(more):
    family = model("recurrent")
    *steps, made = extended(family, image(), more, [1, 2], {}, family.Options())
    top, left = more.get("top", 0), more.get("left", 0)
    shape = (16 + top + more.get("bottom", 0), 16 + left + more.get("right", 0))
    assert made.shape == (2, *shape, 3) and steps[-1][0] == steps[-1][1]
    assert (made[:, top : top + 16, left : left + 16] == image()).all()
    assert not np.array_equal(made[0], made[1]) and (made.max(axis=(0, 3)) > 0).all()


def test_too_large_an_extension_is_refused():
    with pytest.raises(UsageError, match="too large"):
        list(extended(model("recurrent"), image(), {"right": 9000}, [1], {}, None))
