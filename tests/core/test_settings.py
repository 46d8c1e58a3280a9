"""Settings go to and from JSON and words, and what is wrong with them is said in a sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.core.settings import (
    argument,
    describe,
    dials,
    from_json,
    parse_count,
    parse_pairs,
    parse_seconds,
    required,
    schema,
    setting,
    to_json,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = setting(2, "how deep", ge=1)


@dataclass(frozen=True, kw_only=True)
class Example:
    source: tuple[str, ...] = argument("where from", many=True, default=())
    width: int = setting(64, "how wide", ge=8, le=512, multiple_of=8)
    rate: float = setting(0.5, "how fast", gt=0, lt=1)
    limit: float | None = setting(None, "how much", ge=0)
    betas: tuple[float, float] = setting((0.5, 0.9), "memory")
    names: tuple[str, ...] = setting((), "conditions")
    pairs: tuple[str, ...] = setting((), "changes", repeat=True, form="KEY=VALUE")
    mode: Literal["rgb", "grey"] = setting("rgb", "the mode")
    loss: str = setting("logistic", "the loss", choices=("logistic", "hinge"))
    time: float = setting(60.0, "how long", read=parse_seconds, gt=0)
    from_: str | None = setting(None, "what to begin with")
    fast: bool = setting(False, "hurry")
    inner: Inner = setting(Inner(), "more")
    extra: Mapping[str, str] = dials("the rest")


@dataclass(frozen=True, kw_only=True)
class Needy:
    to: str = required("where to", form="FOLDER")


examples = st.builds(
    Example,
    source=st.lists(st.text()).map(tuple),
    width=st.integers(1, 64).map(lambda n: 8 * n),
    rate=st.floats(0.001, 0.999),
    limit=st.none() | st.floats(0, 1e9),
    betas=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    names=st.lists(st.text()).map(tuple),
    mode=st.sampled_from(["rgb", "grey"]),
    loss=st.sampled_from(["logistic", "hinge"]),
    time=st.floats(1, 1e6),
    from_=st.none() | st.text(),
    fast=st.booleans(),
    inner=st.builds(Inner, depth=st.integers(1, 9)),
    extra=st.dictionaries(st.text(), st.text()),
)


@given(examples)
def test_settings_survive_the_way_through_json(settings):
    assert from_json(Example, json.loads(json.dumps(to_json(settings)))) == settings


def test_words_are_read_as_the_type_of_the_field():
    read = from_json(
        Example,
        {
            "width": "16", "rate": "0.25", "limit": "3", "betas": "0, 0.99", "names": "label, text", "fast": "yes",
            "pairs": "a=1,2", "source": "a,b", "time": "1h30m",
        },
    )  # fmt: skip
    assert (read.width, read.rate, read.limit, read.betas) == (16, 0.25, 3.0, (0.0, 0.99))
    assert read.names == ("label", "text")
    assert read.fast is True
    assert read.pairs == ("a=1,2",)  # a list that may repeat keeps its commas
    assert read.source == ("a,b",)  # so do arguments: a path may hold a comma
    assert read.time == 5400


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"widht": 8}, "example: there is no setting 'widht'; did you mean width?"),
        ({"width": 9}, "example: width = 9 is not possible (it should be a multiple of 8)."),
        ({"width": 0}, "should be at least 8"),
        ({"width": 1024}, "should be at most 512"),
        ({"width": "wide"}, "example: width = 'wide' is not possible (it should be a whole number)."),
        ({"width": 8.5}, "width = 8.5"),
        ({"rate": 0}, "should be more than 0"),
        ({"rate": math.nan}, "rate = nan is not possible (it should be a finite number)"),
        ({"limit": math.inf}, "finite"),
        ({"betas": (0.1, math.nan)}, "finite"),
        ({"betas": (0.1,)}, "betas"),
        ({"mode": "rbg"}, "mode = 'rbg' is not possible; did you mean rgb? There are: grey, rgb."),
        ({"loss": "hnge"}, "did you mean hinge?"),
        ({"time": "soon"}, "example: time: 'soon' is not a time; write for example 90s, 10m or 1h30m."),
        ({"from_": 3}, "example: from = 3 is not possible"),
        ({"inner": {"depth": 0}}, "example: inner: depth = 0 is not possible"),
        ({"extra": {"a": 1}}, "extra"),
    ],
)
def test_what_is_wrong_is_said(values, sentence):
    with pytest.raises(UsageError) as caught:
        from_json(Example, values, what="example")
    assert sentence in str(caught.value)


def test_what_must_be_given_is_named():
    with pytest.raises(UsageError, match=r"^needy: to must be given\.$"):
        from_json(Needy, {}, what="needy")


def test_descriptions_hold_what_help_shows():
    by_name = {described.name: described for described in describe(Example)}
    assert [d.name for d in describe(Example)][:2] == ["source", "width"]
    assert by_name["from_"].option == "from"
    assert by_name["width"].kind == "integer"
    assert by_name["width"].bounds == {"ge": 8, "le": 512, "multiple_of": 8}
    assert by_name["limit"].kind == "number"
    assert by_name["fast"].kind == "switch"
    assert by_name["betas"].kind == "list"
    assert by_name["betas"].default == [0.5, 0.9]
    assert by_name["mode"].choices == ("rgb", "grey")
    assert by_name["loss"].choices == ("logistic", "hinge")
    assert by_name["inner"].kind == "settings"
    assert (by_name["source"].place, by_name["extra"].place, by_name["rate"].place) == ("argument", "dials", "option")
    assert describe(Needy)[0].required


def test_the_json_schema_says_the_same():
    found = schema(Example)
    assert found["additionalProperties"] is False
    assert found["properties"]["width"]["maximum"] == 512
    assert found["properties"]["mode"]["enum"] == ["rgb", "grey"]
    assert found["properties"]["width"]["description"] == "how wide"


def test_wrong_declarations_fail_at_once():
    with pytest.raises(TypeError):
        setting(1, "help", least=3)
    with pytest.raises(TypeError):
        setting([], "help")


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1m30", 90), (" 5M ", 300)],
)
def test_times(word, seconds):
    assert parse_seconds(word) == seconds


@pytest.mark.parametrize(
    "word", ["", "0", "0m", "-5", "-5m", "ten", "5 minutes", "m", "1e9", "inf", "nan", "400d", "10s5m"]
)
def test_what_is_no_time(word):
    with pytest.raises(UsageError):
        parse_seconds(word)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_times_add_up(days, hours, minutes, seconds):
    assert parse_seconds(f"{days}d{hours}h{minutes}m{seconds}s") == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("word", "count"), [("5000", 5000), ("200k", 200_000), ("1.5M", 1_500_000), ("1_000", 1000), (7, 7)]
)
def test_counts(word, count):
    assert parse_count(word) == count


@pytest.mark.parametrize("word", ["", "0", "0k", "-1", "many", "1.2.3", "1kk", "1e6", "9999999M"])
def test_what_is_no_count(word):
    with pytest.raises(UsageError):
        parse_count(word)


@given(st.text())
def test_any_text_is_a_value_or_a_sentence(word):
    for parse in (parse_seconds, parse_count):
        try:
            assert parse(word) > 0
        except UsageError as error:
            assert repr(word) in str(error)


def test_pairs():
    assert parse_pairs(["learning-rate=0.1", " a = b=c "]) == {"learning_rate": "0.1", "a": "b=c"}
    for wrong in ("width", "=3", ""):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            parse_pairs([wrong])
