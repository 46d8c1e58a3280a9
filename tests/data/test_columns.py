"""What columns mean: each rule, missing values, and values of another kind."""

from typing import Any

import pytest

from maquette.core.condition import ConditionSpec
from maquette.data.columns import Columns, Unfit


def learned(rows: list[dict[str, Any]], **known: Any) -> tuple[Columns, list[str]]:
    """Columns that have seen these rows, and what was left out."""
    columns = Columns()
    columns.expect(known.get("names", {}), known.get("pictures", ()))
    for row in rows:
        columns.see(row)
    return columns, list(columns.decide())


def only(columns: Columns) -> ConditionSpec:
    """The one condition there is."""
    (spec,) = columns.specs("rgb")
    return spec


@pytest.mark.parametrize(
    ("name", "values", "kind", "condition"),
    [
        ("label", ["cat", "dog"] * 5, "label", "label"),
        ("label", [0, 1, 2, 10] * 5, "label", "label"),
        ("class", ["3", "1", "2"] * 4, "label", "label"),
        ("Category", [f"kind {k}" for k in range(50)], "label", "label"),
        ("label", [0.25, 0.5, 0.75] * 4, "number", "label"),
        ("caption", ["red", "blue"] * 5, "text", "text"),
        ("text", [f"a {k}" for k in range(9)], "text", "text"),
        ("captions", [["first", "second"], ["third"]] * 4, "text", "text"),
        ("age", [1, 2, 3, 4], "number", "age"),
        ("Sun Height", ["1.5", "2", "1e3", None], "number", "sun_height"),
        ("style", ["gothic", "baroque"] * 5, "label", "style"),
        ("remark", [f"something long and different, number {k}" for k in range(30)], "text", "remark"),
        ("remark", ["the same long sentence, which is far too long to be the name of a class"] * 20, "text", "remark"),
        ("flipped", [True, False] * 3, "label", "flipped"),
        ("depth_file", ["a.png", "b.png"], "image", "depth"),
        ("mask", ["a.png", "b.png"], "map", "mask"),
        ("segmentation_file", ["a.png", "b.png"], "map", "segmentation"),
    ],
)
def test_rules(name: str, values: list[Any], kind: str, condition: str) -> None:
    """Names and values decide the kind of condition."""
    columns, notes = learned([{name: value} for value in values])
    assert notes == []
    assert (only(columns).kind, only(columns).name) == (kind, condition)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("label", ["cat"] * 5, "the same for all"),
        ("label", [f"x{k}" for k in range(1500)], "more than 1000 different"),
        ("age", [7, 7, 7], "the same for all"),
        ("age", [None, "", float("nan")], "empty everywhere"),
        ("box", [[1, 2], [3, 4]], "neither words nor numbers"),
        ("box", [{"x": 1}, {"x": 2}], "neither words nor numbers"),
    ],
)
def test_what_is_left_out(name: str, values: list[Any], words: str) -> None:
    """A column that cannot condition anything is left out by name and reason."""
    columns, notes = learned([{name: value} for value in values])
    assert columns.specs("rgb") == ()
    assert len(notes) == 1 and words in notes[0] and repr(name) in notes[0]


def test_names_and_numbers_of_files_are_no_conditions() -> None:
    """Columns that only identify an image are passed over in silence."""
    columns, notes = learned([{"file_name": f"{k}.png", "id": k, "split": "train", "url": f"u{k}"} for k in range(9)])
    assert columns.specs("rgb") == () and notes == []


def test_classes_are_in_an_order_people_expect() -> None:
    """Numbers by size, words by letters."""
    columns, _ = learned([{"label": value} for value in ("10", "9", "b", "a") for _ in range(3)])
    assert only(columns).classes == ("9", "10", "a", "b")


def test_integers_with_names() -> None:
    """Where the source names its integers, the names are the labels; -1 is missing, others are refused."""
    columns, _ = learned([{"y": 0}, {"y": 1}, {"y": 1}], names={"y": ("normal", "ill")})
    assert only(columns).classes == ("normal", "ill")
    assert [columns.read({"y": value})["y"] for value in (0, 1, "ill", -1, None)] == [
        "normal",
        "ill",
        "ill",
        None,
        None,
    ]
    with pytest.raises(Unfit, match="only 2 names"):
        columns.read({"y": 7})


def test_values_of_another_kind() -> None:
    """A stray value sets its row aside; a missing one does not."""
    rows = [{"age": k, "label": k % 3, "text": f"t{k}"} for k in range(50)]
    stray = [{"age": "old", "label": "banana", "text": {"a": 1}}]
    columns, _ = learned(rows + stray)
    assert [(spec.name, spec.kind) for spec in columns.specs("rgb")] == [
        ("label", "label"), ("text", "text"), ("age", "number")
    ]  # fmt: skip
    assert columns.specs("rgb")[0].classes == ("0", "1", "2")
    assert columns.read({}) == {"label": None, "text": None, "age": None}
    assert columns.read({"label": 2.0, "age": "7", "text": 5}) == {"label": "2", "text": "5", "age": 7.0}
    for row, words in (
        ({"age": "old"}, "its age is 'old', not a number"),
        ({"age": True}, "not a number"),
        ({"label": "banana"}, "none of the labels"),
        ({"label": [1, 2]}, "a list, not a word"),
        ({"text": {"a": 1}}, "an object, not a word"),
    ):
        with pytest.raises(Unfit, match=words):
            columns.read(row)


def test_two_columns_never_share_a_name() -> None:
    """Label and class, caption and text: the second gets a number; odd names become plain ones."""
    rows = [{"label": k % 2, "class": k % 3, "caption": "a b", "text": "c", "Größe (cm)": k} for k in range(12)]
    columns, _ = learned(rows)
    names = {spec.name for spec in columns.specs("rgb")}
    assert names == {"label", "label_2", "text", "text_2", "größe_cm"}
    assert set(columns.read(rows[0])) == names


def test_text_lengths_and_broken_letters() -> None:
    """The space for text follows the longest text within bounds; letters that cannot be written are replaced."""
    columns, _ = learned([{"text": "é" * 30}, {"text": "a\ud800b"}])
    assert only(columns).length == 64
    assert columns.read({"text": "a\ud800b"}) == {"text": "a?b"}
    assert only(learned([{"text": "hi"}, {"text": "ho"}])[0]).length == 16
    assert only(learned([{"text": "x" * 5000}, {"text": "ho"}])[0]).length == 192


def test_pictures_of_a_source() -> None:
    """Columns that the source says hold pictures are conditions without being looked at."""
    columns, _ = learned([{"label": k % 2} for k in range(6)], pictures=["edges", "class_map"])
    assert columns.pictures() == {"edges": "edges", "class_map": "class_map"}
    assert [spec.kind for spec in columns.specs("grey")] == ["label", "map", "image"]
    assert columns.specs("grey")[2].mode == "grey"
