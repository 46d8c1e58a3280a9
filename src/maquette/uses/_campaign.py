"""All banners of one brand: what is tried with what, what was measured in each, and the list that testing needs."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.files import write_bytes
from maquette.core.image import Image
from maquette.core.noise import uniform
from maquette.core.page import Page, Picture
from maquette.operations._uses import Figure, Work
from maquette.uses import _banner
from maquette.uses._banner import Colour, Font
from maquette.uses._layout import SIDES, Side, Words, best

COLUMNS = (
    "label", "file", "kind", "width", "height", "product", "background", "colour", "side", "headline", "second",
    "action", "contrast", "colour_distance", "words_over_product", "product_share",
)  # fmt: skip


SHOWN = 20
"""Variants on the contact sheet."""


@dataclass(frozen=True)
class Brand:
    """The colours that backgrounds have, and those of words and buttons."""

    grounds: tuple[Colour, ...]
    inks: tuple[Colour, ...]

    @classmethod
    def of(cls, colours: Sequence[str]) -> Brand:
        """All colours for backgrounds; the darkest and the lightest for words, or black and white where they are too
        much alike to be read on each other."""
        found: list[Colour] = []
        for word in colours:
            red, green, blue = (int(word[at : at + 2], 16) for at in (1, 3, 5))
            found.append((red, green, blue))
        dark, light = (pick(found, key=lambda each: float(_banner.luminance(each))) for pick in (min, max))
        if float(_banner.contrast(dark, light)) < 7:
            dark, light = (17, 17, 19), (255, 255, 255)
        return cls(tuple(found), (dark, light))


@dataclass(frozen=True)
class Choice:
    """What one banner is made of, by number."""

    words: int
    product: int
    ground: int
    colour: int
    side: Side | None = None


Counts = tuple[int, int, int, int]
"""How many words, products, grounds and colours there are."""


def turn(number: int, counts: Counts) -> Choice:
    """Each part taken in turn."""
    words, products, grounds, colours = (number % count for count in counts)
    return Choice(words, products, grounds, colours)


def choices(counts: Counts, many: int, seed: int) -> Iterator[Choice]:
    """So many different choices of words, products, grounds, colours and sides, each level about equally often.

    When there are fewer different ones than asked for, they come again, and differ by the place of the background.
    """
    words, products, grounds, colours = (range(count) for count in counts)
    every = [Choice(*each) for each in itertools.product(words, products, grounds, colours, SIDES)]
    order = np.argsort(uniform(seed, "variants", len(every)), kind="stable")
    left = [every[at] for at in order]
    used: dict[tuple[str, Any], int] = {}
    for _ in range(many):
        if not left:
            left = [every[at] for at in order]
        # The one whose parts were used least so far.
        at = min(range(len(left)), key=lambda k: sum(used.get(level, 0) for level in vars(left[k]).items()))
        chosen = left.pop(at)
        for level in vars(chosen).items():
            used[level] = used.get(level, 0) + 1
        yield chosen


class Campaign:
    """Makes banners one after another and keeps what is said of them."""

    def __init__(
        self,
        work: Work,
        brand: Brand,
        font: Font,
        words: Sequence[Words],
        grounds: Sequence[tuple[str, Image]],
        products: Sequence[tuple[Path, Image]],
    ) -> None:
        self.work, self.brand, self.font = work, brand, font
        self.words, self.grounds, self.products = words, grounds, products
        self.rows: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self._measure = font.measure()
        self._thumbs: list[tuple[str, Image]] = []

    def add(self, label: str, kind: str, size: tuple[int, int], choice: Choice) -> None:
        """Make one banner, or note why it cannot be."""
        words, (file, product) = self.words[choice.words], self.products[choice.product]
        (name, ground), colour = self.grounds[choice.ground], self.brand.grounds[choice.colour]
        aspect = product.shape[1] / product.shape[0]
        layout = best(*size, aspect, words, self._measure, choice.side) or best(*size, aspect, words, self._measure)
        if layout is None:
            self.refused.append(f"{size[0]}x{size[1]}: not even the headline {words.headline!r} fits")
            return
        left, top = (int(value * 2**20) for value in uniform(self.work.seed, f"place {label}", 2))
        background = _banner.cropped(ground, *size, left, top)
        made = _banner.compose(layout, background, product, colour, self.brand.inks, self.font)
        code = "#{:02x}{:02x}{:02x}".format(*colour)
        path = self.work.to / kind / f"{label}.png"
        step = {
            "op": "banner", "background": name, "colour": code, "side": layout.side, "headline": words.headline,
        }  # fmt: skip
        self.work.write(path, made.picture, step, file)
        kinds = {line.kind for line in layout.lines}
        box = layout.product
        self.rows.append({
            "label": label, "file": f"{kind}/{path.name}", "kind": kind, "width": size[0], "height": size[1],
            "product": file.stem, "background": name, "colour": code, "side": layout.side, "headline": words.headline,
            "second": words.second if "second" in kinds else "", "action": words.action if "action" in kinds else "",
            "contrast": round(made.contrast, 2), "colour_distance": round(made.colour_distance, 2),
            "words_over_product": made.overlap,
            "product_share": round(box.width * box.height / (size[0] * size[1]), 3),
        })  # fmt: skip
        self._thumbs.append((kind, smaller(made.picture)))

    def write_manifest(self) -> Path:
        """The list of all banners as JSON lines, and as a table beside it."""
        stream = io.StringIO()
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({key: _safe(value) for key, value in row.items()} for row in self.rows)
        path = self.work.to / "manifest.jsonl"
        write_bytes(path.with_suffix(".csv"), stream.getvalue().encode())
        write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows).encode())
        return path

    def figures(self, within: float, asked: int) -> list[Figure]:
        """What was measured, over all banners."""
        over = sum(row["words_over_product"] for row in self.rows)
        contrast = min(row["contrast"] for row in self.rows)
        away = max(row["colour_distance"] for row in self.rows)
        return [
            Figure(
                name="words over the product", value=over, goal="0 pixels", reached=over == 0,
                says="pixels, in all banners together, in which words or a button lie over the product's mask.",
            ),
            Figure(
                name="contrast of words", value=contrast, goal=f"at least {_banner.READABLE}",
                reached=contrast >= _banner.READABLE,
                says="of the words that are hardest to read, with what lies behind them; 4.5 is what the guidelines "
                "for accessible pages ask of small words.",
            ),
            Figure(
                name="colours held", value=away, goal=f"at most {within:g}", reached=away <= within,
                says="how far the mean of the bare background is from its colour of the brand, in the banner where it "
                "is furthest (Delta E 2000; from about 2 on people see it side by side). Words and buttons have the "
                "brand's colours exactly.",
            ),
            Figure(
                name="banners made", value=len(self.rows), goal=f"all {asked}", reached=len(self.rows) == asked,
                says="of so many that were asked for; what is missing stands under what is not yet good.",
            ),
        ]  # fmt: skip

    def contact(self) -> Path:
        """The contact sheet: the set first, then the variants."""
        path = self.work.to / "sheet.png"
        shown = [thumb for kind, thumb in self._thumbs if kind == "set"]
        shown.sort(key=lambda thumb: -thumb.shape[0])
        tested = [thumb for kind, thumb in self._thumbs if kind != "set"][:SHOWN]
        parts = [shelves(part) for part in (shown, tested) if part]
        self.work.press.sheet(path, np.concatenate(parts), {})
        return path

    def sections(self, page: Page) -> None:
        """The products, and how often each level was used."""
        section = page.section("Products, cut out", count=len(self.products))
        section.pictures([Picture(smaller(image), file.stem) for file, image in self.products], side=240)
        variants = [row for row in self.rows if row["kind"] == "variants"]
        if variants:
            section = page.section("Variants for testing", count=len(variants))
            section.text(
                "`manifest.csv` and `manifest.jsonl` say of every banner what it was made of. The choices are mixed so "
                "that each occurs about equally often: compare the mean of all variants with a choice against the mean "
                "of all without it."
            )
            for key in ("product", "background", "colour", "side", "headline"):
                levels = sorted({row[key] for row in variants})
                if len(levels) > 1:
                    counts = [(level, sum(row[key] == level for row in variants)) for level in levels]
                    section.table((key, "variants"), counts)

    def short(self) -> list[str]:
        """Sizes whose words had to be shortened, for the list of what is not yet good."""
        lost = [f"{r['width']}x{r['height']}" for r in self.rows if r["kind"] == "set" and not r["action"]]
        said = [f"No banner of {text}." for text in dict.fromkeys(self.refused)]
        if lost and any(row["action"] for row in self.rows):
            said.append(f"There was no room for the button on {', '.join(lost)}.")
        return said


def shelves(pictures: Sequence[Image], width: int = 1260, gap: int = 10) -> Image:
    """Pictures of any sizes in rows, none scaled."""
    rows: list[list[Image]] = [[]]
    for picture in pictures:
        if rows[-1] and sum(p.shape[1] + gap for p in rows[-1]) + picture.shape[1] + gap > width:
            rows.append([])
        rows[-1].append(picture)
    height = gap + sum(max(p.shape[0] for p in row) + gap for row in rows)
    ground: NDArray[np.uint8] = np.full((height, width, 3), 118, np.uint8)
    top = gap
    for row in rows:
        left = gap
        for picture in row:
            high, wide = picture.shape[:2]
            ground[top : top + high, left : left + wide] = picture
            left += wide + gap
        top += max(p.shape[0] for p in row) + gap
    return ground


def smaller(picture: Image, most: int = 300) -> Image:
    """The picture, its longer side at most so many pixels."""
    import cv2

    share = min(1.0, most / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share)))
    return picture if share == 1 else np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _safe(value: Any) -> Any:
    """What a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def plain(side: int, seed: int) -> Image:
    """A ground without pictures: soft light from one side, which goes on over its edges."""
    y, x = np.mgrid[:side, :side] / side * 2 * np.pi
    across, down, more = uniform(seed, "plain ground", 3) * 2 * np.pi
    light = 128 + 40 * np.cos(x + across) * np.cos(y + down) + 20 * np.cos(x - y + more)
    return np.repeat(np.rint(light)[..., None], 3, axis=2).astype(np.uint8)
