"""A prompt of unknown words is said to be one, with the nearest caption; a known one is not."""

from __future__ import annotations

import pytest

from maquette.engine.prompts import unlike

CAPTIONS = ["red heart", "cat face", "dog face", "", "grinning cat"]


@pytest.mark.parametrize("prompt", ["red heart", "Cat  FACE", "face, dog", "heart"])
def test_words_that_were_learned_need_no_remark(prompt):
    assert unlike(prompt, CAPTIONS) == ""


def test_strange_words_are_named_with_the_nearest_caption():
    said = unlike("purple cat zeppelin", CAPTIONS)
    assert "purple, zeppelin" in said
    assert '"grinning cat"' in said or '"cat face"' in said
    assert "4 kept" in said and "%" in said


def test_an_unknown_script_is_no_fault():
    said = unlike("猫の顔", CAPTIONS)
    assert "猫の顔" in said and "(0% alike)" in said


def test_without_captions_nothing_can_be_said():
    assert unlike("red heart", []) == ""
