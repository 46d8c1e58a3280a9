"""The one picture convention: arrays, modes, files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow

from maquette.core import choices
from maquette.core import image as images
from maquette.core.errors import DataError, UsageError


def any_image(modes=images.MODES):
    """Small images of these modes."""
    side = st.integers(1, 5)
    return st.sampled_from(modes).flatmap(
        lambda mode: arrays(images.dtype(mode), st.tuples(side, side, st.just(images.CHANNELS[mode])))
    )


def some(mode, height=8, width=8, seed=0):
    high = images.depth(mode) + 1
    return np.random.default_rng(seed).integers(0, high, (height, width, images.CHANNELS[mode]), images.dtype(mode))


@given(any_image(), st.sampled_from(images.MODES))
def test_every_mode_becomes_every_other(image, mode):
    made = images.convert(image, mode)
    assert images.mode_of(made) == mode
    assert made.shape[:2] == image.shape[:2]


@given(any_image(["grey"]), st.sampled_from(["rgb", "rgba", "grey16"]))
def test_grey_comes_back_from_wider_modes(image, mode):
    assert np.array_equal(images.convert(images.convert(image, mode), "grey"), image)


@given(any_image(["rgb"]))
def test_rgb_comes_back_from_rgba(image):
    assert np.array_equal(images.convert(images.convert(image, "rgba"), "rgb"), image)


def test_alpha_that_gets_lost_is_laid_on_white():
    clear = np.zeros((1, 1, 4), np.uint8)
    assert images.convert(clear, "rgb").tolist() == [[[255, 255, 255]]]
    assert images.convert(clear, "grey").tolist() == [[[255]]]
    assert images.convert(clear, "grey16").tolist() == [[[65535]]]


def test_grey_is_the_luminance():
    green = np.array([[[0, 255, 0]]], np.uint8)
    assert images.convert(green, "grey").item() == round(255 * 0.7152)
    assert images.convert(green, "grey16").item() == round(65535 * 0.7152)


@given(any_image(["rgba"]))
def test_premultiplied_colour_is_never_brighter_than_its_alpha_and_comes_back(image):
    made = images.premultiply(image)
    assert (made[..., :3] <= made[..., 3:]).all()
    again = images.premultiply(images.unpremultiply(made))
    assert np.array_equal(again, made)


@pytest.mark.parametrize("mode", ["grey", "rgb", "grey16"])
def test_only_rgba_is_premultiplied(mode):
    image = some(mode)
    assert images.premultiply(image) is image
    assert images.unpremultiply(image) is image


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.uint16), np.zeros((4, 4, 3), float)],
)
def test_what_is_no_image_is_refused(array):
    with pytest.raises(DataError, match="is not an image"):
        images.mode_of(array)


@pytest.mark.parametrize(
    ("mode", "format"), [(m, f) for m in images.MODES for f in ("png", "tiff", "webp") if (m, f) != ("grey16", "webp")]
)
def test_files_without_loss_come_back(tmp_path, mode, format):
    image = some(mode)
    path = images.save(image, tmp_path / f"a.{format}", format)
    again = images.load(path)
    expected = images.convert(image, "rgb") if (mode, format) == ("grey", "webp") else image
    if (mode, format) == ("rgba", "webp"):  # webp drops the colour of what is invisible
        expected, again = images.premultiply(expected), images.premultiply(again)
    assert np.array_equal(again, expected)


@pytest.mark.parametrize(
    ("mode", "format"), [("rgba", "jpeg"), ("grey16", "jpeg"), ("grey16", "webp"), ("grey16", "avif")]
)
def test_a_format_that_cannot_hold_the_mode_refuses(mode, format):
    with pytest.raises(UsageError, match=r"cannot hold .* use png or tiff"):
        images.encode(some(mode), format)


def test_unknown_words_are_refused():
    with pytest.raises(UsageError, match="no file format 'bmp'"):
        images.encode(some("rgb"), "bmp")
    with pytest.raises(UsageError, match="no image mode 'cmyk'"):
        images.convert(some("rgb"), "cmyk")
    assert tuple(images.FORMATS) == choices.FORMATS


PILLOW = [
    "1",
    "L",
    "LA",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "I;16",
    "I;16B",
    "I",
    "YCbCr",
    "HSV",
    "PA",
    "La",
    "RGBa",
    "RGBX",
    "LAB",
]


@pytest.mark.parametrize("mode", PILLOW)
def test_every_mode_of_pillow_becomes_one_of_ours(mode):
    picture = Pillow.new(mode, (3, 2))
    made = images.from_pil(picture)
    assert made.shape[:2] == (2, 3)
    assert images.mode_of(made) in images.MODES


def test_a_grey_picture_with_a_transparent_colour_keeps_it(tmp_path):
    Pillow.fromarray(np.array([[0, 200]], np.uint8)).save(tmp_path / "a.png", transparency=0)
    assert images.load(tmp_path / "a.png").tolist() == [[[0, 0, 0, 0], [200, 200, 200, 255]]]


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    image = np.array([[[0], [1], [255], [256], [65535]]], np.uint16)
    assert np.array_equal(images.load(images.save(image, tmp_path / "a.png")), image)


def test_numbers_with_a_point_are_not_cut_off():
    picture = Pillow.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    with pytest.raises(DataError, match="floating point"):
        images.from_pil(picture)


def test_more_than_sixteen_bits_are_refused_not_cut_off():
    with pytest.raises(DataError, match="more than 16 bits"):
        images.from_pil(Pillow.fromarray(np.array([[0, 70_000]], np.int32)))


@pytest.mark.parametrize("mode", images.MODES)
@pytest.mark.parametrize("count", [1, 5, 9])
def test_a_sheet_shows_every_image(mode, count):
    made = images.sheet([some(mode, 8, 16, seed) for seed in range(count)])
    assert images.mode_of(made) == "rgb"
    assert made.size > count * 8 * 16 * 3


def test_a_sheet_has_the_columns_and_scale_asked_for():
    made = images.sheet([some("rgb")] * 5, columns=5, gap=1, scale=2)
    assert made.shape == (16 + 2, 5 * 17 + 1, 3)
    assert np.array_equal(made[1:17:2, 1:17:2], some("rgb"))


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(UsageError, match="at least one"):
        images.sheet([])


def test_names_stand_beside_the_rows_and_change_no_pixel_of_the_sheet():
    tiles = [np.full((8, 8, 3), value, np.uint8) for value in (0, 80, 160, 240)]
    plain, named = images.sheet(tiles, columns=2), images.sheet(tiles, columns=2, names=["brick", "fur"])
    assert named.shape[0] == plain.shape[0] and named.shape[1] > plain.shape[1]
    assert np.array_equal(named[:, -plain.shape[1] :], plain)
    assert (named[:, : -plain.shape[1]] > 200).any()
