"""Errors read as one sentence: where, what, what to do."""

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core import errors
from maquette.core.errors import DataError, MaquetteError, UsageError, nearest


def test_a_sentence_says_where_what_and_what_to_do():
    error = DataError("there are no images", where=Path("photos"), do="give a folder with images")
    assert str(error) == "photos: there are no images; give a folder with images."


@pytest.mark.parametrize(
    ("where", "do", "sentence"),
    [(None, "", "it broke."), ("a", "", "a: it broke."), (None, "mend it.", "it broke; mend it.")],
)
def test_parts_may_be_left_out(where, do, sentence):
    assert str(MaquetteError("it broke", where=where, do=do)) == sentence


def test_every_error_is_a_child_of_one_and_only_wrong_arguments_exit_with_2():
    children = [
        thing for _, thing in inspect.getmembers(errors, inspect.isclass) if thing.__module__ == errors.__name__
    ]
    assert len(children) >= 7
    for child in children:
        assert issubclass(child, MaquetteError)
        assert child.exit_code == (2 if issubclass(child, UsageError) else 1)


def test_nearest_names_the_close_ones_first_and_then_all():
    assert nearest("trian", ["train", "sample"]) == "did you mean train? There are: sample, train"
    assert nearest("zzz", ["train", "sample"]) == "there are: sample, train"
    assert nearest("x", []) == "there are: none"


def test_nearest_of_very_many_stays_a_sentence():
    many = [f"word-{at}" for at in range(100)]
    assert nearest("word-7", many, "maquette list").endswith("? All of them: maquette list")
    assert nearest("zzz", many, "maquette list") == "all of them: maquette list"
    assert nearest("zzz", many).startswith("there are 100, such as word-0, ")


@given(st.text(), st.lists(st.text(min_size=1), max_size=30))
def test_nearest_takes_any_words(word, choices):
    assert all(choice in nearest(word, choices) for choice in choices)
