"""Several processes follow the first one and end with the same model; those that differ are refused at the start."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import threading

import numpy as np
import pytest
import torch
from groups import play

from maquette.core.errors import TrainingError, UsageError
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.start import Wish, start
from maquette.engine.team import follow as following
from maquette.engine.team.follow import agree, follow
from maquette.engine.train import train
from maquette.nn.joint import Share, bounds, joint_mean, joint_rows, joint_sum, own_rows, rows_before, together
from maquette.operations import operation
from maquette.store.run import Run
from maquette.store.workspace import Workspace


@pytest.fixture(autouse=True)
def unmeasured(unprobed):
    """Measuring is tested elsewhere."""


SMALL = {"width": 8, "depth": 1, "batch": 10}


def learn(dataset, to, images=120, *, world=1, stop=None, family="flow", changes=SMALL):
    """Train with so many processes, played by threads; returns what the first one found."""
    wish = Wish(family=family, images=images, scale="nano", changes=changes)

    def work(team):
        if team.rank:
            follow(team, dataset)
            return None
        try:
            session = start(dataset, to, wish, probes=to.parent / "probes.json", team=team if world > 1 else None)
            steps = train(session.trainer, session.run, name=family)
            seen = list(itertools.islice(steps, stop))
            steps.close()
            return seen, session
        finally:
            team.end()

    return play(world, work)[0]


def state(to):
    return Run.open(to).restore()


# What is said of the whole batch


@pytest.mark.parametrize(("rows", "world"), [(1, 1), (7, 2), (8, 3), (64, 5), (5, 5), (1000, 7)])
def test_every_row_is_somebodys_and_shares_are_alike(rows, world):
    shares = [bounds(rows, rank, world) for rank in range(world)]
    assert shares[0][0] == 0 and shares[-1][1] == rows
    assert all(one[1] == other[0] for one, other in itertools.pairwise(shares))
    assert max(end - begin for begin, end in shares) - min(end - begin for begin, end in shares) <= 1


def test_what_a_loss_says_of_all_rows_is_said_of_the_whole_batch():
    values = torch.arange(14.0).reshape(7, 2)

    def work(team):
        share, generator = Share(team, 7), torch.Generator().manual_seed(3)
        mine = values[slice(*share.bounds)].clone().requires_grad_()
        with together(share, generator):
            before, everyone, mean = rows_before(mine), joint_rows(mine), joint_mean(mine)
            drawn = (
                torch.randn(len(mine), 3, generator=generator),
                torch.randint(9, (2 * len(mine),), generator=generator),
            )
            filled = torch.empty(len(mine)).uniform_(generator=generator)
            shared = torch.rand((), generator=generator)
            own = own_rows(everyone)
        (everyone.square().sum() * share.own / 7).backward()
        return before.detach(), everyone.detach(), mean, own.detach(), drawn, filled, shared, mine.grad

    found = play(3, work)
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(7, 3, generator=generator), torch.randint(9, (14,), generator=generator)
    filled, shared = torch.empty(7).uniform_(generator=generator), torch.rand((), generator=generator)
    assert torch.equal(torch.cat([one[0] for one in found]), values.roll(1, 0))
    assert all(torch.equal(one[1], values) and one[2] == values.mean() for one in found)
    assert torch.equal(torch.cat([one[3] for one in found]), values)
    for place in range(2):
        assert torch.equal(torch.cat([one[4][place] for one in found]), drawn[place])
    assert torch.equal(torch.cat([one[5] for one in found]), filled)
    assert all(one[6] == shared for one in found)
    torch.testing.assert_close(torch.cat([one[7] for one in found]), 2 * values)


def test_what_is_summed_over_all_processes_is_everybodys_and_so_is_its_slope():
    values = torch.arange(1.0, 8.0)

    def work(team):
        share, generator = Share(team, 7), torch.Generator()
        mine = values[slice(*share.bounds)].clone().requires_grad_()
        with together(share, generator):
            total = joint_sum(mine.square().sum())
        (total.square() * share.own / 7).backward()
        return total.detach(), mine.grad

    alone = values.clone().requires_grad_()
    joint_sum(alone.square().sum()).square().backward()
    found = play(3, work)
    assert all(total == values.square().sum() for total, _ in found)
    torch.testing.assert_close(torch.cat([slope for _, slope in found]), alone.grad)


# A team


def test_what_the_first_one_says_reaches_all():
    facts = {"words": ["a", "é", None], "number": 1.5}
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(3, np.int64), "c": np.zeros((0, 4), np.float32)}

    def work(team):
        given = (facts, arrays) if team.rank == 0 else (None, None)
        return team.share_json(given[0]), team.share_arrays(given[1])

    for said, held in play(3, work):
        assert said == facts
        assert held.keys() == arrays.keys()
        assert all(
            np.array_equal(held[name], arrays[name]) and held[name].dtype == arrays[name].dtype for name in arrays
        )


@pytest.mark.parametrize("fact", ["program", "dataset", "command"])
def test_a_process_that_differs_is_refused_by_all_at_the_start(shapes, numbers, monkeypatch, fact):
    local = threading.local()
    monkeypatch.setattr(following, "programs", lambda: local.program)

    def work(team):
        other = team.rank == 2
        local.program = "2" if other and fact == "program" else "1"
        data = numbers if other and fact == "dataset" else shapes
        with pytest.raises(UsageError, match=f"process 2 of 3 has another {fact}"):
            agree(team, data, "other" if other and fact == "command" else "same")
        return True

    assert play(3, work) == [True] * 3


def test_processes_train_what_one_process_trains(shapes, tmp_path):
    """The same images, schedule and log; the numbers but for rounding. A batch of 10 does not divide by 3."""
    (alone, _), (seen, session) = learn(shapes, tmp_path / "one"), learn(shapes, tmp_path / "more", world=3)
    assert [step.images for step in seen] == [step.images for step in alone] == list(range(10, 121, 10))
    for one, other in zip(alone, seen, strict=True):
        assert other.numbers == pytest.approx(one.numbers, rel=2e-3)
    assert session.run.facts["processes"] == 3 and state(tmp_path / "more").images == 120


def test_a_run_goes_on_exactly_with_as_many_processes_and_soundly_with_others(shapes, tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    learn(shapes, straight, world=2)
    learn(shapes, stopped, world=2, stop=5)
    assert state(stopped).images == 50
    learn(shapes, stopped, world=2, stop=3)
    _, session = learn(shapes, stopped, world=2)
    assert not any("processes" in text for text in session.told)
    ends = [state(path).tensors for path in (straight, stopped)]
    assert all(np.array_equal(value, ends[1][name]) for name, value in ends[0].items())

    learn(shapes, tmp_path / "fewer", world=2, stop=6)
    seen, session = learn(shapes, tmp_path / "fewer")
    assert session.told[0].startswith("going on with 1 process after 2") and seen[-1].images == 120
    name = next(name for name, value in ends[0].items() if name.startswith("family.") and value.size > 100)
    np.testing.assert_allclose(state(tmp_path / "fewer").tensors[name], ends[0][name], atol=0.02)


def test_numbers_that_are_not_finite_send_all_processes_back(shapes, tmp_path):

    def work(team):
        if team.rank:
            follow(team, shapes)
            return None
        try:
            wish = Wish(family="flow", images=120, scale="nano", changes=SMALL)
            session = start(shapes, tmp_path / "run", wish, probes=tmp_path / "probes.json", team=team)
            steps = train(session.trainer, session.run, name="flow")
            for step in steps:
                if step.images == 60 and not session.trainer.attempt:
                    next(session.trainer.family.parameters()).data.fill_(float("nan"))
            return session
        finally:
            team.end()

    session = play(2, work)[0]
    (decision,) = session.run.decisions()
    assert decision["kind"] == "rollback" and session.trainer.finite() is None and session.trainer.images == 120


def test_what_several_processes_cannot_compute_is_refused(tmp_path):
    *_, made = make_drawn("shapes", tmp_path / "larger.mq", width=16, height=16, count=32)
    changes = {"width": 8, "batch": 8, "penalty": "exact"}
    with pytest.raises(UsageError, match="what all images share is differentiated twice"):
        learn(made.value, tmp_path / "run", world=2, family="gan", changes=changes)
    seen, _ = learn(made.value, tmp_path / "alone", images=16, family="gan", changes=changes)
    assert seen[-1].images == 16


def test_more_processes_than_images_in_a_batch_are_refused(shapes, tmp_path):
    with pytest.raises(UsageError, match="a batch of 2 images gives nothing to do to some of 3 processes"):
        learn(shapes, tmp_path / "run", world=3, changes={**SMALL, "batch": 2})
    assert not (tmp_path / "run").exists()


# Processes


def train_command(dataset, to, **more):
    values = {"dataset": str(dataset.path), "to": str(to), "family": "oracle", "device": "cpu", "judge": False, **more}
    return operation.run("train", Workspace(to.parent / "home"), values)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are sent")
def test_the_loss_of_a_process_ends_training_in_a_sentence_and_the_same_command_goes_on_exactly(shapes, tmp_path):
    straight, lost = tmp_path / "straight", tmp_path / "lost"
    learn(shapes, straight, 12_800, world=2, family="oracle", changes={})  # a sum of two is the same whoever adds up
    settings = {"images": 12_800, "save_every": 0.01, "scale": "nano"}
    helpers = []
    popen = subprocess.Popen

    def noted(*words, **more):
        helpers.append(popen(*words, **more))
        return helpers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maquette.engine.team.helpers.subprocess.Popen", noted)
        events = train_command(shapes, lost, processes=2, **settings)
        with pytest.raises(TrainingError, match=r"process 1 of 2 ended by signal 9.*the same command"):
            for event in events:
                if event.name in ("progress", "made") and len(Run.open(lost).checkpoints()) > 1:
                    helpers[0].send_signal(signal.SIGKILL)
    assert 0 < state(lost).images < 12_800

    *events, result = train_command(shapes, lost, **settings)
    assert any("going on from" in getattr(event, "text", "") for event in events)
    assert not any("sums are rounded" in getattr(event, "text", "") for event in events)  # again with two
    assert result.facts["images_seen"] == 12_800
    ends = [state(path).tensors for path in (straight, lost)]
    assert all(np.array_equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_helper_that_cannot_start_is_a_sentence(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("maquette.engine.team.helpers.sys.executable", shutil.which("false"))
    with pytest.raises(TrainingError, match="a process that should help did not start"):
        list(train_command(shapes, tmp_path / "run", images=64, processes=2))
    assert not (tmp_path / "run").exists()


def test_processes_and_torchrun_must_agree(shapes, tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun started 2 processes, and 3 are asked for"):
        list(train_command(shapes, tmp_path / "run", images=64, processes=3))
