"""Images of any size go through a network made for one: whole where they fit, else blended without a trace."""

from __future__ import annotations

import pytest
import torch

from maquette.core.spec import DataSpec
from maquette.nn.typical import Typical
from maquette.nn.views import spoiled
from maquette.nn.windows import by_windows

SPEC = DataSpec(height=16, width=24)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (5, 7), (16, 25), (50, 24), (61, 83), (1, 100)])
def test_what_a_network_does_everywhere_is_done_everywhere(height, width):
    seen = []

    def work(some):
        seen.append(some.shape[2:])
        return 0.5 * some + 0.1

    images = torch.rand(2, 3, height, width)
    assert torch.allclose(by_windows(work, images, SPEC), 0.5 * images + 0.1, atol=1e-6)
    assert set(seen) == {(16, 24)}


def test_a_spoiled_share_is_spoiled_and_the_rest_is_as_it_was():
    images = torch.rand(400, 3, 16, 16) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    found = spoiled(images, generator, share=0.5)
    changed = (found != images).flatten(1).any(dim=1)
    assert 0.4 < changed.float().mean() < 0.6
    assert torch.equal(found, spoiled(images, torch.Generator().manual_seed(0), share=0.5))
    assert torch.equal(spoiled(images, generator, share=0), images)
    assert found.abs().max() <= 1
    holes = (found == 0).all(dim=1).flatten(1).float().mean(dim=1)
    assert 0.1 < (holes > 0.01).float().mean() < 0.25  # a third of those that are spoiled


def test_a_fitted_distribution_knows_what_is_far():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(5, 5, generator=generator)
    rows = torch.randn(4000, 5, generator=generator) @ mixing + 3
    typical = Typical([5])
    typical.fit(rows)
    exact = torch.distributions.MultivariateNormal(torch.full((5,), 3.0), mixing.T @ mixing)
    found, right = typical.usual(rows[:500]), exact.log_prob(rows[:500])
    assert torch.corrcoef(torch.stack([found, right]))[0, 1] > 0.97
    assert typical.usual(rows[:100]).min() > typical.usual(rows[:100] + 40).max()
    assert abs(float(typical.usual(rows).mean())) < 0.1 and 0.9 < float(typical.usual(rows).std()) < 1.1


def test_what_is_odd_in_few_numbers_is_not_hidden_by_many():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4000, 204, generator=generator)
    one, parts = Typical([204]), Typical([4, 200])
    for typical in (one, parts):
        typical.fit(rows[:3000])
    odd, usual = rows[3000:3500].clone(), rows[3500:]
    odd[:, :4] = 2.5 * odd[:, :4].sign()
    odd[:, 4:] *= 0.95  # a little more usual than they are wont to be

    def told(typical: Typical) -> float:
        return float((typical.usual(odd)[:, None] < typical.usual(usual)[None]).float().mean())

    assert told(one) < 0.8 < 0.95 < told(parts)
