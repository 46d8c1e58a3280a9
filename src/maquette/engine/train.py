"""The one training loop. It knows phases, progress and states, and never which family it trains."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maquette.core.errors import RunError, TrainingError
from maquette.core.spec import Batch, Phase
from maquette.data.loader import Loader
from maquette.engine.average import Averages
from maquette.engine.load import arrays, fill, recipe, seed_of
from maquette.engine.optim import PhaseOptimizer
from maquette.engine.schedule import Schedule
from maquette.families.family import Family
from maquette.nn.pixels import condition_tensors, to_tensor
from maquette.store.run import Run, State

LOG_EVERY = 25
"""Steps between two lines of the run's log."""
SETTLE_BATCHES = 24
ROLLBACKS = 5
SHEETS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Progress at which a sheet of samples is drawn."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides the numbers of a run beside the family and the data. Kept in run.json."""

    images: int
    """Images to see, as planned at the start."""
    seconds: float | None = None
    """The time given; then the clock corrects `images` at a few points."""
    seed: int = 0
    batch: int = 64
    passes: int = 1
    """Into how many passes a batch is split, to save memory."""
    device: str = "cpu"
    precision: str = "float32"
    layout: str = "contiguous"
    threads: int = 1
    compiled: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the loop yields after every step."""

    images: int
    total: int
    progress: float
    seconds: float
    rate: float
    """Images a second, lately."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    sheet_due: bool = False
    """The caller may draw a sheet of samples from `Trainer.model` now."""
    told: tuple[str, ...] = ()
    """What the person should know, in sentences."""


def prepare(family: Family, plan: Plan) -> Family:
    """Put the family on its device, in the layout and with the threads that the plan says."""
    torch.set_num_threads(plan.threads)
    torch.set_flush_denormal(True)
    layout = torch.channels_last if plan.layout == "channels_last" else torch.contiguous_format
    family = family.to(device=plan.device, memory_format=layout).train()  # type: ignore[call-overload]
    if plan.compiled:
        for part in family.children():
            part.compile()
    return family


class Trainer:
    """A family in training: its optimizers, averages and place in the data; saved and restored as one state."""

    def __init__(self, family: Family, loader: Loader, plan: Plan) -> None:
        self.plan, self.loader = plan, loader
        self.family = prepare(family, plan)
        self.layout = torch.channels_last if plan.layout == "channels_last" else torch.contiguous_format
        self.averages = Averages(self.family, family.config.average)
        self.optimizers = {phase.name: PhaseOptimizer(self.family, phase) for phase in family.phases}
        self.generator = torch.Generator(device=plan.device)
        self.images = self.steps = self.attempt = 0
        self.sums: dict[str, float] = {}
        self.count = 0

    def batches(self, position: int, count: int, passes: int = 1) -> list[Batch]:
        """The training data from a place in its order, in one or several equal passes."""
        images, encoded = self.loader.batch(position, count)
        tensors = to_tensor(images, self.family.spec.mode)
        conditions = condition_tensors(self.family.spec.conditions, encoded)
        size = -(-count // passes)
        progress = 0.0
        return [
            Batch(
                tensors[at : at + size].to(self.plan.device, memory_format=self.layout),
                {name: value[at : at + size].to(self.plan.device) for name, value in conditions.items()},
                self.generator,
                progress,
            )
            for at in range(0, count, size)
        ]

    def step(self, progress: float) -> dict[str, float]:
        """All phases that are due, once each; then the averages. Returns the numbers of this step."""
        numbers: dict[str, Tensor] = {}
        batches = self.batches(self.images, self.plan.batch, self.plan.passes)
        for index, phase in enumerate(self.family.phases):
            if not phase.due(self.steps, progress):
                continue
            for part, batch in enumerate(batches):
                batch.progress = progress
                seed = seed_of("step", self.plan.seed, self.attempt, self.steps, index, part)
                self.generator.manual_seed(seed)
                self._backward(phase, batch, len(batches), numbers)
            start, end = phase.span
            share = min(1.0, max(0.0, (progress - start) / (end - start)))
            self.optimizers[phase.name].step(phase.optimizer.rate_at(share) * 0.5**self.attempt)
        self.images += self.plan.batch
        self.steps += 1
        self.averages.update(self.images, self.plan.batch)
        values = dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))
        self.family.observe(values)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        return values

    def _backward(self, phase: Phase, batch: Batch, passes: int, numbers: dict[str, Tensor]) -> None:
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.precision == "bfloat16"):
            loss = self.family.loss(batch, phase.name)
        # Naming the inputs keeps the gradients of other phases' parameters from being computed at all.
        (loss.total / passes).backward(inputs=self.optimizers[phase.name].parameters)
        for name, value in {phase.name: loss.total, **loss.statistics}.items():
            value = value.detach().float() / passes
            numbers[name] = numbers[name] + value if name in numbers else value

    def averaged_numbers(self) -> dict[str, float]:
        """The mean of every number since the last call."""
        mean = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return mean

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes while training, by name."""
        tensors = {f"family.{name}": value for name, value in self.family.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.averages.tensors().items()}
        for phase, optimizer in self.optimizers.items():
            tensors |= {f"optimizer.{phase}.{name}": value for name, value in optimizer.tensors().items()}
        return tensors

    def state(self, seconds: float) -> State:
        """What a checkpoint holds. Random states are not in it: every step seeds anew from its number."""
        facts = {
            "images": self.images, "step": self.steps, "attempt": self.attempt, "seconds": seconds,
            "sums": self.sums, "count": self.count,
        }  # fmt: skip
        return State(arrays(self.tensors()), facts)

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """The inverse of `state`."""

        def part(prefix: str) -> dict[str, np.ndarray[Any, Any]]:
            return {name[len(prefix) :]: value for name, value in state.tensors.items() if name.startswith(prefix)}

        fill(self.family, part("family."))
        averages = part("average.")
        for name, value in self.averages.tensors().items():
            value.copy_(torch.from_numpy(np.array(averages[name])))
        for phase, optimizer in self.optimizers.items():
            stored = part(f"optimizer.{phase}.")
            optimizer.restore({name: torch.from_numpy(np.array(value)) for name, value in stored.items()})
        self.images, self.steps = int(state.facts["images"]), int(state.facts["step"])
        self.attempt = int(state.facts["attempt"])
        self.sums, self.count = dict(state.facts["sums"]), int(state.facts["count"])

    def finite(self) -> str | None:
        """The name of the first tensor that holds a number which is not finite, or None."""
        for name, value in self.tensors().items():
            # A sum is finite only if all terms are (or they overflow, which is as bad), and needs no second array.
            if value.is_floating_point() and not math.isfinite(float(value.sum())):
                return name
        return None

    def model(self) -> Family:
        """A copy with the averaged weights, settled and ready to sample."""
        family = copy.deepcopy(self.family)
        self.averages.copy_into(family)
        count = min(self.plan.batch, 256)
        batches = (batch for index in range(SETTLE_BATCHES) for batch in self._settling(index * count, count))
        with torch.no_grad():
            family.settle(batches)
        return family.eval().requires_grad_(False)

    def _settling(self, position: int, count: int) -> list[Batch]:
        self.generator.manual_seed(seed_of("settle", self.plan.seed, position))
        return self.batches(position, count)


class Clock:
    """Seconds spent in this run, those of earlier sessions included, and the rate of late."""

    def __init__(self, before: float) -> None:
        self.started = time.perf_counter() - before
        self.mark: tuple[float, int] | None = None
        self.rate = 0.0

    def seconds(self) -> float:
        """Seconds in training so far."""
        return time.perf_counter() - self.started

    def tick(self, images: int) -> None:
        """Renew the rate about twice a second."""
        now = time.perf_counter()
        if self.mark is None:
            self.mark = (now, images)
        elif now - self.mark[0] >= 0.5:
            fresh = (images - self.mark[1]) / (now - self.mark[0])
            self.rate = fresh if not self.rate else 0.8 * self.rate + 0.2 * fresh
            self.mark = (now, images)


def train(trainer: Trainer, run: Run, *, name: str, every: float = 60.0) -> Iterator[Step]:
    """Train to the end of the plan, from where the run stands; yields after every step.

    The caller prints, draws sheets and stops: closing the generator saves first. `every` is the longest time in
    seconds between two checkpoints.
    """
    plan = trainer.plan
    told: list[str] = []
    state = run.restore()
    told += run.damaged
    if state is None:
        run.save(trainer.state(0.0))
    else:
        trainer.restore(state)
        run.rewind(trainer.images)
        if trainer.images:
            told.append(f"going on from {trainer.images:,} images")
    decisions = run.decisions()
    schedule = Schedule.of(plan.images, decisions)
    trainer.attempt = max(
        [d["attempt"] for d in decisions if d["kind"] == "rollback" and d["images"] <= trainer.images]
        + [trainer.attempt]
    )
    clock = Clock(float(state.facts["seconds"]) if state else 0.0)
    saved = time.perf_counter()
    started_at, started_seconds = trainer.images, clock.seconds()
    try:
        while (progress := schedule.progress(trainer.images)) < 1.0:
            numbers = trainer.step(progress)
            bad = None if all(map(math.isfinite, numbers.values())) else "the loss"
            due_save = bad is None and time.perf_counter() - saved >= every
            if due_save:
                bad = trainer.finite()
            if bad:
                told.append(_roll_back(trainer, run, bad))
                continue
            if trainer.steps % LOG_EVERY == 0:
                mean = trainer.averaged_numbers()
                record = {"images": trainer.images, "step": trainer.steps, "progress": progress, **mean}
                run.log({**record, "seconds": round(clock.seconds(), 3)})
            if due_save:
                run.save(trainer.state(clock.seconds()))
                saved = time.perf_counter()
            clock.tick(trainer.images)
            if plan.seconds is not None and (which := schedule.due(trainer.images)) is not None:
                spent = clock.seconds() - started_seconds
                pace = (trainer.images - started_at) / max(spent, 1e-9)
                left = max(0.0, plan.seconds - clock.seconds())
                total = trainer.images + max(1, round(left * pace / plan.batch)) * plan.batch
                run.decide(schedule.correct(which, trainer.images, total))
            after = schedule.progress(trainer.images)
            yield Step(
                images=trainer.images, total=schedule.total, progress=after, seconds=clock.seconds(), rate=clock.rate,
                numbers=numbers, sheet_due=any(progress < point <= after for point in SHEETS), told=tuple(told),
            )  # fmt: skip
            told.clear()
        finish(trainer, run, clock.seconds(), name)
    except GeneratorExit:
        if trainer.finite() is None:
            finish(trainer, run, clock.seconds(), name)
        raise


def finish(trainer: Trainer, run: Run, seconds: float, name: str) -> None:
    """Write a checkpoint and the model as it stands."""
    bad = trainer.finite()
    if bad:
        raise TrainingError(
            f"{bad} holds numbers that are not finite",
            where=run.path,
            do="train again: it goes on from the last good checkpoint",
        )
    run.save(trainer.state(seconds))
    save_model(trainer, run, name, trainer.model())


def save_model(trainer: Trainer, run: Run, name: str, model: Family) -> None:
    """Write the averaged model, so that the run can be sampled."""
    facts = recipe(name, model)
    run.update(model_recipe=facts, images_seen=trainer.images)
    run.save_model(arrays(model.state_dict()), facts)


def _roll_back(trainer: Trainer, run: Run, bad: str) -> str:
    """Go back to the last good checkpoint, with other random numbers and half the rate; says what happened."""
    state = run.restore()
    if state is None:
        raise RunError("there is no checkpoint to go back to", where=run.path)
    attempt = trainer.attempt + 1
    if attempt > ROLLBACKS:
        raise TrainingError(
            f"{bad} was not finite {attempt} times, although the rate was halved each time",
            where=run.path,
            do="try a smaller --scale, or a smaller rate with --set",
        )
    at = trainer.images
    trainer.restore(state)
    trainer.attempt = attempt
    run.decide({"kind": "rollback", "images": trainer.images, "attempt": attempt, "why": bad, "at": at})
    run.rewind(trainer.images)
    return (
        f"{bad} was not finite at {at:,} images: went back to {trainer.images:,} and halved the learning rate "
        f"(attempt {attempt})"
    )
