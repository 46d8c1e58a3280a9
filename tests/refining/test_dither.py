"""What the dithering at the end of a precise recipe keeps to."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.refining.pixels import dither
from maquette.refining.run import refine


@given(st.floats(0, 1, width=32), st.integers(0, 2**63 - 1))
@settings(max_examples=40, deadline=None)
def test_the_mean_is_kept_and_no_pixel_moves_further_than_its_neighbours(level, seed):
    flat = np.full((60, 60, 3), level, np.float32)
    result = dither(flat, seed).astype(float)
    assert np.abs(result - level * 255).max() < 1.5
    if 0.01 < level < 0.99:
        assert abs(result.mean() - level * 255) < 0.05
    assert np.array_equal(dither(flat, seed), result.astype(np.uint8))


def test_alpha_is_rounded_and_not_shaken():
    image = np.full((40, 40, 4), 0.4561, np.float32)
    assert len(np.unique(dither(image, 1)[..., 3])) == 1
    assert len(np.unique(dither(image, 1)[..., 0])) > 1


def test_a_recipe_that_is_precise_leaves_no_bands():
    """A dark sky that is brightened a lot: plain 8 bits leave steps of several levels, precise ones none."""
    sky = np.repeat(np.linspace(10, 40, 1024).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    words = [{"op": "exposure", "stops": stops, "method": "plain"} for stops in (-2, 2)]
    words.append({"op": "gaussian-blur", "radius": 12})
    plain = refine(sky, {"steps": words})
    precise = refine(sky, {"steps": words, "precise": True})
    smooth = refine(sky / np.float32(255), {"steps": words}) * 255

    def columns(image):
        return image.astype(float).mean(axis=(0, 2))[40:-40]

    assert np.abs(columns(precise) - columns(smooth)).mean() < 0.12
    assert np.abs(columns(precise) - columns(smooth)).mean() < 0.4 * np.abs(columns(plain) - columns(smooth)).mean()
