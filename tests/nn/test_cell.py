"""The convolutional recurrent cell: what it keeps, what it takes in, and that it wraps where images tile."""

import pytest
import torch

from maquette.nn.cell import Hourglass, Memory


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [(1, 1), (2, 6), (3, 5), (4, 8), (8, 6)])
def test_any_grid_keeps_its_size(size):
    glass = Hourglass(3, 16, size, depth=1, steer=4)
    assert glass(torch.randn(2, 3, *size), torch.randn(2, 4)).shape == (2, 16, *size)
    cell = Memory(3, 16, size)
    assert cell(torch.randn(2, 16, *size), torch.randn(2, 3, *size)).shape == (2, 16, *size)


def test_a_closed_gate_keeps_what_is_remembered_and_an_open_one_lets_it_go():
    cell = Memory(3, 16, (4, 4))
    memory, seen = torch.randn(2, 16, 4, 4), torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        cell.gates.weight.zero_()
        cell.gates.bias[:16], cell.gates.bias[16:] = -30.0, 0.5
        assert torch.allclose(cell(memory, seen), memory, atol=1e-5)
        cell.gates.bias[:16] = 30.0
        assert torch.allclose(cell(memory, seen), torch.full_like(memory, 0.5).tanh(), atol=1e-5)


def test_what_is_remembered_stays_bounded():
    cell = Memory(3, 16, (4, 4))
    memory = torch.zeros(2, 16, 4, 4)
    with torch.no_grad():
        for _ in range(50):
            memory = cell(memory, 100 * torch.randn(2, 3, 4, 4))
    assert memory.abs().max() <= 1


def test_where_images_tile_a_shifted_picture_gives_a_shifted_memory():
    cell = Memory(3, 16, (8, 8), tile="xy")
    memory, seen = torch.randn(1, 16, 8, 8), torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        moved = cell(memory.roll((2, 4), (2, 3)), seen.roll((2, 4), (2, 3)))
        assert torch.allclose(moved, cell(memory, seen).roll((2, 4), (2, 3)), atol=1e-5)
