"""The whole journey, with seconds of learning instead of minutes."""

from __future__ import annotations

import json

import pytest

from maquette.core.event import to_line
from maquette.core.image import load, save
from maquette.data import starter
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


@pytest.mark.slow
def test_the_demo_goes_from_photographs_to_images_that_are_finished_judged_and_signed(tmp_path, monkeypatch):
    # Measuring the machine, twice, is what other tests are about.
    monkeypatch.setattr("maquette.engine.start.remembered", lambda *args: (Choice(rate=400.0, plain=400.0), False))
    monkeypatch.setattr("maquette.engine.start.choose_scale", lambda *args: "nano")
    for name, small in {"CROPS": 800, "JUDGED": 120, "GUIDANCE": "1", "EACH": 4, "SIDE": 128}.items():
        monkeypatch.setattr(f"maquette.operations.demo.{name}", small)
    gravel = tmp_path / "gravel.png"
    save(load(starter.photograph("gravel"))[:128, :128], gravel)
    monkeypatch.setattr(starter, "photograph", lambda label: gravel)
    to = tmp_path / "demo"
    events = list(table.run("demo", Workspace(tmp_path / "home"), {"to": str(to), "time": "1s"}))
    result = json.loads(to_line(events[-1]))
    made = list((to / "images").rglob("seed-*.png"))
    assert len(made) == 8 * 4 and result["intact"] == len(made)
    assert len(list((to / "finished").rglob("*.png"))) >= len(made)
    assert result["grade"] in ("very good", "good", "fair", "weak", "poor")
    for name in ("demo.png", "texture.png", "audit.html", "evaluation.html"):
        assert (to / name).stat().st_size > 10_000
    steps = [event.text for event in events if event.name == "note" and " of 8: " in event.text]
    assert [step[0] for step in steps] == list("12345678")
