"""Going back to the best state: decided once, written down first, and the same however often the run is killed."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from toys import IMAGES, again, begin, outcome

from maquette.core.event import Warning
from maquette.engine import train as loop
from maquette.engine.load import load
from maquette.engine.watch import Watch
from maquette.operations import operation as table
from maquette.operations import train as verb
from maquette.store.run import Run
from maquette.store.workspace import Workspace


def go(trainer, run, keep=None, reasons=(), stop=None, every=1e9):
    """Train; keep the state at `keep` images, and send the reason at each of `reasons`. Returns what was warned of."""
    steps = loop.train(trainer, run, name="oracle", every=every)
    warned, reason, asked = [], None, dict(reasons)
    while True:
        try:
            step = steps.send(reason)
        except StopIteration:
            return warned
        warned += step.warned
        reason = asked.pop(step.images, None)
        if step.images == keep:
            run.keep_best(trainer.state(step.seconds))
            keep = None
        if step.images == stop:
            steps.close()
            return warned


def test_a_run_goes_back_to_its_best_state_with_half_the_rate(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    warned = go(trainer, run, keep=160, reasons={320: "the images were bad"}, every=1e-9)
    assert len(warned) == 1 and "the images were bad at 320 images: went back to 160" in warned[0]
    (decision,) = run.decisions()
    assert (decision["images"], decision["at"], decision["attempt"]) == (160, 320, 1)
    assert trainer.images == IMAGES and trainer.attempt == 1
    assert [record["images"] for record in run.records()] == sorted({record["images"] for record in run.records()})
    assert load(Run.open(run.path)) is not None


@pytest.mark.parametrize("stop", [80, 160, 168, 240, 400])
def test_stopped_at_any_time_it_ends_where_it_would_have_ended(shapes, tmp_path, stop):
    trainer, run = begin(shapes, tmp_path / "one")
    go(trainer, run, keep=160, reasons={320: "bad"}, every=1e-9)
    other, another = begin(shapes, tmp_path / "other")
    go(other, another, keep=160, reasons={320: "bad"}, stop=stop, every=1e-9)  # 400 is reached after it went back only
    assert len(another.decisions()) == (stop > 320)
    other, another = again(shapes, tmp_path / "other")
    left = {} if stop > 320 else {320: "bad"}
    go(other, another, keep=160 if stop < 160 else None, reasons=left, every=1e-9)
    assert outcome(another) == outcome(run)


def test_a_kill_between_decision_and_return_changes_nothing(shapes, tmp_path, monkeypatch):
    trainer, run = begin(shapes, tmp_path / "one")
    go(trainer, run, keep=160, reasons={320: "bad"}, every=1e-9)

    other, another = begin(shapes, tmp_path / "other")
    real = Run.decide

    def decide_and_die(self, decision):
        real(self, decision)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "decide", decide_and_die)
    with pytest.raises(KeyboardInterrupt):
        go(other, another, keep=160, reasons={320: "bad"}, every=1e-9)
    monkeypatch.setattr(Run, "decide", real)
    assert max(another.checkpoints()) == 320, "the newest checkpoint is of what was given up"
    other, another = again(shapes, tmp_path / "other")
    go(other, another, every=1e-9)
    assert outcome(another) == outcome(run)


def test_it_goes_back_a_few_times_only(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    go(trainer, run, keep=80, reasons={160: "bad", 240: "bad", 320: "bad", 400: "bad"})
    assert [decision["attempt"] for decision in run.decisions()] == [1, 2]


def test_without_a_state_to_go_back_to_the_run_goes_on(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    assert go(trainer, run, reasons={160: "bad"}) == [] and not run.decisions()
    assert trainer.images == IMAGES


def test_a_damaged_best_state_is_said_and_not_used(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    go(trainer, run, keep=80, stop=160)
    (file,) = run.path.glob("best/*/state.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    trainer, run = again(shapes, tmp_path / "run")
    (warned,) = go(trainer, run, reasons={240: "bad"})
    assert "000000000080" in warned and not run.decisions()


def test_only_the_last_best_state_is_kept(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    for stop in (80, 160):
        go(trainer, run, keep=stop, stop=stop)
        trainer, run = again(shapes, tmp_path / "run")
    assert [path.name for path in (run.path / "best").iterdir()] == [f"{160:012d}"]
    model = trainer.model_at(run.best())
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    assert {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
    assert all((value == before[name]).all() for name, value in trainer.tensors().items())
    run.forget_best()
    assert run.best() is None and not list((run.path / "best").iterdir())


def test_train_goes_back_when_the_judge_says_that_variety_is_lost(toy, unprobed, tmp_path, monkeypatch):
    from maquette.data.drawn.drawn import make_drawn

    *_, made = make_drawn("shapes", tmp_path / "many.mq", width=8, height=8, count=400, held_out=0.3)
    real = Watch.judge
    judged = []

    def judge(self, model, images):
        point, warned = real(self, model, images)
        judged.append(images)
        self.lost = len(judged) == 3
        return point, warned

    monkeypatch.setattr(Watch, "judge", judge)
    monkeypatch.setattr("maquette.operations.train.JUDGE_SHARE", 1e9)
    monkeypatch.setattr("maquette.operations.train.SHEET_SHARE", 1e9)
    monkeypatch.setattr(Watch, "is_best", lambda self, point: len(judged) == 2)
    request = {"dataset": str(made.value.path), "to": "run", "family": "toy", "images": 4_000, "given": "none"}
    *events, result = table.run("train", Workspace(tmp_path / "home"), request)
    said = [event.text for event in events if isinstance(event, Warning)]
    assert any("lost their variety" in text and "went back to" in text for text in said)
    (decision,) = [d for d in result.value.decisions() if d["kind"] == "rollback"]
    assert (decision["images"], decision["at"]) == (judged[1], judged[2])
    assert result.facts["images_seen"] == 4_000 and result.value.best() is None


@pytest.mark.parametrize("better", [False, True])
def test_held_out_images_choose_among_variants_of_the_model_that_they_chose(
    toy, unprobed, tmp_path, monkeypatch, better
):
    from maquette.data.drawn.drawn import make_drawn

    *_, made = make_drawn("shapes", tmp_path / "many.mq", width=8, height=8, count=400, held_out=0.3)
    real = Watch.choose
    asked = []

    def choose(self, candidates, seconds=math.inf):
        asked.append(dict(candidates))
        which, values = real(self, candidates)
        if better and len(asked) == 2:
            which = list(candidates)[-1]
        return which, values

    def variants(self):
        model = copy.deepcopy(self)
        with torch.no_grad():
            next(model.parameters()).add_(1.0)
        return {"one more": model}

    monkeypatch.setattr(Watch, "choose", choose)
    monkeypatch.setattr(toy.Toy, "variants", variants)
    request = {"dataset": str(made.value.path), "to": "run", "family": "toy", "images": 800, "given": "none"}
    *events, result = table.run("train", Workspace(tmp_path / "home"), request)
    first, second = asked
    which = next(iter(second))
    assert which in first and list(second) == [which, f"{which} with one more"]
    chosen = result.value.facts["chosen"]
    assert chosen["which"] == (f"{which} with one more" if better else which)
    assert set(chosen["values"]) == {*first, *second}
    kept = load(result.value).state_dict()
    expected = second[chosen["which"]].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in kept.items())
    assert better == any("with one more is surely better" in getattr(event, "text", "") for event in events)


def test_a_model_without_variants_is_chosen_in_all_the_time_there_is(toy, unprobed, tmp_path, monkeypatch):
    from maquette.data.drawn.drawn import make_drawn

    *_, made = make_drawn("shapes", tmp_path / "many.mq", width=8, height=8, count=400, held_out=0.3)
    real = Watch.choose
    asked = []

    def choose(self, candidates, seconds=math.inf):
        asked.append(seconds)
        return real(self, candidates)

    monkeypatch.setattr(Watch, "choose", choose)
    request = {"dataset": str(made.value.path), "to": "run", "family": "toy", "images": 800, "given": "none"}
    *_, result = table.run("train", Workspace(tmp_path / "home"), request)
    assert asked == [pytest.approx(verb.CHOICE_SHARE * result.facts["seconds"], abs=1e-3)]
