"""What a user types becomes numbers in one place, and comes back in the user's words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import FLAT, KINDS, NO_LABEL, TEXT_BYTES, ConditionSpec, encode_text
from maquette.core.errors import ConditionError, DataError, UsageError

LABEL = ConditionSpec(name="kind", kind="label", classes=("cat", "dog", "7"))
NUMBER = ConditionSpec(name="age", kind="number", low=0, high=100)
TEXT = ConditionSpec(name="caption", kind="text", length=12)
MAP = ConditionSpec(name="walls", kind="map", classes=("floor", "wall"))
IMAGE = ConditionSpec(name="sketch", kind="image", mode="grey")
FRAMES = ConditionSpec(name="past", kind="frames", length=2, mode="rgb")
ALL = (LABEL, NUMBER, TEXT, MAP, IMAGE, FRAMES)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.kind)
def test_specs_survive_the_way_through_json(spec):
    assert ConditionSpec.from_json(spec.to_json()) == spec


def test_every_kind_is_here():
    assert {spec.kind for spec in ALL} == set(KINDS)


@pytest.mark.parametrize(("given_", "index"), [("cat", 0), ("dog", 1), (1, 1), (np.int64(0), 0), ("7", 2), (7, 2)])
def test_a_label_is_its_name_or_its_number(given_, index):
    encoded = LABEL.encode(given_)
    assert int(encoded) == index
    assert LABEL.describe(encoded) == LABEL.classes[index]


@pytest.mark.parametrize("wrong", ["cta", "", 3, -1, True, 1.5])
def test_a_label_that_is_not_there_is_refused(wrong):
    with pytest.raises(ConditionError, match="there is no kind"):
        LABEL.encode(wrong)


def test_an_unknown_label_is_answered_with_the_nearest():
    with pytest.raises(ConditionError, match="did you mean cat"):
        LABEL.encode("cta")


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_come_back(value):
    assert NUMBER.describe(NUMBER.encode(value)) == np.float32(value)
    assert NUMBER.describe(NUMBER.encode(repr(value))) == np.float32(value)


@pytest.mark.parametrize("wrong", ["old", "nan", "inf", math.nan, math.inf, [], "1e999", 1e300])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(ConditionError, match="is not a number"):
        NUMBER.encode(wrong)


@given(st.text())
def test_text_is_utf8_cut_at_a_character(text):
    encoded = encode_text(text, 12)
    assert encoded.shape == (12,)
    assert encoded.dtype == np.uint8
    back = TEXT.describe(encoded)
    cleaned = " ".join(text.replace("\0", " ").split())
    assert back is None if not cleaned else cleaned.startswith(back or "")
    assert back is None or len(back.encode()) <= 12


@pytest.mark.parametrize("lone", ["\ud800", "a\udcffb"])
def test_text_that_is_no_unicode_is_kept_as_far_as_it_goes(lone):
    assert encode_text(lone, 12).shape == (12,)


@pytest.mark.parametrize("spec", [LABEL, NUMBER, TEXT], ids=lambda spec: spec.kind)
def test_flat_kinds_have_a_value_that_means_not_given(spec):
    assert spec.kind in FLAT
    encoded = spec.encode(None)
    assert spec.describe(encoded) is None
    assert encoded.shape == spec.shape(8, 8)
    assert encoded.dtype == spec.dtype
    assert int(LABEL.encode(None)) == NO_LABEL


@pytest.mark.parametrize("spec", [MAP, IMAGE, FRAMES], ids=lambda spec: spec.kind)
def test_kinds_as_large_as_the_image_must_be_given_and_fit(spec):
    assert spec.kind not in FLAT
    with pytest.raises(ConditionError, match="must be given"):
        spec.encode(None)
    fitting = np.ones(spec.shape(8, 16), spec.dtype)
    assert np.array_equal(spec.encode(fitting, 8, 16), fitting)
    with pytest.raises(ConditionError, match="has shape"):
        spec.encode(fitting, 16, 8)


@pytest.mark.parametrize("value", [2, 255, -1])
def test_a_map_holds_only_its_classes(value):
    with pytest.raises(ConditionError, match="the classes are 0 to 1: "):
        MAP.encode(np.full((8, 8), value, np.int32), 8, 8)


def test_pixels_of_another_type_are_refused_not_wrapped():
    with pytest.raises(ConditionError, match="uint8"):
        IMAGE.encode(np.full((8, 8, 1), 300, np.int32), 8, 8)


def test_specs_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="no kind of condition 'lable'; did you mean label"):
        ConditionSpec(name="a", kind="lable")
    with pytest.raises(DataError, match="no classes"):
        ConditionSpec(name="a", kind="label")
    with pytest.raises(DataError, match="not finite"):
        ConditionSpec(name="a", kind="number", low=math.nan)
    assert ConditionSpec(name="a", kind="text").length == TEXT_BYTES
