"""The use `predictive`: images of what will be, or of what numbers say, and how sure anybody can be of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event, Progress
from maquette.core.settings import setting
from maquette.operations._uses import Outcome, Work, use

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.page import Page
    from maquette.data.dataset import Dataset

MEMBERS = 19
"""Of so many possible images, what comes lies between the least and the largest in nine cases of ten."""
SHOWN = 4
"""Cases that are drawn as charts."""


@dataclass(frozen=True, kw_only=True)
class Predictive:
    """What is forecast, and of how much."""

    material: Literal["numbers", "series"] = setting(
        "numbers", "what the material is: pictures with numbers, or a series (films, animations)"
    )
    readings: str = setting("", "a table of new numbers to make maps of, one row a map", form="FILE.csv")
    size: int = setting(32, "the side that is learned, in pixels", ge=16, le=256, multiple_of=8)
    past: int = setting(9, "of series: frames that come before the last one", ge=3, le=40)
    cases: int = setting(48, "held-back cases that the forecast is measured by", ge=4, le=1000)
    draw: Literal["stations", "growth"] = setting("stations", "what is drawn when no material is given")
    drawn: int = setting(3000, "how many of them", ge=100, le=100_000)


@use(
    title="Predictive images", time="4m",
    trial={"size": "16", "cases": "4", "drawn": "100"},
)  # fmt: skip
def predictive(request: Predictive, work: Work) -> Generator[Event, None, Outcome]:
    """Make maps of what numbers say, or the next images of a series, each with how unsure it is.

    Pictures with a table of numbers (metadata.csv: file_name, station_1, ...) become maps of new readings; films or
    animations with --material series become what comes next. What was held back says whether the
    forecast is as sure as it may be.
    """
    import numpy as np

    from maquette.engine.load import load
    from maquette.store.run import Run
    from maquette.uses import _forecasts

    series = request.material == "series" if work.source else request.draw == "growth"
    yield work.step("reading the material" if work.source else f"drawing {request.drawn:,} {_what(request)}")
    data = yield from _read(request, work, series)
    asked = _forecasts.readings(request.readings, data) if request.readings else None
    yield work.step(f"learning from {len(data.indices('train')):,} {'series' if series else 'pictures and numbers'}")
    yield from work.do(
        "train", dataset=work.at("data.mq"), to=work.at("model"), family="forecast", time=work.time(), seed=work.seed
    )
    model = load(Run.open(Path(work.at("model"))))
    held = data.indices("held-out")[: request.cases]
    yield work.step(f"forecasting {len(held)} cases that nobody learned from, {MEMBERS} times each")
    given, came, before = _cases(data, held, model, series)
    members = yield from _possible(model, given, work.seed)
    truth = came.astype(np.float64)
    figures = _forecasts.figures(members, came, before, series)
    if work.own and not series:
        figures.append(_forecasts.beside_the_best(members, came, given))
    yield work.step("drawing charts, and possible images of one case")
    charts = _forecasts.charts(work, members, came, own=work.own and not series)
    if asked is not None:
        new = yield from _possible(model, asked, work.seed + 10**6)
        charts += _forecasts.charts(work, new, None, own=False, name="reading")
    files = [*charts, *(yield from _samples(work, given, series))]
    sheet = _forecasts.sheet(work, members, came, given if series else None)
    return Outcome(
        lead=f"{len(held)} cases were forecast {MEMBERS} times each, after {len(data.indices('train')):,} "
        + ("that Maquette drew." if work.own else "of yours."),
        sheet=sheet,
        files=files,
        figures=figures,
        not_yet=_not_yet(work, data, held, series),
        more=lambda page: _sections(page, members, truth, series),
        facts={"dataset": work.at("data.mq"), "run": work.at("model"), "series": series, "charts": len(charts)},
        next=(f"maquette sample {work.at('model')} --to {work.at('more')} --count 16",) if not series else (),
    )


def _what(request: Predictive) -> str:
    return {"stations": "fields with the readings of eight stations", "growth": "films of rust"}[request.draw]


def _read(request: Predictive, work: Work, series: bool) -> Generator[Event, None, Dataset]:
    from maquette.core.errors import DataError

    given: dict[str, Any] = {"past": request.past} if series else {}
    if work.own:
        given |= {"count": request.drawn}
    elif series:
        given |= {"frames": "sequences", "small": "enlarge"}
    else:
        given |= {"small": "enlarge"}
    made = yield from work.do(
        "ingest", source=list(work.source) or [f"drawn:{request.draw}"], to=work.at("data.mq"), size=str(request.size),
        **given,
    )  # fmt: skip
    data: Dataset = made.value
    kinds = {condition.kind for condition in data.spec.conditions}
    if series and "frames" not in kinds:
        raise DataError(
            "there are no films in it", where=data.path, do="give films or animations, or leave out --material"
        )
    if not series and "number" not in kinds:
        raise DataError(
            "the pictures have no numbers to be forecast from", where=data.path,
            do="add a metadata.csv with file_name and a column for each number, or give films and --material series",
        )  # fmt: skip
    if len(data.indices("held-out")) < 4:
        raise DataError("fewer than four cases were held back to try the forecast", where=data.path, do="give more")
    return data


def _cases(
    data: Dataset, held: NDArray[Any], model: Any, series: bool
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """What the model is given, what came (N T H W C), and what a forecast without a model would say (N T H W C)."""
    import numpy as np

    names = [condition.name for condition in model.spec.conditions]
    given = data.conditions(held, names)
    images = data.images(held)
    if not series:
        usual = data.images(data.indices("train")[:2000]).astype(np.float64).mean(0)
        usual = np.rint(usual).astype(images.dtype)
        return given, images[:, None], np.repeat(usual[None, None], len(images), axis=0)
    name, length = next((c.name, c.length) for c in model.spec.conditions if c.kind == "frames")
    film = np.concatenate([given[name], images[:, None]], axis=1)
    given = {**given, name: film[:, :length]}
    came = film[:, length:]
    return given, came, np.repeat(film[:, length - 1 : length], came.shape[1], axis=1)


def _possible(model: Any, given: dict[str, NDArray[Any]], seed: int) -> Generator[Event, None, NDArray[Any]]:
    from maquette.engine.futures import possible

    steps = possible(model, given, MEMBERS, seed)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            members: NDArray[Any] = end.value
            return members
        yield Progress(verb="use", done=done, total=MEMBERS, unit="forecasts", seconds=0.0)


def _samples(work: Work, given: dict[str, NDArray[Any]], series: bool) -> Generator[Event, None, list[Path]]:
    """Possible images of the first case, as files that say that a model made them."""
    from maquette.core.image import save

    values: dict[str, Any] = {"run": work.at("model"), "to": work.at("possible"), "count": 4}
    if series:
        frames = next(iter(given.values()))[0]
        folder = work.to / "given"
        folder.mkdir(parents=True, exist_ok=True)
        for moment, frame in enumerate(frames):
            save(frame, folder / f"{moment + 1:04d}.png")
        made = yield from work.do("sample", **values, frames=str(folder), film="webp")
    else:
        numbers = [
            f"{name}={float(rows[0]):.6g}" for name, rows in given.items() if rows.ndim == 1 and rows[0] == rows[0]
        ]
        made = yield from work.do("sample", **values, number=numbers)
    return [Path(path) for path in made.facts["images"]]


def _sections(page: Page, members: NDArray[Any], came: NDArray[Any], series: bool) -> None:
    import numpy as np

    from maquette.core import plot
    from maquette.judge.metrics.forecasts import ranks

    flat = members.reshape(len(members), -1, *members.shape[3:])
    shares = ranks(flat, came.reshape(-1, *came.shape[2:]).astype(members.dtype)).mean(0)
    section = page.section("Is it as sure as it may be?")
    section.text(
        "Where what came lies among the possible images, pixel by pixel: all bars alike is right. High bars at both "
        "ends: too sure of itself; a hill in the middle: too careful; a slope: off to one side."
    )
    bars = [plot.Bar(f"above {place} of {len(members)}", float(share)) for place, share in enumerate(shares)]
    section.plot(plot.bars(bars, label="shares"), title="Share of the pixels")
    if not series:
        return
    section = page.section("How it goes on")
    section.text("The mean brightness, frame by frame, of films that were held back: what came, and what was forecast.")
    drawings = []
    for case in range(min(4, came.shape[0])):
        level = members[:, case].astype(np.float64).mean((2, 3, 4)) / np.iinfo(members.dtype).max
        truth = came[case].mean((1, 2, 3)) / np.iinfo(members.dtype).max
        x = list(range(1, level.shape[1] + 1))
        low, high = level.min(0).tolist(), level.max(0).tolist()
        drawings.append((f"film {case + 1}", plot.lines({
            "forecast, 90 %": plot.Line(x, level.mean(0).tolist(), low, high),
            "what came": plot.Line(x, truth.tolist()),
        }, label="brightness", across_label="frames ahead")))  # fmt: skip
    section.plots(drawings)


def _not_yet(work: Work, data: Dataset, held: NDArray[Any], series: bool) -> list[str]:
    said = [
        f"Images of {data.spec.width} x {data.spec.height} pixels after minutes: fine detail of each possible image is "
        "rough; their mean and spread are what to use.",
        "It knows only what its material shows: what never happened there, it does not foresee.",
    ]
    if len(held) < 20:
        said.append(f"{len(held)} cases are too few for intervals: hold more back, or give more.")
    if work.own:
        said.append("The material is drawn: the world is less orderly.")
    missing = [c.name for c in data.spec.conditions if c.kind == "number" and data.missing(c.name)]
    if missing:
        said.append(
            f"Numbers were missing in the table ({', '.join(missing[:5])}): those cases were learned without them."
        )
    return said
