"""NumPy arrays: shape, type and range are guessed and said; objects are never read."""

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from makers import paths, png, reasons, run, said, values

from maquette.core.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 16, 24, 3), np.uint8)
GREY = RNG.integers(0, 256, (6, 16, 24), np.uint8)
CLEAR = np.concatenate([COLOUR, GREY[..., None]], 3)
DEEP = RNG.integers(0, 65536, (6, 16, 24), np.uint16)


def ingest(tmp_path: Path, **arrays: Any) -> Any:
    """A dataset of one array (.npy) or several (.npz)."""
    if list(arrays) == ["single"]:
        np.save(tmp_path / "x.npy", arrays["single"])
        return run(tmp_path / "x.npy", tmp_path / "out.mq", width=24, height=16)
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    return run(tmp_path / "x.npz", tmp_path / "out.mq", width=24, height=16)


@pytest.mark.parametrize(
    ("array", "mode", "expected", "words"),
    [
        (COLOUR, "rgb", COLOUR, "N x height x width x channels; 0 is black and 255 white"),
        (COLOUR.transpose(0, 3, 1, 2).copy(), "rgb", COLOUR, "N x channels x height x width"),
        (GREY, "grey", GREY[..., None], "taken as N x height x width; 0"),
        (GREY[..., None], "grey", GREY[..., None], "channels"),
        (DEEP, "grey16", DEEP[..., None], "65535 white"),
        (COLOUR.astype(np.float32) / 255, "rgb", COLOUR, "0 is black and 1 white"),
        (COLOUR.astype(np.float64) / 127.5 - 1, "rgb", COLOUR, "-1 is black and 1 white"),
        (COLOUR.astype(np.float32), "rgb", COLOUR, "255 white"),
        (DEEP.astype(np.float64) / 65535, "grey16", DEEP[..., None], "0 is black and 1 white"),
        (COLOUR.astype(np.int64), "rgb", COLOUR, "255 white"),
        (GREY > 127, "grey", (GREY > 127)[..., None] * 255, "1 white"),
        (CLEAR, "rgba", CLEAR, "channels"),
        (COLOUR[0], "rgb", COLOUR[:1], "1 images"),
        (GREY[0], "grey", GREY[:1, ..., None], "1 images"),
    ],
)  # fmt: skip
def test_what_arrays_mean(tmp_path: Path, array: Any, mode: str, expected: Any, words: str) -> None:
    """Order of the axes, depth and range are guessed right, and a sentence says what was understood."""
    data, events = ingest(tmp_path, single=array)
    assert data.spec.mode == mode and words in said(events)
    assert np.abs(data.images(np.arange(len(data))).astype(int) - expected).max() <= (
        1 if array.dtype.kind == "f" else 0
    )


def test_labels_and_parts_of_an_npz(tmp_path: Path) -> None:
    """The arrays of Keras: x and y, train and test; other columns become conditions."""
    data, _ = ingest(
        tmp_path, x_train=COLOUR, y_train=np.array([0, 1, 0, 1, 0, 1]), age_train=np.arange(6) / 2,
        x_test=COLOUR[::-1] // 2, y_test=np.array([[1], [0], [1], [0], [1], [0]]), age_test=np.arange(6) * 1.0,
    )  # fmt: skip
    assert len(data) == 12 and len(data.indices("held-out")) == 6 and set(values(data, "label")) == {"0", "1"}
    assert [values(data, "label")[k] for k in data.indices("held-out")] == ["1", "0"] * 3
    assert values(data, "age")[:6] == [0, 0.5, 1, 1.5, 2, 2.5] and paths(data)[0] == "x_train image 0"


def test_words_beside_images(tmp_path: Path) -> None:
    """An array of words says something about each image."""
    data, _ = ingest(tmp_path, images=COLOUR, labels=np.array(["cat", "dog"] * 3), captions=np.array(list("abcdef")))
    assert values(data, "label") == ["cat", "dog"] * 3 and values(data, "text") == list("abcdef")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"single": np.array([{"a": 1}], object)}, "Python objects"),
        ({"single": np.zeros((4, 16, 24, 7))}, "no array of images"),
        ({"single": COLOUR * 3.7 - 600}, r"go from -600 to .*; scale them"),
        ({"single": np.zeros(4, [("a", "u1")])}, "something else"),
        ({"single": np.asfortranarray(COLOUR)}, "column by column"),
        ({"single": np.zeros((0, 16, 24, 3), np.uint8)}, "no array of images"),
        ({"images": COLOUR, "meta": np.array([{}], object)}, "Python objects"),
        ({"a": np.arange(5), "b": np.arange(7)}, "no array of images"),
    ],
)
def test_what_is_refused(tmp_path: Path, arrays: Any, words: str) -> None:
    """Objects, other shapes and unknown ranges are refused with a sentence."""
    with pytest.raises(DataError, match=words):
        ingest(tmp_path, **arrays)
    assert not (tmp_path / "out.mq").exists()


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    """An image with a hole costs that image."""
    array = COLOUR.astype(np.float32) / 255
    array[2, 3, 4] = np.nan
    data, _ = ingest(tmp_path, single=array)
    assert len(data) == 5 and reasons(data) == {"image 2": "it holds numbers that are not finite"}


def test_an_array_that_is_cut_short(tmp_path: Path) -> None:
    """An array that is shorter than it says is refused before anything is allocated; a zip of other things too."""
    stream = io.BytesIO()
    np.save(stream, COLOUR)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.npy").write_bytes(stream.getvalue()[:-2000])
    lie = stream.getvalue().replace(b"(6, 16, 24, 3)", b"(6, 1666666666, 24, 3)".ljust(14)[:14])
    (tmp_path / "in" / "b.npy").write_bytes(lie)
    (tmp_path / "in" / "c.npz").write_bytes(b"PK\x03\x04" + bytes(100))
    with zipfile.ZipFile(tmp_path / "in" / "d.npz", "w") as archive:
        archive.writestr("x.npy", stream.getvalue())
        archive.writestr("evil.txt", b"x")
    (tmp_path / "in" / "e.png").write_bytes(png(1, 24))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", width=24, height=16)
    assert paths(data) == ["e.png"] and reasons(data)["a.npy"] == "a is shorter than it says"
    assert set(reasons(data)) == {"a.npy", "b.npy", "c.npz", "d.npz"}
