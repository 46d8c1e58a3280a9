"""A step does what the phases say; the state holds all that changes; the model is a copy that changes nothing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import toys

from maquette.core.errors import RunError
from maquette.store.run import Run
from maquette.store.shelf import State


def bits(trainer):
    """All that changes while training, as bytes."""
    return {name: value.detach().cpu().contiguous().numpy().tobytes() for name, value in trainer.tensors().items()}


def steps(trainer, first, last, total=40):
    return [trainer.step(step / total) for step in range(first, last)]


PLANS = (
    {"precision": "float32", "layout": "contiguous"},
    {"precision": "float32", "layout": "channels_last"},
    {"precision": "bfloat16", "layout": "contiguous"},
    {"precision": "bfloat16", "layout": "channels_last"},
)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: "-".join(plan.values()))
def test_a_state_goes_through_the_disk_and_on_bit_for_bit(toy, shapes, tmp_path, plan):
    whole, half = toys.fresh("toy", shapes, plan), toys.fresh("toy", shapes, plan)
    numbers = steps(whole, 0, 30)
    assert steps(half, 0, 13) == numbers[:13]
    run = Run.create(tmp_path / "run", {})
    run.save(half.state(1.5))
    again = toys.fresh("toy", shapes, plan)
    steps(again, 0, 3)  # what is in memory must not matter
    again.restore(run.restore())
    assert (again.images, again.steps, again.sums, again.count) == (104, 13, half.sums, half.count)
    assert steps(again, 13, 30) == numbers[13:]
    assert bits(again) == bits(whole)
    assert again.averaged_numbers() == whole.averaged_numbers()


def test_a_rate_may_follow_the_images_seen_and_not_the_length_of_the_run(toy, shapes):
    trainer = toys.fresh("toy", shapes, PLANS[0])
    (phase,) = trainer.family.phases
    optimizer = dataclasses.replace(phase.optimizer, schedule="constant", warmup=0.0, half=16)
    trainer.family.phases = (dataclasses.replace(phase, optimizer=optimizer),)
    rates, step = [], trainer.optimizers[phase.name].step
    trainer.optimizers[phase.name].step = lambda rate: (rates.append(rate), step(rate))
    steps(trainer, 0, 5)
    seen = [trainer.images / 5 * number for number in range(5)]
    assert rates == pytest.approx([optimizer.rate / (1 + images / 16) for images in seen])


def test_every_phase_moves_what_it_trains_while_it_is_due(toy, shapes):
    trainer = toys.fresh("pair", shapes, kinds=())
    family = trainer.family
    moved = []
    for step in range(40):
        before = family.quick.detach().clone(), family.calm.detach().clone()
        numbers = trainer.step(step / 40)
        now = not torch.equal(before[0], family.quick), not torch.equal(before[1], family.calm)
        assert numbers.keys() == {name for name, is_due in zip(("fast", "slow"), now, strict=True) if is_due}
        moved.append(now)
    assert moved == [(step < 20, step >= 20 and step % 3 == 0) for step in range(40)]
    assert family.asked == [
        ("fast" if step < 20 else "slow", step / 40) for step in range(40) if step < 20 or step % 3 == 0
    ]


def test_a_step_at_which_nothing_is_due_counts_its_images(toy, shapes):
    trainer = toys.fresh("gaps", shapes, kinds=())
    assert [len(trainer.step(step / 10)) for step in range(4)] == [1, 0, 1, 0]
    assert (trainer.images, trainer.steps) == (32, 4)
    assert all(map(math.isfinite, trainer.averaged_numbers().values()))


@pytest.mark.parametrize(("batch", "passes"), [(8, 2), (8, 8), (10, 4), (7, 3), (4, 9)])
def test_passes_give_what_one_pass_gives(shapes, batch, passes):
    found = []
    for count in (1, passes):
        trainer = toys.fresh("oracle", shapes, {"passes": count}, batch=batch, withheld=0.0, average=100)
        numbers = steps(trainer, 0, 10)
        found.append((numbers, trainer.tensors()))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one.keys() == other.keys()
        assert all(abs(one[name] - other[name]) < 1e-5 for name in one)
    for name, value in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], value, rtol=1e-4, atol=2e-6, msg=name)


def test_phases_of_one_step_share_a_memo_and_steps_do_not(toy, shapes):
    seen = []

    class Sharing(toy.Pair):
        def __init__(self, *args):
            super().__init__(*args)
            from maquette.core.spec import Phase

            self.phases = (Phase(name="a", trains=("quick",)), Phase(name="b", trains=("calm",)))

        def loss(self, batch, phase):
            seen.append((phase, dict(batch.memo)))
            batch.memo[phase] = 1
            return super().loss(batch, "fast" if phase == "a" else "slow")

    trainer = toys.trainer_of(Sharing(toy.ToyConfig(), shapes.spec), shapes)
    steps(trainer, 0, 2)
    assert [(phase, "a" in memo) for phase, memo in seen] == [("a", False), ("b", True)] * 2


def test_every_step_phase_pass_and_attempt_draws_other_numbers(toy, shapes):
    drawn = []

    class Drawing(toy.Pair):
        def __init__(self, *args):
            super().__init__(*args)
            from maquette.core.spec import Phase

            self.phases = (Phase(name="a", trains=("quick",)), Phase(name="b", trains=("calm",)))

        def loss(self, batch, phase):
            drawn.append(float(torch.rand((), generator=batch.generator, dtype=torch.float64)))
            return super().loss(batch, "fast" if phase == "a" else "slow")

    def draws(attempt=0, seed=0):
        drawn.clear()
        trainer = toys.trainer_of(Drawing(toy.ToyConfig(), shapes.spec), shapes, passes=2, seed=seed)
        trainer.attempt = attempt
        torch.manual_seed(attempt)  # the global generator plays no part
        steps(trainer, 0, 5)
        return list(drawn)

    first = draws()
    assert len(set(first)) == len(first) == 5 * 2 * 2
    assert draws() == first
    assert not set(draws(attempt=1)) & set(first)
    assert not set(draws(seed=1)) & set(first)


def test_an_attempt_halves_the_rate(shapes):
    moved = []
    for attempt in range(3):
        trainer = toys.fresh("oracle", shapes, withheld=0.0)
        trainer.attempt = attempt
        trainer.step(0.0)
        moved.append(float(trainer.family.base.detach().abs().max()))
    assert moved[0] / moved[1] == pytest.approx(2) and moved[1] / moved[2] == pytest.approx(2)


def test_a_model_is_a_copy_and_drawing_it_changes_nothing(toy, shapes):
    from maquette.engine.sample import draw, examples

    settled = []

    class Settling(toy.Toy):
        def settle(self, batches):
            settled.append(sum(len(batch.images) for batch in batches))
            self.seen.fill_(-5)
            torch.nn.init.zeros_(self.last.bias)

    def begin():
        torch.manual_seed(0)
        return toys.trainer_of(Settling(toy.ToyConfig(), shapes.spec), shapes)

    watched, plain = begin(), begin()
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    for step in range(12):
        assert watched.step(step / 12) == plain.step(step / 12)
        before = bits(watched)
        model = watched.model()
        names = examples(model.spec.conditions, shapes.conditions(range(20)), 20)
        pictures = list(draw(model, range(20), names))
        assert len(np.concatenate(pictures)) == 20
        assert bits(watched) == before
        assert watched.family.training and not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert float(model.seen) == -5 and float(watched.family.seen) == step + 1
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(count >= 100 for count in settled)
    assert bits(watched) == bits(plain)


def test_the_first_tensor_that_is_not_finite_is_named(toy, shapes):
    trainer = toys.fresh("toy", shapes)
    trainer.step(0.0)
    assert trainer.finite() is None
    for name, value in trainer.tensors().items():
        kept = value.detach().clone()
        if value.is_floating_point():
            for bad in (math.nan, math.inf, -math.inf):
                with torch.no_grad():
                    value.reshape(-1)[:1].fill_(bad)
                assert trainer.finite() == name
        with torch.no_grad():
            value.copy_(kept)
    assert trainer.finite() is None


def test_a_checkpoint_of_another_model_is_refused(toy, shapes):
    trainer = toys.fresh("toy", shapes)
    trainer.step(0.0)
    state = trainer.state(0.0)
    before = bits(trainer)
    tensors = dict(state.tensors)
    for damaged in (
        {**tensors, "family.first.bias": np.zeros(1, np.float32)},  # would be copied into all channels
        {**tensors, "family.more": np.zeros(1, np.float32)},
        {**tensors, "optimizer.other.first.bias.step": np.zeros((), np.float32)},
        {**tensors, "optimizer.fit.first.bias.exp_avg": np.zeros((), np.float32)},
        {name: value for name, value in tensors.items() if name != "average.1.last.bias"},
        {name: value for name, value in tensors.items() if name != "family.seen"},
    ):
        with pytest.raises(RunError, match="another model"):
            trainer.restore(State(damaged, state.facts))
        assert bits(trainer) == before
    # What was never moved has no memory in the optimizer, and that is no fault.
    fresh = toys.fresh("toy", shapes)
    first = fresh.state(0.0)
    assert not any(name.startswith("optimizer.") for name in first.tensors)
    trainer.restore(first)
    assert trainer.images == 0 and bits(trainer) == bits(fresh)
