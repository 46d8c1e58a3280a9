"""The recipes that are shipped: each says what it is for, does something, and takes any image."""

import numpy as np
import pytest
from skimage import data

import maquette as mq
from maquette.core.errors import DataError, UsageError
from maquette.refining import named, registry
from maquette.refining.recipe import from_json, steps, to_json
from maquette.refining.text import parse

NAMES = named.names()
ASKED = {"portrait", "product-cut-out", "film-still", "print", "pixel-art-clean-up", "scan", "floor-plan", "poster"}
PHOTO = np.ascontiguousarray(data.astronaut()[0:160, 130:330])


def image(channels, dtype):
    rgb = PHOTO if channels > 1 else PHOTO[..., :1]
    alpha = np.clip(np.hypot(*np.mgrid[-1:1:160j, -1:1:200j])[..., None] * -400 + 500, 0, 255)
    whole = np.concatenate([rgb, alpha], axis=2) if channels == 4 else rgb
    return (whole / 255).astype(np.float32) if dtype == "float32" else whole.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_for_and_is_read_as_it_is_written(name):
    recipe = named.shipped(name)
    assert 20 < len(recipe.about) < 110
    assert parse(str(recipe)) == recipe == from_json(to_json(recipe))
    assert name not in registry.schemas(), "an op of that name would hide it"
    assert list(steps(named.named(name).items))


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (3, "uint8"), (4, "uint8"), (3, "float32")])
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_any_image_and_is_deterministic(name, channels, dtype):
    before = image(channels, dtype)
    first = mq.refine(before, name, seed=4)
    assert first.dtype == before.dtype
    assert first.size > 0
    if first.dtype == np.float32:
        assert first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, mq.refine(before, name, seed=4))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_tiny_images(name):
    for size in ((1, 1), (2, 5)):
        image = np.full((*size, 3), 90, np.uint8)
        if name == "product-cut-out":
            with pytest.raises(DataError, match="subject"):  # nothing to cut out is a reason to set an image aside
                mq.refine(image, name)
        else:
            assert mq.refine(image, name).size > 0


def test_recipes_are_found_by_name_within_others():
    recipe = named.recipe("web strength=1, sharpen")
    assert [step.op for step in steps(recipe.items)] == ["resize", "sharpen", "sharpen"]
    with pytest.raises(UsageError, match="did you mean film-still"):
        named.named("film-stil")
    with pytest.raises(UsageError, match="did you mean poster"):
        named.recipe("sharpen, postr")
    with pytest.raises(UsageError, match="the recipe web has no dial 'amount'"):
        named.recipe("web amount=3")


def test_the_recipes_that_people_ask_for_are_there():
    assert set(NAMES) >= ASKED


# What some of them promise


def test_a_product_stands_on_nothing_in_the_middle_of_a_square():
    image = np.full((120, 160, 3), 235, np.uint8)
    rows, columns = np.mgrid[:120, :160]
    image[np.hypot(rows - 60, columns - 90) < 35] = (200, 40, 30)
    result = mq.refine(image, "product-cut-out")
    assert result.shape[0] == result.shape[1] and result.shape[2] == 4
    assert result[0, 0, 3] == 0 and result[result.shape[0] // 2, result.shape[1] // 2, 3] == 255
    alpha = result[..., 3] > 128
    assert abs(alpha.sum() / (np.pi * 35**2) - 1) < 0.1
    assert abs(np.nonzero(alpha)[1].mean() - result.shape[1] / 2) < 2


def test_scan_makes_paper_white_and_keeps_the_letters():
    page = data.page()[..., None].repeat(3, axis=2)
    yellow = (page * np.array([1, 0.93, 0.75])).astype(np.uint8)
    result = mq.refine(yellow, "scan").astype(int)
    assert np.median(result) >= 250
    assert np.mean(result < 90) > 0.02, "the letters are there"
    assert np.mean(np.ptp(result, axis=2)) < 4, "the tint is gone"


def test_pixel_art_has_even_squares_and_few_colours():
    result = mq.refine(PHOTO, "pixel-art-clean-up")
    assert np.array_equal(result, np.kron(result[::4, ::4], np.ones((4, 4, 1), np.uint8)))
    assert len(np.unique(result.reshape(-1, 3), axis=0)) <= 24


def test_web_is_at_most_1600_and_never_enlarges():
    assert mq.refine(PHOTO, "web").shape == PHOTO.shape
    assert mq.refine(np.zeros((900, 3200, 3), np.uint8), "web").shape == (450, 1600, 3)
