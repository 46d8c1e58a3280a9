"""A team of processes at one training: how it comes together, and what all but the first one do."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maquette.core.errors import UsageError
from maquette.core.place import place
from maquette.core.settings import to_json
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import LARGEST, rebuild_within
from maquette.engine.plan import check_device, read_plan, threads
from maquette.engine.team.distributed import BUILD, END, STEP, TAKE, TELL, Team, join, programs, share_state
from maquette.engine.team.helpers import helped
from maquette.engine.trainer import Trainer
from maquette.store.shelf import State


@dataclass(frozen=True)
class Member:
    """This process as one of a team."""

    team: Team
    dataset: Dataset

    @property
    def rank(self) -> int:
        """Which one it is; 0 is the first, which leads."""
        return self.team.rank

    def follow(self) -> None:
        """Do what the first one says until the work is done. Signals to stop are the first one's to act upon."""
        with _deaf():
            follow(self.team, self.dataset)


@contextlib.contextmanager
def team(processes: int, dataset: Dataset, device: str, *, asked: int | None, command: str) -> Iterator[Member | None]:
    """Come together: with the others that torchrun started, or with helpers of this machine; None for one process."""
    here = place()
    if here is not None and asked not in (None, here.world):
        raise UsageError(f"torchrun started {here.world} processes, and {asked} are asked for", do="leave --processes")
    with contextlib.ExitStack() as stack:
        if here is not None:
            found = join(here.rank, here.world, local=here.local, device=device)
        elif processes > 1:
            found = stack.enter_context(helped(processes, dataset.path, device))
            command = ""
        else:
            yield None
            return
        stack.callback(found.end)
        agree(found, dataset, command)
        yield Member(found, dataset)


def agree(team: Team, dataset: Dataset, command: str = "") -> None:
    """Refuse to work with processes that have another program, other data or another command. All call it first."""
    team.check(program=programs(), dataset=dataset.digest, command=command)


def lead(team: Team, trainer: Trainer, facts: Mapping[str, Any]) -> None:
    """Let all others build the trainer that this process has, as the facts of its run say, and take over its state."""
    with team.telling(BUILD):
        team.share_json({**facts, "plan": to_json(trainer.plan)})
    trainer.group = trainer.team = team
    trainer.averages.divide(team.rank, team.world)
    share_state(team, trainer.state(0.0))


def loader_of(dataset: Dataset, spec: DataSpec, seed: int, facts: Mapping[str, Any]) -> Loader:
    """The batches of a run, as its facts say."""
    wish = facts.get("wish")
    balance = wish.get("balance") if isinstance(wish, Mapping) else None
    return Loader(dataset, "train", [condition.name for condition in spec.conditions], seed, balance=balance or "")


def follow(team: Team, dataset: Dataset) -> None:
    """Do what the first process says, until it says that the work is done."""
    trainer: Trainer | None = None
    with contextlib.ExitStack() as stack:
        while True:
            order, words = team.hear()
            if order == END:
                return
            if order == BUILD:
                facts = team.share_json()
                plan = read_plan(facts, dataset.path)
                check_device(plan.device)
                family = rebuild_within(facts["recipe"], dataset.path, LARGEST)
                trainer = Trainer(family, loader_of(dataset, family.spec, plan.seed, facts), plan, team)
                trainer.averages.divide(team.rank, team.world)
                stack.enter_context(threads(plan.threads))
                continue
            assert trainer is not None
            if order == TAKE:
                state = team.share_json()
                trainer.take(State(team.share_arrays(), state))
            elif order == TELL:
                trainer.exchange(team)
            elif order == STEP:
                trainer.attempt = int(words[1])
                trainer.compute(words[0])


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
