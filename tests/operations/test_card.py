"""Cards tell what is known, of whatever lies in the folder, and mark what people state."""

import json
import os
import re

import numpy as np
import pytest

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.event import Warning
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.workspace import Workspace
from maquette.trust import cards


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with a dataset and a run of it."""
    home = tmp_path_factory.mktemp("home")
    list(make_drawn("shapes", home / "shapes.mq", width=8, height=8, count=40))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        request = {
            "dataset": str(home / "shapes.mq"),
            "to": "run",
            "family": "oracle",
            "images": 64,
            "set": ["batch=16"],
        }
        events = list(table.run("train", Workspace(home), request))
    finally:
        starting.remembered = before
    assert not any(isinstance(event, Warning) for event in events)
    return Workspace(home)


def card(made, of, **values):
    return list(table.run("card", made, {"of": str(of), **values}))[-1]


def test_training_writes_the_card_of_the_model(made):
    folder = made.runs / "run"
    text, said = (folder / "card.md").read_text("utf-8"), json.loads((folder / "card.json").read_text("utf-8"))
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert said["digest"] == run["model"] and said["images_seen"] == 64 and said["family"] == "oracle"
    assert said["dataset"]["images"] == 40 and said["dataset"]["set_aside"]["count"] == 0
    assert run["model"] in text and "Not judged yet" in text and "Not audited yet" in text
    assert "circle" in text and "not stated" in text
    assert said["parameters"] and "anonymous" not in text.lower() and "private" not in text.lower()
    assert str(made.home) not in text, "paths may name a person"


def test_the_card_of_a_dataset_counts_what_is_learned_from_and_names_what_was_changed(made, tmp_path):
    *_, result = make_drawn("shapes", tmp_path / "changed.mq", width=8, height=8, count=40)
    data = result.value
    first = card(made, data.path).facts
    held_out = len(data.indices("held-out"))
    assert (first["images"], first["learned_from"], first["held_out"]) == (40, 40 - held_out, held_out)
    assert first["not_in_use"] == 0 and first["changes"] == [] and first["edition"] == 1 and 0 < held_out < 20
    item = data.item(int(data.indices("train")[0]))["path"]
    list(table.run("remove", made, {"dataset": str(data.path), "images": [item], "because": "a thumb in front"}))
    second = card(made, data.path).facts
    assert (second["learned_from"], second["not_in_use"], second["edition"]) == (39 - held_out, 1, 2)
    assert second["set_aside"]["reasons"] == {"a thumb in front": 1} and len(second["changes"]) == 1
    assert "a thumb in front" in (data.path / "card.md").read_text("utf-8")
    for odd in (b"", b"no array", np.zeros((2, 2)).tobytes()):
        (data.path / "parts.2.npy").write_bytes(odd)
        assert card(made, data.path).facts["held_out"] is None


def test_what_people_state_stands_apart_and_can_be_taken_back(made):
    facts = card(made, made.home / "shapes.mq", licence="CC0", consent="nobody is shown").facts
    assert facts["stated"] == {"licence": "CC0", "consent": "nobody is shown"}
    assert "CC0" in (made.home / "shapes.mq" / "card.md").read_text("utf-8")
    assert card(made, "run").facts["dataset"]["stated"]["licence"] == "CC0"
    assert card(made, made.home / "shapes.mq", licence="").facts["stated"] == {"consent": "nobody is shown"}


def test_judgement_and_audit_are_told_when_they_are_there(made):
    folder, data = made.runs / "run", made.home / "shapes.mq"
    digest = json.loads((data / "dataset.json").read_text("utf-8"))["digest"]
    (data / "audit.json").write_text(json.dumps({"digest": digest, "found": {"blur": [1, 2], "tiny": []}}))
    metrics = {"distance": {"value": 0.123456, "low": 0.1, "high": 0.2}}
    (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics, "headline": "distance", "copied": ["a"]}))
    try:
        assert cards.refresh(folder) == ""
        text = (folder / "card.md").read_text("utf-8")
        assert "| distance (headline) | 0.1235 | 0.1 to 0.2 |" in text and "copies of training images: 1" in text
        assert "- blur: 2 images" in text and "tiny" not in text
        (data / "audit.json").write_text(json.dumps({"digest": "other", "found": {}}))
        cards.refresh(folder)
        assert "of an earlier content" in (folder / "card.md").read_text("utf-8")
    finally:
        (data / "audit.json").unlink()
        (folder / "evaluation.json").unlink()


@pytest.mark.parametrize(
    "hostile",
    [
        {"family": "<script>alert(1)</script>|`x`", "dataset": {"name": "](http://x)", "digest": []}},
        {"family": {"a": 1}, "model_recipe": [1], "dataset": "x", "plan": 3, "images_seen": "many", "seconds": None},
        {"model_recipe": {"spec": {"conditions": [1, {"name": 5, "classes": "x"}]}}, "dataset": {"path": "/dev/null"}},
    ],
)  # fmt: skip
def test_what_strangers_wrote_means_nothing_to_a_page(tmp_path, hostile):
    (tmp_path / "run.json").write_text(json.dumps(hostile))
    (tmp_path / "evaluation.json").write_text("[" * 10_000)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    assert cards.refresh(tmp_path) == ""
    text = (tmp_path / "card.md").read_text("utf-8")
    assert "<script>" not in text and not re.search(r"(?<!\\)\]\(", text)


def test_what_cannot_be_written_is_said(tmp_path, made):
    assert "neither a run nor a dataset" in cards.refresh(tmp_path)
    (tmp_path / "run.json").write_text("no")
    assert "cannot be read" in cards.refresh(tmp_path)
    (tmp_path / "run.json").write_text('{"family": "gan"}')
    os.mkdir(tmp_path / "card.json")
    assert "could not be written" in cards.refresh(tmp_path)
    with pytest.raises(UsageError, match="neither a run nor a dataset"):
        card(made, "nothing")
    with pytest.raises(MaquetteError, match="at most"):
        card(made, "run", about="x" * 3000)
