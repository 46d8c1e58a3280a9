"""The use `architecture`: from maps of a facade or a plan to pictures of it, in other materials and other light."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event
from maquette.core.settings import setting
from maquette.operations._uses import Figure, Outcome, Work, use

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.image import Image
    from maquette.core.page import Page
    from maquette.data.dataset import Dataset
    from maquette.judge.agreement import Agreement
    from maquette.uses._rooms import Rooms

PAINTER, READER, FURNISHER = 0.45, 0.2, 0.35
"""Shares of the time: for the model that paints, the one that reads maps back, and the one that furnishes rooms."""
AGREES = 0.85
LIGHT: Mapping[str, str] = MappingProxyType({
    "morning": "temperature amount=0.25, exposure stops=0.15, contrast amount=-0.1",
    "overcast": "saturation amount=-0.35, temperature amount=-0.12, contrast amount=-0.15",
    "evening": "temperature amount=0.55, exposure stops=-0.5, split-tone shadows=#23344f highlights=#ffb066",
    "night": "exposure stops=-1.6, saturation amount=-0.45, temperature amount=-0.35",
})  # fmt: skip
"""The same facade at another hour, by recipes of `refine`."""
PALETTE = (
    (150, 190, 235), (110, 150, 90), (205, 170, 130), (150, 70, 55), (60, 90, 140), (95, 60, 40), (230, 200, 90),
    (120, 120, 130), (190, 120, 170), (70, 140, 140),
)  # fmt: skip
"""Colours in which maps are shown."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Where the maps are, and how many pictures of which."""

    maps: str = setting("", "the folder of maps, whose names are those of the pictures", form="FOLDER")
    plan: str = setting(
        "", "a map of your own to make pictures of; a map that was held back when left out", form="FILE"
    )
    rooms: str = setting(
        "", "a folder of rooms with the subfolders empty and furnished; `none` leaves rooms out", form="FOLDER"
    )
    family: Literal["flow", "translate"] = setting("flow", "the kind of model that paints")
    size: int = setting(48, "the side that is learned, in pixels", ge=16, le=256, multiple_of=8)
    count: int = setting(40, "held-back maps of which pictures are made and read back", ge=2, le=1000)
    variants: int = setting(8, "pictures of one and the same map, in other materials", ge=2, le=200)
    variety: float = setting(1.0, "how unlike the variants are; 1 is as unlike as real ones", ge=0, le=2)
    drawn: int = setting(2000, "how many facades are drawn when none are given", ge=100, le=100_000)


@use(
    title="Architecture",
    time="4m",
    trial={"size": "16", "count": "2", "variants": "2", "drawn": "100"},
)
def architecture(request: Architecture, work: Work) -> Generator[Event, None, Outcome]:
    """Learn from pictures of facades (or plans) and their maps, and make pictures of maps that it has not seen.

    One map becomes many variants: other materials by other seeds, another light by recipes. Whether a picture keeps to
    its map is measured by reading the map back from it. Empty rooms are furnished by filling in a part of the picture.
    """
    import numpy as np

    from maquette.core.image import load
    from maquette.engine.files.readback import read_back
    from maquette.engine.load import load as model_of
    from maquette.judge.agreement import agreement
    from maquette.store.run import Run
    from maquette.uses import _rooms

    data = yield from _read(request, work)
    name = _map_of(data)
    classes = data.spec.condition(name).classes
    held = data.indices("held-out")[: request.count]
    maps = data.conditions(held, [name])[name]
    files = _write_maps(work, maps)
    plan = _plan(request, data, name, files)
    yield work.step(f"learning to paint from {len(data.indices('train')):,} pairs of picture and map")
    yield from work.do(
        "train", dataset=work.at("pairs.mq"), to=work.at("painter"), family=request.family, time=work.time(PAINTER),
        given=[name], seed=work.seed,
    )  # fmt: skip
    yield work.step("learning to read maps back from pictures")
    yield from work.do(
        "train", dataset=work.at("pairs.mq"), to=work.at("reader"), family="segment", time=work.time(READER),
        given=[name], seed=work.seed,
    )  # fmt: skip
    yield work.step(f"painting {len(files)} maps that nobody learned from")
    painted = yield from work.do(
        "sample", run=work.at("painter"), to=work.at("painted"), image=[f"{name}={work.at('maps')}"], sheet=False
    )
    yield work.step(f"painting one map {request.variants} times, in other materials")
    varied = yield from work.do(
        "sample", run=work.at("painter"), to=work.at("materials"), image=[f"{name}={plan}"], count=request.variants,
        seed=work.seed + 1, sheet=False,
        dials={"variety" if request.family == "translate" else "temperature": f"{request.variety:g}"},
    )  # fmt: skip
    first = varied.facts["images"][0]
    yield work.step("the first of them in another light")
    lights = []
    for light, recipe in LIGHT.items():
        done = yield from work.do("refine", source=[first], to=work.at("light", light), **{"with": recipe})
        lights += [Path(path) for path in done.facts["images"]]
    furnished = None
    if request.rooms != "none" and (work.own or request.rooms):
        yield work.step("furnishing empty rooms")
        furnished = yield from _rooms.furnish(work, request.rooms, request.drawn, request.size, FURNISHER)
    yield work.step("reading the maps back")
    made = [Path(path) for path in painted.facts["images"]]
    variants = [Path(path) for path in varied.facts["images"]]
    reader = model_of(Run.open(Path(work.at("reader"))))
    pictures = np.stack([load(path) for path in made])
    seen = read_back(reader, pictures)
    of_made = agreement(seen, maps, len(classes))
    of_real = agreement(read_back(reader, data.images(held)), maps, len(classes))
    same = np.stack([load(path) for path in variants])
    given = _read_plan(plan, data, name)
    of_variants = agreement(read_back(reader, same), np.repeat(given[None], len(same), 0), len(classes))
    figures = _figures(of_made, of_real, of_variants, _apart(same), request)
    if furnished is not None:
        figures.append(furnished.figure())
    sheet = _sheet(
        work, (maps, data.images(held), pictures, seen), same, [load(path) for path in lights], given, furnished
    )
    return Outcome(
        lead=f"{len(made)} pictures of maps that nobody learned from, one map in {len(variants)} materials and "
        f"{len(lights)} kinds of light, after {len(data.indices('train')):,} pairs "
        + ("that Maquette drew." if work.own else "of yours."),
        sheet=sheet,
        files=[*made, *variants, *lights, *(furnished.files if furnished else [])],
        figures=figures,
        not_yet=_not_yet(work, data, of_real),
        more=lambda page: _sections(page, classes, of_made, of_real, furnished, work.own),
        facts={
            "dataset": work.at("pairs.mq"), "run": work.at("painter"), "reader": work.at("reader"),
            "classes": {c: v for c, v in zip(classes, of_made.classes, strict=True) if v == v},
        },
        next=(f"maquette sample {work.at('painter')} --image {plan} --to {work.at('more')} --count 64 --seed 100",),
    )  # fmt: skip


def _read(request: Architecture, work: Work) -> Generator[Event, None, Dataset]:
    """Pairs of picture and map."""
    from maquette.core.errors import UsageError

    if work.own:
        if request.maps:
            raise UsageError("there are maps and no pictures", do="give the folder of pictures too")
        yield work.step(f"drawing {request.drawn:,} facades with their maps, for none were given")
        given: dict[str, Any] = {"source": ["drawn:facades"], "count": request.drawn}
    else:
        if not request.maps:
            raise UsageError("there are pictures and no maps", do="give the folder of maps with --maps FOLDER")
        yield work.step("reading pictures and maps")
        given = {"source": list(work.source), "input": request.maps, "small": "enlarge"}
    made = yield from work.do("ingest", to=work.at("pairs.mq"), size=str(request.size), mode="rgb", **given)
    data: Dataset = made.value
    return data


def _map_of(data: Dataset) -> str:
    from maquette.core.errors import DataError

    maps = [condition.name for condition in data.spec.conditions if condition.kind == "map"]
    if not maps:
        raise DataError(
            "what was given beside the pictures are no maps of classes", where=data.path,
            do="call the folder maps, and give pictures in it whose grey is the number of the class",
        )  # fmt: skip
    if not len(data.indices("held-out")):
        raise DataError("nothing was held back to try the model with", where=data.path, do="give more pairs")
    return maps[0]


def _write_maps(work: Work, maps: NDArray[Any]) -> list[Path]:
    """Held-back maps as files, so that anybody can paint them again."""
    from maquette.core.image import save

    folder = work.to / "maps"
    folder.mkdir(parents=True, exist_ok=True)
    return [save(map_[..., None].astype("uint8"), folder / f"{k:03d}.png") for k, map_ in enumerate(maps)]


def _plan(request: Architecture, data: Dataset, name: str, files: Sequence[Path]) -> Path:
    """The map of which variants are made, refused before anything is learned where it cannot be painted."""
    if not request.plan:
        return files[0]
    path = Path(request.plan).expanduser()
    _read_plan(path, data, name)
    return path


def _read_plan(path: Path, data: Dataset, name: str) -> NDArray[Any]:
    from maquette.operations import _files

    condition = data.spec.condition(name)
    return condition.encode(_files.read(path, condition, data.spec), data.spec.height, data.spec.width)


def _apart(images: NDArray[Any]) -> float:
    """How far the colours of variants are from each other, on average over places and pairs (Delta E)."""
    import numpy as np

    from maquette.uses._measures import difference, lab

    labs = [lab(image) for image in images]
    pairs = [(a, b) for a in range(len(labs)) for b in range(a)]
    return float(np.mean([difference(labs[a], labs[b]).mean() for a, b in pairs]))


def _figures(
    made: Agreement, real: Agreement, variants: Agreement, apart: float, request: Architecture
) -> list[Figure]:
    def bounds(found: Agreement) -> dict[str, float | None]:
        sure = found.mean.low == found.mean.low
        return {"low": found.mean.low if sure else None, "high": found.mean.high if sure else None}

    return [
        Figure(
            name="map kept", value=made.mean.value, **bounds(made), goal=f"at least {AGREES}",
            reached=made.mean.value >= AGREES,
            says="how much of every part lies where its map says (intersection over union, the mean over parts; 1 is "
            f"all), read back from pictures of maps that nobody learned from. Of real pictures it is "
            f"{real.mean.value:.3f}: the reader is not perfect either.",
        ),
        Figure(
            name="map kept by the variants", value=variants.mean.value, **bounds(variants), goal=f"at least {AGREES}",
            reached=variants.mean.value >= AGREES, says="the same of the pictures of one map in other materials.",
        ),
        Figure(
            name="variants apart", value=apart, goal="at least 5", reached=apart >= 5,
            says="how far colours of two variants are from each other in the same place, on average (Delta E; people "
            f"see 2.3). Asked for with --variety {request.variety:g}.",
        ),
    ]  # fmt: skip


def painted(map_: NDArray[Any]) -> Image:
    """A map in colours."""
    import numpy as np

    colours = np.array([PALETTE[k % len(PALETTE)] for k in range(int(map_.max()) + 1)], np.uint8)
    return np.asarray(colours[map_])


def _sheet(
    work: Work,
    rows: tuple[NDArray[Any], ...],
    variants: NDArray[Any],
    lights: Sequence[Image],
    plan: NDArray[Any],
    furnished: Rooms | None,
) -> Path:
    """Maps, real pictures, made ones and what was read back; then the variants, and the light."""
    import numpy as np

    from maquette.core.image import load

    maps, real, made, seen = rows
    columns = min(8, max(len(made), len(variants) + 1))
    blank = np.full_like(made[0], 236)

    def row(images: Sequence[Image] | NDArray[Any]) -> list[Image]:
        some = [np.asarray(image)[..., :3] for image in images[:columns]]
        return [*some, *[blank] * (columns - len(some))]

    tiles = [
        *row([painted(m) for m in maps]), *row(real), *row(made), *row([painted(m) for m in seen]),
        *row([painted(plan), *variants]), *row([variants[0], *lights]),
    ]  # fmt: skip
    names = ["map", "real", "made", "read back", "one map, materials", "one of them, light"]
    if furnished is not None:
        for number, (empty, ways) in enumerate(zip(furnished.empty, furnished.furnished, strict=True)):
            tiles += row([empty, *(load(path) for path in ways)])
            names.append(f"room {number + 1}, furnished")
    return work.sheet(tiles, columns=columns, names=names)


def _sections(
    page: Page, classes: Sequence[str], made: Agreement, real: Agreement, furnished: Rooms | None, own: bool
) -> None:
    if furnished is not None:
        furnished.show(page, own)
    section = page.section("Part by part")
    section.text("How much of each part lies where its map says, read back from made and from real pictures.")
    rows = [
        (name, "" if a != a else f"{a:.3f}", "" if b != b else f"{b:.3f}")
        for name, a, b in zip(classes, made.classes, real.classes, strict=True)
    ]
    section.table(("part", "made", "real"), rows)
    section.text(f"Light: {'; '.join(f'{name}: `{recipe}`' for name, recipe in LIGHT.items())}.", soft=True)


def _not_yet(work: Work, data: Dataset, real: Agreement) -> list[str]:
    said = [
        f"Pictures of {data.spec.width} x {data.spec.height} pixels: a sketch to choose by, no rendering.",
        "Light is laid on by recipes: shadows do not move with the sun.",
    ]
    if work.own:
        said.append("These facades are drawn, with flat walls and few materials; real ones need hundreds of pairs.")
    if real.mean.value < 0.9:
        said.append(f"The reader agrees with real pictures by {real.mean.value:.2f} only: the figure is a lower bound.")
    return said
