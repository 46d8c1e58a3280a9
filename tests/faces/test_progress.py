"""What people see while work goes on."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.event import Progress, Result, Table
from maquette.faces import progress
from maquette.faces.progress import Lines, Pace, People, aligned, duration, ending, short


def event(done, seconds, total=1000, **more):
    return Progress(verb="train", done=done, total=total, unit="images", seconds=seconds, **more)


def test_the_pace_is_that_of_the_last_seconds():
    pace = Pace()
    assert pace.update(event(0, 0.0)) == (None, None)
    assert pace.update(event(100, 1.0)) == (100.0, 9.0)
    for second in range(2, 60):
        rate, _ = pace.update(event(100 + 10 * (second - 1), float(second)))
    assert rate == pytest.approx(10.0, rel=0.3)


def test_the_pace_of_resumed_work_does_not_count_what_was_done_before():
    pace = Pace()
    assert pace.update(event(500, 100.0)) == (None, None)
    assert pace.update(event(510, 101.0)) == (10.0, 49.0)


def test_the_time_left_is_what_the_work_itself_says():
    assert Pace().update(event(1, 1.0, eta=42.0)) == (None, 42.0)


def test_work_that_goes_back_starts_a_new_measure():
    pace = Pace()
    pace.update(event(500, 10.0))
    assert pace.update(event(100, 11.0)) == (None, None)
    assert pace.update(event(110, 12.0))[0] == 10.0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e6)), min_size=1), st.none() | st.integers(0, 10**6))
def test_any_progress_can_be_said(steps, total):
    pace = Pace()
    for done, seconds in steps:
        said = event(done, seconds, total)
        rate, left = pace.update(said)
        assert rate is None or rate > 0
        assert left is None or left >= 0
        assert "images" in progress.progress_line(said, rate, left)


def test_lines_come_seldom_and_at_the_end(monkeypatch):
    clock = iter([0.0, 1.0, 4.9, 5.0, 6.0, 7.0, 7.1])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream, io.StringIO())
    for done in (10, 20, 30, 40, 50, 1000, 1000):  # the end is told twice, and said once
        lines.show(event(done, done / 10))
    said = [re.split("  +", line)[2] for line in stream.getvalue().splitlines()]
    assert said == ["10 of 1,000 images", "40 of 1,000 images", "1,000 of 1,000 images"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (42.4, "42 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (7200, "2 h")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("value", "words"), [(0.123456, "0.123"), (12345.6, "12,346"), (5, "5"), (1e-9, "1e-09")])
def test_numbers(value, words):
    assert short(value) == words


def test_a_result_without_a_summary_still_says_what_it_knows():
    result = Result(verb="v", facts={"images": [f"{n}.png" for n in range(9)], "seconds": 1.23456, "none": []})
    assert ending(result) == ["images: 9 of them, such as 0.png", "seconds: 1.23", "none: none"]


def test_columns_are_aligned_and_nothing_trails():
    assert aligned("", ("a", "bb"), [("ccc", "d"), ("", "e")]) == ["a    bb", "---  --", "ccc  d", "     e"]


@given(
    st.lists(st.lists(st.sampled_from(["lines", "that", "wrap", "a" * 30]), max_size=12), max_size=6),
    st.integers(40, 90),
)
def test_a_table_fits_the_terminal_and_loses_no_word(texts, most):
    rows = [(f"op-{at}", " ".join(words)) for at, words in enumerate(texts)]
    lines = aligned("Title", ("op", "what it does"), rows, most)
    assert all(len(line) <= most for line in lines)
    shown = " ".join(line[len("op-0  ") :].strip() for line in lines[3:]).split()
    assert shown == " ".join(text for _, text in rows).split()


def test_a_table_too_narrow_to_break_has_its_words_beneath_its_rows():
    words = "a sentence that says what was found in the file, and what to do about it"
    lines = aligned("Title", ("file", "status", "in words"), [("a" * 21, "intact", words), ("b", "changed", "so")], 45)
    assert lines == [
        "Title", "file                   status", "---------------------  -------", "aaaaaaaaaaaaaaaaaaaaa  intact",
        "    a sentence that says what was found in", "    the file, and what to do about it",
        "b                      changed", "    so",
    ]  # fmt: skip


def test_a_table_of_which_nothing_can_be_broken_is_left_to_the_terminal():
    row = ("a" * 32, "b" * 31)
    assert aligned("", ("one", "two"), [row], 40)[-1] == "  ".join(row)


def test_tables_stand_apart_and_pipes_get_a_line_a_row():
    out = io.StringIO()
    shown = People(io.StringIO(), out)
    for title in ("One", "Two"):
        shown.show(Table(title=title, columns=("op", "what it does"), rows=[("op", "word " * 40)]))
    lines = out.getvalue().split("\n")
    assert lines[4] == "" and lines[5] == "Two" and len(lines) == 10


def test_what_to_try_next_can_be_typed_where_the_command_is_not_on_the_path(monkeypatch):
    monkeypatch.setattr("sys.argv", [".venv/bin/maquette"])
    monkeypatch.setattr("shutil.which", lambda name: None)
    event = Result(verb="list", summary="done", next=("maquette sample maquette-demo/model",))
    assert ending(event)[-1] == "next: .venv/bin/maquette sample maquette-demo/model"
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/maquette")
    assert ending(event)[-1] == "next: maquette sample maquette-demo/model"
