"""What a training is expected to reach: read off other trainings, the same images' first, and never made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.image import save
from maquette.core.spec import DataSpec
from maquette.engine import expect
from maquette.engine.expect import Curve, expectation, word_of
from maquette.judge.judgement import GRADES
from maquette.store.run import Run

SPEC = DataSpec(width=32, height=32, mode="rgb")


def run_at(folder, name, places, *, dataset="theirs", family="flow", spec=SPEC, unit=2.0):
    """A run that was judged to be at these places after so many images."""
    facts = {
        "family": family, "recipe": {"spec": spec.to_json()}, "dataset": {"digest": dataset}, "unit": unit,
        "floor": 0.5,
    }  # fmt: skip
    run = Run.create(folder / name, facts)
    lines = [
        {"images": seen, "value": 0.5 + place * unit, "low": 0.0, "high": 9.0, "error": 0.1, "variety": 1.0}
        for seen, place in places
    ]
    (run.path / "judged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run.path


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch):
    monkeypatch.setattr(expect, "_shipped", lambda family, spec: [])


def test_the_same_length_is_expected_to_come_to_the_same(tmp_path):
    path = run_at(tmp_path, "one", [(1_000, 4.0), (10_000, 0.4)])
    found = expectation("flow", SPEC, 10_000, "mine", [path])
    assert found.value == pytest.approx(0.4)
    assert found.low <= 0.4 / 1.5
    assert found.high >= 0.4 * 1.5
    assert "other images here (one)" in found.sentence
    assert word_of(found.value) in found.sentence


def test_trainings_of_the_same_images_are_asked_alone(tmp_path):
    paths = [run_at(tmp_path, "a", [(1_000, 9.0)]), run_at(tmp_path, "b", [(1_000, 0.3)], dataset="mine")]
    found = expectation("flow", SPEC, 1_000, "mine", paths)
    assert found.value == pytest.approx(0.3)
    assert "these images" in found.basis


def test_only_trainings_that_are_like_this_one_are_asked(tmp_path):
    large, grey = DataSpec(width=64, height=64, mode="rgb"), DataSpec(width=32, height=32, mode="grey")
    paths = [
        run_at(tmp_path, "family", [(1_000, 1.0)], family="gan"), run_at(tmp_path, "size", [(1_000, 1.0)], spec=large),
        run_at(tmp_path, "mode", [(1_000, 1.0)], spec=grey), tmp_path / "gone", run_at(tmp_path, "unjudged", []),
    ]  # fmt: skip
    assert expectation("flow", SPEC, 1_000, "mine", paths) is None


def test_nothing_is_said_far_beyond_what_was_seen(tmp_path):
    path = run_at(tmp_path, "one", [(1_000, 4.0), (10_000, 0.4)])
    assert expectation("flow", SPEC, 41_000, "mine", [path]) is None
    assert expectation("flow", SPEC, 900, "mine", [path]) is None


def test_the_sheet_is_the_one_drawn_nearest(tmp_path, picture):
    path = run_at(tmp_path, "one", [(1_000, 4.0), (10_000, 0.4)])
    for seen in (0, 1_000, 10_000):
        save(picture, path / "samples" / f"{seen:012d}.png")
    found = expectation("flow", SPEC, 9_000, "mine", [path])
    assert found.sheet.endswith("000000010000.png")
    assert found.sheet in found.sentence


@pytest.fixture
def picture():
    import numpy as np

    return np.zeros((8, 8, 3), np.uint8)


@given(
    places=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=6),
    images=st.integers(1, 10**9),
)
def test_what_is_read_off_a_curve_lies_between_what_was_seen_or_is_better(places, images):
    curve = Curve("any", tuple((1_000 * 2**k, place) for k, place in enumerate(places)))
    found = curve.at(images)
    if found is None:
        assert images < 1_000 or images > expect.BEYOND * curve.points[-1][0]
    else:
        assert 0 < found <= max(*places, expect.LEAST) * 1.001


def test_every_grade_has_its_word():
    assert [word_of(limit) for limit, _, _ in GRADES] == [word for _, word, _ in GRADES]


def test_what_came_with_maquette_is_whole():
    known = json.loads((expect.resources.files("maquette.engine") / "growth.json").read_text("utf-8"))
    for record in known:
        assert len(record["points"]) >= 2
        assert all(seen > 0 and place >= 0 for seen, place in record["points"])
        assert record["points"] == sorted(record["points"])
