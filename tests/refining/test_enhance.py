"""Automatic enhancement helps what lacks something and leaves the rest alone; local tone opens shadows."""

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.refining import registry
from maquette.refining.colour.relight import luma
from maquette.refining.ops.enhance import needs

OPS = registry.every()
SPOILT = {
    "dull": lambda image: OPS["levels"](image, darkest=0.3, lightest=0.7),
    "dark": lambda image: OPS["exposure"](image, stops=-2),
    "warm": lambda image: OPS["temperature"](image, amount=0.8),
    "cold": lambda image: OPS["temperature"](image, amount=-0.8),
}


@pytest.fixture(scope="module")
def good():
    """Photographs that need nothing."""
    return {
        "astronaut": np.ascontiguousarray(skimage.data.astronaut()[::2, ::2]),
        "coffee": np.ascontiguousarray(skimage.data.coffee()[::2, ::2]),
        "motorcycle": np.ascontiguousarray(skimage.data.stereo_motorcycle()[0][::2, ::2, :3]),
        "camera": np.ascontiguousarray(skimage.data.camera()[::2, ::2, None]),
    }


def change(first, second):
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("name", ["astronaut", "coffee", "motorcycle", "camera"])
def test_a_good_photograph_is_left_alone(good, name):
    assert change(OPS["enhance"](good[name]), good[name]) < 1.5


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", ["astronaut", "coffee", "motorcycle"])
def test_a_spoilt_photograph_comes_nearer_to_what_it_was(good, name, how):
    spoilt = SPOILT[how](good[name])
    assert change(OPS["enhance"](spoilt), good[name]) < 0.75 * change(spoilt, good[name])


def test_a_pale_photograph_gets_colour_and_a_black_and_white_one_none(good):
    pale = OPS["saturation"](good["astronaut"], amount=-0.7)
    assert np.ptp(OPS["enhance"](pale).astype(int), axis=2).mean() > 1.1 * np.ptp(pale.astype(int), axis=2).mean()
    grey = good["camera"].repeat(3, axis=2)
    assert np.ptp(OPS["enhance"](grey).astype(int), axis=2).max() == 0


def test_drawings_and_flat_images_are_as_they_were_meant():
    for image in (skimage.data.logo()[..., :3], np.full((20, 20, 3), 90, np.uint8)):
        assert np.array_equal(OPS["enhance"](np.ascontiguousarray(image)), image)


def test_without_colour_casts_stay(good):
    warm = SPOILT["warm"](good["astronaut"])
    assert change(OPS["enhance"](warm, colour=False), warm) < 0.5 * change(OPS["enhance"](warm), warm)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_what_it_finds_is_always_possible(seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, generator.integers(2, 256), (13, 17, 3)).astype(np.uint8)
    found = needs(image, None)
    assert 0 <= found.black < found.white <= 1
    assert 0.5 <= found.power <= 1.7
    assert all(0 <= share <= 1 for share in (found.stretch, found.contrast, found.cast, found.colour))


# Local tone


def test_shadows_are_opened_and_highlights_held_back(good):
    image = good["astronaut"]
    before, after = luma(image), luma(OPS["shadows-highlights"](image, shadows=0.8, highlights=0.8, radius=20))
    dark, light = (before > 0.05) & (before < 0.25), before > 0.85
    assert after[dark].mean() > 1.2 * before[dark].mean()
    assert after[light].mean() < before[light].mean() - 0.02
    assert np.array_equal(OPS["shadows-highlights"](image, shadows=0, highlights=0), image)


def test_details_within_a_part_stay(good):
    """Opening the shadows does not flatten what is in them."""
    image = good["astronaut"]
    before, after = luma(image), luma(OPS["shadows-highlights"](image, shadows=0.8, highlights=0, radius=20))
    rows, columns = slice(170, 230), slice(150, 240)  # the dark visor and what it shows
    steps = [np.abs(np.diff(part[rows, columns, 0], axis=1)).mean() for part in (before, after)]
    assert steps[1] >= 0.95 * steps[0]


@pytest.mark.parametrize("method", ["filmic", "reinhard"])
@pytest.mark.parametrize("stops", [-1, 0, 2])
def test_tone_mapping_by_curve_rises_from_black_to_white(method, stops):
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(4, axis=0)
    result = OPS["tone-map"](ramp, method=method, stops=stops)[0, :, 0].astype(int)
    assert result[0] == 0 and result[-1] == 255
    assert (np.diff(result) >= 0).all()


def test_reinhard_is_his_formula():
    from maquette.refining.colour.space import decoded, encoded

    values = np.linspace(0, 1, 300, dtype=np.float32).reshape(1, -1, 1)
    light = 2 * 2**0.5 * decoded(values.astype(float))
    expected = encoded(light * (1 + light / (2 * 2**0.5) ** 2) / (1 + light))
    assert np.allclose(OPS["tone-map"](values, method="reinhard", stops=0.5), expected, atol=1e-5)


def test_local_tone_mapping_draws_forms_together_and_keeps_detail(good):
    image = good["astronaut"]
    before, after = luma(image), luma(OPS["tone-map"](image, amount=0.8, radius=25))
    large = [np.asarray(cv2.blur(part[..., 0], (51, 51))) for part in (before, after)]
    ranges = [np.quantile(part, 0.95) / np.quantile(part, 0.05) for part in large]
    assert ranges[1] < 0.85 * ranges[0]
    white = np.full((50, 50, 3), 255, np.uint8)
    assert np.array_equal(OPS["tone-map"](white), white)
    inside = [np.abs(np.diff(part[..., 0], axis=1)).mean() for part in (before, after)]
    assert inside[1] > 0.75 * inside[0]
