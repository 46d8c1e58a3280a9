"""Thresholds, regions and ranges: as scikit-image and OpenCV have them, and what they promise beyond that."""

import cv2
import numpy as np
import pytest
import skimage.data
import skimage.filters
import skimage.segmentation
from hypothesis import given
from hypothesis import strategies as st

from maquette.refining import pixels, regions, registry
from maquette.refining.ops.thresholds import multi_otsu_levels, otsu_level
from maquette.refining.run import refine


def grey_of(name):
    array = getattr(skimage.data, name)()
    return array[..., None] if array.ndim == 2 else pixels.luminance(np.ascontiguousarray(array[..., :3]))


GREYS = ("camera", "coins", "page", "moon", "chelsea", "coffee")


# Thresholds


@pytest.mark.parametrize("name", GREYS)
def test_otsu_is_that_of_the_libraries(name):
    grey = grey_of(name)
    level = otsu_level(grey)
    assert level == skimage.filters.threshold_otsu(grey)
    assert level == cv2.threshold(grey[..., 0], 0, 255, cv2.THRESH_OTSU)[0]
    assert np.array_equal(registry.get("otsu")(grey) > 0, grey > level)


def test_otsu_in_16_bits_is_exact():
    deep = np.random.default_rng(0).normal([[20_000], [41_000]], 3_000, (2, 4000)).astype(np.uint16)
    assert otsu_level(deep) == skimage.filters.threshold_otsu(deep)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.integers(2, 6))
def test_classes_of_several_thresholds_leave_the_least_variance(values, classes):
    values = np.array(values, np.uint8)
    levels = multi_otsu_levels(values, classes)
    assert len(levels) == classes - 1
    assert (np.diff(levels) >= 0).all()
    if len(np.unique(values)) <= classes:
        return  # every value is a class
    found = variance(values, levels)
    randoms = np.random.default_rng(int(values.sum()))
    for _ in range(20):
        other = np.sort(randoms.choice(256, classes - 1, replace=False))
        assert found <= variance(values, other) + 1e-6


def variance(values, levels):
    member = np.searchsorted(levels, values, side="left")
    return sum(np.square(values[member == k] - values[member == k].mean()).sum() for k in np.unique(member))


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("name", ["camera", "coins", "coffee"])
def test_multi_otsu_is_that_of_scikit_image(name, classes):
    grey = grey_of(name)
    expected = skimage.filters.threshold_multiotsu(grey, classes=classes)
    levels = multi_otsu_levels(grey, classes)
    # Between two values that do not occur any level is as good: the classes are what must be the same.
    assert np.array_equal(np.searchsorted(levels, grey, side="left"), np.searchsorted(expected, grey, side="left"))
    shown = registry.get("multi-otsu")(grey, classes=classes)
    assert len(np.unique(shown)) == classes
    assert shown.min() == 0 and shown.max() == 255


@pytest.mark.parametrize("window", [3, 15, 51])
def test_adaptive_thresholds_are_those_of_the_libraries(window):
    grey = grey_of("page")
    ours = registry.get("adaptive-threshold")(grey, window=window, offset=0.02)[..., 0] > 0
    level = skimage.filters.threshold_local(grey[..., 0], window, method="mean", mode="mirror", offset=-0.02 * 255)
    assert np.mean(ours != (grey[..., 0] > level)) < 1e-3
    gaussian = registry.get("adaptive-threshold")(grey, window=window, method="gaussian")[..., 0] > 0
    level = skimage.filters.threshold_local(grey[..., 0], window, method="gaussian", mode="mirror")
    sure = np.abs(grey[..., 0] - level) > 0.5  # on blank paper the two are equal up to rounding
    assert np.mean((gaussian != (grey[..., 0] > level))[sure]) < 0.01
    sauvola = registry.get("adaptive-threshold")(grey, window=window, method="sauvola")[..., 0] > 0
    level = skimage.filters.threshold_sauvola(grey[..., 0] / 255, window, k=0.2, r=0.5)
    assert np.mean(sauvola != (grey[..., 0] / 255 > level)) < 0.01


def test_what_is_wholly_transparent_does_not_count():
    image = np.zeros((20, 20, 4), np.uint8)
    image[:10, :, 3] = 255
    image[:5, :, :3], image[5:10, :, :3] = 100, 140
    image[10:, :, :3] = 255
    assert np.array_equal(registry.get("otsu")(image)[:10, :, 0] > 0, image[:10, :, 0] == 140)


def test_a_level_is_a_level():
    ramp = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, -1, 1)
    assert registry.get("threshold")(ramp, level=0.25).sum() == 75


# Regions


@pytest.fixture(scope="module")
def small():
    return np.ascontiguousarray(skimage.data.astronaut()[:192, 100:300])


def test_regions_are_those_of_scikit_image(small):
    unit = small.astype(np.float32) / 255
    assert np.array_equal(
        regions.slic(small, 120, 10), skimage.segmentation.slic(unit, n_segments=120, compactness=10, start_label=0)
    )
    assert np.array_equal(
        regions.felzenszwalb(small, 80, 0.8, 30),
        skimage.segmentation.felzenszwalb(unit, scale=80, sigma=0.8, min_size=30),
    )
    steep = regions.gradient(small, 1.0)
    expected = skimage.segmentation.watershed(steep, markers=90)
    assert np.array_equal(regions.watershed(small, 90), expected - 1)


@pytest.mark.parametrize("name", ["superpixels", "regions-by-likeness", "watershed"])
def test_regions_are_shown_in_their_mean_colour(name, small):
    shown = registry.get(name)(small)
    assert 5 < len(np.unique(shown.reshape(-1, 3), axis=0)) < 2500
    assert np.abs(shown.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 0.6  # means keep the mean
    outlined = registry.get(name)(small, show="outline", colour="#ff00ff")
    line = (outlined == [255, 0, 255]).all(axis=2)
    assert 0.005 < line.mean() < 0.7
    assert np.array_equal(outlined[~line], small[~line])


# Ranges


def test_a_colour_is_chosen_with_what_is_near_it():
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, :10], image[:, 10:20], image[:, 20:] = [200, 16, 46], [190, 40, 60], [16, 46, 200]
    chosen = registry.get("colour-range")(image, colour="#c8102e", within=20, soft=0)[0, ::10, 0]
    assert chosen.tolist() == [255, 255, 0]
    lab = skimage.color.rgb2lab(np.array([[[200, 16, 46], [190, 40, 60]]], np.uint8))
    apart = float(np.linalg.norm(lab[0, 0] - lab[0, 1]))
    soft = registry.get("colour-range")(image.astype(np.float32) / 255, within=apart - 5, soft=10)[0, 10, 0]
    assert soft == pytest.approx(0.5, abs=0.03)


def test_a_range_of_brightness_fades_on_both_sides():
    ramp = np.linspace(0, 1, 201, dtype=np.float32).reshape(1, -1, 1)
    found = registry.get("brightness-range")(ramp, low=0.4, high=0.6, soft=0.2)[0, :, 0]
    assert found[[40, 80, 100, 120, 160]].tolist() == [0, 1, 1, 1, 0] or np.allclose(
        found[[40, 80, 100, 120, 160]], [0, 1, 1, 1, 0], atol=1e-5
    )
    assert found[60] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", ["grass", "gravel", "coffee", "immunohistochemistry"])
def test_what_is_in_focus_is_found(name):
    array = getattr(skimage.data, name)()
    image = np.ascontiguousarray(array[:360, :360] if array.ndim == 3 else np.repeat(array[:360, :360, None], 3, 2))
    blurred = cv2.GaussianBlur(image, (0, 0), 3.5)
    image[:, 180:] = blurred[:, 180:]
    found = registry.get("focus")(image)[..., 0] > 127
    truth = np.zeros(found.shape, bool)
    truth[:, :180] = True
    assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_nothing_invisible_is_in_focus():
    image = np.dstack([skimage.data.coffee()[:200, :200], np.zeros((200, 200), np.uint8)])
    image[60:140, 60:140, 3] = 255
    found = registry.get("focus")(image)[..., 0]
    assert not found[image[..., 3] == 0].any() and found[60:140, 60:140].mean() > 100


def test_the_sky_is_found_where_there_is_one():
    rocket = registry.get("sky")(skimage.data.rocket())[..., 0] / 255
    assert rocket[:250, 140:280].mean() > 0.95 and rocket[:120, 330:400].mean() > 0.95  # left and right of the rocket
    assert rocket[200:380, 312:326].mean() < 0.1  # the rocket itself
    assert rocket[410:, :450].mean() < 0.05
    camera = registry.get("sky")(grey_of("camera"))[..., 0] / 255
    assert camera[:120, :160].mean() > 0.95
    assert camera[300:].mean() < 0.02
    for name in ("coffee", "chelsea", "grass", "brick", "immunohistochemistry", "retina"):
        array = getattr(skimage.data, name)()
        image = array if array.ndim == 3 else array[..., None]
        assert not registry.get("sky")(image[:500, :500]).any(), name


def test_masks_of_recipes_are_put_together():
    image = np.ascontiguousarray(skimage.data.coffee()[:200, :300])
    bright, red = (registry.get(name)(image).astype(np.float32) / 255 for name in ("otsu", "colour-range"))
    darkened = refine(image, "on otsu and not colour-range: brightness amount=-1")
    expected = np.minimum(bright, 1 - red)
    changed = (darkened.astype(int) != image).any(axis=2)
    assert changed[expected[..., 0] == 1].mean() > 0.99
    assert not changed[expected[..., 0] == 0].any()
