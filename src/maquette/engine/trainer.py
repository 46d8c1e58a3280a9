"""A family in training: what a step does, and all that changes while training, as one state."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maquette.core.errors import RunError
from maquette.core.spec import Batch, Phase
from maquette.data.loader import Loader
from maquette.engine.average import MIDDLE, Averages
from maquette.engine.load import arrays, fill, seed_of
from maquette.engine.optim import PhaseOptimizer
from maquette.engine.plan import Plan
from maquette.engine.team.distributed import STEP, TELL, Team, share_state
from maquette.families.family import Family
from maquette.nn.joint import Group, Share, bounds, together
from maquette.nn.pixels import condition_tensors, to_tensor
from maquette.store.shelf import State

SETTLE_BATCHES = 24


def prepare(family: Family, plan: Plan) -> Family:
    """Put the family on its device and in the layout that the plan says."""
    torch.backends.cudnn.deterministic = True  # without it a GPU adds up gradients in whatever order they come
    layout = torch.channels_last if plan.layout == "channels_last" else torch.contiguous_format
    family = family.to(device=plan.device, memory_format=layout).train()  # type: ignore[call-overload]
    if plan.compiled:
        for compiler in ("torch._dynamo", "torch._inductor"):
            logging.getLogger(compiler).setLevel(logging.ERROR)  # its advice is for programmers
        for part in family.children():
            part.compile()
    return family


class Trainer:
    """A family in training: its optimizers, averages and place in the data; saved and restored as one state."""

    def __init__(self, family: Family, loader: Loader, plan: Plan, group: Group | None = None) -> None:
        self.plan, self.loader = plan, loader
        self.group = group
        """The processes that compute every batch together, all with the same state; None where there is one."""
        self.team: Team | None = None
        """The same, where this process is the first one, whom the others follow."""
        self.family = prepare(family, plan)
        self.layout = torch.channels_last if plan.layout == "channels_last" else torch.contiguous_format
        self.averages = Averages(self.family, family.config.average)
        self.optimizers = {phase.name: PhaseOptimizer(self.family, phase) for phase in family.phases}
        self.generator = torch.Generator(device=plan.device)
        self.images = self.steps = 0
        self.attempt = 0
        """How often training went back: then other random numbers are used, and half the rate."""
        self.sums: dict[str, float] = {}
        self.count = 0
        self._known: dict[tuple[int, int, int], list[Tensor]] = {}

    def batches(self, position: int, count: int, passes: int = 1, group: Group | None = None) -> list[Batch]:
        """The training data from a place in its order, in one or several passes; of each the rows of this process."""
        rank, world = (group.rank, group.world) if group is not None else (0, 1)
        size = -(-count // passes)
        batches = []
        for at in range(0, count, size):
            start, end = bounds(min(size, count - at), rank, world)
            images, encoded = self.loader.batch(position + at + start, end - start)
            conditions = condition_tensors(self.family.spec.conditions, encoded)
            tensors = to_tensor(images, self.family.spec.mode).to(self.plan.device, memory_format=self.layout)
            on_device = {name: value.to(self.plan.device) for name, value in conditions.items()}
            batches.append(Batch(tensors, on_device, self.generator, known=self.loader.known))
        return batches

    def step(self, progress: float) -> dict[str, float]:
        """All phases that are due, once each; then the averages. Returns the numbers of this step."""
        if self.team is None:
            return self.compute(progress)
        with self.team.telling(STEP, progress, self.attempt):
            return self.compute(progress)

    def compute(self, progress: float) -> dict[str, float]:
        """A step of this process, at which all others of its group are as well."""
        numbers: dict[str, Tensor] = {}
        batches = self.batches(self.images, self.plan.batch, self.plan.passes, self.group)
        size = -(-self.plan.batch // self.plan.passes)
        for index, phase in enumerate(self.family.phases):
            if not phase.due(self.steps, progress):
                continue
            found: dict[str, Tensor] = {}
            for part, batch in enumerate(batches):
                batch.progress = progress
                rows = min(size, self.plan.batch - part * size)
                self.generator.manual_seed(seed_of("step", self.plan.seed, self.attempt, self.steps, index, part))
                with together(None if self.group is None else Share(self.group, rows), self.generator):
                    self.backward(phase, batch, len(batch.images) / self.plan.batch, found)
            if self.group is not None:
                self._add_up(self.group, self.optimizers[phase.name].parameters, found)
            for name, value in found.items():
                numbers[name] = numbers[name] + value if name in numbers else value
            start, end = phase.span
            share = min(1.0, max(0.0, (progress - start) / (end - start)))
            rate = phase.optimizer.rate_at(share, self.images) * 0.5**self.attempt
            self.optimizers[phase.name].step(rate)
        self.images += self.plan.batch
        self.steps += 1
        self.averages.update(self.images, self.plan.batch)
        values = dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True)) if numbers else {}
        self.family.observe(values)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        return values

    def backward(self, phase: Phase, batch: Batch, share: float, numbers: dict[str, Tensor]) -> None:
        """Add this pass's share to the gradients of what the phase trains, and to the numbers."""
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.precision == "bfloat16"):
            loss = self.family.loss(batch, phase.name)
        # Naming the inputs keeps the gradients of other phases' parameters from being computed at all.
        (loss.total * share).backward(inputs=self.optimizers[phase.name].parameters)
        for name, value in {phase.name: loss.total, **loss.statistics}.items():
            value = value.detach().float() * share
            numbers[name] = numbers[name] + value if name in numbers else value

    def _add_up(self, group: Group, parameters: Sequence[nn.Parameter], numbers: dict[str, Tensor]) -> None:
        """Make gradients and numbers those of the whole batch: one flat sum over all processes."""
        size = sum(parameter.numel() for parameter in parameters)
        have = [k for k, parameter in enumerate(parameters) if parameter.grad is not None]

        def fill(flat: Tensor) -> None:
            places = self._places(flat, parameters)
            torch._foreach_copy_([places[k] for k in have], [parameters[k].grad for k in have])  # type: ignore[misc]
            for k in set(range(len(parameters))).difference(have):
                places[k].zero_()
            flat[size:] = 0.0
            flat[size:][have] = 1.0
            if numbers:
                flat[len(flat) - len(numbers) :] = torch.stack(list(numbers.values()))

        flat = group.summed(size + len(parameters) + len(numbers), parameters[0].device, fill)
        there = flat[size:][: len(parameters)].tolist()
        for parameter, place, some in zip(parameters, self._places(flat, parameters), there, strict=True):
            parameter.grad = place if some else None  # what no process has a gradient of stays without
        for name, value in zip(numbers, flat[len(flat) - len(numbers) :].clone(), strict=True):
            numbers[name] = value

    def _places(self, flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Where each parameter's numbers stand, in its memory layout, so that they can be gradients as they are."""
        key = id(parameters), flat.data_ptr(), len(flat)
        if key not in self._known:
            if len(self._known) > 8:
                self._known.clear()
            sizes = [parameter.numel() for parameter in parameters]
            self._known[key] = [
                piece.as_strided(parameter.shape, parameter.stride(), piece.storage_offset())
                for piece, parameter in zip(flat[: sum(sizes)].split(sizes), parameters, strict=True)
            ]
        return self._known[key]

    def averaged_numbers(self) -> dict[str, float]:
        """The mean of every number since the last call."""
        mean = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return mean

    def exchange(self, team: Team) -> None:
        """Take over the averages that each of the others keeps up to date, as they take over this one's."""
        with torch.no_grad():
            for rank in range(team.world):
                team.share_tensors(self.averages.part(rank), rank)
        self.averages.behind = False

    def _catch_up(self) -> None:
        if self.team is not None and self.averages.behind:
            with self.team.telling(TELL):
                self.exchange(self.team)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes while training, by name."""
        self._catch_up()
        tensors = {f"family.{name}": value for name, value in self.family.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.averages.tensors().items()}
        for phase, optimizer in self.optimizers.items():
            tensors |= {f"optimizer.{phase}.{name}": value for name, value in optimizer.tensors().items()}
        return tensors

    def state(self, seconds: float) -> State:
        """What a checkpoint holds. Random states are not in it: every step seeds anew from its number."""
        facts = {
            "images": self.images, "step": self.steps, "seconds": seconds, "sums": self.sums, "count": self.count,
            "attempt": self.attempt,
        }  # fmt: skip
        return State(arrays(self.tensors()), facts)

    def restore(self, state: State) -> None:
        """The inverse of `state`, in all processes."""
        self.take(state)
        if self.team is not None:
            share_state(self.team, state)

    @torch.no_grad()
    def take(self, state: State) -> None:
        """The inverse of `state`, in this process."""
        self._check_form(state)

        def part(prefix: str) -> dict[str, np.ndarray[Any, Any]]:
            return {name[len(prefix) :]: value for name, value in state.tensors.items() if name.startswith(prefix)}

        fill(self.family, part("family."))
        averages = part("average.")
        for name, value in self.averages.tensors().items():
            value.copy_(torch.from_numpy(np.array(averages[name])))
        self.averages.behind = False
        for phase, optimizer in self.optimizers.items():
            stored = part(f"optimizer.{phase}.")
            optimizer.restore({name: torch.from_numpy(np.array(value)) for name, value in stored.items()})
        self.images, self.steps = int(state.facts["images"]), int(state.facts["step"])
        self.sums, self.count = dict(state.facts["sums"]), int(state.facts["count"])

    def _check_form(self, state: State) -> None:
        """Refuse a checkpoint of another model: a copy into tensors of another shape may succeed and be wrong."""
        own = {name: tuple(value.shape) for name, value in self.tensors().items()}
        memory = {
            f"optimizer.{phase}.{name}": shape
            for phase, optimizer in self.optimizers.items()
            for name, shape in optimizer.shapes().items()
        }
        known = {**own, **memory}
        for name, array in state.tensors.items():
            if known.get(name) != tuple(array.shape):
                raise RunError(f"the checkpoint is of another model ({name} does not fit)", do="train in a new folder")
        if missing := sorted(own.keys() - memory.keys() - state.tensors.keys()):
            raise RunError(f"the checkpoint is of another model (it lacks {missing[0]})", do="train in a new folder")

    def finite(self) -> str | None:
        """The name of the first tensor that holds a number which is not finite, or None."""
        for name, value in self.tensors().items():
            # A sum is finite only if all terms are (or they overflow, which is as bad), and needs no second array.
            if value.is_floating_point() and not math.isfinite(float(value.sum())):
                return name
        return None

    def model(self, length: int = MIDDLE) -> Family:
        """A copy with one of the averages of the weights, settled and ready to sample. Changes nothing of training."""
        self._catch_up()
        family = copy.deepcopy(self.family)
        self.averages.copy_into(family, length)
        count = min(self.plan.batch, 256)
        batches = (batch for index in range(SETTLE_BATCHES) for batch in self._settling(index * count, count))
        with torch.no_grad():
            family.settle(batches)
        return family.eval().requires_grad_(False)

    def model_at(self, state: State) -> Family:
        """The model as it was in another state of this run. Changes nothing of training."""
        now = self.state(0.0)
        self.take(state)
        try:
            return self.model()
        finally:
            self.take(now)

    def _settling(self, position: int, count: int) -> list[Batch]:
        self.generator.manual_seed(seed_of("settle", self.plan.seed, position))
        return self.batches(position, count)
