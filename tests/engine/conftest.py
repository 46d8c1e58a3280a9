"""What the tests of the engine share: toy families, small drawn datasets, and runs that train in an instant."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import toys

from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.families import REGISTRY
from maquette.store.run import Run


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Dataset:
    """64 drawn shapes of 8x8 pixels with label and text."""
    *_, result = make_drawn("shapes", tmp_path_factory.mktemp("data") / "shapes.mq", width=8, height=8, count=64)
    return result.value


@pytest.fixture(scope="session")
def numbers(tmp_path_factory) -> Dataset:
    """64 drawn seas of 8x8 pixels with two numbers."""
    *_, result = make_drawn("numbers", tmp_path_factory.mktemp("data") / "numbers.mq", width=8, height=8, count=64)
    return result.value


@pytest.fixture
def toy(monkeypatch):
    """Puts the toy families into the registry."""
    for kind in (toys.Toy, toys.Pair, toys.Gaps, toys.Standing, toys.Mute):
        monkeypatch.setitem(REGISTRY._loaded, kind.__name__.lower(), kind)
    return toys


@pytest.fixture
def unprobed(monkeypatch):
    """No measuring: plain float32 in one thread."""
    choice = Choice(rate=1000.0, plain=1000.0)
    monkeypatch.setattr(starting, "remembered", lambda *args: (choice, False))
    return choice


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run", {"family": "oracle"})


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Nothing here is about power cuts: do not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    yield
    assert torch.get_num_threads() == 1, "a test left another number of threads behind"
