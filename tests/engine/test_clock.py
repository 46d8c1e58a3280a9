"""A run that is given a time ends at its time, and goes on by the corrections it has written down."""

from __future__ import annotations

import json

import pytest
from toys import again, begin, outcome

from maquette.engine import train as loop
from maquette.engine.schedule import CORRECTIONS, OVER

# The clock


class Watch:
    """A clock that runs as fast as the test says."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)


def timed(trainer, run, watch, each, every=1e9):
    for step in loop.train(trainer, run, name="oracle", every=every):
        watch.now += each(step)
        yield step


def test_a_run_with_a_time_ends_at_its_time(shapes, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    # Planned for 60 steps in 60 seconds; but the machine is twice as slow as it was when measured.
    trainer, run = begin(shapes, tmp_path / "run", plan={"seconds": 60.0})
    steps = list(timed(trainer, run, watch, lambda step: 2.0))
    assert watch.now == pytest.approx(60, abs=4)
    assert steps[-1].progress == 1.0 and steps[-1].images == trainer.images == pytest.approx(240, abs=16)
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)
    decisions = run.decisions()
    assert {d["kind"] for d in decisions} == {"correction"} and 4 <= len(decisions) <= len(CORRECTIONS)
    watch.now = 0.0
    trainer, run = begin(shapes, tmp_path / "faster", plan={"seconds": 60.0})
    list(timed(trainer, run, watch, lambda step: 0.25))
    assert watch.now == pytest.approx(60, abs=2) and trainer.images > 1800


def test_a_stopped_run_with_a_time_follows_its_own_corrections(shapes, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    trainer, run = begin(shapes, tmp_path / "one", plan={"seconds": 60.0})
    steps = timed(trainer, run, watch, lambda step: 2.0 if step.images < 100 else 0.5, every=5.0)
    for step in steps:
        if step.images >= 300:
            break
    steps.close()
    # The second session runs at another speed. Lost steps are made again with the corrections that were written.
    trainer, run = again(shapes, tmp_path / "one", plan={"seconds": 60.0})
    list(timed(trainer, run, watch, lambda step: 0.8))
    decisions = run.decisions()
    assert len(decisions) >= 5
    trainer, other = begin(shapes, tmp_path / "two")
    for decision in decisions:
        other.decide(decision)
    list(loop.train(trainer, other, name="oracle"))
    assert outcome(other) == outcome(run)


def test_time_that_is_over_ends_the_run_soon(shapes, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    trainer, run = begin(shapes, tmp_path / "run", plan={"seconds": 60.0})
    steps = list(timed(trainer, run, watch, lambda step: 100.0))
    assert len(steps) <= 4 and steps[-1].progress == 1.0


def test_decisions_are_on_the_disk_before_they_are_followed(shapes, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    trainer, run = begin(shapes, tmp_path / "run", plan={"seconds": 60.0})
    real, followed = run.decide, []

    def decide(decision):
        followed.append(decision)
        real(decision)
        assert json.loads((run.path / "decisions.jsonl").read_text().splitlines()[-1]) == decision

    run.decide = decide
    list(timed(trainer, run, watch, lambda step: 1.5))
    assert followed == run.decisions()


def test_a_machine_that_becomes_very_slow_between_two_points_does_not_keep_the_run_going(shapes, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    # 60 steps in 60 seconds, until from the 20th step on (between the points .25 and .45) each takes 30 seconds.
    trainer, run = begin(shapes, tmp_path / "run", plan={"seconds": 60.0})
    steps = list(timed(trainer, run, watch, lambda step: 1.0 if step.images < 160 else 30.0))
    assert steps[-1].progress == 1.0 and watch.now <= 60 + 4 * 30
    assert max(decision["which"] for decision in run.decisions()) == OVER
    trainer, other = begin(shapes, tmp_path / "other")
    for decision in run.decisions():
        other.decide(decision)
    list(loop.train(trainer, other, name="oracle"))
    assert outcome(other) == outcome(run)
