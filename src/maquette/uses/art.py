"""The use `art`: from an artist's pieces to new ones in the same hand."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.event import Event
from maquette.core.settings import setting
from maquette.operations._uses import Figure, Outcome, Work, use

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.image import Image
    from maquette.core.page import Page
    from maquette.data.dataset import Dataset

Style = Literal["auto", "flat", "pixels", "painted"]
FLAT = 0.8
"""Pieces are flat when this share of what is visible lies on the colours of their palette."""
NEAR = 4.0
"""How far (Delta E) a colour may be from the palette to lie on it."""
LEAST = 0.001
"""A colour belongs to the palette when at least this share of what is visible has it."""
EXACT = 0.99
"""In pixel art the commonest colours alone are this share of all."""
TIMES, TOLERANCE = 4, 0.8
"""Flat pieces are enlarged so many times, and borders of their drawings may move so many of those pixels."""
SLIVER = 3
"""Strips narrower than so many of those pixels are no part of a piece. An odd number, for it has a middle."""
LOOKED = 200
"""Pieces whose colours are looked at."""


@dataclass(frozen=True, kw_only=True)
class Art:
    """What the pieces are like, and how many new ones to make."""

    size: int = setting(
        48, "the side that is learned, in pixels; pixel art at its own size", ge=16, le=128, multiple_of=8
    )
    count: int = setting(48, "how many new pieces", ge=4, le=2000)
    style: Style = setting("auto", "flat colours with clean edges, pixel art, or painted; auto looks at the pieces")
    colours: int = setting(12, "colours that the palette of flat pieces has at most", ge=2, le=64)
    judged: int = setting(600, "how many more are made to be judged", ge=60, le=10_000)
    draw: Literal["stickers", "compositions"] = setting("stickers", "what is drawn when no pieces are given")
    drawn: int = setting(2200, "how many of them", ge=50, le=100_000)


@use(title="Art and design", time="4m", trial={"size": "16", "count": "4", "judged": "60", "drawn": "200"})
def art(request: Art, work: Work) -> Generator[Event, None, Outcome]:
    """Learn from a folder of an artist's pieces, and make new ones in the same hand.

    Alpha is kept where the pieces have it. Flat pieces keep their palette and get clean edges at four times the size.
    """
    import numpy as np

    from maquette.core.image import load
    from maquette.refining.colour.palette import hexadecimal
    from maquette.uses._measures import evaluated, judged, unmeasured
    from maquette.uses._sheets import beside

    yield work.step(
        "reading the pieces" if work.source else f"drawing {request.drawn:,} {request.draw}, for no pieces were given"
    )
    given = {"count": request.drawn} if work.own else {}
    made = yield from work.do(
        "ingest", source=list(work.source) or [f"drawn:{request.draw}"], to=work.at("pieces.mq"),
        size=str(request.size), **given,
    )  # fmt: skip
    data: Dataset = made.value
    pieces = list(data.images(data.indices("train")[:LOOKED]))
    palette, share = palette_of(pieces, request.colours)
    style = request.style if request.style != "auto" else _style(pieces, palette, share)
    yield work.step(f"learning from {len(data.indices('train')):,} {style} pieces")
    yield from work.learn(work.at("pieces.mq"), work.at("model"), "flow")
    yield work.step(f"making {request.count:,} new pieces")
    raw = yield from work.do("sample", run=work.at("model"), to=work.at("raw"), count=request.count, sheet=False)
    files = [Path(path) for path in raw.facts["images"]]
    names = hexadecimal(np.asarray(palette, np.float32) / 255)
    drawings: list[Path] = []
    if style != "painted":
        yield work.step(f"giving them the {len(names)} colours of the palette, and drawing their outlines")
        files, drawings = _flattened(work, files, names, style)
    yield work.step("judging the model: is it varied, does it copy?")
    facts = yield from evaluated(work, data, work.at("model"), request.judged, work.at("evaluation.html"))
    figures = [*judged(facts)]
    finished = [load(path) for path in files]
    if style != "painted":
        figures.append(_kept(palette, [load(Path(path)) for path in raw.facts["images"]], finished))
    sheet = beside(work, pieces, finished)
    return Outcome(
        lead=f"{len(files):,} new {style} pieces, after {len(data.indices('train')):,} "
        + ("pieces that Maquette drew." if work.own else "pieces of yours."),
        sheet=sheet,
        files=files,
        figures=figures,
        not_yet=[*_not_yet(style, data, facts["grade"]), *unmeasured(facts)],
        more=lambda page: _sections(page, names, style, drawings),
        facts={
            "dataset": work.at("pieces.mq"), "run": work.at("model"), "style": style, "palette": names,
            "drawings": [str(path) for path in drawings], "grade": facts["grade"],
            "evaluation": facts["report"],
        },
        next=(f"maquette sample {work.at('model')} --to {work.at('more')} --count 64 --seed 1000",),
    )  # fmt: skip


def _kept(palette: Sequence[Sequence[int]], before: Sequence[Image], after: Sequence[Image]) -> Figure:
    """How far the colours of the new pieces are from the palette."""
    import numpy as np

    from maquette.uses._measures import from_palette

    def far(images: Sequence[Image]) -> float:
        away = np.concatenate([from_palette(image, palette) for image in images])
        return float(np.percentile(away, 99)) if len(away) else 0.0

    return Figure(
        name="palette kept", value=far(after), goal="at most 1", reached=far(after) <= 1,
        says="99 of 100 visible pixels are no further than this from a colour of your palette (Delta E; below 1 "
        f"nobody sees it). As the model made them it was {far(before):.3g}.",
    )  # fmt: skip


def palette_of(pieces: Sequence[Image], count: int) -> tuple[list[list[int]], float]:
    """The few colours of the pieces (8-bit RGB), commonest first, and the share of visible pixels that lie on them.

    What lies between two colours, along soft edges, is no colour of the artist's, unless it is as common as they are.
    """
    import numpy as np

    from maquette.core.image import convert
    from maquette.uses._measures import from_palette, visible

    seen = np.concatenate(
        [np.asarray(convert(p, "rgb") if p.shape[2] != 4 else p)[..., :3][visible(p)] for p in pieces]
    )
    if not len(seen):
        return [[0, 0, 0]], 0.0
    _, inverse, counts = np.unique(seen // 8, axis=0, return_inverse=True, return_counts=True)
    mixed = np.sort(np.unique(seen, axis=0, return_counts=True)[1])[::-1][:count].sum() < EXACT * len(seen)
    found: list[tuple[NDArray[np.float64], int]] = []
    for cell in np.argsort(-counts, kind="stable")[: 40 * count]:
        if len(found) == count or counts[cell] < LEAST * len(seen):
            break
        values, many = np.unique(seen[inverse.ravel() == cell], axis=0, return_counts=True)
        colour = values[many.argmax()].astype(np.float64)
        near = any(np.abs(colour - other).max() < 12 for other, _ in found)
        if not near and not (mixed and _between(colour, int(counts[cell]), found)):
            found.append((colour, int(counts[cell])))
    palette = [[int(part) for part in colour] for colour, _ in found] or [[int(part) for part in seen.mean(0)]]
    away = np.concatenate([from_palette(piece, palette) for piece in pieces[:40]])
    return palette, float((away <= NEAR).mean()) if len(away) else 0.0


def _between(colour: NDArray[Any], count: int, found: Sequence[tuple[NDArray[Any], int]]) -> bool:
    """Whether a colour is a mixture of two that are plainly more common."""
    import numpy as np

    common = [other for other, many in found if many >= 1.25 * count]
    for one, other in itertools.combinations(common, 2):
        way = other - one
        place = float(np.clip((colour - one) @ way / (way @ way), 0, 1))
        if 0.04 < place < 0.96 and float(np.abs(one + place * way - colour).max()) < 10:
            return True
    return False


def _style(pieces: Sequence[Image], palette: Sequence[Sequence[int]], share: float) -> Style:
    """What the pieces are, by their colours: pixel art has nothing between the colours of its palette."""
    if share < FLAT:
        return "painted"
    return "pixels" if share > 0.995 else "flat"


def _flattened(work: Work, raw: Sequence[Path], names: Sequence[str], style: Style) -> tuple[list[Path], list[Path]]:
    """The pieces in the palette's colours with clean edges, and each as a drawing of shapes (SVG).

    Flat pieces become larger first, so that an edge has pixels to be straight in; pixel art keeps its pixels.
    """
    from maquette.core.files import write_bytes
    from maquette.core.image import load
    from maquette.refining.trace import to_svg

    files, drawings = [], []
    step = {"op": "flat piece", "palette": list(names), "times": TIMES if style == "flat" else 1}
    for path in raw:
        image = flattened(load(path), names, TIMES if style == "flat" else 1)
        files.append(work.write(work.to / "pieces" / path.name, image, step, path))
        drawings.append(work.to / "drawings" / f"{path.stem}.svg")
        tolerance = TOLERANCE if style == "flat" else 0.0
        write_bytes(drawings[-1], to_svg(image, tolerance, path.stem).encode())
    return files, drawings


def flattened(image: Image, names: Sequence[str], times: int) -> Image:
    """An image in these colours alone, so many times larger; alpha becomes a clean edge one or two pixels wide."""
    import numpy as np

    from maquette.operations.refine import arrays

    larger = arrays(image, f"upscale times={times}") if times > 1 else image
    made = np.asarray(arrays(larger, f"palette colours={':'.join(names)}"))
    if times > 1:
        made = _without_slivers(made, names, SLIVER)
    if made.shape[2] == 4:
        alpha = made[..., 3:].astype(np.float32) / 255
        sharp = np.clip((alpha - 0.5) * 1.5 * times + 0.5, 0, 1) if times > 1 else (alpha >= 0.5)
        made = np.concatenate([made[..., :3], np.rint(sharp * 255).astype(np.uint8)], axis=2)
        made[made[..., 3] == 0] = 0
    return made


def _without_slivers(image: Image, names: Sequence[str], width: int) -> Image:
    """The image without strips of a colour that are narrower than this: along soft edges between two colours, a third
    is now and then nearest. Each gets the colour of what is nearest beside it."""
    import cv2
    import numpy as np
    from scipy.ndimage import distance_transform_edt

    from maquette.refining.colour.palette import from_hexadecimal

    palette = np.rint(from_hexadecimal(tuple(names)) * 255).astype(np.uint8)
    labels = np.argmax((image[..., None, :3] == palette).all(3), axis=2)
    kernel, firm = np.ones((width, width), np.uint8), np.zeros(labels.shape, bool)
    for number in range(len(palette)):
        firm |= cv2.morphologyEx((labels == number).astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    if not firm.any():
        return image
    rows, columns = distance_transform_edt(~firm, return_distances=False, return_indices=True)
    return np.concatenate([palette[labels[rows, columns]], image[..., 3:]], axis=2)


def _sections(page: Page, names: Sequence[str], style: Style, drawings: Sequence[Path]) -> None:
    import numpy as np

    from maquette.core.page import Picture
    from maquette.refining.colour.palette import cells, from_hexadecimal

    page.section("How to read the sheet").text("Pieces that were learned from are on the left, new ones on the right.")
    section = page.section("Palette")
    if style == "painted":
        section.text("The pieces are not flat: their colours were left as the model made them.")
        return
    section.text("Every visible pixel of the new pieces was given the nearest of these colours.")
    shown = cells(from_hexadecimal(tuple(names)), np.full(len(names), 1 / len(names), np.float32), height=48)
    section.pictures([Picture(shown, " ".join(names))], side=480)
    section = page.section("Drawings", count=len(drawings))
    sizes = sorted(path.stat().st_size for path in drawings)
    section.text(
        f"Each new piece is also a drawing of shapes (SVG) that stays sharp at any size, in `drawings/`: "
        f"{sizes[len(sizes) // 2] / 1000:.1f} kB at the middle. SVG files carry no signature: the PNG of the same name "
        "does."
    )


def _not_yet(style: Style, data: Dataset, grade: str) -> list[str]:
    from maquette.uses._measures import UNJUDGED

    count = len(data.indices("train"))
    said = [f"The judge calls the model {grade}: a longer --time makes forms surer."] if grade != UNJUDGED else []
    if count < 200:
        said.append(f"{count} pieces are few: below about 200 the model repeats what it saw; see the copies.")
    if style == "flat":
        said.append("Small parts (eyes, thin lines) are the first to go wrong: choose by eye.")
    return said
