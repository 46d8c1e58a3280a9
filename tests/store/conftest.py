"""Lets the tests here (and benchmarks/safety_models.py) share the makers of hostile files and of failing disks."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Real syncs only cost time here: what they are for is tested on the pretended disk of `faults`."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
