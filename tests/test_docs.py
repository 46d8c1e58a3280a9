"""The documents are true: their code runs, their links lead somewhere, and nothing that is there goes unsaid."""

import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import maquette as mq
from maquette.core.event import Event, Progress
from maquette.faces import arguments
from maquette.operations import operation as table
from maquette.operations import schemas
from maquette.operations._uses import REGISTRY as uses

ROOT = Path(__file__).parent.parent
VERBS = [verb for verbs in table.grouped().values() for verb in verbs]


def load_builder():
    """docs/build.py is a script, not part of a package."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_builder()
DOCUMENTS = build.documents()


def blocks(path, language):
    """The code of a document in one language ("" for commands)."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


OTHERS = ("linear", "NAME", "VERB")
"""Words of the family that the contributing page adds, and placeholders: such lines cannot be tried as they stand."""


def commands():
    """Every command line of Maquette in the documents: (document, line)."""
    return sorted({found for found in _commands() if not any(word in found[1] for word in OTHERS)})


def _commands():
    for path in DOCUMENTS:
        for block in blocks(path, ""):
            for line in block.splitlines():
                words = line.partition("#")[0].strip()
                if re.match(r"(\.venv/bin/)?maquette\s", words) and path != build.REFERENCE:
                    yield path.name, words
        text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for words in re.findall(r"`(maquette [^`]+)`", text):
            yield path.name, words


# The reference


def test_the_reference_is_what_the_code_says():
    assert build.REFERENCE.read_text("utf-8") == build.reference(), "the reference is old: run make fix"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_reference_and_in_the_guide(verb):
    reference = build.reference()
    assert f"### {verb}\n" in reference
    for setting in table.get(verb).settings:
        assert setting.help in reference
    guide = "".join(path.read_text("utf-8") for path in DOCUMENTS if path != build.REFERENCE)
    words = verb.replace("-", "[- ]")  # a verb of two words may be written as two
    assert re.search(rf"`{words}`|maquette {words}\b", guide)


@pytest.mark.parametrize("name", schemas.own())
def test_every_family_is_in_the_reference_and_in_the_guide(name):
    reference = build.reference()
    assert f"### {name}\n" in reference
    for setting in (*schemas.read()[name].settings, *schemas.read()[name].dials):
        assert setting.help in reference
    assert f"`{name}`" in (ROOT / "docs" / "guide" / "families.md").read_text("utf-8")


@pytest.mark.parametrize("name", uses.names())
def test_every_use_is_in_the_reference_and_has_a_page(name):
    reference = build.reference()
    assert f"### {name}\n" in reference
    for setting in uses.get(name).settings:
        assert setting.help in reference
    page = (ROOT / "docs" / "guide" / f"use-{name}.md").read_text("utf-8")
    assert f"maquette use {name}" in page and "## What is not yet good" in page
    assert f"](use-{name}.md)" in (ROOT / "docs" / "guide" / "uses.md").read_text("utf-8")


# Links and commands


def test_no_link_is_broken():
    assert build.broken_links() == []


def test_broken_links_are_found(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_text("# Head one\n[good](b.md) [good](#head-one) [bad](c.md) [bad](b.md#none)\n", "utf-8")
    (tmp_path / "b.md").write_text("# B\n```\n[no link](nowhere.md)\n```\n[out](../../x)\n", "utf-8")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    assert [line.split(": ")[1].split()[0] for line in build.broken_links()] == ["c.md", "b.md#none", "../../x"]


def test_the_pages_are_made(tmp_path):
    assert build.pages(tmp_path) == len(DOCUMENTS)
    page = (tmp_path / "docs" / "guide" / "index.html").read_text("utf-8")
    assert 'href="install.html"' in page
    assert "<table>" in page
    assert (tmp_path / "README.html").is_file()


def test_every_guide_page_is_in_its_index():
    index = (ROOT / "docs" / "guide" / "index.md").read_text("utf-8")
    for path in (ROOT / "docs" / "guide").glob("*.md"):
        assert path.name == "index.md" or f"]({path.name})" in index


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_in_the_documents_is_possible(document, line):
    words = re.findall(r'"[^"]*"|\S+', line.removeprefix(".venv/bin/"))[1:]
    verb, rest = arguments.verb_of([word.strip('"') for word in words])
    if verb is None:
        arguments.parse_common([word for word in rest if word != "--version"])
        return
    assert verb in VERBS, f"{document} speaks of a verb that is not there: {line}"
    operation = table.get(verb)
    values = arguments.parse(operation, rest).values
    missing = {setting.name: "x" for setting in operation.settings if setting.required}
    request = operation.read({**missing, **values})
    dials = {dial.name for schema in schemas.read().values() for dial in schema.dials}
    if operation.dials is not None:
        dials = {dial.name for own in operation.dials(rest).values() for dial in own}
    bucket = next((setting.name for setting in operation.settings if setting.place == "dials"), None)
    assert bucket is None or set(getattr(request, bucket)) <= dials


# Code


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of images named photos, in which the code of the documents is run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (24, 3))
    for number, colour in enumerate(colours):
        Pillow.new("RGB", (80, 72), tuple(int(part) for part in colour)).save(folder / f"{number}.png")
    return folder


def run_code(text):
    """Run a document's code the way Python runs a file."""
    scope = {"__name__": "document"}
    path = Path("document.py")
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("document", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {**scope, **vars(module)}


def test_the_code_of_the_readme_runs(photos, capsys):
    (code,) = blocks(ROOT / "README.md", "python")
    assert 'time="10m"' in code
    assert "(64, 64, 3)" in code
    names = run_code(code.replace('time="10m"', 'images=256, scale="nano"').replace("size=64", "size=16"))
    assert len(names["images"]) == 64
    assert isinstance(names["data"], mq.Dataset)
    assert isinstance(names["run"], mq.Run)
    assert capsys.readouterr().out == "(16, 16, 3)\n"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "guide").glob("*.md")), ids=lambda path: path.name)
def test_the_code_of_the_guide_runs(path, photos):
    for code in blocks(path, "python"):
        run_code(code)


def test_the_guide_names_every_event_and_its_parts():
    guide = (ROOT / "docs" / "guide" / "index.md").read_text("utf-8")
    for kind in Event.__subclasses__():
        assert f"`{kind.name}`" in guide
    for part in dataclasses.fields(Progress):
        assert f"`{part.name}`" in guide
