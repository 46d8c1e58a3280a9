"""The use `medical`: from scans with a rare finding to made ones of that finding, and whether they help."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event, Note
from maquette.core.settings import setting
from maquette.operations._uses import Figure, Outcome, Work, use

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.page import Page
    from maquette.data.dataset import Dataset
    from maquette.engine.trial import Labelled, Verdict
    from maquette.uses._odd import Odd

MODEL, TRIAL = 0.5, 0.5
"""Shares of the time: for the model that makes scans, and for the classifiers that try them out."""
FIRST = 1_000_000
"""The first seed of the scans that the trial learns from; those that leave have seeds of their own."""
CHECKS = (
    "blurred", "borders", "exact-duplicates", "label-counts", "low-contrast", "low-information", "outliers", "overlays",
    "too-bright", "too-dark", "too-few", "unreadable", "upscaled", "wrong-labels",
)  # fmt: skip
"""What the audit looks for. Near copies are left out: in scans that are all alike a hundred pairs a scan have to be
laid over each other, a minute of a core for 2,400; what is handed out is compared with every scan in any case.
"""
TELLS = 0.55
"""A membership attack that is surely right in more cases than this knows too much."""


@dataclass(frozen=True, kw_only=True)
class Medical:
    """What the scans are like, and how the trial is made."""

    size: int = setting(32, "the side that is learned, in pixels", ge=16, le=256, multiple_of=8)
    mode: Literal["grey16", "grey", "rgb"] = setting("grey16", "what a pixel is")
    rare: str = setting("", "the label whose scans are made and handed out; the rarest when left out")
    count: int = setting(32, "how many of them are handed out", ge=4, le=10_000)
    share: float = setting(
        0.5, "of what a label lacks, the share that is filled with made scans; the rest is repeated", ge=0, le=1
    )
    pool: int = setting(300, "made scans of each label that lacks some, for the trial", ge=16, le=20_000)
    seeds: int = setting(5, "classifiers taught in each way", ge=2, le=8)
    held_out: float = setting(0.3, "the share of the scans that only tests see", ge=0.05, le=0.7)
    odd: Literal["leave-out", "keep"] = setting("leave-out", "what happens to scans that are unlike all others")
    mirrored: Literal["yes", "no"] = setting("no", "whether a scan seen in a mirror means the same")
    family: Literal["flow", "gan"] = setting("flow", "the kind of model that makes scans")
    judged: int = setting(400, "how many more are made to be judged", ge=60, le=10_000)
    drawn: int = setting(2400, "how many scans are drawn when none are given", ge=100, le=100_000)


@use(
    title="Medical images",
    time="5m",
    trial={"size": "16", "count": "4", "pool": "16", "seeds": "2", "judged": "60", "drawn": "500", "held_out": "0.5"},
)
def medical(request: Medical, work: Work) -> Generator[Event, None, Outcome]:
    """Make scans of a rare finding, try whether they help to recognise it, and hand out what passes the gates.

    Scans lie in one folder a label: DICOM, 16-bit PNG or TIFF, or a table. Nothing about patients is read. Scans are
    handed out only after the audit, the comparison with all training scans and the membership attack; each is signed,
    and lies there as DICOM too, plainly marked as synthetic.
    """
    from maquette.engine import trial
    from maquette.uses import _handed, _odd

    yield work.step(
        "reading the scans; nothing about patients is looked at"
        if work.source
        else f"drawing {request.drawn:,} scans, for none were given"
    )
    data = yield from _read(request, work)
    label = next((c for c in data.spec.conditions if c.kind == "label"), None)
    classes, name = (label.classes, label.name) if label is not None else ((), "label")
    real, test = (
        trial.labelled(data, part, name, most) if label is not None else _nothing(data)
        for part, most in (("train", None), ("held-out", trial.TESTED))
    )
    trial.check(real, test, classes)
    rare = _rare(request, real, classes)
    yield work.step("looking for odd scans, and for what would hurt a model")
    audited = yield from work.do("audit", dataset=work.at("scans.mq"), report=work.at("audit.html"), only=list(CHECKS))
    odd = _odd.found(audited.value, data)
    if request.odd == "leave-out":
        odd, data = yield from _odd.left_out(work, odd, data, name)
        real, test = trial.labelled(data, "train", name), trial.labelled(data, "held-out", name, trial.TESTED)
    yield work.step(f"learning from {len(real):,} scans, rare labels as often as frequent ones")
    yield from work.do(
        "train", dataset=work.at("scans.mq"), to=work.at("model"), family=request.family, balance=name,
        time=work.time(MODEL), seed=work.seed,
    )  # fmt: skip
    yield work.step("making scans of the labels that lack some")
    made, gated = yield from _pool(request, work, data, name, real)
    yield work.step(f"teaching {3 * request.seeds} classifiers, with and without made scans")
    verdict = yield from _tried(request, work, data, name, (real, made, test))
    yield Note(text=verdict.sentence())
    yield work.step("judging the model: does it copy, and what does it give away?")
    evaluated = yield from work.do(
        "evaluate", what=work.at("model"), count=request.judged, report=work.at("evaluation.html")
    )
    refused = _handed.refused(evaluated.facts, TELLS)
    files: list[Path] = []
    dicom = 0
    if refused:
        yield Note(text=f"nothing is handed out: {refused}")
    else:
        yield work.step(f"handing out {request.count:,} scans of {classes[rare]!r}, signed, and as DICOM")
        files, dicom = yield from _handed.out(work, classes[rare], request.count)
    shown = _handed.shown(files, made, rare)
    sheet = _sheet(work, real, rare, shown, classes)
    figures = [*_trial_figures(verdict, classes[rare]), *_handed.figures(evaluated.facts, TELLS, dicom, len(files))]
    figures += odd.figures()
    return Outcome(
        lead=_lead(work, data, verdict, classes[rare], len(files), refused),
        sheet=sheet,
        files=files or [sheet],
        figures=figures,
        not_yet=_not_yet(work, data, verdict, refused, gated, test),
        more=lambda page: _sections(page, verdict, odd, real, shown, rare, classes),
        facts={
            "dataset": work.at("scans.mq"), "run": work.at("model"), "rare": classes[rare], "trial": verdict.facts(),
            "odd": odd.names[:100], "audit": audited.facts["report"], "evaluation": evaluated.facts["report"],
            "refused": refused, "dicom": dicom,
        },
        next=(f"maquette sample {work.at('model')} --to {work.at('more')} --label {classes[rare]} --release",)
        if not refused else (),
    )  # fmt: skip


def _read(request: Medical, work: Work) -> Generator[Event, None, Dataset]:
    given: dict[str, Any] = {"labels": "folders", "small": "enlarge", "mode": request.mode}
    if work.own:
        given = {"count": request.drawn, "mode": request.mode}
    made = yield from work.do(
        "ingest", source=list(work.source) or ["drawn:scans"], to=work.at("scans.mq"), size=str(request.size),
        held_out=request.held_out, seed=work.seed if work.own else 0, **given,
    )  # fmt: skip
    data: Dataset = made.value
    return data


def _nothing(data: Dataset) -> Labelled:
    import numpy as np

    from maquette.engine.trial import Labelled

    return Labelled(data.images([]), np.zeros(0, np.int64))


def _rare(request: Medical, real: Labelled, classes: tuple[str, ...]) -> int:
    """The label that is meant, as a number."""
    from maquette.core.errors import UsageError, nearest

    if not request.rare:
        return min(range(len(classes)), key=lambda label: len(real.of(label)))
    if request.rare not in classes:
        raise UsageError(f"no scan has the label {request.rare!r}", do=nearest(request.rare, classes))
    return classes.index(request.rare)


def _pool(
    request: Medical, work: Work, data: Dataset, name: str, real: Labelled
) -> Generator[Event, None, tuple[Labelled, int]]:
    """Made scans of every label that lacks some, without those that are too like a training scan, and how many of
    those there were (-1 where that could not be looked at)."""
    import numpy as np

    from maquette.engine.judging import Drawn, draw_many
    from maquette.engine.load import load
    from maquette.engine.table import condition_table
    from maquette.engine.trial import Labelled, missing
    from maquette.judge.copies import FEWEST_HELD
    from maquette.judge.release import Gate
    from maquette.store.run import Run
    from maquette.uses._handed import told

    run = Run.open(Path(work.at("model")))
    model = load(run)
    table = condition_table(run, model.spec)
    gate = Gate(data) if len(data.indices("held-out")) >= FEWEST_HELD else None
    images: list[NDArray[Any]] = [data.images([])]
    labels = [np.zeros(0, np.int64)]
    left = 0 if gate else -1
    for label, lack in enumerate(missing(real, len(data.spec.condition(name).classes))):
        count = min(request.pool, round(lack * request.share))
        if not count:
            continue
        given = {name: data.spec.condition(name).classes[label]}
        for step in draw_many(model, table, count, FIRST, None, given):
            if isinstance(step, Drawn):
                kept = gate(step.pictures).kept if gate else np.ones(count, bool)
                left += int((~kept).sum())
                images.append(np.asarray(step.pictures[kept]))
                labels.append(np.full(int(kept.sum()), label, np.int64))
            else:
                yield told("scans made", step, count)
    return Labelled(np.concatenate(images), np.concatenate(labels)), left


def _tried(
    request: Medical, work: Work, data: Dataset, name: str, parts: tuple[Labelled, Labelled, Labelled]
) -> Generator[Event, None, Verdict]:
    """The trial, in its share of the time."""
    from maquette.engine import trial
    from maquette.uses._handed import told

    small = {"width": 16, "batch": 32, "rate": 3e-3, "mirrored": request.mirrored == "yes"}
    learner = trial.learner_of(data, name, "classify", 1, **small)
    seconds = work.seconds * TRIAL / (len(trial.WAYS) * request.seeds)
    learner = trial.learner_of(data, name, "classify", max(256, trial.seen_in(parts[0], learner, seconds)), **small)
    steps = trial.trial(*parts, learner, range(work.seed, work.seed + request.seeds), share=request.share)
    while True:
        try:
            gone = next(steps)
        except StopIteration as end:
            verdict: trial.Verdict = end.value
            return verdict
        if gone.score is not None:
            yield told("classifiers taught", round(gone.done), gone.total)


def _trial_figures(verdict: Verdict, rare: str) -> list[Figure]:
    plain, fair = verdict.gain(), verdict.gain("made", "repeated")
    return [
        Figure(
            name="gain with made scans", value=plain.value, low=plain.low, high=plain.high, goal="not wholly below 0",
            reached=plain.high >= 0,
            says="by how much balanced accuracy (the share that is recognised, the mean over labels) on real scans "
            f"grows when made scans fill up what is rare, over {len(verdict.of('made'))} seeds. {verdict.sentence()}.",
        ),
        Figure(
            name="gain beside repeating", value=fair.value, low=fair.low, high=fair.high,
            says="the same beside showing the rare real scans more often, which costs nothing: only above 0 are made "
            "scans worth their trouble.",
        ),
        Figure(
            name=f"{rare} recognised", value=verdict.recall("made", rare),
            says=f"of the real {rare} scans that nobody learned from, the share that is recognised; it was "
            f"{verdict.recall('real', rare):.2f} after the real scans alone.",
        ),
    ]  # fmt: skip


def _lead(work: Work, data: Dataset, verdict: Verdict, rare: str, files: int, refused: str) -> str:
    own = "scans that Maquette drew (they are simple, and no scans of anybody)" if work.own else "scans of yours"
    out = f"Nothing was handed out: {refused}." if refused else f"{files:,} made scans of {rare} were handed out."
    return f"From {len(data):,} {own}. {verdict.sentence()}. {out}"


def _sheet(work: Work, real: Labelled, rare: int, shown: NDArray[Any], classes: tuple[str, ...]) -> Path:
    """Rows of real scans of the other labels and of the rare one, then made ones."""
    import numpy as np

    columns = 12
    usual = np.flatnonzero(real.labels != rare)[:columns]
    own = real.of(rare)[:columns]
    rows = [("real, others", real.images[usual]), (f"real {classes[rare]}", real.images[own])]
    rows += [(f"made {classes[rare]}", shown[start : start + columns]) for start in (0, columns)]
    tiles: list[Any] = []
    names: list[str] = []
    for name, images in rows:
        if len(images):
            blank = np.full_like(images[0], np.iinfo(images.dtype).max // 2)
            tiles += [*images, *[blank] * (columns - len(images))]
            names.append(name)
    return work.sheet(tiles, columns=columns, names=names)


def _sections(
    page: Page, verdict: Verdict, odd: Odd, real: Labelled, shown: NDArray[Any], rare: int, classes: tuple[str, ...]
) -> None:
    from maquette.core import plot
    from maquette.core.page import Picture
    from maquette.engine.trial import WAYS

    section = page.section("Do the made scans help?", tone="good" if verdict.gain().low > 0 else "fair")
    section.text(f"{verdict.sentence()}.")
    section.text(
        f"Every classifier is the same network, saw as many scans and was tested on the same {verdict.tested:,} real "
        "scans that nobody learned from; only what it learned from differs. The interval is over the chance of "
        "learning (seeds); it does not cover another choice of scans, and says nothing of another clinic's.", soft=True,
    )  # fmt: skip
    names = dict(zip(WAYS, ("real scans alone", "rare ones repeated", "with made scans"), strict=True))
    bars = [
        plot.Bar(f"{names[way]}, seed {seed}", value, tone="good" if way == "made" else "")
        for way in WAYS
        for seed, value in enumerate(verdict.of(way))
    ]
    section.plot(plot.bars(bars, label="balanced accuracy"), title="Balanced accuracy on real scans")
    section.table(
        ("label", "real scans to learn from", *names.values()),
        [(c, len(real.of(k)), *(f"{verdict.recall(way, c):.2f}" for way in WAYS)) for k, c in enumerate(classes)],
    )
    section = page.section("Made beside real", count=len(shown))
    section.pictures(
        [Picture(image, "real") for image in real.images[real.of(rare)[:8]]], title=f"real {classes[rare]}"
    )
    section.pictures([Picture(image, "made") for image in shown[:16]], title=f"made {classes[rare]}")
    odd.show(page)


def _not_yet(work: Work, data: Dataset, verdict: Verdict, refused: str, gated: int, test: Labelled) -> list[str]:
    fair = verdict.gain("made", "repeated")
    said = [
        f"Scans of {data.spec.width} x {data.spec.height} pixels: fine signs are lost. Nothing here is for diagnosis.",
        "A trial with a small network. What helps it need not help another one; try it with yours.",
    ]
    if fair.low <= 0:
        said.append("It is not shown that made scans are better than showing the rare real ones more often.")
    if gated > 0:
        said.append(f"{gated:,} made scans were too like a training scan and were left out of the trial.")
    few = [c for k, c in enumerate(verdict.classes) if len(test.of(k)) < 50]
    if few:
        said.append(f"Fewer than 50 real scans of {', '.join(few)} could be tested with: one more or less moves much.")
    if refused:
        said.append(f"Nothing was handed out, because {refused}.")
    if not work.own:
        said.append(
            "Scans of one patient may lie on both sides of the test, since nothing about patients is read: keep scans "
            "of one patient in one file, or give those of other patients as a folder `held-out`."
        )
    return said
