"""Progress is a straight way from 0 to 1 whatever the clock says, and a resumed run walks the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.engine.schedule import CORRECTIONS, Clock, Schedule

BATCH = 16


@st.composite
def corrected(draw):
    """A schedule as a run makes it: at every due point the clock names a new total; all decisions in their order."""
    edges = tuple(draw(st.lists(st.floats(0.01, 0.99), max_size=3, unique=True)))
    schedule = Schedule(draw(st.integers(1, 4000)) * BATCH, edges=edges)
    decisions, images, seen = [], 0, [0]
    for _ in range(200):
        if schedule.progress(images) >= 1.0:
            break
        # Long strides too, so that several points are passed at once.
        images = min(images + draw(st.integers(1, 400)) * BATCH, schedule.total)
        seen.append(images)
        if (which := schedule.due(images)) is not None:
            decisions.append(schedule.correct(which, images, images + draw(st.integers(1, 3000)) * BATCH))
    return schedule, decisions, seen


@given(corrected())
def test_progress_rises_without_jumps_from_0_to_1(made):
    schedule, decisions, _ = made
    assert schedule.progress(0) == 0.0
    assert schedule.progress(schedule.total) == 1.0
    places = sorted({0, schedule.total, *range(0, schedule.total, max(1, schedule.total // 50))})
    values = [schedule.progress(place) for place in places]
    assert values == sorted(values)
    assert all(0 <= value <= 1 for value in values)
    for decision in decisions:
        at = decision["at"]
        assert schedule.progress(at) - schedule.progress(at - 1) <= 1.0  # both exist
        earlier = [d for d in decisions if d["which"] < decision["which"]]
        before = Schedule.of(schedule.images, earlier, schedule.edges)
        assert schedule.progress(at) == before.progress(at)  # a correction never makes progress jump
        assert schedule.progress(at - 1) == before.progress(at - 1)  # nor changes what was


@given(corrected())
def test_the_written_decisions_give_the_same_schedule(made):
    schedule, decisions, seen = made
    again = Schedule.of(schedule.images, decisions, schedule.edges)
    assert again.total == schedule.total
    for images in seen:
        assert again.progress(images) == schedule.progress(images)
    # No correction is due again where one was made or passed over before.
    last = decisions[-1]["at"] if decisions else -1
    assert all(again.due(images) is None for images in seen if images <= last)


def test_a_point_that_was_passed_over_is_not_due_after_a_resume():
    schedule = Schedule(1000)
    which = schedule.due(500)
    assert which == sum(point <= 0.5 for point in CORRECTIONS) - 1
    decision = schedule.correct(which, 500, 2000)
    again = Schedule.of(1000, [{"kind": "rollback"}, decision])
    assert again.due(500) is None and again.due(510) is None
    assert again.due(1900) == len(CORRECTIONS) - 2


def test_a_total_that_lies_in_the_past_ends_the_run_at_the_next_image():
    schedule = Schedule(1000)
    schedule.correct(1, 500, 400)
    assert schedule.progress(500) < 1.0
    assert schedule.progress(501) == 1.0


def test_the_pace_is_counted_from_the_last_start(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(before=50.0, images=1000)
    assert clock.seconds() == 50.0
    now[0] = 110.0
    assert clock.seconds() == 60.0
    assert clock.pace(1500, least=1.0) == pytest.approx(50.0)
    assert clock.pace(1500, least=11.0) is None
    clock.restart(700)  # training went back: what was lost does not count as a pace below zero
    now[0] = 111.0
    assert clock.pace(800, least=0.5) == pytest.approx(100.0)
    assert clock.pace(700, least=0.5) is None


def test_the_rate_follows_the_last_seconds_and_survives_going_back(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(0.0, 0)
    for second in range(20):
        now[0] = float(second)
        clock.tick(100 * second)
    assert clock.rate == pytest.approx(100.0)
    now[0] = 20.0
    clock.tick(500)
    now[0] = 21.0
    clock.tick(600)
    assert clock.rate == pytest.approx(100.0)
