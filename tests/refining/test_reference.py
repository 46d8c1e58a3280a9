"""Colours from elsewhere: transfer comes near the reference and keeps the picture; palettes hold what they promise."""

import numpy as np
import pytest
import skimage.data
import skimage.exposure
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.refining import registry
from maquette.refining.colour import palette as palettes
from maquette.refining.colour.palette import extract, hexadecimal, seen
from maquette.refining.colour.space import to_depth, to_lab, to_light

OPS = registry.every()


@pytest.fixture(scope="module")
def cat():
    return np.ascontiguousarray(skimage.data.chelsea()[40:240, 60:300])


@pytest.fixture(scope="module")
def cup():
    return np.ascontiguousarray(skimage.data.coffee()[50:250, 150:400])


def distance(first, second):
    """Sliced Wasserstein distance between the colours of two images, in OKLab."""
    directions = np.random.default_rng(0).standard_normal((3, 60)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    shares = np.linspace(0, 1, 512)
    quantiles = [
        np.quantile(to_lab(to_light(image)).reshape(-1, 3) @ directions, shares, axis=0) for image in (first, second)
    ]
    return float(np.abs(quantiles[0] - quantiles[1]).mean())


def kept(before, after):
    """How much of the picture's structure is left: the correlation of its lightness."""
    light = [to_lab(to_light(image))[..., 0].ravel() for image in (before, after)]
    return float(np.corrcoef(*light)[0, 1])


@pytest.mark.parametrize(
    ("method", "left"), [("transport", 0.3), ("linear", 0.45), ("reinhard", 0.5), ("histogram", 0.3)]
)
def test_transfer_comes_near_the_reference_and_keeps_the_picture(cat, cup, method, left):
    result = OPS["colour-transfer"](cat, reference=cup, method=method, tone=1)
    assert distance(result, cup) < left * distance(cat, cup)
    assert kept(cat, result) > 0.93


def test_transport_is_the_nearest_of_the_smooth_ways(cat, cup):
    far = {
        method: distance(OPS["colour-transfer"](cat, reference=cup, method=method, tone=1), cup)
        for method in ("transport", "linear", "reinhard")
    }
    assert far["transport"] < min(far["linear"], far["reinhard"])


@pytest.mark.parametrize("method", ["transport", "linear", "reinhard", "histogram"])
def test_the_image_itself_as_reference_changes_next_to_nothing(cat, method):
    result = OPS["colour-transfer"](cat, reference=cat, method=method)
    assert np.abs(result.astype(int) - cat).mean() < 1.5


def test_without_tone_lightness_stays(cat, cup):
    result = OPS["colour-transfer"](cat, reference=cup, tone=0)
    light = [to_lab(to_light(image))[..., 0] for image in (cat, result)]
    assert np.abs(light[0] - light[1]).mean() < 0.006


def test_matched_histograms_are_those_of_scikit_image(cat, cup):
    ours = OPS["colour-transfer"](cat, reference=cup, method="histogram")
    theirs = skimage.exposure.match_histograms(cat, cup, channel_axis=2)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_invisible_parts_of_image_and_reference_do_not_count(cat, cup):
    def piece(colours, hidden):
        alpha = np.full((*colours.shape[:2], 1), 255, np.uint8)
        alpha[:, :60] = 0
        colours = colours.copy()
        colours[:, :60] = hidden
        return np.concatenate([colours, alpha], axis=2)

    first, second = (
        OPS["colour-transfer"](piece(cat, hidden), reference=piece(cup, hidden), method=method)[:, 70:].astype(int)
        for method in ("linear",)
        for hidden in ((0, 0, 0), (255, 0, 255))
    )
    assert np.abs(first - second).max() <= 2


def test_a_reference_must_be_given(cat):
    with pytest.raises(UsageError, match="needs its reference"):
        OPS["colour-transfer"](cat)


# Palettes


@given(st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_the_palette_of_a_flat_drawing_is_its_colours(count, seed):
    generator = np.random.default_rng(seed)
    cells = generator.permutation(27)[:count]  # colours that differ plainly
    colours = np.stack([cells // 9, cells // 3 % 3, cells % 3], axis=1).astype(np.uint8) * 127
    drawing = np.repeat(np.repeat(colours[None], 20, axis=0), 12, axis=1)
    found, shares = extract(drawing, count=count)
    assert {tuple(c) for c in to_depth(found, np.uint8)} == {tuple(c) for c in colours}
    assert np.allclose(shares, 1 / count, atol=0.03)


@pytest.mark.parametrize("dither", ["none", "ordered", "diffuse"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_image_ends_in_the_palette(cat, dither, dtype):
    image = {np.uint8: cat, np.uint16: cat.astype(np.uint16) * 257, np.float32: cat / np.float32(255)}[dtype]
    colours = ("#102030", "#d0a060", "#ffffff", "#804020")
    result = OPS["palette"](image, colours=colours, dither=dither)
    allowed = {tuple(row) for row in to_depth(palettes.from_hexadecimal(colours), np.dtype(dtype)).tolist()}
    assert {tuple(row) for row in np.unique(result.reshape(-1, 3), axis=0).tolist()} <= allowed
    again = OPS["palette"](result, colours=colours, dither="none")
    assert np.array_equal(again, result)


def test_each_pixel_gets_the_nearest_colour(cat):
    colours = palettes.from_hexadecimal(("#102030", "#d0a060", "#f0f0f0", "#804020"))
    result = OPS["palette"](cat, colours="#102030:#d0a060:#f0f0f0:#804020")
    apart = np.linalg.norm(seen(cat)[:, :, None] - seen(to_depth(colours, np.uint8)[None])[0], axis=3)
    assert np.array_equal(result, to_depth(colours, np.uint8)[apart.argmin(axis=2)])


def test_dithering_keeps_the_mean_better_than_none(cat):
    colours = "#000000:#ffffff:#b07040:#504030"
    off = {
        dither: np.abs(
            OPS["palette"](cat, colours=colours, dither=dither).mean(axis=(0, 1)) - cat.mean(axis=(0, 1))
        ).mean()
        for dither in ("none", "diffuse")
    }
    assert off["diffuse"] < 0.3 * off["none"]


def test_a_palette_is_the_commonest_first_and_has_no_more_colours_than_the_image(cat):
    found, shares = extract(cat, count=6)
    assert len(found) == 6
    assert (np.diff(shares) <= 0).all() and abs(shares.sum() - 1) < 1e-5
    assert all(len(word) == 7 for word in hexadecimal(found))
    assert len(extract(np.zeros((4, 4, 3), np.uint8), count=6)[0]) == 1


def test_a_palette_of_nothing_visible_is_empty():
    assert len(extract(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32))[0]) == 0


@pytest.mark.parametrize("count", [0, 257])
def test_a_palette_of_impossible_length_is_refused(cat, count):
    with pytest.raises(UsageError):
        extract(cat, count=count)


def test_brand_colours_draw_hues_and_leave_lightness_and_greys(cat):
    colours = "#0a7d4b:#c8102e"
    result = OPS["brand-colours"](cat, colours=colours, amount=1.0)
    goals = to_lab(to_light(palettes.from_hexadecimal(tuple(colours.split(":")))[None]))[0]

    def astray(image):
        lab = to_lab(to_light(image))
        hues = np.arctan2(lab[..., 2], lab[..., 1])[..., None] - np.arctan2(goals[:, 2], goals[:, 1])
        coloured = np.hypot(lab[..., 1], lab[..., 2]) > 0.04
        return np.abs(np.angle(np.exp(1j * hues))).min(axis=2)[coloured].mean()

    assert astray(result) < 0.35 * astray(cat)
    assert np.abs(to_lab(to_light(result))[..., 0] - to_lab(to_light(cat))[..., 0]).max() < 0.02
    grey = np.repeat(cat[..., :1], 3, axis=2)
    assert np.abs(OPS["brand-colours"](grey, colours=colours).astype(int) - grey).max() <= 1
