"""Sums of processes of one machine: through shared memory or not, all of them have the same, again and again."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from groups import play

from maquette.engine.team import near
from maquette.engine.team.distributed import Lost


def rounds(team):
    """Sums of several lengths, in turns; each process adds numbers of its own."""
    found = []
    for turn, count in enumerate([5, 3, 5, 700, 3, 700, 5]):
        fill = lambda place, turn=turn: place.copy_(torch.arange(len(place)) + 0.1 * team.rank + turn)  # noqa: E731
        found.append(team.summed(count, torch.device("cpu"), fill).clone())
    return found


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("way", ["memory", "messages", "too much"])
def test_all_have_the_same_sum(world, way, monkeypatch, tmp_path):
    monkeypatch.setattr(near, "_FOLDER", tmp_path if way != "messages" else tmp_path / "none")
    if way == "too much":
        monkeypatch.setattr(near, "_LARGEST", 8 * world * 100)  # what was shared before goes on, or goes
    results = play(world, rounds)
    for turn, (count, *each) in enumerate(zip([5, 3, 5, 700, 3, 700, 5], *results, strict=True)):
        right = sum(torch.arange(count, dtype=torch.float64) + 0.1 * rank + turn for rank in range(world))
        torch.testing.assert_close(each[0].double(), right, rtol=1e-6, atol=1e-5)
        assert all(torch.equal(one, each[0]) for one in each)
    assert not any(tmp_path.iterdir()), "nothing lies about"


def test_a_process_of_another_machine_means_that_nobody_shares(monkeypatch, tmp_path):
    monkeypatch.setattr(near, "_FOLDER", tmp_path)
    mapped = near._mapped
    calls = []

    def one_cannot(path, size):
        calls.append(path)
        return None if len(calls) == 2 else mapped(path, size)

    monkeypatch.setattr(near, "_mapped", one_cannot)
    results = play(3, lambda team: (rounds(team), team._near._possible))
    assert [possible for _, possible in results] == [False] * 3
    assert all(torch.equal(one, other) for one, other in zip(results[0][0], results[2][0], strict=True))


@pytest.mark.parametrize("way", ["leaves", "dies"])
def test_nobody_waits_for_a_process_that_is_gone(way, monkeypatch):
    began, dead = near._began, []
    monkeypatch.setattr(near, "_began", lambda process: 0 if dead else began(process))

    def work(team):
        team.add_up(torch.ones(3))
        if team.rank == 1:
            if way == "dies":
                team.leave = lambda: None
                dead.append(True)
            return None  # its end says that it leaves
        with pytest.raises(Lost, match="process 1 of 2 has ended"):
            team.add_up(torch.ones(3))
        return True

    assert play(2, work)[0]


@pytest.mark.parametrize("when", ["before all know of it", "before all have it"])
def test_nothing_lies_about_where_a_process_ends_while_memory_is_shared(when, monkeypatch, tmp_path):
    monkeypatch.setattr(near, "_FOLDER", tmp_path)

    def lost(*given):
        raise Lost("process 1 of 2 has ended")

    def work(team):
        if team.rank == 1:
            setattr(team, "share_json" if when == "before all know of it" else "send_up", lost)
        team.add_up(torch.ones(3))

    with pytest.raises((Lost, threading.BrokenBarrierError)):
        play(2, work)
    assert not any(tmp_path.iterdir())


def test_a_wait_that_was_itself_stopped_goes_on(monkeypatch):
    """A training that was put aside for an hour has not waited for an hour."""
    clock, lag = time.monotonic, []
    monkeypatch.setattr(near.time, "monotonic", lambda: clock() + (3600 * len(lag)))

    def work(team):
        team.add_up(torch.ones(3))
        if team.rank == 1:
            time.sleep(0.3)
            lag.append(True)
            time.sleep(0.3)
        values = torch.ones(3)
        team.add_up(values)
        return values.tolist()

    assert play(2, work) == [[2.0] * 3] * 2


@pytest.mark.parametrize("kind", [torch.float64, torch.int64, torch.bfloat16, torch.float32])
def test_whatever_numbers_are_added_up(kind):
    def work(team):
        values = torch.full((3, 5), team.rank + 1).to(kind)
        team.add_up(values)
        return values

    assert all((found == 6).all() and found.dtype == kind for found in play(3, work))
