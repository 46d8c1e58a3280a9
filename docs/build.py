"""Makes the documents: the reference from the code, the pages in site/ from the documents, and checks every link.

python docs/build.py              all of it, with the sheets of ops
python docs/build.py reference    the reference alone
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from maquette.core.settings import Described
from maquette.faces import help
from maquette.operations import operation as table
from maquette.operations import schemas
from maquette.operations._uses import REGISTRY as uses
from maquette.refining import named, registry
from maquette.refining.schema import OP_KINDS

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference.md"


def documents() -> list[Path]:
    """Every document of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


# The reference


def reference() -> str:
    """All verbs and families with what they take."""
    parts = [
        "# Reference",
        "Made from the code by `make docs`; the same words as `maquette VERB --help`.",
        "## Verbs",
        *_verbs(),
        "## Options of every verb",
        _table(("option", "what it does"), [(f"`{name}`", text) for name, text in help.common()]),
        "## Families",
        "`--set` settings shape the model when it is trained; dials are options of `maquette sample`.",
        *_families(),
        "## Uses",
        "What `maquette use NAME` takes beside its own options. What each is for: [uses](guide/uses.md).",
        *_uses(),
        "## Ops",
        "What `--with` of `refine` takes: the name of an op, then its dials as NAME=VALUE. Every op also takes "
        "`strength`, from 0 (nothing happens) to 1. How they look: [refining](guide/refine.md).",
        *_ops(),
        "## Recipes",
        _table(("recipe", "what it is for"), [(f"`{name}`", named.shipped(name).about) for name in named.names()]),
    ]
    return "\n\n".join(parts) + "\n"


def _verbs() -> Iterator[str]:
    for group, verbs in table.grouped().items():
        for verb in verbs:
            operation = table.get(verb)
            yield f"### {verb}"
            yield f"*{group}.* {operation.summary}"
            yield f"```\n{help.usage(operation)}\n```"
            if operation.description:
                yield operation.description
            rows = [(_name(setting), help.sentence(setting)) for setting in operation.settings]
            if rows:
                yield _table(("argument or option", "what it is"), rows)


def _families() -> Iterator[str]:
    for name in schemas.own():
        schema = schemas.read()[name]
        yield f"### {name}"
        facts = [schema.summary.rstrip(".") + "."]
        facts.append(f"Conditions: {', '.join(schema.accepts) or 'none'}.")
        facts.append(f"A trained model: {', '.join(schema.powers) or 'none of the powers'}.")
        if schema.needs:
            facts.append(
                "Stands on: " + ", ".join(f"{part} (made by {made})" for part, made in schema.needs.items()) + "."
            )
        yield " ".join(facts)
        rows = [(f"`--set {s.name}={help.form(s)}`", help.sentence(s)) for s in schema.settings]
        rows += [(f"`{help.option(s)}` (dial)", help.sentence(s)) for s in schema.dials]
        yield _table(("setting or dial", "what it is"), rows)


def _uses() -> Iterator[str]:
    for name in uses.names():
        use = uses.get(name)
        yield f"### {name}"
        yield f"*{use.title}.* {use.summary} {' '.join(use.description.split())}".rstrip()
        yield f"It learns for {use.seconds:g} seconds when no `--time` is given."
        rows = [(f"`--{s.option} {help.form(s)}`", help.sentence(s)) for s in use.settings]
        yield _table(("setting", "what it is"), rows)


def _ops() -> Iterator[str]:
    for kind in OP_KINDS:
        rows = []
        for schema in registry.schemas().values():
            if schema.kind == kind:
                dials = [f"`{dial.name}` {help.sentence(dial.described())}" for dial in schema.dials]
                rows.append((f"`{schema.name}`", f"{schema.summary} " + "; ".join(dials)))
        if rows:
            yield f"### {_KINDS[kind]}"
            yield _table(("op", "what it does, and its dials"), rows)


_KINDS = {
    "filter": "Filters", "effect": "Effects", "geometry": "Geometry", "colour": "Colour",
    "segment": "Segmentation", "select": "Masks",
}  # fmt: skip


def _name(setting: Described) -> str:
    if setting.place == "argument":
        return f"`{help.word(setting)}`"
    if setting.place == "dials":
        return "`--DIAL VALUE`"
    return f"`{help.option(setting)}`"


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *((_cell(left), _cell(right)) for left, right in rows)]
    return "\n".join(f"| {left} | {right} |" for left, right in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# Links


def anchors(text: str) -> set[str]:
    """The names of a document's headings, as links write them."""
    heads = re.findall(r"^#+ +(.+)$", _without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def broken_links() -> list[str]:
    """Links between documents that lead nowhere."""
    broken = []
    for document in documents():
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", _without_code(document.read_text("utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue  # another place: nothing is fetched here
            name, _, anchor = target.partition("#")
            place = document if not name else (document.parent / name).resolve()
            if not place.exists() or not place.is_relative_to(ROOT):
                broken.append(f"{document.relative_to(ROOT)}: {target} does not exist")
            elif anchor and anchor not in anchors(place.read_text("utf-8")):
                broken.append(f"{document.relative_to(ROOT)}: {target} has no such heading")
    return broken


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


# The pages

STYLE = """
body { font: 17px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre, code { font: 0.9em ui-monospace, monospace; background: #f4f2ee; } pre { padding: .8rem; overflow-x: auto; }
table { border-collapse: collapse; } td, th { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; }
img { max-width: 100%; image-rendering: pixelated; } nav a { margin-right: 1rem; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd; } pre, code { background: #2a2a2a; }
  a { color: #8ab4f8; } td, th { border-color: #444; } }
"""


def pages(site: Path) -> int:
    """Write every document as a page that any browser opens from the disk."""
    from markdown_it import MarkdownIt

    render = MarkdownIt("commonmark", {"html": False}).enable("table").render
    shutil.copytree(ROOT / "docs" / "pictures", site / "docs" / "pictures", dirs_exist_ok=True)
    for document in documents():
        page = site / document.relative_to(ROOT).with_suffix(".html")
        page.parent.mkdir(parents=True, exist_ok=True)
        home = "../" * (len(page.relative_to(site).parts) - 1)
        body = re.sub(r'(href="[^":#]+)\.md(["#])', r"\1.html\2", render(document.read_text("utf-8")))
        title = html.escape(re.sub(r"^#+ *", "", document.read_text("utf-8").splitlines()[0]))
        places = (("README.html", "Maquette"), ("docs/guide/index.html", "Guide"), ("docs/reference.html", "Reference"))
        links = "".join(f'<a href="{home}{place}">{name}</a>' for place, name in places)
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        page.write_text(
            f'<!doctype html><html lang="en">{head}<style>{STYLE}</style><nav>{links}</nav>{body}</html>\n', "utf-8"
        )
    return len(documents())


def main(words: list[str]) -> int:
    """Make what was asked for."""
    REFERENCE.write_text(reference(), "utf-8")
    print(f"wrote {REFERENCE.relative_to(ROOT)}")
    if words == ["reference"]:
        return 0
    sys.path.insert(0, str(ROOT / "docs"))
    import sheet

    print(f"drew {len(sheet.build())} sheets of ops in docs/pictures")
    for sentence in broken_links():
        print(sentence, file=sys.stderr)
    print(f"wrote {pages(ROOT / 'site')} pages; begin at {ROOT / 'site' / 'README.html'}")
    return 1 if broken_links() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
