"""What the use `predictive` measures and draws: error, calibration, maps of the mean and of how unsure it is."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.operations._uses import Figure, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset

LARGEST, ROWS = 4 << 20, 200
"""Bytes of a table of readings, and its rows, at most."""


def readings(file: str, data: Dataset) -> dict[str, NDArray[Any]]:
    """A table of new numbers: one column a number that the model knows, one row a map; what is empty is not known."""
    import numpy as np

    from maquette.core.errors import DataError, UsageError, nearest

    path = Path(file).expanduser()
    if not path.is_file():
        raise DataError("there is no such table", where=path, do="give a CSV file with one column a number")
    if path.stat().st_size > LARGEST:
        raise DataError(f"a table of readings has at most {LARGEST >> 20} MiB", where=path, do="give fewer rows")
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig", errors="replace"))))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    known = [condition.name for condition in data.spec.conditions if condition.kind == "number"]
    if len(rows) < 2:
        raise DataError(
            "the table has no rows below its names", where=path, do=f"the names are {', '.join(known[:12])}"
        )
    if len(rows) - 1 > ROWS:
        raise DataError(f"the table has {len(rows) - 1:,} rows, and {ROWS} are the most", where=path, do="split it")
    names = [name.strip() for name in rows[0]]
    for name in names:
        if name not in known:
            raise UsageError(f"the table has the column {name!r}, which the material has not", do=nearest(name, known))
    found = {name: np.full(len(rows) - 1, np.nan, np.float32) for name in known}
    for place, row in enumerate(rows[1:]):
        for name, cell in zip(names, row, strict=False):
            try:
                value = float(cell) if cell.strip() else math.nan
            except ValueError:
                value = math.inf
            if math.isinf(value):
                raise DataError(
                    f"row {place + 2} has {cell[:40]!r} as {name}, which is no number", where=path,
                    do="write numbers with a point, and leave empty what is not known",
                )  # fmt: skip
            found[name][place] = value
    empty = [place + 2 for place in range(len(rows) - 1) if all(np.isnan(column[place]) for column in found.values())]
    if empty:
        raise DataError(f"row {empty[0]} has no number at all", where=path, do="take it out")
    others = [c for c in data.spec.conditions if c.kind != "number"]
    if others:
        raise UsageError(f"the model also needs the {others[0].kind} {others[0].name!r}", do="ask with maquette sample")
    return found


def figures(members: NDArray[Any], came: NDArray[Any], before: NDArray[Any], series: bool) -> list[Figure]:
    """Error beside a forecast without a model, calibration and sharpness; members are K N T H W C."""
    import numpy as np

    from maquette.judge.interval import GROUPS, mean_of
    from maquette.judge.metrics import forecasts

    def cases(images: NDArray[Any]) -> NDArray[Any]:
        """All moments of a case side by side: one case is one image."""
        *first, moments, height, width, channels = images.shape
        return np.moveaxis(images, -4, -3).reshape(*first, height, moments * width, channels)

    several, truth, plain = cases(members), cases(came), cases(before)
    mean = np.rint(several.astype(np.float64).mean(0)).astype(truth.dtype)
    inside = forecasts.ranks(several, truth)[:, 1:-1].sum(1)
    other = "that everything stays as it was" if series else "the mean of all pictures"
    if len(truth) < GROUPS:
        own, base = forecasts.squared_error(mean, truth).mean(), forecasts.squared_error(plain, truth).mean()
        skill: dict[str, Any] = {"value": float(1 - own / max(base, 1e-12))}
        held: dict[str, Any] = {"value": float(inside.mean())}
    else:
        skill, held = (
            {"value": e.value, "low": e.low, "high": e.high}
            for e in (forecasts.skill(mean, plain, truth), mean_of(inside))
        )
    return [
        Figure(
            name="error taken away", **skill, goal="above 0", reached=skill["value"] > 0,
            says=f"which share of the squared error of a forecast without a model ({other}) is gone; 1 is all of it.",
        ),
        Figure(
            name="90 % interval holds", **held, goal="0.8 to 0.97", reached=0.8 <= held["value"] <= 0.97,
            says="the share of pixels at which what came lies between the least and the largest of 19 possible images; "
            "nine in ten is right, less is too sure, more is too careful.",
        ),
        Figure(
            name="error of one possible image", value=float(forecasts.crps(several, truth).mean()),
            says="the continuous ranked probability score, as a share of the full range: error and honesty in one.",
        ),
    ]  # fmt: skip


def beside_the_best(members: NDArray[Any], came: NDArray[Any], given: dict[str, NDArray[Any]]) -> Figure:
    """Of drawn fields, the error beside the least that is possible."""
    import numpy as np

    from maquette.data.drawn.growth import STATIONS, best

    height, width = came.shape[2:4]
    known, _ = best(np.stack([given[name] for name in STATIONS], axis=1).astype(np.float64), width, height)
    truth = came[:, 0, ..., 0] / 255
    own = float(np.sqrt(((members[:, :, 0, ..., 0].mean(0) / 255 - truth) ** 2).mean()))
    least = float(np.sqrt(((known - truth) ** 2).mean()))
    return Figure(
        name="error beside the best", value=own / max(least, 1e-9), goal="at most 1.3", reached=own <= 1.3 * least,
        says=f"the error of the mean map ({own:.3f} of the range) over the least that eight readings allow "
        f"({least:.3f}, kriging with the covariance that the fields were drawn with).",
    )  # fmt: skip


def charts(
    work: Work, members: NDArray[Any], came: NDArray[Any] | None, *, own: bool, name: str = "case"
) -> list[Path]:
    """Of some cases the mean map and how unsure it is, as signed pictures with a scale."""
    import numpy as np

    from maquette.core.image import convert
    from maquette.data.drawn.growth import PLACES
    from maquette.uses._charts import RAMP, SURE, chart

    top = float(np.iinfo(members.dtype).max)
    grey = members[:, :, -1].astype(np.float64).mean(-1) / top  # K N H W of the last moment
    most = grey.shape[1] if came is None else min(4, grey.shape[1])
    spread = grey.std(0, ddof=1)
    high = float(max(spread[:most].max(), 1e-3))
    places = PLACES if own else ()
    found = []
    for case in range(most):
        mean = grey[:, case].mean(0)
        for what, values, bounds, ramp in (
            ("mean", mean, (0.0, 1.0), RAMP), ("unsure", spread[case], (0.0, high), SURE),
        ):  # fmt: skip
            title = f"{name} {case + 1}: " + ("the mean" if what == "mean" else "how unsure")
            picture = convert(chart(values, title, *bounds, ramp=ramp, places=places), "rgb")
            step = {"chart": what, "members": len(members)}
            found.append(work.write(work.to / "charts" / f"{name}-{case + 1:03d}-{what}.png", picture, step))
    return found


def sheet(work: Work, members: NDArray[Any], came: NDArray[Any], given: dict[str, NDArray[Any]] | None) -> Path:
    """A column a case: what was known (of series), what came, the mean, how unsure it is, and possible images."""
    import numpy as np

    from maquette.core.image import convert
    from maquette.uses._charts import SURE, coloured

    top = float(np.iinfo(members.dtype).max)
    last, several, cases = members[:, :, -1], min(4, len(members)), min(6, members.shape[1])
    spread = last.astype(np.float64).mean(-1).std(0, ddof=1) / top
    high = float(max(spread.max(), 1e-3))
    lines: dict[str, list[Any]] = {}
    if given is not None:
        frames = next(iter(given.values()))
        lines["last known"] = [convert(frames[case][-1], "rgb") for case in range(cases)]
    lines["what came"] = [convert(came[case, -1], "rgb") for case in range(cases)]
    means = [np.rint(last[:, case].astype(np.float64).mean(0)).astype(members.dtype) for case in range(cases)]
    lines["forecast, mean"] = [convert(mean, "rgb") for mean in means]
    lines["how unsure"] = [coloured(spread[case], 0, high, SURE) for case in range(cases)]
    for k in range(several):
        lines[f"possible, {k + 1}"] = [convert(last[k, case], "rgb") for case in range(cases)]
    return work.sheet([tile for line in lines.values() for tile in line], columns=cases, names=list(lines))
