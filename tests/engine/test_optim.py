"""One optimizer for each phase: it does what Adam does, clips, and goes on from its stored memory bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from maquette.core.spec import Optimizer, Phase
from maquette.engine.optim import PhaseOptimizer


class Two(torch.nn.Module):
    def __init__(self, layout=torch.contiguous_format):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3, generator=generator))
        self.unused = torch.nn.Parameter(torch.ones(2))
        self.weight.data = self.weight.data.contiguous(memory_format=layout)


def gradients(module, step):
    generator = torch.Generator().manual_seed(step)
    values = torch.randn(module.weight.shape, generator=generator)
    module.weight.grad = torch.empty_like(module.weight).copy_(values)


def test_it_is_adam_with_decoupled_decay():
    module = Two()
    settings = Optimizer(rate=0.1, betas=(0.8, 0.9), weight_decay=0.05)
    optimizer = PhaseOptimizer(module, Phase(name="fit", optimizer=settings))
    weight = module.weight.detach().double().numpy().copy()
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(1, 8):
        gradients(module, step)
        gradient, rate = module.weight.grad.double().numpy(), 0.1 / step
        optimizer.step(rate)
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient**2
        weight *= 1 - rate * 0.05
        weight -= rate * (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.9**step)) + 1e-8)
        assert module.weight.grad is None
    np.testing.assert_allclose(module.weight.detach().numpy(), weight, rtol=2e-4, atol=1e-5)
    assert torch.equal(module.unused, torch.ones(2))  # it never had a gradient: not even decay moves it


def test_gradients_are_clipped_together():
    moved = []
    for clip in (None, 1e-3):
        module = Two()
        before = module.weight.detach().clone()
        optimizer = PhaseOptimizer(module, Phase(name="fit", optimizer=Optimizer(betas=(0.0, 0.0), clip=clip)))
        gradients(module, 1)
        optimizer.adam.param_groups[0]["eps"] = 1.0  # so that the size of the gradient matters
        optimizer.step(1.0)
        moved.append(float((module.weight - before).detach().norm()))
    assert moved[1] < 1.1e-3 < moved[0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_goes_on_bit_for_bit_from_its_memory(layout):
    phase = Phase(name="fit", optimizer=Optimizer(rate=0.01))
    module = Two(layout)
    optimizer = PhaseOptimizer(module, phase)
    for step in range(5):
        gradients(module, step)
        optimizer.step(0.01)
    stored = {name: value.clone().contiguous() for name, value in optimizer.tensors().items()}
    assert sorted(stored) == ["weight.exp_avg", "weight.exp_avg_sq", "weight.step"]
    assert {name: tuple(value.shape) for name, value in stored.items()}.items() <= optimizer.shapes().items()

    other = Two(layout)
    with torch.no_grad():
        other.weight.copy_(module.weight)
    again = PhaseOptimizer(other, phase)
    gradients(other, 77)
    again.step(0.5)  # memory that must be forgotten
    with torch.no_grad():
        other.weight.copy_(module.weight)
    again.restore(stored)
    for step in range(5, 10):
        for each, owner in ((optimizer, module), (again, other)):
            gradients(owner, step)
            each.step(0.01)
    assert torch.equal(module.weight, other.weight)
    assert all(torch.equal(value, again.tensors()[name]) for name, value in optimizer.tensors().items())


def test_channels_last_learns_what_channels_first_learns(toy, shapes):
    found = []
    for layout in ("contiguous", "channels_last"):
        trainer = toys.fresh("toy", shapes, {"layout": layout}, kinds=())
        for step in range(20):
            trainer.step(step / 20)
        found.append([parameter.detach().contiguous() for parameter in trainer.family.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_phase_that_trains_nothing_is_the_authors_mistake():
    with pytest.raises(TypeError, match="'fit' of Two trains nothing"):
        PhaseOptimizer(Two(), Phase(name="fit", trains=("wieght",)))
