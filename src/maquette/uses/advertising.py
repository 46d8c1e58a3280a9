"""The use `advertising`: from photographs of a product to a set of banners and variants for testing."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Made, Progress
from maquette.core.settings import setting
from maquette.operations._uses import Outcome, Work, use

if TYPE_CHECKING:
    from maquette.core.image import Image
    from maquette.uses._banner import Font
    from maquette.uses._layout import Words

SIZES = (
    "300x250", "336x280", "728x90", "970x250", "160x600", "300x600", "320x50", "320x100", "468x60", "1080x1080",
    "1200x628", "1080x1920",
)  # fmt: skip
"""The sizes that sites and networks ask for most."""
CAFE = ("#5b2a1c", "#f3e6d3", "#c4512d", "#2f4a3c")
"""The colours of the café that stands in for a brand when nothing is given."""
MATERIALS = ("brick", "gravel")
LARGEST = 2048
"""Side that a product is laid out with at most."""
GROUND = 768
"""Side of a background that is made, in pixels; it goes on over its edges."""


def _colours(text: str) -> tuple[str, ...]:
    found = tuple(word for word in re.split(r"[\s,:]+", text.strip()) if word)
    for word in found:
        if not re.fullmatch(r"#?[0-9a-fA-F]{6}", word):
            raise UsageError(f"{word!r} is no colour", do="write colours as #rrggbb")
    return tuple("#" + word.lstrip("#").lower() for word in found)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split("|"))


@dataclass(frozen=True, kw_only=True)
class Advertising:
    """The brand, what the banners say, and which to make."""

    brand: str = setting("", "the brand's own pictures, of which backgrounds are made", form="FOLDER")
    colours: tuple[str, ...] = setting(
        (), "the brand's colours, such as #5b2a1c:#f3e6d3; the product's own when left out", read=_colours, form="#A:#B"
    )
    within: float = setting(
        5.0, "how far (Delta E) the mean of a background may be from a colour of the brand", gt=0, le=50
    )
    headline: tuple[str, ...] = setting(
        ("The first cup is on us",), "what banners say; several are tested against each other", read=_lines,
        form='"WORDS|WORDS"',
    )  # fmt: skip
    second: str = setting("Small roastery, large windows, open from seven.", "a second line")
    action: str = setting("Find us", "the words on the button")
    sizes: tuple[str, ...] = setting(SIZES, "the sizes of the set", form="WxH,...")
    variants: int = setting(50, "how many variants for testing", ge=0, le=1000)
    variant_size: str = setting("600x500", "the size of the variants", form="WxH")
    backgrounds: int = setting(4, "how many backgrounds of each of the brand's materials", ge=1, le=64)
    learned: int = setting(
        256, "the side that the brand's pictures are learned at, in pixels", ge=32, le=1024, multiple_of=8
    )
    ground: int = setting(GROUND, "the side of a background in pixels", ge=128, le=2048, multiple_of=16)
    font: str = setting("", "a font file; the one that comes with Pillow when left out", form="FILE")


@use(
    title="Advertising and marketing",
    time="3m",
    trial={
        "sizes": "300x250,320x50",
        "variants": "4",
        "variant_size": "120x100",
        "backgrounds": "1",
        "ground": "128",
        "learned": "32",
    },
)  # fmt: skip
def advertising(request: Advertising, work: Work) -> Generator[Event, None, Outcome]:
    """Cut products out of their photographs, and set banners of every size before new grounds in the brand's colours.

    Words never lie over the product: that is measured with its mask. Variants for testing come with a manifest.
    """
    from maquette.core.image import load
    from maquette.uses._banner import Font
    from maquette.uses._campaign import Brand, Campaign, choices, smaller, turn

    sizes = [_size(word) for word in request.sizes]
    variant = _size(request.variant_size)
    font, words = Font(_font(request.font)), _words(request)
    yield work.step("cutting the products out")
    products = yield from _cut_out(work)
    cut = [(path, smaller(load(path), LARGEST)) for path in products]
    colours = request.colours or (CAFE if work.own else own_colours([image for _, image in cut]))
    brand = Brand.of(colours)
    _check_room(sizes, words, [image for _, image in cut], font)
    yield work.step("making backgrounds of the brand's pictures")
    grounds = yield from _grounds(request, work)
    total = len(sizes) + request.variants
    yield work.step(f"setting {len(sizes)} sizes and {request.variants} variants")
    campaign = Campaign(work, brand, font, words, grounds, cut)
    counts = (len(words), len(cut), len(grounds), len(brand.grounds))
    # Every size of the set has another background and colour; every variant differs from the others.
    wanted = [(f"{size[0]}x{size[1]}", "set", size, turn(number, counts)) for number, size in enumerate(sizes)]
    wanted += [
        (f"v{number:03d}", "variants", variant, choice)
        for number, choice in enumerate(choices(counts, request.variants, work.seed), 1)
    ]
    began = time.perf_counter()
    for number, each in enumerate(wanted, 1):
        campaign.add(*each)
        yield Progress.since(began, "use", number, total, "banners")
    if not campaign.rows:
        raise DataError(f"no banner can be made ({campaign.refused[0]})", do="give a shorter --headline")
    manifest = campaign.write_manifest()
    yield Made(path=str(manifest), what="manifest")
    return Outcome(
        lead=f"{len(campaign.rows)} banners of {_many(len(cut), 'product')} in "
        f"{_many(len({(r['width'], r['height']) for r in campaign.rows}), 'size')}.",
        sheet=campaign.contact(),
        files=[*products, *(work.to / str(row["file"]) for row in campaign.rows)],
        figures=campaign.figures(request.within, total),
        not_yet=[*campaign.short(), *_not_yet(request, work)],
        more=campaign.sections,
        facts={"manifest": str(manifest), "table": str(manifest.with_suffix(".csv")), "colours": list(colours)},
        next=("maquette use advertising PHOTOS --brand PICTURES --to campaign",),
    )


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _size(word: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", word.strip().lower())
    if match is None or not all(32 <= int(part) <= 4096 for part in match.groups()):
        raise UsageError(f"{word!r} is no size of a banner", do="write WIDTHxHEIGHT, 32 to 4096 pixels each")
    return int(match[1]), int(match[2])


def _font(file: str) -> str:
    from PIL import ImageFont

    if file:
        path = Path(file).expanduser()
        try:
            ImageFont.truetype(str(path), 12)
        except OSError:
            raise UsageError("this is no font that can be read", where=path, do="give a .ttf or .otf file") from None
        return str(path)
    return ""


def _words(request: Advertising) -> list[Words]:
    from maquette.uses._layout import Words

    headlines = request.headline
    if not all(headlines):
        raise UsageError("a headline is empty", do="give words with --headline")
    return [Words(line, " ".join(request.second.split()), " ".join(request.action.split())) for line in headlines]


def _check_room(
    sizes: Sequence[tuple[int, int]], words: Sequence[Words], products: Sequence[Image], font: Font
) -> None:
    """Fail before anything is learned where the words fit on none of the banners."""
    from maquette.uses._layout import best

    measure = font.measure()
    aspects = {image.shape[1] / image.shape[0] for image in products}
    if not any(best(*size, aspect, said, measure) for size in sizes for aspect in aspects for said in words):
        raise UsageError("the words fit on none of the banners", do="give a shorter --headline, or larger --sizes")


def _cut_out(work: Work) -> Generator[Event, None, list[Path]]:
    """The products, cut out and trimmed; photographs in which nothing stands out are set aside."""
    from maquette.data.starter import photograph

    source = list(work.source) or [str(photograph("coffee"))]
    made = yield from work.do("refine", source=source, to=work.at("cutouts"), **{"with": "remove-background, trim"})
    return [Path(path) for path in made.facts["images"]]


def _grounds(request: Advertising, work: Work) -> Generator[Event, None, list[tuple[str, Image]]]:
    """Backgrounds, by name, that a model of the brand's pictures made; plain ones when there are no such pictures."""
    from maquette.core.image import load
    from maquette.uses import _materials
    from maquette.uses._campaign import plain

    if request.brand:
        materials = _materials.named([request.brand])
    elif work.own:
        chosen = MATERIALS[:1] if work.brief else MATERIALS
        materials = _materials.shipped(work, [(label, label) for label in chosen])
    else:
        return [(f"plain-{k}", plain(request.ground, work.seed + k)) for k in range(request.backgrounds)]
    dials = {"width": request.ground, "height": request.ground, "tile": "xy"}
    found: list[tuple[str, Image]] = []
    for name, files in materials.items():
        model = yield from _materials.learned(work, name, files, request.learned, 1 / len(materials))
        made = yield from work.do(
            "sample", run=model, to=work.at("grounds", name), count=request.backgrounds, seed=work.seed, sheet=False,
            dials=dials,
        )  # fmt: skip
        found += [(f"{name}-{work.seed + k}", load(Path(path))) for k, path in enumerate(made.facts["images"])]
    return found


def own_colours(products: Sequence[Image]) -> tuple[str, ...]:
    """The two colours that most of the products have, when no brand's colours are given."""
    import numpy as np

    from maquette.refining.colour.palette import extract, hexadecimal
    from maquette.uses._measures import visible

    seen = np.concatenate([np.asarray(image[..., :3])[visible(image)] for image in products])
    side = max(1, int(len(seen) ** 0.5))
    colours, _ = extract(np.ascontiguousarray(seen[: side * side].reshape(side, -1, 3)), None, 3)
    return tuple(hexadecimal(colours)[:2])


def _not_yet(request: Advertising, work: Work) -> list[str]:
    said = [
        "Cut-outs are automatic: look at each edge; a shadow in the photograph may have stayed at the product. Better "
        "ones of your own (with alpha) are taken as they are.",
        "Only the words given are set: nothing is written for you, and lines are broken where they fit, not where they "
        "read best.",
        "Which variant works is not known here: that is what the test is for.",
    ]
    if not request.brand and not work.own:
        said.insert(
            0, "No pictures of the brand were given (--brand FOLDER), so backgrounds are plain, and not learned."
        )
    return said
