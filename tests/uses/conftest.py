"""Uses are tried without measuring the machine first, which takes longer than all that they learn here."""

import pytest

from maquette.engine import start as starting
from maquette.engine.probe import Choice


@pytest.fixture(autouse=True)
def unprobed(monkeypatch):
    """The machine counts as measured: 200 images a second, whatever the family."""
    monkeypatch.setattr(starting, "remembered", lambda *_: (Choice(rate=200.0, plain=200.0), False))
    monkeypatch.setattr(starting, "choose_scale", lambda *_: "nano")
