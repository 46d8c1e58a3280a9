"""Models kept ready, and one queue before them: many small wishes become full passes.

Passes are padded to the size that the family recorded, so the pixels of a wish are those that `sample` makes, whoever
else is served by the same pass. Quick wishes, for pictures that follow the pointer, are made in passes as small as
they are: nearly the same pixels, sooner.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import ConditionError, MaquetteError, RunError, UsageError
from maquette.core.noise import Mix
from maquette.core.settings import from_json, to_json
from maquette.core.spec import DataSpec
from maquette.engine.load import load
from maquette.engine.plan import threads
from maquette.engine.sample import Rows, draw, film_length, software, vouched, vouched_steps, wishes
from maquette.engine.table import condition_table
from maquette.families.family import Family, Samples
from maquette.store.run import MODEL_FILE, Run

KEPT = 3
"""Models that are kept ready at once; the one that was asked last goes last."""
MOST = 256
"""Images of one wish."""


class BusyError(MaquetteError):
    """So many wishes wait that no further one is taken; `seconds` is about how long they take."""

    def __init__(self, what: str, seconds: float = 1.0) -> None:
        super().__init__(what)
        self.seconds = seconds


@dataclass(frozen=True)
class Ready:
    """A model that is loaded, and what it can be asked."""

    run: Run
    model: Family
    digest: str
    table: Mapping[str, NDArray[Any]]
    stamp: tuple[int, ...]

    @property
    def family(self) -> str:
        """The name of its family."""
        return str(self.run.facts.get("family"))

    def options(self, dials: Mapping[str, Any]) -> Any:
        """Its dials, checked."""
        return from_json(self.model.Options, dials, what=f"the dials of {self.family}")

    def form(self, options: Any) -> DataSpec:
        """What it makes with these dials, and what it can be given for it."""
        return self.model.made(options)

    def facts(self, options: Any) -> dict[str, Any]:
        """What the manifests of all its images share."""
        data = self.run.facts.get("dataset")
        known = data if isinstance(data, dict) else {}
        return {
            "family": self.family, "software": software(self.model), "dials": to_json(options),
            "batch": self.model.together, "tile": self.form(options).tile, "dataset": str(known.get("digest", "")),
            "set_aside": str(known.get("set_aside", "")),
        }  # fmt: skip

    def rows(self, options: Any, given: Mapping[str, Any], seeds: Sequence[int | Mix]) -> Rows:
        """What each seed's image is to be: what was given, and for the rest as in the training data."""
        form = self.form(options)
        optional = {c.name for c in form.conditions if c not in self.model.spec.conditions}
        flat = [c for c in form.conditions if c.kind not in ("image", "map", "frames")]
        if any(c.name not in optional for c in form.conditions if c not in flat):
            raise ConditionError("this model is given images", do="ask for it by the verb sample")
        return wishes(flat, self.table, given, seeds, (form.height, form.width), optional)


@dataclass(eq=False)
class _Wish:
    ready: Ready
    seeds: list[int | Mix]
    rows: Rows
    options: Any
    key: tuple[Any, ...]
    exact: bool
    steps: Callable[[NDArray[Any]], None] | None
    future: Future[list[Any]]
    made: list[Any] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many images are still to be made, of a wish that somebody still waits for."""
        return 0 if self.future.cancelled() else len(self.seeds) - len(self.made)


class Warm:
    """The models, the queue, and the thread that works it off."""

    def __init__(self, *, waiting: int = 128, kept: int = KEPT) -> None:
        self._most, self._kept = waiting, kept
        self.ready: OrderedDict[Path, Ready] = OrderedDict()
        self.made = self.passes = 0
        self._wishes: list[_Wish] = []
        self._closed = False
        self._loading, self._bell = threading.Lock(), threading.Condition()
        self._rate = 0.0
        self._thread = threading.Thread(target=self._work, name="images", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wishes wait; those that were given up have left their places."""
        return sum(wish.left > 0 for wish in list(self._wishes))

    @property
    def patience(self) -> float:
        """About how many seconds it takes until what waits is made."""
        return sum(wish.left for wish in list(self._wishes)) * self._rate

    def fresh(self, path: Path) -> Ready | None:
        """The model of a run, if it is loaded as it is on the disk now."""
        known = self.ready.get(path)
        return known if known is not None and known.stamp == _stamp(path) else None

    def open(self, path: Path) -> Ready:
        """The model of a run, as it is on the disk now."""
        stamp = _stamp(path)
        with self._loading:
            known = self.fresh(path)
            if known is not None:
                return known
            run = Run.open(path)
            model = load(run)
            if not isinstance(model, Samples):
                raise UsageError(f"the family {run.facts.get('family')} does not make images from seeds")
            if film_length(model, model.Options()) > 1:
                raise UsageError("this model makes films", do="ask for it by the verb sample")
            fresh = Ready(run, model, str(run.facts["model"]), condition_table(run, model.spec), stamp)
            self.ready[path] = fresh
            self.ready.move_to_end(path)
            while len(self.ready) > self._kept:
                self.ready.popitem(last=False)
            return fresh

    def forget(self, path: Path) -> None:
        """Let go of a model whose run is gone."""
        self.ready.pop(path, None)

    def ask(
        self,
        ready: Ready,
        seeds: Sequence[int | Mix],
        given: Mapping[str, Any],
        options: Any,
        *,
        exact: bool = True,
        steps: Callable[[NDArray[Any]], None] | None = None,
    ) -> Future[list[Any]]:
        """Take a wish, or refuse it: exact ones become images with the proof of their model, quick ones arrays.

        `steps` is handed the images as they form; such a wish has its passes for itself.
        """
        if not 0 < len(seeds) <= MOST:
            raise UsageError(f"{len(seeds)} images at once are not possible", do=f"ask for 1 to {MOST}")
        rows = ready.rows(options, given, seeds)
        key = (id(ready), exact, id(steps), json.dumps(to_json(options), sort_keys=True), tuple(sorted(rows)))
        wish = _Wish(ready, list(seeds), rows, options, key, exact, steps, Future())
        with self._bell:
            if self._closed:
                raise BusyError("the studio is being closed")
            if self.waiting >= self._most:
                raise BusyError(f"{self.waiting} requests for images are waiting already", self.patience)
            self._wishes.append(wish)
            self._bell.notify()
        return wish.future

    def close(self) -> None:
        """Make what was taken, and end."""
        with self._bell:
            self._closed = True
            self._bell.notify()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        while True:
            with self._bell:
                while not self._wishes and not self._closed:
                    self._bell.wait()
                if not self._wishes:
                    return
                batch = self._gathered()
            if batch:
                self._make(batch)
            with self._bell:
                for wish in [wish for wish in self._wishes if not wish.left]:
                    self._wishes.remove(wish)
                    _answer(wish)
                # Whoever wants more than one pass lets others go first now, so that one image never waits for hundreds.
                for wish, _ in batch:
                    if wish in self._wishes:
                        self._wishes.remove(wish)
                        self._wishes.append(wish)

    def _gathered(self) -> list[tuple[_Wish, int]]:
        """Wishes for one pass, each with how many of its images: the oldest, and those that go with it."""
        first = next((wish for wish in self._wishes if wish.left), None)
        if first is None:
            return []
        room, chosen = first.ready.model.together, []
        for wish in self._wishes:
            count = min(room, wish.left) if wish.key == first.key else 0
            if count:
                chosen.append((wish, count))
                room -= count
        return chosen

    def _make(self, batch: Sequence[tuple[_Wish, int]]) -> None:
        first = batch[0][0]
        seeds: list[int | Mix] = []
        parts: list[Rows] = []
        for wish, count in batch:
            done = len(wish.made)
            seeds += wish.seeds[done : done + count]
            parts.append({name: values[done : done + count] for name, values in wish.rows.items()})
        rows = {name: np.concatenate([part[name] for part in parts]) for name in first.rows}
        began = time.perf_counter()
        try:
            ready = first.ready
            if first.steps is not None:
                made = []
                for some in vouched_steps(ready.model, ready.digest, seeds, rows, first.options):
                    if isinstance(some, list):
                        made += some
                    else:
                        first.steps(some)
            elif first.exact:
                made = [one for some in vouched(ready.model, ready.digest, seeds, rows, first.options) for one in some]
            else:
                micro = min(ready.model.together, 1 << (len(seeds) - 1).bit_length())
                # One core is left to whoever shows them: a browser beside waits longer for its turn than a pass takes.
                with threads(max(1, torch.get_num_threads() - 1)):
                    made = [one for some in draw(ready.model, seeds, rows, first.options, micro=micro) for one in some]
        except Exception as error:
            for wish, _ in batch:
                wish.made = [None] * len(wish.seeds)
                if not wish.future.done() and wish.future.set_running_or_notify_cancel():
                    wish.future.set_exception(error)
            return
        spent = (time.perf_counter() - began) / len(seeds)
        self._rate = spent if not self._rate else 0.8 * self._rate + 0.2 * spent
        self.made += len(made)
        self.passes += 1
        for wish, count in batch:
            wish.made += made[:count]
            made = made[count:]


def _answer(wish: _Wish) -> None:
    """Hand over what was made, unless it was given up or failed before."""
    if not wish.future.done() and wish.future.set_running_or_notify_cancel():
        wish.future.set_result(wish.made)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the model of a run does."""
    try:
        found = [(path / name).stat() for name in ("run.json", MODEL_FILE)]
    except OSError:
        raise RunError("there is no model in this run, or it was removed", where=path.name, do="train it") from None
    return tuple(number for one in found for number in (one.st_mtime_ns, one.st_size, one.st_ino))
