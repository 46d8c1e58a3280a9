"""The oracle's best answer is known, so training can be compared with it."""

from __future__ import annotations

import torch

from maquette.core.condition import ConditionSpec
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.families.oracle import FLOOR, Dials, Oracle, Settings

SPEC = DataSpec(
    height=8,
    width=8,
    mode="grey",
    conditions=(
        ConditionSpec(name="kind", kind="label", classes=("dark", "light")),
        ConditionSpec(name="tilt", kind="number"),
    ),
)


def known_data(count: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Images whose mean is -0.4 or 0.4 by label plus 0.2 by number, whose scale is 0.05 or 0.15 by label."""
    generator = torch.Generator().manual_seed(0)
    kind = torch.arange(count) % 2
    tilt = torch.rand(count, generator=generator) * 2 - 1
    scale = torch.where(kind == 1, 0.15, 0.05)[:, None, None, None]
    mean = (0.8 * kind - 0.4 + 0.2 * tilt)[:, None, None, None]
    return mean + scale * torch.randn(count, 1, 8, 8, generator=generator), {"kind": kind, "tilt": tilt}


def trained(steps: int = 200) -> Oracle:
    images, condition = known_data(512)
    oracle = Oracle(Settings(withheld=0.0), SPEC)
    phase = oracle.phases[0]
    optimizer = torch.optim.Adam(oracle.parameters(), phase.optimizer.rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = phase.optimizer.rate_at(step / steps)
        optimizer.zero_grad()
        batch = Batch(images, condition, torch.Generator().manual_seed(step))
        oracle.loss(batch, phase.name).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return oracle


def test_training_reaches_the_closed_form() -> None:
    oracle, (images, condition) = trained().requires_grad_(False), known_data(512)
    # The best likelihood: for each pixel the data's own linear fit (least squares) and its residual's deviation.
    residual_entropy = torch.tensor([0.05, 0.15]).log().mean() + 0.5 * torch.log(torch.tensor(2 * torch.pi)) + 0.5
    reached = -oracle.log_prob(images, condition).mean() / 64
    assert abs(float(reached - residual_entropy)) < 0.03

    for label, (mean, scale) in enumerate([(-0.4, 0.05), (0.4, 0.15)]):
        given = {"kind": torch.full((1,), label), "tilt": torch.zeros(1)}
        got_mean, got_scale = oracle._normal(1, given)
        assert abs(float(got_mean.mean()) - mean) < 0.01
        assert abs(float(got_scale.mean()) - scale) < 0.01
    high = oracle._normal(1, {"kind": torch.zeros(1, dtype=torch.long), "tilt": torch.ones(1)})[0].mean()
    low = oracle._normal(1, {"kind": torch.zeros(1, dtype=torch.long), "tilt": -torch.ones(1)})[0].mean()
    assert abs(float(high - low) - 0.4) < 0.02


def test_density_integrates_to_one() -> None:
    oracle = Oracle(Settings(), DataSpec(height=8, width=8, mode="grey")).requires_grad_(False)
    oracle.base[0] = torch.cat([torch.linspace(-1, 1, 64), torch.linspace(-2, 0, 64)])
    # All pixels but the last at their mean: what is left is a density of one number.
    values = torch.linspace(-9, 11, 4001)
    images = oracle._normal(4001, {})[0].clone()
    peak = oracle.log_prob(images[:1], {})
    images[:, 0, 7, 7] = values
    ratio = (oracle.log_prob(images, {}) - peak).exp()
    width = (torch.exp(2 * oracle.base[0, -1]) + FLOOR**2).sqrt() * (2 * torch.pi) ** 0.5
    assert abs(float(ratio.sum() * (values[1] - values[0]) / width) - 1) < 1e-3


def test_temperature_zero_gives_the_mean() -> None:
    oracle = trained(20).requires_grad_(False)
    condition = {"kind": torch.tensor([1, 1]), "tilt": torch.tensor([0.0, float("nan")])}
    *_, images = oracle.sample(Noise([3, 4]), condition, Dials(temperature=0.0))
    assert torch.equal(images[0], images[1])
    assert torch.equal(images, oracle._normal(2, condition)[0].clamp(-1, 1))
