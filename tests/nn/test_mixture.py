"""The fitted distribution gives back what is known about the data it was fitted to."""

import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError
from maquette.core.noise import Noise
from maquette.nn.mixture import Mixture

KIND = ConditionSpec(name="kind", kind="label", classes=("a", "b", "c"))
SIDE = ConditionSpec(name="side", kind="label", classes=("left", "right"))
SHAPE = (2, 3, 4)


def normal(count, seed=0, shape=SHAPE):
    """Standard normal latents."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def rows(kind, count):
    """A condition of one label for all rows."""
    return {"kind": torch.full((count,), kind)}


def covariance(latents):
    return torch.cov(latents.flatten(1).T)


def test_one_normal_distribution_is_recovered():
    mixing = torch.randn(24, 24, generator=torch.Generator().manual_seed(1)) / 5
    latents = (normal(4000).flatten(1) @ mixing + 3).unflatten(1, SHAPE)
    mixture = Mixture(SHAPE, (), 1)
    mixture.fit(latents, {})
    drawn = mixture.draw(Noise(range(4000)), {})
    assert drawn.shape == latents.shape
    assert torch.allclose(drawn.mean(dim=0), latents.mean(dim=0), atol=0.1)
    assert (covariance(drawn) - covariance(latents)).norm() < 0.15 * covariance(latents).norm()
    still = mixture.draw(Noise([1, 2]), {}, temperature=0.0)
    assert torch.equal(still[0], still[1])


def test_groups_are_found_without_labels():
    centres = torch.tensor([-4.0, 0.0, 5.0])
    member = torch.arange(300) % 3
    latents = 0.1 * normal(300) + centres[member][:, None, None, None]
    mixture = Mixture(SHAPE, (), 3)
    mixture.fit(latents, {})
    drawn = mixture.draw(Noise(range(300)), {}).mean(dim=(1, 2, 3))
    nearest = (drawn[:, None] - centres).abs()
    assert nearest.min(dim=1).values.max() < 0.3
    assert torch.bincount(nearest.argmin(dim=1), minlength=3).min() > 70


def test_labels_are_honoured_and_what_is_not_given_is_drawn():
    kind = torch.arange(600) % 3
    kind[::10] = 3  # unknown
    latents = 0.1 * normal(600) + kind[:, None, None, None].float()
    mixture = Mixture(SHAPE, (KIND,), 6)
    mixture.fit(latents, {"kind": kind})
    for label in range(3):
        drawn = mixture.draw(Noise(range(50)), rows(label, 50))
        assert abs(float(drawn.mean()) - label) < 0.05
    anything = mixture.draw(Noise(range(300)), rows(3, 300)).mean(dim=(1, 2, 3)).round()
    assert {int(value) for value in anything.unique()} == {0, 1, 2}


def test_labels_that_never_came_together_add_up():
    # kind moves the first channel, side the second; c was never seen on the right.
    kind, side = torch.arange(600) % 3, torch.arange(600) // 3 % 2
    seen = ~((kind == 2) & (side == 1))
    latents = 0.05 * normal(600)
    latents[:, 0] += 4.0 * kind[:, None, None]
    latents[:, 1] += 4.0 * side[:, None, None]
    mixture = Mixture(SHAPE, (KIND, SIDE), 4)
    mixture.fit(latents[seen], {"kind": kind[seen], "side": side[seen]})
    drawn = mixture.draw(Noise(range(50)), {"kind": torch.full((50,), 2), "side": torch.full((50,), 1)})
    seen_drawn = mixture.draw(Noise(range(50)), {"kind": torch.full((50,), 2), "side": torch.full((50,), 0)})
    assert abs(float(seen_drawn[:, 0].mean()) - 8) < 0.2
    assert float(drawn[:, 0].mean()) > 5  # nearer to c than to a or b
    assert float(drawn[:, 1].mean()) > 2  # nearer to right than to left


def test_a_row_depends_on_its_seed_and_label_alone():
    mixture = Mixture(SHAPE, (KIND,), 6)
    mixture.fit(normal(200), {"kind": torch.arange(200) % 3})
    together = mixture.draw(Noise([5, 6, 7]), {"kind": torch.tensor([0, 1, 3])})
    assert torch.equal(mixture.draw(Noise([7, 5]), {"kind": torch.tensor([3, 0])}), together[[2, 0]])


@pytest.mark.parametrize("tile", ["x", "y", "xy"])
def test_along_an_axis_that_tiles_nothing_tells_the_edge(tile):
    shape = (2, 8, 8)
    # Smooth along both axes, not closed at the edges, and with a slope that tells where each pixel is.
    smooth = torch.nn.functional.avg_pool2d(normal(2000, shape=(2, 12, 12)), 5, stride=1) * 5
    latents = smooth + torch.linspace(-1, 1, 8) + torch.linspace(-1, 1, 8)[:, None]
    mixture = Mixture(shape, (), 1, tile)
    mixture.fit(latents, {})
    drawn = mixture.draw(Noise(range(2000)), {})
    for axis, name in ((3, "x"), (2, "y")):
        steps = (drawn - drawn.roll(1, axis)).square().mean(dim=[d for d in range(4) if d != axis])
        means = drawn.mean(dim=[d for d in range(4) if d != axis])
        if name in tile:
            assert steps.max() < 1.15 * steps.min()  # the step over the edge is like every other
            assert means.max() - means.min() < 0.2
        else:
            assert steps[0] > 3 * steps[1:].max()
            assert means.max() - means.min() > 1.5


def test_the_same_latents_give_the_same_distribution():
    one, other = Mixture(SHAPE, (), 8), Mixture(SHAPE, (), 8)
    one.fit(normal(300), {})
    other.fit(normal(300), {})
    assert all(torch.equal(one.state_dict()[key], other.state_dict()[key]) for key in one.state_dict())


@pytest.mark.parametrize("count", [1, 2, 11, 13])
def test_few_images_give_a_distribution_too(count):
    for mixture, condition in ((Mixture(SHAPE, (), 64), {}), (Mixture(SHAPE, (KIND,), 64), rows(1, count))):
        mixture.fit(normal(count), condition)
        drawn = mixture.draw(Noise(range(9)), {"kind": torch.arange(9) % 4})
        assert drawn.isfinite().all()
        assert drawn.abs().max() < 20
        assert float(mixture.weights.sum()) == pytest.approx(1.0)


def test_unlabelled_images_alone_leave_every_label_possible():
    mixture = Mixture(SHAPE, (KIND,), 3)
    mixture.fit(normal(50) + 7, rows(3, 50))
    assert abs(float(mixture.draw(Noise(range(50)), rows(0, 50)).mean()) - 7) < 0.5


def test_far_too_many_latents_are_refused():
    with pytest.raises(DataError, match="latents"):
        Mixture((4, 8, 1024), (), 1)
