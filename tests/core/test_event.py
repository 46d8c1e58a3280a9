"""Events are lines of JSON that any program can read."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.event import Made, Note, Progress, Result, Table, Warning, to_line


def test_a_progress_event_has_the_promised_names():
    event = Progress(verb="train", done=5, total=10, unit="images", seconds=1.5, eta=2.0, numbers={"loss": 0.25})
    assert json.loads(to_line(event)) == {
        "event": "progress", "verb": "train", "done": 5, "total": 10, "unit": "images", "seconds": 1.5, "eta": 2.0,
        "numbers": {"loss": 0.25},
    }  # fmt: skip


def test_what_is_left_takes_as_long_as_what_was_done(monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: 110.0)
    told = Progress.since(100.0, "refine", 4, 10, parts=7)
    assert told == Progress(verb="refine", done=4, total=10, unit="images", seconds=10, eta=15, numbers={"parts": 7})
    assert Progress.since(100.0, "refine", 8, 10, before=4).eta == 5  # four were there already
    assert Progress.since(100.0, "refine", 4, 10, "films", before=4).eta is None


def test_a_result_lays_its_facts_beside_its_name_and_keeps_its_object_to_itself():
    event = Result(verb="sample", facts={"images": [Path("a.png")], "seeds": (0, 1)}, value=object(), summary="done")
    assert json.loads(to_line(event)) == {"event": "result", "verb": "sample", "images": ["a.png"], "seeds": [0, 1]}


@pytest.mark.parametrize(
    "event", [Note(text="n"), Warning(text="w"), Made(path="p"), Table(title="t", columns=["a"], rows=[["1"]])]
)
def test_every_event_names_itself(event):
    assert json.loads(to_line(event))["event"] == type(event).name


def test_numpy_numbers_and_numbers_that_are_not_finite_become_plain():
    facts = {"a": np.float32(0.5), "b": np.arange(3), "c": math.nan, "d": np.float64(math.inf), "e": {"f": -math.inf}}
    assert json.loads(to_line(Result(verb="v", facts=facts))) == {
        "event": "result", "verb": "v", "a": 0.5, "b": [0, 1, 2], "c": None, "d": None, "e": {"f": None},
    }  # fmt: skip


def test_what_json_cannot_say_is_a_fault():
    with pytest.raises(TypeError, match="object"):
        to_line(Result(verb="v", facts={"a": object()}))


@given(st.text())
def test_any_text_stays_one_line_of_plain_ascii(text):
    line = to_line(Note(text=text))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == text
