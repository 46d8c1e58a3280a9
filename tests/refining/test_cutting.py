"""Cutting out: known subjects are found, edges keep their own colours, and what cannot be found is said."""

import cv2
import numpy as np
import pytest

from maquette.core.errors import DataError, UsageError
from maquette.refining import registry
from maquette.refining.cutout.cut import Hints, find
from maquette.refining.op import Context
from maquette.refining.run import refine

SUBJECT, GROUND = np.array([0.85, 0.25, 0.1]), np.array([0.15, 0.45, 0.3])


def star(size=160, corners=5, soft=1.0, centre=(0.5, 0.5), reach=0.36):
    """The true alpha of a star, height x width."""
    angle = np.arange(2 * corners) * np.pi / corners + 0.2
    radius = size * reach * np.where(np.arange(2 * corners) % 2, 0.5, 1.0)
    points = np.stack([size * centre[0] + radius * np.cos(angle), size * centre[1] + radius * np.sin(angle)], 1)
    mask = np.zeros((4 * size, 4 * size), np.uint8)
    cv2.fillPoly(mask, [np.rint(4 * points).astype(np.int32)], 255)
    alpha = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) / np.float32(255)
    return cv2.GaussianBlur(alpha, (0, 0), soft)


def laid(alpha, subject=SUBJECT, ground=GROUND, seed=0):
    """The star on a noisy ground, as 8 bits."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (*alpha.shape, 3))
    mixed = alpha[..., None] * subject + (1 - alpha[..., None]) * (ground + 2 * noise) + noise / 2
    return np.rint(np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def agreement(found, alpha):
    """Intersection over union at one half."""
    one, other = np.squeeze(found) > 0.5, alpha > 0.5
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("size", [64, 160, 500])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_clear_subject_is_found(size, seed):
    alpha = star(size, 4 + seed, size / 160, (0.45, 0.55))
    found = find(laid(alpha, seed=seed), Hints())
    assert found.shape == alpha.shape
    assert agreement(found, alpha) > 0.96
    assert np.abs(found - alpha).mean() < 0.012


def test_a_subject_is_found_in_any_depth_and_in_grey():
    alpha = star()
    eight = laid(alpha)
    sixteen = eight.astype(np.uint16) * 257
    for image in (eight, sixteen, eight.astype(np.float32) / 255):
        mask = registry.get("foreground")(image)
        assert mask.dtype == image.dtype
        assert agreement(mask / {"uint8": 255, "uint16": 65535, "float32": 1}[mask.dtype.name], alpha) > 0.96
    grey = laid(alpha, np.array([0.9] * 3), np.array([0.3] * 3))[..., :1]
    assert agreement(registry.get("foreground")(grey) / 255, alpha) > 0.96


def test_an_alpha_is_the_subject():
    alpha = star()
    image = np.concatenate([laid(alpha), np.rint(alpha * 255).astype(np.uint8)[..., None]], axis=2)
    assert np.array_equal(registry.get("foreground")(image), image[..., 3:])
    assert np.array_equal(registry.get("remove-background")(image), image)


def test_edges_have_no_rim_of_the_old_background():
    alpha = star(240, soft=1.2)
    image = laid(alpha, np.array([0.9, 0.9, 0.9]), np.array([0.1, 0.5, 0.1]))
    cut = registry.get("remove-background")(image)
    rim = (cut[..., 3] > 40) & (cut[..., 3] < 215)
    assert rim.sum() > 300
    mixed, own = (picture[..., :3][rim].astype(float) / 255 for picture in (image, cut))
    assert np.abs(mixed - 0.9).mean() > 0.2  # the picture itself mixes both there
    assert np.abs(own - 0.9).mean() < 0.045
    black = refine(image, "replace-background colour=#000000").astype(float) / 255
    assert np.abs(black - alpha[..., None] * 0.9).mean() < 0.02


def test_what_has_no_subject_is_said_in_words():
    for image in (np.full((50, 60, 3), 90, np.uint8), np.full((50, 60, 1), 0, np.uint16)):
        with pytest.raises(DataError, match=r"no subject was found.*box="):
            registry.get("remove-background")(image)
        nothing = registry.get("remove-background")(image, otherwise="nothing")
        assert not nothing[..., 3].any()
        everything = registry.get("foreground")(image, otherwise="everything")
        assert (everything == np.iinfo(image.dtype).max).all()
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    with pytest.raises(DataError, match="subject"):
        registry.get("remove-background")(noise)


def two_stars():
    left, right = star(200, centre=(0.28, 0.5), reach=0.2), star(200, 6, centre=(0.75, 0.5), reach=0.2)
    return left, right, laid(np.maximum(left, right))


@pytest.mark.parametrize("box", ["8:50:104:150", "0.04:0.25:0.52:0.75"])
def test_a_box_says_which_one(box):
    left, _, image = two_stars()
    found = registry.get("foreground")(image, box=box) / 255
    assert agreement(found, left) > 0.93  # the other star is of the same colours, and counts as background
    assert found[:, 110:].max() == 0


def test_strokes_say_which_one():
    left, right, image = two_stars()
    found = registry.get("foreground")(image, keep="50:100:62:100", drop="150:85:150:115") / 255
    assert agreement(found, left) > 0.95
    painted = np.full(image.shape, 128, np.uint8)
    painted[95:105, 140:160], painted[95:105, 45:65] = 255, 0
    painted[5:195, 3:8], painted[3:8, 5:195] = 0, 0
    found = registry.get("foreground")(image, strokes=painted) / 255
    assert agreement(found, right) > 0.95


def test_a_stroke_adds_what_was_left_out():
    small, large = star(200, centre=(0.2, 0.2), reach=0.08), star(200, 6, centre=(0.6, 0.6), reach=0.25)
    ground = GROUND
    image = laid(large, ground=ground)
    image[small > 0.5] = [40, 60, 200]
    both = registry.get("foreground")(image, keep="120:120:40:40:40:41") / 255
    assert both[small > 0.9].mean() > 0.9
    assert both[large > 0.9].mean() > 0.9


@pytest.mark.parametrize(
    ("dials", "says"),
    [
        ({"box": "1:2:3"}, "4 of them"), ({"box": "0:0:400:20"}, "outside the image"),
        ({"box": "30:10:20:20"}, "no part of the image"), ({"keep": "0.1:0.2:0.3"}, "pairs"),
        ({"keep": "-1:4"}, "at least 0"), ({"strokes": np.zeros((4, 4, 3), np.uint8)}, "same size"),
        ({"strokes": np.full((160, 160, 3), 128, np.uint8)}, "say nothing"), ({"model": 5}, "model"),
    ],
)  # fmt: skip
def test_wrong_hints_are_refused(dials, says):
    with pytest.raises(UsageError, match=says):
        registry.get("foreground")(laid(star()), **dials)


def test_a_model_says_what_the_subject_is():
    _, right, image = two_stars()
    asked = []

    def model(given):
        asked.append(given.shape)
        return cv2.resize(right, (50, 50))[..., None]

    context = Context(hand=lambda name: {"stars": model}[name])
    cut = registry.get("remove-background")(image, context, model="stars")
    assert asked == [image.shape]
    assert agreement(cut[..., 3] / 255, right) > 0.95
    with pytest.raises(UsageError, match="the model answered"):
        registry.get("foreground")(image, model=lambda given: np.full((4, 4), np.nan))


def test_a_blurred_background_keeps_the_subject_and_takes_none_of_its_colour():
    alpha = star(soft=0.6)
    stripes = np.where(np.arange(160) % 8 < 4, 0.2, 0.6)[None, :, None] * np.ones((160, 1, 3)) * [0.6, 1.0, 0.8]
    image = laid(alpha, np.array([1.0, 0.1, 0.1]), stripes)
    result = refine(image, "blur-background radius=30")
    inside = cv2.erode((alpha > 0.98).astype(np.uint8), np.ones((7, 7))) > 0
    assert np.array_equal(result[inside], image[inside])
    ring = (cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((9, 9))) > 0) & (alpha < 0.01)
    assert result[ring].astype(float)[:, 0].mean() < image[ring].astype(float)[:, 0].mean() + 6
    far = cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((25, 25))) == 0
    assert result[far].astype(float).std(axis=0)[1] < 0.35 * image[far].astype(float).std(axis=0)[1]


def test_another_picture_lies_behind():
    alpha = star()
    behind = np.zeros((50, 100, 3), np.uint8)
    behind[:, 25:50], behind[:, 50:75] = [0, 0, 255], [255, 255, 0]
    result = registry.get("replace-background")(laid(alpha), picture=behind)
    assert np.abs(result[5, 5:70].astype(int) - [0, 0, 255]).max() < 3  # the middle of the picture, enlarged
    assert np.abs(result[5, 90:155].astype(int) - [255, 255, 0]).max() < 3


def test_the_subject_is_a_mask_in_recipes():
    alpha = star()
    image = laid(alpha)
    result = (
        refine(image, "on not foreground: gaussian-blur radius=6") if "gaussian-blur" in registry.schemas() else image
    )
    inside = cv2.erode((alpha > 0.98).astype(np.uint8), np.ones((9, 9))) > 0
    assert np.array_equal(result[inside], image[inside])
