"""The use `film`: materials and skies for a set, loops, the next frames of a plate, frames between frames, a look."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import DataError
from maquette.core.event import Event
from maquette.core.settings import setting
from maquette.operations._uses import Outcome, Work, use

OWN = (("brick", "brick"), ("gravel", "gravel"), ("night-sky", "stars"))
"""Names and photographs of the materials that ship."""
FOR_MATERIALS = 0.65
"""The share of the time that materials take when there is a plate as well."""
SKIES = ("sky", "skies", "stars", "night-sky", "clouds")
LOOK = (
    "contrast amount=0.18, split-tone shadows=#1d5a78 highlights=#e9a65e amount=0.3, "
    "curves points=0:0.035:0.25:0.24:0.75:0.77:1:0.965, saturation amount=-0.08"
)


@dataclass(frozen=True, kw_only=True)
class Film:
    """The plate, and how large and long things are."""

    plate: str = setting("", "a clip: a film, an animation or a folder of numbered images", form="FILE|FOLDER")
    skies: tuple[str, ...] = setting(SKIES, "names of folders that hold skies; all others hold materials")
    learned: int = setting(512, "the side that photographs are learned at, in pixels", ge=32, le=1024, multiple_of=8)
    size: int = setting(384, "side of a material, and a third of the width of a sky", ge=64, le=1024, multiple_of=32)
    depth: float = setting(0.04, "how high a material stands, as a share of its side", gt=0, le=1)
    frames: int = setting(48, "frames of a loop", ge=6, le=600)
    loop_size: int = setting(192, "side of a loop in pixels", ge=32, le=512, multiple_of=16)
    ahead: int = setting(6, "frames that the plate is continued by", ge=1, le=64)
    forecast: str = setting("96x64", "the size at which the plate is continued", form="WxH")
    look: str = setting(LOOK, "what is done to every colour, in words of `refine`", form='"OP DIAL=VALUE, ..."')
    grain: float = setting(0.12, "how strong the grain of the look is", ge=0, le=1)
    film: str = setting("webp", "what films are written as", choices=("webp", "gif", "mp4"))
    staged: int = setting(120, "frames of the clip that is put together when nothing is given", ge=3, le=240)


@use(
    title="Film and video",
    time="6m",
    trial={
        "size": "64",
        "frames": "6",
        "loop_size": "32",
        "ahead": "2",
        "forecast": "32x24",
        "staged": "15",
        "learned": "32",
    },
)  # fmt: skip
def film(request: Film, work: Work) -> Generator[Event, None, Outcome]:
    """Make materials and skies for a set, loops that close, and a plate's next frames, frames between, and look.

    SOURCE is a folder of folders of photographs, one a material or sky; --plate is a clip. What is not given is left
    out; without either, photographs that ship are taken and a clip is put together.
    """
    from maquette.data.ingest.ingest import parse_size
    from maquette.data.starter import photograph
    from maquette.uses import _materials, _plate
    from maquette.uses._reel import Reel

    parse_size(request.forecast)  # what is wrong with it is said before anything is learned
    reel = Reel(request, work)
    if work.own and not request.plate:
        sources = _materials.shipped(work, OWN[-2:] if work.brief else OWN)
        plate = _plate.staged(photograph("brick"), request.staged, work.seed)
    else:
        sources = _materials.named(work.source) if work.source else {}
        plate = _plate.read(Path(request.plate).expanduser()) if request.plate else []
    if plate:
        yield work.step("the look, as a table for other programs")
        yield from reel.look()
    share = FOR_MATERIALS if sources and plate else 1.0
    if sources:
        yield from reel.materials(sources, share)
    if plate:
        reel.plate = plate
        yield work.step(f"the plate of {len(plate)} frames: frames between its frames")
        reel.slow_motion()
        yield work.step(f"the plate's next {request.ahead} frames")
        yield from reel.next_frames(1 - share if sources else 1.0)
        yield work.step("the look on every frame")
        yield from reel.graded()
    reel.compare_loops()
    if not reel.files:
        raise DataError("nothing could be made", do="give photographs, or a clip with --plate")
    return Outcome(
        lead=reel.lead(),
        sheet=reel.sheet(),
        files=reel.files,
        figures=reel.figures,
        not_yet=reel.not_yet,
        more=reel.sections,
        facts={"films": [str(path) for path in reel.films], **reel.facts},
        next=[f"maquette sample {work.at('materials', name)} --to more --count 8 --tile xy" for name in [*sources][:1]],
    )  # fmt: skip
