"""A run that is given a time ends at its time, and goes on by the corrections it has written down."""

from __future__ import annotations

import json

import pytest
from toys import again, begin, outcome

from maquette.engine import train as loop
from maquette.engine.schedule import CORRECTIONS

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


@pytest.mark.parametrize(("first", "second"), [(0.125, 0.5), (0.5, 0.125)])
def test_shares_of_a_run_with_a_time_are_shares_of_its_time(first, second, toy, shapes, tmp_path, monkeypatch):
    watch, now = Watch(monkeypatch), []
    # One phase up to the middle, another one from there on, and an image takes four times or a quarter as long then.
    trainer, run = begin(shapes, tmp_path / "run", "pair", plan={"seconds": 60.0})
    for step in timed(trainer, run, watch, lambda step: first if step.progress <= 0.5 else second):
        now.append((watch.now, step.progress))
    assert next(seconds for seconds, progress in now if progress > 0.5) == pytest.approx(30, abs=2)
    assert now[-1] == (pytest.approx(60, abs=1), 1.0)
    # Soon after the middle the way to the end is as steep as the time that is left says, and stays so.
    later = [(seconds, progress) for seconds, progress in now if seconds >= 33]
    assert all(progress == pytest.approx(seconds / 60, abs=0.04) for seconds, progress in later)
    # A run that is resumed by its decisions goes through the same numbers.
    trainer, other = begin(shapes, tmp_path / "other", "pair")
    for decision in run.decisions():
        other.decide(decision)
    list(loop.train(trainer, other, name="pair"))
    assert outcome(other) == outcome(run)


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
    assert max(decision["which"] for decision in run.decisions()) == len(CORRECTIONS)
    trainer, other = begin(shapes, tmp_path / "other")
    for decision in run.decisions():
        other.decide(decision)
    list(loop.train(trainer, other, name="oracle"))
    assert outcome(other) == outcome(run)
