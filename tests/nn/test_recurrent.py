"""The recurrence is the one that is written down, one step at a time or all at once, and so is its gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.nn.recurrent import Block, MinimalGRU, doubling, recurrence


def written_down(gates):
    """The definition, in float64: a loop over places."""
    gate, new = gates.double().chunk(2, dim=2)
    state, states = torch.zeros_like(gate[0]), []
    for update, place in zip(torch.sigmoid(gate), new, strict=True):
        state = (1 - update) * state + update * place
        states.append(state)
    return torch.stack(states)


@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 5), st.integers(0, 999))
def test_states_and_gradients_are_those_of_the_definition(length, count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    gates = 2 * torch.randn(length, count, 2 * width, generator=generator)
    weights = torch.randn(length, count, width, generator=generator)
    results = []
    for way in (recurrence, written_down, by_doubling):
        given = gates.clone().requires_grad_()
        states = way(given)
        (gradient,) = torch.autograd.grad((states * weights).sum(), given)
        results.append((states.detach(), gradient))
    for states, gradient in results[1:]:
        assert torch.allclose(results[0][0], states.float(), atol=2e-5)
        assert torch.allclose(results[0][1], gradient.float(), atol=1e-4)


def by_doubling(gates):
    """As on devices other than the processor."""
    gate, new = gates.chunk(2, dim=2)
    update = torch.sigmoid(gate)
    return doubling(1 - update, update * new)


def test_bfloat16_gates_give_float32_states():
    gates = torch.randn(40, 2, 16).bfloat16().requires_grad_()
    states = recurrence(gates)
    assert states.dtype == torch.float32
    assert torch.allclose(states, written_down(gates.detach()).float(), atol=1e-4)
    states.sum().backward()
    assert gates.grad.dtype == torch.bfloat16 and gates.grad.isfinite().all()


@pytest.mark.parametrize("steered", [False, True])
def test_one_step_at_a_time_is_the_same_as_all_at_once(steered):
    torch.manual_seed(0)
    block = Block(12)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, steer = torch.randn(20, 3, 12), torch.randn(3, 24) if steered else None
    whole = block(x, steer)
    state, places = block.start(3), []
    size = sum(part.numel() for part in state)
    for place in x:
        out, state = block.step(place, state, steer)
        places.append(out)
        assert sum(part.numel() for part in state) == size  # nothing grows
    assert torch.allclose(whole, torch.stack(places), atol=1e-5)


def test_nothing_sees_what_comes_later():
    torch.manual_seed(0)
    block = Block(8)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(12, 2, 8)
    changed = x.clone()
    changed[7:] += 1
    before, after = block(x), block(changed)
    assert torch.equal(before[:7], after[:7])
    assert not torch.allclose(before[7:], after[7:])


def test_a_new_block_lets_its_input_pass_and_drops_only_when_asked():
    block = Block(8, dropout=0.5)
    x = torch.randn(5, 2, 8)
    assert torch.equal(block(x), x)
    torch.nn.init.normal_(block.leave.weight)
    dropped = block(x, None, torch.Generator().manual_seed(0))
    assert torch.equal(dropped, block(x, None, torch.Generator().manual_seed(0)))
    assert not torch.equal(dropped, block(x))


def test_channels_remember_for_different_times():
    layer = MinimalGRU(8)
    keep = (1 - torch.sigmoid(layer.gates.bias[:8])).tolist()
    assert keep[0] == pytest.approx(0.5) and keep[-1] > 0.95
