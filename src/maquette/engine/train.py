"""The one training loop. It knows phases, progress and states, and never which family it trains."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from maquette.core.errors import RunError, TrainingError
from maquette.core.spec import edges
from maquette.engine.load import arrays, recipe
from maquette.engine.plan import threads
from maquette.engine.schedule import Clock, Schedule
from maquette.engine.table import keep_table
from maquette.engine.trainer import Trainer
from maquette.families.family import Family
from maquette.store.run import Run
from maquette.store.shelf import State

LOG_EVERY = 25
"""Steps between two lines of the run's log."""
ROLLBACKS = 5
"""How often a run may go back because of numbers that are not finite."""
RETURNS = 2
"""How often a run may go back because the images have become bad."""
SHEETS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Progress at which a sheet of samples is drawn."""
MEASURE = 0.01
"""The share of the given time that the clock must have measured in this session before it corrects the plan."""


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
    warned: tuple[str, ...] = ()
    """What went wrong and was put right, in sentences."""


def train(trainer: Trainer, run: Run, *, name: str, every: float = 60.0) -> Generator[Step, str | None]:
    """Train to the end of the plan, from where the run stands; yields after every step.

    The caller holds the run's lock, prints, draws sheets and stops: closing the generator saves first. `every` is the
    longest time in seconds between two checkpoints. Sending a reason makes the run go back to the state that was kept
    as its best (`Run.keep_best`).
    """
    with threads(trainer.plan.threads):
        yield from _Session(trainer, run, name, every).steps()


def save_model(trainer: Trainer, run: Run, name: str, model: Family) -> None:
    """Write the averaged model, so that the run can be sampled."""
    # The recipe of the run names the parts that the model stands on.
    facts = run.facts["recipe"] if "recipe" in run.facts else recipe(name, model)
    run.update(model_recipe=facts, images_seen=trainer.images)
    run.save_model(arrays(model.state_dict()), facts)


class _Session:
    """One session of a run: from where the run stands to its end, or to where it is stopped."""

    def __init__(self, trainer: Trainer, run: Run, name: str, every: float) -> None:
        self.trainer, self.run, self.name, self.every = trainer, run, name, every
        self.told: list[str] = []
        keep_table(run, trainer.loader, trainer.family)
        state = run.restore()
        self.warned = list(run.damaged)
        self.clock = Clock(float(state.facts["seconds"]) if state else 0.0, trainer.images)
        if state is None:
            self._save()
        else:
            trainer.restore(state)
            run.rewind(trainer.images)
            self._went_back()
            if trainer.images:
                self.told.append(f"going on from {trainer.images:,} images")
        decisions = run.decisions()
        self.schedule = Schedule.of(trainer.plan.images, decisions, edges(trainer.family.phases)[1:-1])
        self.rollbacks = [decision for decision in decisions if decision["kind"] == "rollback"]
        self._finish_returning(0 if state is None else int(state.facts.get("attempt", 0)))

    def steps(self) -> Generator[Step, str | None]:
        """Every step, until the schedule is done."""
        trainer = self.trainer
        try:
            while (progress := self.schedule.progress(trainer.images)) < 1.0:
                trainer.attempt = self._attempt(trainer.images)
                numbers = trainer.step(progress)
                after = self.schedule.progress(trainer.images)
                sheet_due = any(progress < point <= after for point in SHEETS)
                if any(progress < edge <= after for edge in self.schedule.edges):
                    self.clock.restart(trainer.images)
                save_due = time.perf_counter() - self.saved >= self.every
                bad = None if all(map(math.isfinite, numbers.values())) else "the loss"
                if bad is None and (save_due or sheet_due or after >= 1.0):
                    bad = trainer.finite()
                if bad:
                    self._roll_back(bad)
                    continue
                self._log(progress)
                if save_due:
                    self._save()
                self.clock.tick(trainer.images)
                self._correct()
                reason = yield self._step(numbers, sheet_due)
                if reason:
                    self._return(reason)
            self._finish()
        except GeneratorExit:
            if bad := trainer.finite():
                self._roll_back(bad)
            self._finish()
            raise

    def _step(self, numbers: Mapping[str, float], sheet_due: bool) -> Step:
        images = self.trainer.images
        step = Step(
            images=images, total=self.schedule.total, progress=self.schedule.progress(images),
            seconds=self.clock.seconds(), rate=self.clock.rate, numbers=numbers, sheet_due=sheet_due,
            told=tuple(self.told), warned=tuple(self.warned),
        )  # fmt: skip
        self.told, self.warned = [], []
        return step

    def _log(self, progress: float) -> None:
        if self.trainer.steps % LOG_EVERY == 0:
            record = {"images": self.trainer.images, "step": self.trainer.steps, "progress": progress}
            self.run.log({**record, **self.trainer.averaged_numbers(), "seconds": round(self.clock.seconds(), 3)})

    def _save(self) -> None:
        self.run.save(self.trainer.state(self.clock.seconds()))
        self._went_back()

    def _went_back(self) -> None:
        """What is in memory is now what is on the disk."""
        self.saved, self.saved_images = time.perf_counter(), self.trainer.images

    def _finish(self) -> None:
        """Write a checkpoint and the model as it stands."""
        if self.saved_images != self.trainer.images:
            self._save()
        save_model(self.trainer, self.run, self.name, self.trainer.model())
        self.run.update(seconds=round(self.clock.seconds(), 3))

    def _correct(self) -> None:
        """Let the clock correct how many images there will be, at the few points where it is asked."""
        plan, images = self.trainer.plan, self.trainer.images
        if plan.seconds is None or self.schedule.progress(images) >= 1.0:
            return
        left = plan.seconds - self.clock.seconds()
        which = self.schedule.due(images)
        if which is None and left < 0 and self.schedule.over not in self.schedule.corrected:
            which = self.schedule.over  # the machine became so slow that the time is over before the next point
        if which is None:
            return
        pace = self.clock.pace(images, MEASURE * plan.seconds)
        if left > 0 and pace is None:
            return  # soon
        steps = max(1, round(left * (pace or 0.0) / plan.batch))
        self.run.decide(self.schedule.correct(which, images, images + steps * plan.batch))

    def _attempt(self, images: int) -> int:
        """The attempt that was decided on for this place of the run."""
        return max((int(d["attempt"]) for d in self.rollbacks if int(d["images"]) <= images), default=0)

    def _roll_back(self, bad: str) -> None:
        """Go back to the last good checkpoint, with other random numbers and half the rate."""
        trainer, run = self.trainer, self.run
        attempt = max((int(d["attempt"]) for d in self.rollbacks), default=0) + 1
        if attempt > ROLLBACKS:
            raise TrainingError(
                f"{bad} was not finite {attempt} times, although the rate was halved each time",
                where=run.path,
                do="try a smaller --scale, or a smaller rate with --set, in a new run",
            )
        state = run.restore()
        if state is None:
            raise RunError("there is no checkpoint to go back to", where=run.path)
        self.warned += run.damaged
        at = trainer.images
        trainer.restore(state)
        decision = {"kind": "rollback", "images": trainer.images, "attempt": attempt, "why": bad, "at": at}
        run.decide(decision)
        self.rollbacks.append(decision)
        run.rewind(trainer.images)
        self._went_back()
        self.clock.restart(trainer.images)
        self.warned.append(
            f"{bad} was not finite at {at:,} images: went back to {trainer.images:,} and halved the learning rate "
            f"(attempt {attempt})"
        )

    def _return(self, why: str) -> None:
        """Go back to the state that was judged best, with other random numbers and half the rate."""
        run, at = self.run, self.trainer.images
        best = run.best()
        self.warned += run.damaged
        if best is None or best.images >= at or sum("to" in d for d in self.rollbacks) >= RETURNS:
            return
        attempt = max((int(d["attempt"]) for d in self.rollbacks), default=0) + 1
        decision = {"kind": "rollback", "images": best.images, "attempt": attempt, "why": why, "at": at, "to": "best"}
        run.decide(decision)
        self.rollbacks.append(decision)
        self._take(best, attempt)
        self.warned.append(
            f"{why} at {at:,} images: went back to {best.images:,}, where they were judged best, and halved the "
            f"learning rate (attempt {attempt})"
        )

    def _finish_returning(self, attempt: int) -> None:
        """Go back where that was decided and a kill came before it was done; the state says of which attempt it is."""
        decided = next((d for d in reversed(self.rollbacks) if "to" in d), None)
        if decided is None or self.trainer.images <= int(decided["images"]) or attempt >= int(decided["attempt"]):
            return
        best = self.run.best()
        if best is None or best.images != int(decided["images"]):
            raise RunError("the state that it decided to go back to is not there", where=self.run.path / "best")
        self._take(best, int(decided["attempt"]))

    def _take(self, best: State, attempt: int) -> None:
        self.trainer.restore(best)
        self.trainer.attempt = attempt
        self.run.rewind(self.trainer.images)
        self._save()
        self.clock.restart(self.trainer.images)
