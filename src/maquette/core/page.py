"""Reports that people like to read: one HTML file that needs no network, no script and no other file.

    page = Page("Audit of photos", lead="2,000 images of 64x64 rgb")
    page.verdict("Good", ["no image is unreadable"], tone="good")
    section = page.section("Near duplicates", tone="fair", count=12, tag="harms the model")
    section.text("Copies are learned by heart.")
    section.pictures([Picture(array, "a.png"), Picture(other, "b.png")], title="two of a kind")
    section.plot(plot.histogram(values, mark=0.2), title="Sharpness")
    page.save(path)

Everything handed in is text, never markup: it is escaped here. Pages follow the reader's light or dark setting, can be
printed, and can be read with the keyboard alone (a focused picture grows).
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maquette.core.files import write_bytes

if TYPE_CHECKING:
    from maquette.core.image import Image

Tone = Literal["good", "fair", "poor", "info", ""]
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SIDE = 96
"""How wide a picture is shown, in pixels of the page, when nobody says otherwise."""


@dataclass(frozen=True)
class Picture:
    """One image of a grid, with the words under it."""

    image: Image
    caption: str = ""
    tone: Tone = ""
    """Draws a frame around it: `poor` for the one that is meant, `good` for the one to keep."""


class Section:
    """One part of a page, built piece by piece from the top. Every method adds one piece and returns the section."""

    def __init__(self, title: str, *, tone: Tone, count: int | None, tag: str, name: str) -> None:
        self.title, self.tone, self.count, self.tag, self.name = title, tone, count, tag, name
        self._parts: list[str] = []

    def text(self, *paragraphs: str, soft: bool = False) -> Section:
        """Paragraphs."""
        kind = ' class="soft"' if soft else ""
        self._parts += [f"<p{kind}>{_marked(text)}</p>" for text in paragraphs]
        return self

    def heading(self, text: str) -> Section:
        """A heading inside the section."""
        return self._add(f"<h3>{_escape(text)}</h3>")

    def note(self, text: str) -> Section:
        """Something to keep in mind."""
        return self._add(f'<div class="note">{_marked(text)}</div>')

    def code(self, text: str) -> Section:
        """A command to type."""
        return self._add(f"<pre>{_escape(text)}</pre>")

    def points(self, items: Iterable[str]) -> Section:
        """A list."""
        return self._add(f"<ul>{''.join(f'<li>{_marked(item)}</li>' for item in items)}</ul>")

    def steps(self, items: Iterable[tuple[str, str, str]]) -> Section:
        """Things to do in their order: what, why, and the command (or "")."""
        rows = [
            f"<li><strong>{_marked(what)}</strong><p class='soft'>{_marked(why)}</p>"
            + (f"<pre>{_escape(command)}</pre></li>" if command else "</li>")
            for what, why, command in items
        ]
        return self._add(f'<ol class="steps">{"".join(rows)}</ol>')

    def pictures(self, pictures: Sequence[Picture], *, title: str = "", side: int = SIDE) -> Section:
        """Images side by side; with a title they are framed as one group."""
        grid = f'<div class="pictures" style="--side:{int(side)}px">{"".join(_figure(p, side) for p in pictures)}</div>'
        if title:
            grid = f'<div class="group"><p>{_marked(title)}</p>{grid}</div>'
        return self._add(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Section:
        """Facts in rows; columns that hold numbers stand right."""
        body = [[_cell(cell) for cell in row] for row in rows]
        right = [bool(body) and all(_is_number(row[k]) for row in body) for k in range(len(columns))]
        head = "".join(_td("th", name, right[k]) for k, name in enumerate(columns))
        lines = "".join(f"<tr>{''.join(_td('td', c, right[k]) for k, c in enumerate(row))}</tr>" for row in body)
        return self._add(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>')

    def plot(self, svg: str, *, title: str = "") -> Section:
        """A drawing made by `core.plot`."""
        return self._add(_plot(svg, title))

    def plots(self, drawings: Iterable[tuple[str, str]]) -> Section:
        """Small drawings beside each other: pairs of title and drawing."""
        return self._add(f'<div class="plots">{"".join(_plot(svg, title) for title, svg in drawings)}</div>')

    def more(self, summary: str, inner: Section) -> Section:
        """What is shown only when it is asked for: the pieces of another section."""
        return self._add(f"<details><summary>{_escape(summary)}</summary>{''.join(inner._parts)}</details>")

    def _add(self, part: str) -> Section:
        self._parts.append(part)
        return self

    def html(self) -> str:
        """The section as HTML."""
        tag = f' <span class="tag {self.tone}">{_escape(self.tag)}</span>' if self.tag else ""
        head = f"<h2>{_escape(self.title)}{tag}</h2>" if self.title else ""
        return f'<section id="{self.name}">{head}{"".join(self._parts)}</section>'


class Page:
    """A whole report: title, verdict, sections with a table of contents, footer."""

    def __init__(
        self, title: str, *, lead: str = "", footer: str = "Made by Maquette. Nothing left this computer."
    ) -> None:
        self.title, self.lead, self.footer = title, lead, footer
        self._verdict = ""
        self._sections: list[Section] = []

    def verdict(self, word: str, reasons: Sequence[str], *, tone: Tone = "info") -> Page:
        """The whole in a word, and why."""
        points = "".join(f"<li>{_marked(reason)}</li>" for reason in reasons)
        self._verdict = (
            f'<section class="verdict {tone}" aria-label="verdict"><div class="word">{_escape(word)}</div>'
            f"<ul>{points}</ul></section>"
        )
        return self

    def section(self, title: str, *, tone: Tone = "", count: int | None = None, tag: str = "") -> Section:
        """Begin a section. Tone and count are shown in the table of contents, the tag beside the title."""
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        taken = {section.name for section in self._sections}
        name = next(n for k in range(1, 10**6) if (n := slug if k == 1 else f"{slug}-{k}") not in taken)
        self._sections.append(Section(title, tone=tone, count=count, tag=tag, name=name))
        return self._sections[-1]

    def html(self) -> str:
        """The page as the text of an HTML file."""
        from importlib import resources

        style = resources.files("maquette.core").joinpath("page.css").read_text("utf-8")
        style = re.sub(r"\s*\n\s*", "\n", style)
        lead = f'<p class="lead">{_marked(self.lead)}</p>' if self.lead else ""
        contents = "".join(_entry(section) for section in self._sections if section.title)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{_escape(self.title)}</title><style>{style}</style></head><body>\n"
            '<a class="skip" href="#content">To the content</a><div class="frame">'
            f'<nav aria-label="contents"><ul>{contents}</ul></nav><main id="content"><header>'
            f"<h1>{_escape(self.title)}</h1>{lead}</header>{self._verdict}\n"
            + "\n".join(section.html() for section in self._sections)
            + f"\n<footer><p>{_marked(self.footer)}</p></footer></main></div></body></html>\n"
        )

    def save(self, path: Path) -> Path:
        """Write the page, whole or not at all."""
        write_bytes(path, self.html().encode("utf-8", "replace"))
        return path


def part() -> Section:
    """A section without a place of its own, for `Section.more`."""
    return Section("", tone="", count=None, tag="", name="")


def data_uri(image: Image, *, most: int = 512) -> str:
    """The image as an address that holds it whole; larger ones are made smaller, for pages must stay light."""
    from maquette.core import image as images

    if images.mode_of(image) == "grey16":
        image = images.convert(image, "grey")
    height, width = image.shape[:2]
    if max(height, width) > most:
        from PIL import Image as Pillow

        scale = most / max(height, width)
        small = images.to_pil(image).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Pillow.Resampling.LANCZOS
        )
        image = images.from_pil(small)
    # Lossless where images are small and every pixel is seen; large photographs would make the page heavy.
    large = max(image.shape[:2]) > 160
    kind, content = ("webp", _webp(image)) if large else ("png", images.encode(image, "png"))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _webp(image: Image) -> bytes:
    import io

    from maquette.core.image import to_pil

    stream = io.BytesIO()
    to_pil(image).save(stream, "WEBP", quality=88)
    return stream.getvalue()


def _figure(picture: Picture, side: int) -> str:
    height, width = picture.image.shape[:2]
    alt = picture.caption.splitlines()[0] if picture.caption else "picture"
    smooth = ' class="smooth"' if width > side else ""
    caption = f"<figcaption>{_marked(picture.caption)}</figcaption>" if picture.caption else ""
    tone = f' class="{picture.tone}"' if picture.tone else ""
    held = data_uri(picture.image, most=max(512, 2 * side))
    return (
        f'<figure tabindex="0"{tone}><img src="{held}" alt="{_escape(alt)}" '
        f'width="{width}" height="{height}"{smooth} decoding="async">{caption}</figure>'
    )


def _plot(svg: str, title: str) -> str:
    caption = f"<figcaption>{_escape(title)}</figcaption>" if title else ""
    return f'<figure class="plot">{caption}{svg}</figure>'


def _entry(section: Section) -> str:
    count = "" if section.count is None else f'<span class="count">{section.count:,}</span>'
    dot = f'<span class="dot {section.tone}"></span>'
    return f'<li><a href="#{section.name}">{dot}{_escape(section.title)}{count}</a></li>'


def _td(kind: str, text: str, right: bool) -> str:
    place = ' class="number"' if right else ""
    return f"<{kind}{place}>{_marked(text)}</{kind}>"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+−]?[\d.,]+(?:e[-+]?\d+)?\s*(?:%|px|s)?", text.strip())) or not text.strip()


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _marked(text: str) -> str:
    """Escaped text; words between backquotes are shown as code, and lines stay lines."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", _escape(text)).replace("\n", "<br>")
