"""Pairs of images and forecasts: against independent implementations, closed forms and properties."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from maquette.core.errors import UsageError
from maquette.judge.interval import mean_of
from maquette.judge.metrics import forecasts
from maquette.judge.metrics.pairs import BEST, WEIGHTS, multi_scale_ssim, psnr, scales, ssim


def photos(count=6, side=48, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    photo = skimage.data.astronaut()
    rows, columns = generator.integers(0, 512 - side, (2, count))
    return np.stack([photo[r : r + side, c : c + side, :channels] for r, c in zip(rows, columns, strict=True)])


def spoilt(images, amount, seed=1):
    noise = np.random.default_rng(seed).normal(0, amount, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("shape", [(48, 3), (32, 1), (13, 3)], ids=str)
def test_psnr_and_ssim_equal_those_of_scikit_image(shape):
    side, channels = shape
    real = photos(side=side, channels=channels)
    made = spoilt(real, 20)
    for a, b, ratio, structure in zip(made, real, psnr(made, real), ssim(made, real), strict=True):
        assert ratio == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), rel=1e-9)
        expected = structural_similarity(
            b / 255, a / 255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
            channel_axis=2,
        )  # fmt: skip
        assert structure == pytest.approx(expected, rel=1e-6)


def test_multi_scale_ssim_is_the_weighted_product_of_its_scales():
    real = photos(2, side=200)[..., :1]
    made = spoilt(real, 15)
    assert scales(200, 200) == 5 and scales(32, 32) == 2 and scales(8, 8) == 1

    def parts(a, b):  # by skimage's filters instead of OpenCV's
        from scipy.ndimage import gaussian_filter

        blur = lambda x: gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]  # noqa: E731
        x, y = blur(a), blur(b)
        light = (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
        structure = (2 * (blur(a * b) - x * y) + 9e-4) / (blur(a * a) - x * x + blur(b * b) - y * y + 9e-4)
        return (light * structure).mean(), structure.mean()

    for a, b, value in zip(made[..., 0] / 255, real[..., 0] / 255, multi_scale_ssim(made, real), strict=True):
        expected = 1.0
        for level, weight in enumerate(WEIGHTS):
            whole, structure = parts(a, b)
            expected *= (whole if level == 4 else structure) ** (weight / sum(WEIGHTS))
            a, b = (
                x.reshape(len(x) // 2, 2, len(x) // 2, 2).mean((1, 3))
                if level < 3
                else x[: len(x) // 2 * 2, : len(x) // 2 * 2].reshape(len(x) // 2, 2, -1, 2).mean((1, 3))
                for x in (a, b)
            )
        assert value == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([1, 3, 4]), st.integers(0, 99))
def test_equal_images_are_alike_and_order_does_not_matter(height, width, channels, seed):
    generator = np.random.default_rng(seed)
    one, two = generator.integers(0, 256, (2, 2, height, width, channels), dtype=np.uint8)
    for measure, best in ((psnr, BEST), (ssim, 1.0), (multi_scale_ssim, 1.0)):
        np.testing.assert_allclose(measure(one, one), best)
        np.testing.assert_allclose(measure(one, two), measure(two, one), rtol=1e-9)
        assert (measure(one, two) < best).all()


@pytest.mark.parametrize("measure", [psnr, ssim, multi_scale_ssim])
def test_the_more_is_spoilt_the_less_alike(measure):
    real = photos()
    noise = [measure(spoilt(real, amount), real).mean() for amount in (2, 8, 30, 90)]
    blur = [measure(np.stack([cv2.GaussianBlur(image, (0, 0), s) for image in real]), real).mean() for s in (0.5, 1, 2)]
    assert noise == sorted(noise, reverse=True) and blur == sorted(blur, reverse=True)


def test_colour_that_nobody_can_see_does_not_count_and_depth_does_not_matter():
    real = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 4), dtype=np.uint8)
    real[..., 3] = 0
    other = real.copy()
    other[..., :3] = 9
    assert (psnr(other, real) == BEST).all()
    one, two = photos(channels=1), spoilt(photos(channels=1), 9)
    deep = psnr(two.astype(np.uint16) * 257, one.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep, psnr(two, one), rtol=1e-9)


def test_pairs_of_other_shapes_are_refused():
    with pytest.raises(UsageError, match="equal shapes"):
        psnr(photos(3), photos(2))
    with pytest.raises(UsageError, match="cannot be compared"):
        psnr(photos(2).astype(np.int64), photos(2).astype(np.int64))


def drawn(cases=400, members=8, width=1.0, lean=0.0, seed=0):
    """Forecasts of N(mean, 1): members around the mean with another width, and leaning; each case has its own mean."""
    generator = np.random.default_rng(seed)
    mean = generator.uniform(0.3, 0.7, (cases, 1, 1, 1))
    came = mean + 0.05 * generator.standard_normal((cases, 4, 4, 1))
    possible = mean + lean + 0.05 * width * generator.standard_normal((members, cases, 4, 4, 1))
    return possible, came


def test_a_forecast_that_knows_its_uncertainty_is_calibrated_and_others_are_not():
    honest, sure, careful, leaning = drawn(), drawn(width=0.5), drawn(width=2.0), drawn(lean=0.05)
    assert forecasts.spread_for_error(*honest).value == pytest.approx(1, abs=0.02)
    assert forecasts.spread_for_error(*sure).high < 0.7 and forecasts.spread_for_error(*careful).low > 1.5
    assert forecasts.miscalibration(*honest).value < 0.02
    assert all(forecasts.miscalibration(*other).low > 0.1 for other in (sure, careful, leaning))
    np.testing.assert_allclose(forecasts.ranks(*honest).mean(0), 1 / 9, atol=0.01)
    wide = forecasts.ranks(*sure).mean(0)
    assert wide[0] > 0.15 and wide[-1] > 0.15 and wide[4] < 0.11  # what came lies outside too often


def test_the_score_is_best_for_the_honest_forecast_and_fair_to_few_members():
    score = lambda *args, **values: forecasts.crps(*drawn(*args, **values)).mean()  # noqa: E731
    assert score() < min(score(width=0.4), score(width=2.5), score(lean=0.05))
    # The truth of a normal distribution: deviation / sqrt(pi), whatever the number of members.
    for members in (2, 8, 32):
        assert score(members=members) == pytest.approx(0.05 / np.sqrt(np.pi), rel=0.03)
    possible, came = drawn(members=1)
    np.testing.assert_allclose(forecasts.crps(possible, came), forecasts.absolute_error(possible[0], came))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 99))
def test_the_score_equals_the_sum_over_all_pairs(members, seed):
    possible, came = drawn(3, members, seed=seed)
    error = np.abs(possible - came).mean(0)
    apart = np.abs(possible[:, None] - possible[None]).sum((0, 1)) / (2 * members * (members - 1))
    np.testing.assert_allclose(forecasts.crps(possible, came), (error - apart).mean((1, 2, 3)), rtol=1e-9)


def test_skill_is_what_is_taken_off_a_baselines_error():
    generator = np.random.default_rng(0)
    came = generator.uniform(0, 1, (100, 8, 8, 1))
    half, full = came + 0.05 * generator.standard_normal(came.shape), came + 0.1 * generator.standard_normal(came.shape)
    found = forecasts.skill(half, full, came)
    assert found.low < 0.75 < found.high and found.value == pytest.approx(0.75, abs=0.02)
    assert forecasts.skill(full, half, came).high < 0


def test_a_blurred_forecast_is_not_sharp_however_small_its_error():
    came = photos(30)
    soft = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in came])
    assert mean_of(forecasts.sharpness(soft, came)).high < 0.7
    np.testing.assert_allclose(forecasts.sharpness(came, came), 1)
    assert mean_of(forecasts.sharpness(spoilt(came, 20), came)).low > 1


def test_frames_ahead_may_stand_between_and_ties_are_shared_out():
    possible = np.zeros((3, 25, 2, 4, 4, 1), np.uint8)
    shares = forecasts.ranks(possible, possible[0])
    np.testing.assert_allclose(shares, 0.25)
    assert forecasts.miscalibration(possible, possible[0]).value == pytest.approx(0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: forecasts.spread(np.zeros((1, 30, 4, 4, 1))), "no spread"),
        (lambda: forecasts.crps(np.zeros((2, 3, 4, 4, 1)), np.zeros((4, 4, 4, 1))), "do not belong"),
        (lambda: forecasts.sharpness(np.zeros((3, 4, 4, 1)), np.zeros((3, 4, 5, 1))), "does not belong"),
        (lambda: forecasts.miscalibration(*drawn(5)), "too few"),
        (lambda: mean_of(np.zeros(3)), "too few"),
    ],
)
def test_what_cannot_be_had_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call()
