"""Numbers that are not finite: found before they are saved, and gone back from; and runs that the clock steers."""

from __future__ import annotations

import pytest
import torch
from toys import IMAGES, PLACES, again, begin, outcome, spoil

from maquette.core.errors import TrainingError
from maquette.engine import train as loop
from maquette.engine.load import load
from maquette.store.run import Run

# Numbers that are not finite


@pytest.mark.parametrize("step", [20, 59])
@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_is_not_finite_never_reaches_a_checkpoint(shapes, tmp_path, place, step):
    trainer, run = begin(shapes, tmp_path / "run")
    spoil(trainer, place, lambda trainer: trainer.steps == step and trainer.attempt == 0)
    saved = []
    real = run.save
    run.save = lambda state: (saved.append(all(map(finite, state.tensors.values()))), real(state))[1]
    steps = list(loop.train(trainer, run, name="oracle", every=1e-9))
    assert all(saved) and len(saved) > 40
    warned = [text for step in steps for text in step.warned]
    assert len(warned) == 1 and "was not finite" in warned[0] and "(attempt 1)" in warned[0]
    (decision,) = run.decisions()
    assert decision["kind"] == "rollback" and decision["attempt"] == 1 and decision["images"] < decision["at"]
    assert steps[-1].images == IMAGES and steps[-1].progress == 1.0
    assert trainer.finite() is None
    model = load(Run.open(run.path))
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    for record in run.records():
        assert all(value is not None for value in record.values())


def finite(array):
    return array.dtype.kind != "f" or bool(torch.isfinite(torch.from_numpy(array.copy())).all())


@pytest.mark.parametrize("place", ["loss", "average"])
def test_numbers_that_always_break_end_the_run_in_a_sentence(shapes, tmp_path, place):
    trainer, run = begin(shapes, tmp_path / "run")
    steps = loop.train(trainer, run, name="oracle", every=1e9)
    for _ in range(10):
        next(steps)
    steps.close()
    good = outcome(run)
    for session in range(2):
        trainer, run = again(shapes, tmp_path / "run")
        spoil(trainer, place, lambda trainer: trainer.steps >= 30)
        with pytest.raises(TrainingError, match=r"not finite 6 times.*try a smaller --scale") as error:
            list(loop.train(trainer, run, name="oracle", every=1e9))
        assert str(tmp_path / "run") in str(error.value)
        assert [d["attempt"] for d in run.decisions()] == [1, 2, 3, 4, 5], session
    found = outcome(Run.open(run.path))
    assert found[:2] == good[:2]  # the log may say more: what was lost is taken out when the run goes on
    assert load(Run.open(run.path)) is not None


def test_a_break_just_before_a_stop_is_put_right_first(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    spoil(trainer, "weight", lambda trainer: trainer.steps == 29 and trainer.attempt == 0)
    steps = loop.train(trainer, run, name="oracle", every=1e9)
    for step in steps:
        if step.images == 240:
            break
    assert trainer.finite() is not None
    steps.close()
    assert trainer.finite() is None
    assert [d["attempt"] for d in run.decisions()] == [1]
    assert load(Run.open(run.path)) is not None


def test_a_sheet_is_never_asked_for_while_a_number_is_broken(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    for step in range(60):
        spoil(trainer, "average", lambda trainer, step=step: trainer.steps == step and trainer.attempt == 0)
    for step in loop.train(trainer, run, name="oracle", every=1e9):
        if step.sheet_due:
            assert trainer.finite() is None


def test_a_run_that_went_back_goes_on_with_its_decisions_bit_for_bit(shapes, tmp_path):
    """Whatever was decided stays decided: killed at any time after, it ends where it would have ended."""
    trainer, run = begin(shapes, tmp_path / "one")
    spoil(trainer, "loss", lambda trainer: trainer.steps == 30 and trainer.attempt == 0)
    for _ in loop.train(trainer, run, name="oracle", every=1e-9):
        pass
    decisions = run.decisions()
    assert [(d["images"], d["attempt"]) for d in decisions] == [(240, 1)]

    for stop in (10, 30, 31, 45):
        other, another = begin(shapes, tmp_path / f"stopped-{stop}")
        for decision in decisions:
            another.decide(decision)
        steps = loop.train(other, another, name="oracle")
        for _ in range(stop):
            next(steps)
        steps.close()
        other, another = again(shapes, tmp_path / f"stopped-{stop}")
        list(loop.train(other, another, name="oracle"))
        assert outcome(another) == outcome(run)
