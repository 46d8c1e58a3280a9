"""The verb `train`: learn a model from a dataset, or go on learning."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.choices import SCALES, TILES, Tile
from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Note, Progress, Result, Warning
from maquette.core.settings import argument, parse_count, parse_pairs, parse_seconds, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset
    from maquette.engine.start import Session
    from maquette.engine.team.follow import Member
    from maquette.engine.train import Step
    from maquette.engine.watch import Watch
    from maquette.families.family import Family
    from maquette.store.run import Run
    from maquette.store.workspace import Workspace

TELL_EVERY = 0.5
"""Seconds between two progress events."""
LOOK_EVERY = 1.0
"""Seconds between two looks for a request to pause."""
LOST = "the images had lost their variety"
SHEET, FEWEST, PIXELS = 64, 4, 2**20
"""Images on a sheet at most and at least, and about how many pixels they have together."""
SHEET_SHARE = JUDGE_SHARE = CHOICE_SHARE = 0.04
"""The shares of the time that may go into sheets, judging, and the choice at the end; what would go beyond is left out
(that changes numbers only where a judgement would have sent the run back)."""
FIRST = 0.6
"""How much of the time for the choice may go into choosing a model, where it has variants: the rest is for them."""
COPIES_TAKE = 2.0
"""Seconds that looking for copies takes, about; shorter trainings are not worth it."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """What to learn from, what kind of model, and for how long."""

    dataset: str = argument("the dataset to learn from")
    to: str = setting("", "the run: a name, or a folder; the dataset's and the family's name when left out", form="RUN")
    family: str = setting("flow", "the kind of model")
    time: float | None = setting(
        None, "how long to train, such as 90s, 10m or 1h30m", read=parse_seconds, gt=0, form="TIME"
    )
    images: int | None = setting(
        None, "instead of a time: how many images to see, such as 200k", read=parse_count, ge=1, form="N"
    )
    scale: str = setting("auto", "the size of the model; auto takes what pays in the time", choices=("auto", *SCALES))
    tile: str = setting("", "along which axes the images tile without a seam", choices=TILES)
    given: tuple[str, ...] | None = setting(
        None, "conditions to learn, such as label,text; `none` for none; all when left out"
    )
    balance: str | None = setting(None, "a label whose rare values are shown as often as frequent ones", form="LABEL")
    on: str | None = setting(None, "a finished run that the model stands on, for families that need one", form="RUN")
    from_: str | None = setting(None, "a run whose weights to begin with", form="RUN")
    seed: int = setting(0, "the same seed gives the same run", ge=0, lt=2**63)
    set: tuple[str, ...] = setting((), "a setting of the family", repeat=True, form="KEY=VALUE")
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    judge: bool = setting(True, "hold images of the model against held-out ones while it learns")
    until: str = setting(
        "end",
        "when to stop: at the end, or when the judgement has not improved for a while",
        choices=("end", "settled"),
    )
    processes: int | None = setting(
        None, "processes of this machine that compute together; as before, or one, when left out", ge=1, le=256
    )
    save_every: float = setting(
        60.0,
        "the longest time between two checkpoints, in seconds or such as 5m",
        read=parse_seconds,
        gt=0,
        form="TIME",
    )


@operation
def train(request: Train, workspace: Workspace) -> Iterator[Event]:
    """Learn a model from a dataset; the same command again goes on where it stopped.

    Ctrl-C saves first. What is learned can be sampled at any time.
    """
    from maquette.data.dataset import Dataset
    from maquette.engine.start import processes_of
    from maquette.engine.team.follow import team
    from maquette.store.run import Run

    dataset = Dataset.open(workspace.dataset_path(request.dataset))
    to = workspace.run_path(request.to or f"{dataset.name}-{request.family}")
    processes = request.processes or (processes_of(Run.open(to)) if Run.exists(to) else 1)
    with team(processes, dataset, request.device, asked=request.processes, command=_command(request)) as together:
        if together is None or together.rank == 0:
            yield from _lead(request, workspace, dataset, to, together)
        else:
            together.follow()
            yield Result(verb="train", facts={"run": str(to), "family": request.family})


def _command(request: Train) -> str:
    """What all processes of one training must have been asked for; where things lie may differ."""
    places = ("dataset", "to", "on", "from_")
    return repr([(field.name, getattr(request, field.name)) for field in fields(request) if field.name not in places])


def _lead(request: Train, workspace: Workspace, dataset: Dataset, to: Path, together: Member | None) -> Iterator[Event]:
    """Train, alone or as the first of several processes."""
    from maquette.engine.copying import copies_warning
    from maquette.engine.start import Wish, check, dataset_facts, start
    from maquette.engine.train import train as steps
    from maquette.engine.watch import Watch
    from maquette.store.run import Run
    from maquette.trust.cards import refresh

    wish = Wish(
        family=request.family,
        seconds=request.time,
        images=request.images,
        scale=request.scale,
        tile=_tile(request.tile),
        given=_given(request.given),
        balance=request.balance,
        on=None if request.on is None else workspace.run_path(request.on),
        origin=None if request.from_ is None else workspace.run_path(request.from_),
        seed=request.seed,
        changes=parse_pairs(request.set),
        device=request.device,
    )
    begun = Run.exists(to)
    if not begun:
        check(wish)  # before anything is said of measuring
    yield Note(text=f"{len(dataset):,} images in {dataset.path}" + ("" if begun else "; measuring this machine"))
    probes = workspace.home / "probes.json"
    session = start(dataset, to, wish, probes=probes, team=None if together is None else together.team)
    for text in session.told:
        yield Note(text=text)
    run = session.run
    with run.lock(), _signals() as asked:
        run.clear_pause()
        if run.facts.get("dataset") != dataset_facts(dataset):
            run.update(dataset=dataset_facts(dataset))  # it was moved
        workspace.index.add_run(run)
        watch = Watch.of(run, dataset, session.trainer.family) if request.judge else None
        if watch is not None and not begun:
            yield from _promise(session, watch, dataset, workspace)
        going = steps(session.trainer, run, name=session.name, every=request.save_every)
        yield from _train(session, going, asked, watch, request.until)
        long_enough = float(run.facts.get("seconds", 0.0)) * CHOICE_SHARE >= COPIES_TAKE
        text = copies_warning(run, dataset, session.load_model()) if request.judge and long_enough and not asked else ""
        if text:
            yield Warning(text=text)
    workspace.index.add_run(run)
    trouble = refresh(run.path)
    if trouble:
        yield Warning(text=trouble)
    yield _result(session, workspace)


def _tile(text: str) -> Tile:
    known: dict[str, Tile] = {"": "", "x": "x", "y": "y", "xy": "xy"}
    return known[text]


def _given(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not names:
        raise UsageError("--given needs names of conditions", do="write none to train without conditions")
    return () if names == ("none",) else names


def _train(
    session: Session, steps: Generator[Step, str | None], asked: list[str], watch: Watch | None, until: str
) -> Iterator[Event]:
    """Turn the loop's steps into events, draw sheets, judge, and stop when asked to."""
    run = session.run
    told = looked = drawing = judging = 0.0
    step: Step | None = None
    back: str | None = None
    with contextlib.closing(steps):  # closing saves, also when the caller of this goes away
        while True:
            try:
                step = steps.send(back)
            except StopIteration:
                break
            back = None
            for text in step.warned:
                yield Warning(text=text)
            for text in step.told:
                yield Note(text=text)
            now = time.monotonic()
            if now - told >= TELL_EVERY:
                told = now
                yield _progress(step)
            if step.sheet_due and not asked and drawing <= SHEET_SHARE * step.seconds:
                yield from _sheet(session, session.save_model(), step.images, lambda: bool(asked))
                drawing += time.monotonic() - now
            if step.sheet_due and not asked and watch is not None and judging <= JUDGE_SHARE * step.seconds:
                now = time.monotonic()
                yield from _judge(session, watch, step)
                judging += time.monotonic() - now
                back = LOST if watch.lost else None
                if until == "settled" and step.progress > 0.3 and watch.settled:
                    asked.append("settled")
            if now - looked >= LOOK_EVERY:
                looked = now
                if run.pause_asked():
                    asked.append("paused")
            if asked:
                break
    run.clear_pause()
    run.update(stopped="finished" if step is None or step.progress >= 1.0 else asked[0])
    if step is not None:
        yield _progress(step)
        hurry = lambda: "terminated" in asked or len(asked) > 1  # noqa: E731
        if watch is not None and run.facts["stopped"] in ("finished", "settled"):
            yield from _choose(session, watch, step)
        yield from _sheet(session, session.load_model(), session.trainer.images, hurry)


def _promise(session: Session, watch: Watch, dataset: Dataset, workspace: Workspace) -> Iterator[Event]:
    """Say how good the model may be expected to become, by how other trainings of the family went."""
    from maquette.engine.expect import expectation

    run, plan = session.run, session.trainer.plan
    others = (entry.path for entry in workspace.index.list("run") if entry.path != run.path)
    found = expectation(session.name, session.trainer.family.spec, plan.images, dataset.digest, others)
    run.update(floor=watch.floor, unit=watch.unit, **({} if found is None else {"promise": found.to_json()}))
    if found is not None:
        yield Note(text=found.sentence)


def _judge(session: Session, watch: Watch, step: Step) -> Iterator[Event]:
    """Hold images of the model against images that it never learns from."""
    model, images = session.trainer.model(), step.images
    point, warned = watch.judge(model, images)
    for text in warned:
        yield Warning(text=text)
    if watch.is_best(point):
        session.run.keep_best(session.trainer.state(step.seconds))
    yield Note(
        text=f"after {images:,} images seen: distance to {watch.part} images {point.value:.3g} "
        f"[{point.low:.3g} to {point.high:.3g}], variety {point.variety:.0%} of theirs"
    )


def _choose(session: Session, watch: Watch, step: Step) -> Iterator[Event]:
    """Which of the averages, or of the models on the way, or of their variants, becomes the model."""
    from maquette.engine.average import LENGTHS

    trainer, run = session.trainer, session.run
    names = ("the average over few images", "the average", "the average over many images")
    candidates = {names[1]: session.load_model(), names[0]: trainer.model(0), names[2]: trainer.model(len(LENGTHS) - 1)}
    kept = run.best()
    if kept is not None and kept.images < trainer.images:
        candidates[f"the model after {kept.images:,} images"] = trainer.model_at(kept)
    seconds = CHOICE_SHARE * step.seconds
    first = FIRST * seconds if candidates[names[1]].variants() else seconds
    which, values = watch.choose(candidates, first)
    if values and (varied := candidates[which].variants()):
        variants = {f"{which} with {name}": model for name, model in varied.items()}
        candidates |= variants
        which, more = watch.choose({which: candidates[which], **variants}, seconds - first)
        values = {**values, **more}
    if which != names[1]:
        session.keep(candidates[which])
        yield Note(text=f"{which} is surely better on {watch.part} images than {names[1]}: it is the model")
    run.update(chosen={"which": which, "values": {name: value.value for name, value in values.items()}})
    run.forget_best()
    yield from _kept(run, trainer.images)


def _kept(run: Run, images: int) -> Iterator[Event]:
    """Say what the model became, beside what was promised."""
    from maquette.engine.expect import number, reached

    found = reached(run, images)
    if found is None:
        return
    run.update(reached=found)
    promise = run.facts.get("promise")
    beside = ""
    if isinstance(promise, Mapping):
        inside = "as expected" if promise["low"] <= found["value"] <= promise["high"] else (
            "better than expected" if found["value"] < promise["low"] else "less than expected"
        )  # fmt: skip
        beside = f" ({inside}: {number(promise['low'])} to {number(promise['high'])})"
    yield Note(text=f"the model is {found['sentence']}{beside}")


def _progress(step: Step) -> Progress:
    eta = (step.total - step.images) / step.rate if step.rate else None
    return Progress(
        verb="train", done=step.images, total=step.total, unit="images", seconds=round(step.seconds, 2),
        eta=None if eta is None else round(eta, 1), numbers={"images/s": round(step.rate, 1), **step.numbers},
    )  # fmt: skip


def _sheet(session: Session, model: Family, images: int, hurry: Callable[[], bool]) -> Iterator[Event]:
    """A sheet of samples of fixed seeds, so that one sees the model learn. Given up when there is no time for it."""
    from maquette.core.image import save, sheet
    from maquette.engine.sample import beside, draw, draw_steps, examples, film_length
    from maquette.engine.table import condition_table
    from maquette.families.family import Samples
    from maquette.operations._films import ROWS, contact_sheet

    if not isinstance(model, Samples):
        return
    path = session.run.samples / f"{images:012d}.png"
    form = model.made(model.Options())
    optional = {c.name for c in form.conditions if c not in model.spec.conditions}
    seeds = range(max(FEWEST, min(SHEET, PIXELS // (form.height * form.width))))
    table = condition_table(session.run, form, optional)
    kept = [c for c in form.conditions if c.name in table]
    if film_length(model, model.Options()) > 1:
        rows = range(min(ROWS, model.together))
        conditions = examples(kept, table, len(rows))
        frames = []
        for _, moment in draw_steps(model, rows, conditions):
            frames.append(moment)
            if hurry():
                return
        save(contact_sheet(form, conditions, list(zip(*frames, strict=True)), rows), path)
        yield Made(path=str(path), what="sheet")
        return
    conditions = examples(kept, table, len(seeds))
    pictures: list[NDArray[Any]] = []
    for batch in draw(model, seeds, conditions):
        pictures += list(batch)
        if hurry():
            return
    pictures = beside(pictures, conditions, form.conditions)
    save(sheet(pictures, columns=min(8, 2 * round(len(pictures) ** 0.5 / 2)), scale=2 if form.width <= 48 else 1), path)
    yield Made(path=str(path), what="sheet")


def _result(session: Session, workspace: Workspace) -> Result:
    from maquette.families.family import Samples

    run = session.run
    facts: dict[str, Any] = {
        "run": str(run.path), "family": session.name, "images_seen": int(run.facts.get("images_seen", 0)),
        "seconds": float(run.facts.get("seconds", 0.0)), "stopped": str(run.facts.get("stopped", "finished")),
        "model": run.facts.get("model"), "scale": run.facts.get("scale"),
    }  # fmt: skip
    name = shlex.quote(run.path.name if run.path.parent == workspace.runs else str(run.path))
    again = "" if facts["stopped"] == "finished" else " The same command goes on."
    makes = isinstance(session.trainer.family, Samples)
    sheets = f" Sheets of samples are in {run.path / 'samples'}." if makes else ""
    return Result(
        verb="train",
        facts=facts,
        value=run,
        summary=f"{run.path}: {facts['images_seen']:,} images seen in {facts['seconds']:,.0f} s, "
        f"{facts['stopped']}.{again}{sheets}",
        next=(f"maquette sample {name}",) if makes else (),
    )


@contextlib.contextmanager
def _signals() -> Iterator[list[str]]:
    """Ctrl-C and the system's request to end become a wish to stop, followed after the current step."""
    asked: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals reach the main thread only; there, pausing works through the run's folder
        return
    names = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    handle = lambda received, _: asked.append(names[signal.Signals(received)])  # noqa: E731
    before = {number: signal.signal(number, handle) for number in names}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
