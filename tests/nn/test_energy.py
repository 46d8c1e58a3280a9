"""The energy score is least for forecasts that are drawn from what comes, and says what it says in closed form."""

import math

import pytest
import torch

from maquette.nn.energy import WHOLE, energy_score

ALL = torch.ones(1, 1, 8, 8)


def score(mean, spread, patches=(1,), count=4000, came_spread=1.0):
    torch.manual_seed(0)
    came = came_spread * torch.randn(count, 1, 8, 8)
    one, other = (mean + spread * torch.randn(count, 1, 8, 8) for _ in range(2))
    return float(energy_score(one, other, came, ALL, patches))


def test_of_single_pixels_it_is_the_crps_of_a_normal_distribution():
    # Gneiting and Raftery (2007): the expected score of N(0, 1) by itself is 1 / sqrt(pi).
    assert score(0.0, 1.0) == pytest.approx(1 / math.sqrt(math.pi), rel=0.02)


@pytest.mark.parametrize("patches", [(1,), (8,), (1, 3), (4, WHOLE)])
def test_neither_a_blurred_mean_nor_too_much_variety_is_better_than_the_truth(patches):
    honest = score(0.0, 1.0, patches)
    for mean, spread in ((0.0, 0.0), (0.0, 0.5), (0.0, 1.5), (0.5, 1.0)):
        assert score(mean, spread, patches) > honest + 0.005


def test_large_squares_see_whether_pixels_fit_together():
    torch.manual_seed(0)
    came, one, other = (torch.randn(4000, 1, 1, 1).expand(-1, 1, 8, 8) for _ in range(3))
    loose = [torch.randn(4000, 1, 8, 8) for _ in range(2)]
    together = [float(energy_score(*pair, came, ALL, (WHOLE,))) for pair in ((one, other), loose)]
    single = [float(energy_score(*pair, came, ALL, (1,))) for pair in ((one, other), loose)]
    assert together[0] < 0.9 * together[1]
    assert single[0] == pytest.approx(single[1], rel=0.05)


@pytest.mark.parametrize("patches", [(1,), (4,), (WHOLE,)])
def test_what_does_not_count_changes_nothing_and_right_forecasts_cost_nothing(patches):
    torch.manual_seed(0)
    counted = ALL.clone()
    counted[..., :2] = 0
    came, one, other = (torch.randn(3, 2, 8, 8) for _ in range(3))
    before = energy_score(one, other, came, counted, patches)
    one[..., :2] += 5
    assert torch.equal(before, energy_score(one, other, came, counted, patches))
    right = came.clone().requires_grad_()
    loss = energy_score(right, right, came, counted, patches)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert right.grad.isfinite().all()
