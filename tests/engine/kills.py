"""Kill training with signal 9 at random moments, start it again, and compare with a run that nobody disturbed.

The children are forked from one warm process, so that a trial takes about a second. Each child does what the command
`maquette train` does, with a tiny model that saves all the time. A kill comes

    after a time     at a random moment of the whole run
    in a save        a random moment after a save began (of a checkpoint or of the model)
    at an operation  at a random one of the file operations inside a save

`benchmarks/safety_training.py` runs the full counts; `test_kills.py` a hundredth of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # threads do not survive a fork

import torch._dynamo  # noqa: E402, F401 (the first optimizer loads it, in a second; here once for all children)
from toys import PLACES, spoil  # noqa: E402
from watched import Child, watch  # noqa: E402

import maquette.engine.start as starting  # noqa: E402
import maquette.operations.sample  # noqa: E402
import maquette.operations.train  # noqa: E402, F401
from maquette.data.drawn.drawn import make_drawn  # noqa: E402
from maquette.engine.load import load  # noqa: E402
from maquette.engine.probe import Choice  # noqa: E402
from maquette.engine.trainer import Trainer  # noqa: E402
from maquette.families import REGISTRY  # noqa: E402
from maquette.operations import operation  # noqa: E402
from maquette.store.run import Run  # noqa: E402
from maquette.store.workspace import Workspace  # noqa: E402

Values = dict[str, Any]
Patch = Callable[[], None]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A tiny training of one family."""

    family: str
    settings: tuple[str, ...]
    steps: int
    precision: str = "float32"
    layout: str = "contiguous"
    batch: int = 8

    @property
    def name(self) -> str:
        """For the report."""
        return f"{self.family} ({self.precision})"


CASES = (
    Case(
        family="gan", settings=("width=4", "latent=8", "embedding=8", "average=200"), steps=60, layout="channels_last"
    ),
    Case(
        family="flow", settings=("width=8", "depth=1", "embedding=16", "average=200"), steps=60, precision="bfloat16",
        layout="channels_last",
    ),
    Case(family="autoencoder", settings=("width=8", "depth=1", "components=4", "average=200"), steps=60),
)  # fmt: skip


@dataclass
class Trial:
    """What happened to one run."""

    kills: int = 0
    inside: int = 0
    """Kills that hit while a checkpoint or the model was being written."""
    seconds: float = 0.0
    wrong: str = ""


@dataclass
class Yard:
    """Where the trials of one case happen, and the outcome of the run that nobody disturbed."""

    case: Case
    place: Path
    dice: random.Random
    patch: Patch | None = None
    """What is broken in every child, besides the kill."""
    given: Values = field(default_factory=dict)
    ends: list[Values] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        if not (self.place / "data.mq").exists():
            list(make_drawn("shapes", self.place / "data.mq", width=16, height=16, count=48))

    def measure(self, times: int = 2) -> None:
        """Run undisturbed: learn how long a run takes, of what a save consists, and how the run ends."""
        for _ in range(times):  # the first is slow, and must end as the second does
            run, began = self.folder(), time.perf_counter()
            child = self.start(run)
            self.finish(child)
            self.length = time.perf_counter() - began
            self.saves, self.operations = child.saves, child.operations
            self.save_seconds = sorted(child.lengths)[len(child.lengths) // 2]
            self.ends.append(outcome(Run.open(run)))
        self.compare_ends()

    def compare_ends(self) -> None:
        """Without this, a comparison would mean nothing."""
        if self.ends[0] != self.ends[-1]:
            what = difference(self.ends[0], self.ends[-1])
            raise RuntimeError(f"{self.case.name}: two undisturbed runs differ: {what}")

    def folder(self) -> Path:
        """A new name for a run."""
        return self.place / f"run-{next(_NUMBERS)}"

    def values(self, run: Path) -> Values:
        """The command: the same every time."""
        case = self.case
        return {
            "dataset": str(self.place / "data.mq"), "to": str(run), "family": case.family, "scale": "nano",
            "images": case.steps * case.batch, "set": (f"batch={case.batch}", *case.settings), "save_every": 0.04,
            "given": ("label",), "seed": 5, **self.given,
        }  # fmt: skip

    def start(self, run: Path, at: tuple[int, int] | None = None) -> Child:
        """Fork a child that trains; it kills itself at operation `at[1]` of save `at[0]`."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return Child(pid, reading)
        code = 1
        try:
            errors = os.open(self.place / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(errors, 2)
            watch(writing, at)
            if self.patch:
                self.patch()
            case = self.case
            choice = Choice(precision=case.precision, layout=case.layout, rate=4000.0, plain=4000.0)
            starting.remembered = lambda *_: (choice, True)
            for event in operation.run("train", Workspace(self.place / "home"), self.values(run)):
                if event.name == "progress":
                    os.write(writing, b"T")
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def finish(self, child: Child, after: float | None = None) -> int:
        """Wait for the child (and kill it after a time); its exit code, -9 when it was killed."""
        end = None if after is None else time.perf_counter() + after
        while not child.ended:
            left = None if end is None else end - time.perf_counter()
            if left is not None and left <= 0:
                os.kill(child.pid, signal.SIGKILL)
                end = None
            else:
                child.read(left)
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        os.close(child.pipe)
        if code not in (0, -9):
            raise RuntimeError((self.place / "stderr").read_text()[-2000:])
        return code

    def kill_once(self, run: Path, inside: bool) -> tuple[bool, bool]:
        """Start the command and kill it: (whether it was killed before it ended, whether inside a save)."""
        dice = self.dice
        if not inside:
            child = self.start(run)
            code = self.finish(child, after=dice.uniform(0, self.length))
        elif dice.random() < 0.5:
            save = dice.randrange(self.saves)
            child = self.start(run, (save, dice.randrange(self.operations[save])))
            code = self.finish(child)
        else:
            child, wanted = self.start(run), dice.randrange(1, self.saves)
            while not child.ended and child.saves < wanted:
                child.read(None)
            code = self.finish(child, after=dice.uniform(0, self.save_seconds))
        return code == -9, code == -9 and child.inside

    def trial(self, inside: bool) -> Trial:
        """Kill a run once, sometimes twice or three times, let it end, and compare."""
        trial, run, began = Trial(), self.folder(), time.perf_counter()
        try:
            wanted = self.dice.choices((1, 2, 3), (6, 2, 1))[0]
            for _ in range(4 * wanted):
                killed, in_save = self.kill_once(run, inside)
                trial.kills += killed
                trial.inside += in_save
                if not killed or trial.kills == wanted:
                    break
            self.finish(self.start(run))
            trial.wrong = difference(outcome(Run.open(run)), self.expected_for(run))
        except Exception as error:
            trial.wrong = f"{type(error).__name__}: {error}"
        trial.seconds = time.perf_counter() - began
        if not trial.wrong:
            shutil.rmtree(run)
        return trial

    def expected_for(self, run: Path) -> Values:
        """The outcome that this run must have."""
        return self.ends[0]


@dataclass
class FollowedYard(Yard):
    """For runs whose decisions depend on the clock: each is compared with an undisturbed run given its decisions."""

    kind: str = ""
    """The kind of decision that every run must have made."""

    def compare_ends(self) -> None:
        """Two runs may decide otherwise."""

    def expected_for(self, run: Path) -> Values:
        """Train anew in one go, with the decisions of the run that was killed written down from the start."""
        twin = self.folder()
        facts = Run.open(run).facts
        kept = {key: facts[key] for key in ("wish", "family", "scale", "dataset", "recipe", "choice")}
        # Without a time no more corrections than those that are written down are made.
        other = Run.create(twin, {**kept, "plan": {**facts["plan"], "seconds": None}})
        decisions = Run.open(run).decisions()
        if self.kind not in {decision["kind"] for decision in decisions}:
            raise RuntimeError(f"the run made no {self.kind}, so nothing was tried")
        for decision in decisions:
            other.decide(decision)
        patch, self.patch = self.patch, None
        self.finish(self.start(twin))
        self.patch = patch
        found = outcome(Run.open(twin))
        shutil.rmtree(twin)
        return found


def outcome(run: Run) -> Values:
    """All that a finished run leaves behind, but for the time it took."""
    state = run.restore()
    if state is None:
        raise RuntimeError("the run has no checkpoint")
    found: Values = {f"state: {name}": value.tobytes() for name, value in state.tensors.items()}
    found |= {f"fact: {name}": value for name, value in state.facts.items() if name != "seconds"}
    model = load(run)
    found |= {f"model: {name}": value.numpy().tobytes() for name, value in model.state_dict().items()}
    records = [{key: value for key, value in record.items() if key != "seconds"} for record in run.records()]
    found |= {f"log: line {number}": record for number, record in enumerate(records)}
    found["decisions"] = run.decisions()
    if run.damaged:
        found["damaged"] = run.damaged
    return found


def difference(found: Values, expected: Values) -> str:
    """What differs between two outcomes, in words; empty when they are equal bit for bit."""
    names = [name for name in sorted(found.keys() | expected.keys()) if found.get(name) != expected.get(name)]
    return f"{len(names)} of {len(expected)} differ: {', '.join(names[:3])}" if names else ""


def cases(quick: bool = False) -> list[Case]:
    """The cases whose families are there; quick ones are shorter."""
    there = [case for case in CASES if case.family in REGISTRY.names()]
    return [dataclasses.replace(case, steps=case.steps // 2) for case in there] if quick else there


def kill_trials(yard: Yard, count: int, share: float = 0.5) -> Iterator[Trial]:
    """Trials until so many kills happened; about `share` of them are meant to hit a save."""
    done = number = 0
    while done < count:
        number += 1
        trial = yard.trial(inside=number % 100 < 100 * share)
        done += trial.kills
        yield trial
        if trial.wrong and not trial.kills:
            return


def terminate_trials(yard: Yard, count: int) -> Iterator[Trial]:
    """SIGTERM at random moments of training: the child saves and ends well; `seconds` is how long that took."""
    done = 0
    for _ in range(10 * count):
        trial = terminate(yard, yard.folder())
        if trial.kills or trial.wrong:  # else it came too late
            done += 1
            yield trial
        if done == count:
            return
    yield Trial(wrong=f"only {done} of {count} runs could be ended before their end")


def terminate(yard: Yard, run: Path) -> Trial:
    """One such run, which the same command then brings to its end."""
    trial = Trial()
    try:
        child = yard.start(run)
        while not child.ended and not child.training:
            child.read(None)
        time.sleep(yard.dice.uniform(0, 0.6 * yard.length))
        began = time.perf_counter()
        os.kill(child.pid, signal.SIGTERM)
        yard.finish(child)
        trial.seconds = time.perf_counter() - began
        stopped = Run.open(run)
        trial.kills = int(stopped.facts["stopped"] == "terminated")
        if trial.kills and stopped.facts["images_seen"] != stopped.checkpoints()[-1]:
            trial.wrong = "it stopped without saving"
        yard.finish(yard.start(run))
        trial.wrong = trial.wrong or difference(outcome(Run.open(run)), yard.expected_for(run))
    except Exception as error:
        trial.wrong = f"{type(error).__name__}: {error}"
    return trial


def break_once(place: str, step: int) -> None:
    """In the child: a number breaks at this step, unless training went back before."""
    prepare = Trainer.__init__

    def spoiled(self: Trainer, *args: Any) -> None:
        prepare(self, *args)
        spoil(self, place, lambda trainer: trainer.steps == step and trainer.attempt == 0)

    Trainer.__init__ = spoiled  # type: ignore[method-assign]


def broken_yard(case: Case, place: Path, dice: random.Random, number: int) -> Yard:
    """Runs in which a number breaks on the way; where and when differs with the number."""
    patch = partial(break_once, PLACES[number % len(PLACES)], dice.randrange(5, case.steps))
    return FollowedYard(case, place, dice, patch, kind="rollback")


def timed_yard(case: Case, place: Path, dice: random.Random) -> Yard:
    """Runs that are given a time; the plan expects far more images than there is time for."""
    return FollowedYard(case, place, dice, given={"images": None, "time": 1.0}, kind="correction")
