"""The use `art`: from an artist's pieces to new ones in the same hand."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maquette.core.event import Event
from maquette.core.settings import setting
from maquette.operations._uses import Figure, Outcome, Work, use

if TYPE_CHECKING:
    from maquette.core.image import Image
    from maquette.core.page import Page
    from maquette.data.dataset import Dataset

Style = Literal["auto", "flat", "pixels", "painted"]
FLAT = 0.8
"""Pieces are flat when this share of what is visible lies on the colours of their palette."""
NEAR = 4.0
"""How far (Delta E) a colour may be from the palette to lie on it."""
OWNED = 0.005
"""A colour belongs to the palette when this share of what is visible has it."""
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
    drawn: int = setting(1500, "how many of them", ge=50, le=100_000)


@use(title="Art and design", time="4m", trial={"size": "16", "count": "4", "judged": "60", "drawn": "200"})
def art(request: Art, work: Work) -> Generator[Event, None, Outcome]:
    """Learn from a folder of an artist's pieces, and make new ones in the same hand.

    Alpha is kept where the pieces have it. Flat pieces keep their palette and get clean edges at four times the size.
    """
    import numpy as np

    from maquette.core.image import load
    from maquette.refining.colour.palette import hexadecimal
    from maquette.uses._measures import from_palette, judged, unmeasured

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
    yield from work.do(
        "train", dataset=work.at("pieces.mq"), to=work.at("model"), family="flow", time=work.time(), seed=work.seed
    )
    yield work.step(f"making {request.count:,} new pieces")
    raw = yield from work.do("sample", run=work.at("model"), to=work.at("raw"), count=request.count, sheet=False)
    files = [Path(path) for path in raw.facts["images"]]
    names = hexadecimal(np.asarray(palette, np.float32) / 255)
    recipe = _recipe(style, names)
    if recipe:
        yield work.step(f"finishing them: {recipe}")
        done = yield from work.do("refine", source=[work.at("raw")], to=work.at("pieces"), **{"with": recipe})
        files = [Path(path) for path in done.facts["images"]]
    yield work.step("judging the model: is it varied, does it copy?")
    evaluated = yield from work.do(
        "evaluate", what=work.at("model"), count=request.judged, report=work.at("evaluation.html")
    )
    figures = [*judged(evaluated.facts)]
    finished = [load(path) for path in files]
    if style != "painted":
        before = np.concatenate([from_palette(load(Path(path)), palette) for path in raw.facts["images"]])
        after = np.concatenate([from_palette(image, palette) for image in finished])
        figures.append(Figure(
            name="palette kept", value=float(np.percentile(after, 99)) if len(after) else 0.0, goal="at most 1",
            reached=bool(len(after)) and float(np.percentile(after, 99)) <= 1,
            says=f"99 of 100 visible pixels are no further than this from a colour of your palette (Delta E; below 1 "
            f"nobody sees it). As the model made them it was {np.percentile(before, 99):.3g}.",
        ))  # fmt: skip
    sheet = _compared(work, pieces, finished)
    return Outcome(
        lead=f"{len(files):,} new {style} pieces, after {len(data.indices('train')):,} "
        + ("pieces that Maquette drew." if work.own else "pieces of yours."),
        sheet=sheet,
        files=files,
        figures=figures,
        not_yet=[*_not_yet(style, data, evaluated.facts["grade"]), *unmeasured(evaluated.facts)],
        more=lambda page: _sections(page, pieces, finished, names, style),
        facts={
            "dataset": work.at("pieces.mq"), "run": work.at("model"), "style": style, "palette": names,
            "grade": evaluated.facts["grade"], "evaluation": evaluated.facts["report"],
        },
        next=(f"maquette sample {work.at('model')} --to {work.at('more')} --count 64 --seed 1000",),
    )  # fmt: skip


def palette_of(pieces: Sequence[Image], count: int) -> tuple[list[list[int]], float]:
    """The few colours of the pieces (8-bit RGB), and the share of visible pixels that lie on them."""
    import numpy as np

    from maquette.refining.colour.palette import extract
    from maquette.uses._measures import SEEN, from_palette, visible

    seen = np.concatenate([np.asarray(piece)[..., :3][visible(piece)] for piece in pieces if piece.shape[2] >= 3])
    side = max(1, int(len(seen) ** 0.5))  # a square of them, for what is sampled is sampled along both axes
    colours, _ = extract(np.ascontiguousarray(seen[: side * side].reshape(side, -1, 3)), None, count)
    palette = np.rint(colours * 255).astype(int).tolist()
    # What lies between two colours, along soft edges, is no colour of the artist's: hardly a pixel has it exactly.
    few = pieces[:40]
    owned = [float(np.concatenate([from_palette(p, [c]) <= SEEN for p in few]).mean()) for c in palette]
    palette = [c for c, own in zip(palette, owned, strict=True) if own >= OWNED] or palette[:1]
    away = np.concatenate([from_palette(piece, palette) for piece in few])
    return palette, float((away <= NEAR).mean()) if len(away) else 0.0


def _style(pieces: Sequence[Image], palette: Sequence[Sequence[int]], share: float) -> Style:
    """What the pieces are, by their colours: pixel art has nothing between the colours of its palette."""
    if share < FLAT:
        return "painted"
    return "pixels" if share > 0.995 else "flat"


def _recipe(style: Style, names: Sequence[str]) -> str:
    """How pieces are finished: flat ones four times larger, so that edges are clean; pixel art as it is."""
    snap = f"palette colours={':'.join(names)}"
    return {"flat": f"upscale times=4, {snap}", "pixels": snap}.get(style, "")


def _compared(work: Work, pieces: Sequence[Image], made: Sequence[Image]) -> Path:
    """The contact sheet: pieces on the left, new ones on the right, eight of each in a row."""
    import numpy as np

    from maquette.refining.pixels import with_channels

    height, width = made[0].shape[:2]
    many = max(pieces[0].shape[2], made[0].shape[2])

    def fit(image: Image) -> Image:
        times = max(1, height // image.shape[0])
        return np.asarray(with_channels(np.kron(image, np.ones((times, times, 1), np.uint8)), many))

    gap = np.full((height, max(4, width // 8), many), 118, np.uint8)
    gap = np.pad(gap, ((0, 0), (0, width - gap.shape[1]), (0, 0)), constant_values=118)
    rows: list[Image] = []
    for row in range(min(6, len(made) // 4)):
        rows += [
            *(fit(piece) for piece in pieces[4 * row : 4 * row + 4]),
            gap,
            *(fit(i) for i in made[4 * row : 4 * row + 4]),
        ]
    return work.sheet(rows, columns=9)


def _sections(page: Page, pieces: Sequence[Image], made: Sequence[Image], names: Sequence[str], style: Style) -> None:
    from maquette.core.page import Picture
    from maquette.refining.colour.palette import cells, from_hexadecimal

    section = page.section("Palette")
    if style == "painted":
        section.text("The pieces are not flat: their colours were left as the model made them.")
    else:
        section.text("Every visible pixel of the new pieces was given the nearest of these colours.")
    import numpy as np

    shown = cells(from_hexadecimal(tuple(names)), np.full(len(names), 1 / len(names), np.float32), height=48)
    section.pictures([Picture(shown, " ".join(names))], side=480)


def _not_yet(style: Style, data: Dataset, grade: str) -> list[str]:
    count = len(data.indices("train"))
    said = [f"The judge calls the model {grade}: a longer --time makes forms surer."]
    if count < 200:
        said.append(f"{count} pieces are few: below about 200 the model repeats what it saw; see the copies.")
    if style == "flat":
        said.append("Small parts (eyes, thin lines) are the first to go wrong: choose by eye.")
    return said
