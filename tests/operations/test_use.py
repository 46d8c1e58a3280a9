"""The verb `use`: the table of uses, what a use is handed, and how it ends."""

from __future__ import annotations

import types
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pytest

from maquette.core.errors import UsageError
from maquette.core.event import Event
from maquette.core.image import load
from maquette.core.settings import setting
from maquette.operations import _uses
from maquette.operations import operation as table
from maquette.operations._uses import REGISTRY, Figure, Outcome, Work, use
from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Posters:
    count: int = setting(2, "how many", ge=1, le=9)
    loud: bool = setting(False, "in red")


def posters(request: Posters, work: Work) -> Generator[Event, None, Outcome]:
    """Make posters.

    Of one colour each.
    """
    yield work.step("painting")
    data = yield from work.do("ingest", source=["drawn:shapes"], to=work.at("shapes.mq"), count=40, size="16")
    colour = (255, 0, 0) if request.loud else (0, 0, 90 + work.seed)
    image = np.full((24, 24, 3), colour, np.uint8)
    files = [work.write(work.to / "posters" / f"{k}.png", image, {"op": "poster"}) for k in range(request.count)]
    figures = [Figure(name="posters", value=len(files), says="how many there are.", goal="2", reached=len(files) == 2)]
    return Outcome(
        lead="Posters.", sheet=work.sheet([load(path) for path in files]), files=files, figures=figures,
        not_yet=["they are dull"], facts={"shapes": len(data.value), "own": work.own, "words": work.commands},
    )  # fmt: skip


@pytest.fixture
def made(monkeypatch):
    """The use of this file, as if it were a file of the package."""
    module = types.ModuleType("maquette.uses.posters")
    module.posters = use(title="Posters", time="3m", trial={"count": "1"})(posters)
    monkeypatch.setattr(posters, "__module__", module.__name__)
    picked = _uses._pick(module)
    monkeypatch.setitem(REGISTRY._loaded, "posters", picked)
    names = [*REGISTRY.names(), "posters"]
    monkeypatch.setattr(REGISTRY, "names", lambda: names)
    return picked


def run(home, **values):
    return list(table.run("use", Workspace(home), values))


def test_a_file_becomes_a_use(made):
    assert (made.name, made.title, made.summary, made.description) == (
        "posters", "Posters", "Make posters.", "Of one colour each.",
    )  # fmt: skip
    assert (made.seconds, [each.name for each in made.settings]) == (180.0, ["count", "loud"])


def test_alone_it_lists_the_uses(made, home):
    result = run(home)[-1]
    assert [each["name"] for each in result.facts["uses"]] == REGISTRY.names()


def test_it_ends_with_sheet_report_and_signed_files(made, home, tmp_path):
    to = tmp_path / "out"
    facts = run(home, name="posters", to=str(to), loud="yes")[-1].facts
    assert facts["figures"]["signed and whole"] == {
        "value": 2, "goal": "all 2", "reached": True, "says": facts["figures"]["signed and whole"]["says"],
    }  # fmt: skip
    assert (facts["shapes"], facts["own"]) == (40, True)
    assert facts["words"][0] == f"maquette ingest drawn:shapes --to {to}/shapes.mq --count 40 --size 16"
    assert load(to / "posters" / "0.png")[0, 0].tolist() == [255, 0, 0]
    page = (to / "report.html").read_text("utf-8")
    for words in ("All reached", "they are dull", "maquette ingest drawn:shapes"):
        assert words in page


def test_the_same_words_go_on_and_other_words_are_refused(made, home, tmp_path):
    to = tmp_path / "out"
    first = run(home, name="posters", to=str(to))[-1]
    before = {path: path.stat().st_mtime_ns for path in (to / "posters").iterdir()}
    assert run(home, name="posters", to=str(to))[-1].facts == first.facts
    assert {path: path.stat().st_mtime_ns for path in (to / "posters").iterdir()} == before
    with pytest.raises(UsageError, match="something else was made there \\(seed differs\\)"):
        run(home, name="posters", to=str(to), seed=1)
    with pytest.raises(UsageError, match="something else was made there \\(settings differs\\)"):
        run(home, name="posters", to=str(to), count="3")


def test_wrong_words_are_refused_before_anything_is_written(made, home, tmp_path):
    to = tmp_path / "out"
    with pytest.raises(UsageError, match="there is no use 'poster'; did you mean posters"):
        run(home, name="poster", to=str(to))
    with pytest.raises(UsageError, match="use posters: there is no setting 'cuont'; did you mean count"):
        run(home, name="posters", to=str(to), cuont="3")
    with pytest.raises(UsageError, match="use posters: count = "):
        run(home, name="posters", to=str(to), count="99")
    assert not to.exists()


def test_a_folder_with_other_things_in_it_is_left_alone(made, home, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="there are other files"):
        run(home, name="posters", to=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_shows_the_settings_of_the_use_that_is_named(made, capsys):
    from maquette.faces.cli import main

    assert main(["use", "posters", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "posters: Make posters." in said and "--loud yes|no in red" in said and "art:" not in said
    assert "Dials of" not in said
    main(["use", "--help"])
    said = capsys.readouterr().out
    assert "posters: Make posters." in said and "art: " in said
