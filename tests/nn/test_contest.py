"""What a critic says of a batch: captions are found among those of the others, and images that are alike are seen."""

from __future__ import annotations

import pytest
import torch

from maquette.nn.contest import own_found, unlike


def test_captions_are_found_among_those_of_the_batch():
    wish = torch.eye(4)[:, None] * 20
    assert float(own_found(wish, wish).max()) < 1e-3
    assert float(own_found(wish.roll(1, 0), wish).min()) > 10
    assert float(own_found(torch.zeros(4, 1, 4), wish).mean()) == pytest.approx(torch.tensor(4.0).log().item())


def test_others_with_the_same_caption_do_not_count():
    wish = torch.eye(4)[:, None] * 20
    wish[1] = wish[0]
    found = own_found(torch.zeros(4, 1, 4), wish)
    assert found[:2].tolist() == pytest.approx([torch.tensor(3.0).log().item()] * 2)
    assert torch.isfinite(own_found(wish[:1].expand(4, -1, -1), wish[:1].expand(4, -1, -1))).all()


def test_how_unlike_images_are_is_the_variance_place_by_place():
    features = (
        torch.randn(6, 5, 2, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 6.0)[:, None, None]
    )
    expected = (features.var(dim=0, unbiased=False) + 1e-6).log().mean(dim=(1, 2))
    torch.testing.assert_close(unlike(features), expected)
    assert unlike(features[:1].expand(6, -1, -1, -1)).max() < -10
