"""Blurs, smoothing, sharpening and denoising: what other libraries give too, and what must hold of each."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import skimage.filters
import skimage.restoration
from PIL import Image as Pillow
from PIL import ImageFilter

from maquette.refining import registry
from maquette.refining.denoise import measured_noise, non_local_means, total_variation
from maquette.refining.neighbourhood import _median16_narrow, _median16_wide, filled, gaussian, guided
from maquette.refining.ops.sharpening import blur_of, richardson_lucy, separate

PHOTO = skimage.data.astronaut()[40:200, 140:330]
COFFEE = skimage.data.coffee()[100:260, 100:300]
GREY = PHOTO[..., 1:2]


def run(name, image, **dials):
    return registry.get(name)(image, **dials)


def wide(image):
    """Eight bits as sixteen, with something in the low byte."""
    noise = np.random.default_rng(1).integers(0, 200, image.shape)
    return np.minimum(image.astype(int) * 257 + noise, 65535).astype(np.uint16)


def unit(image):
    return (image / np.float32(255)).astype(np.float32)


def off(first, second):
    return np.abs(first.astype(np.float64) - second.astype(np.float64))


def psnr(first, second):
    return -10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2))


# The Gaussian and the box


@pytest.mark.parametrize("radius", [0.7, 2, 5, 8.5, 20, 60])
def test_gaussian_blur_is_the_convolution_in_every_depth(radius):
    for image, most in ((PHOTO, 2.0), (wide(PHOTO), 0.2 * 257), (unit(PHOTO), 0.2 / 255)):
        exact = scipy.ndimage.gaussian_filter(image.astype(np.float64), (radius, radius, 0), mode="mirror", truncate=6)
        assert off(run("gaussian-blur", image, radius=radius), exact).max() <= most
        assert abs(np.mean(run("gaussian-blur", image, radius=radius) - exact)) <= most / 8


@pytest.mark.parametrize("radius", [1, 3, 9])
def test_gaussian_blur_is_that_of_scikit_image_and_near_that_of_pillow(radius):
    ours = run("gaussian-blur", unit(PHOTO), radius=radius)
    theirs = skimage.filters.gaussian(unit(PHOTO), radius, mode="mirror", channel_axis=2, truncate=6)
    assert off(ours, theirs).max() < 0.001
    inner = slice(3 * radius, -3 * radius)
    pillow = np.asarray(Pillow.fromarray(PHOTO).filter(ImageFilter.GaussianBlur(radius)))
    assert off(run("gaussian-blur", PHOTO, radius=radius), pillow)[inner, inner].mean() < 1  # three boxes, not a bell


@pytest.mark.parametrize("radius", [1, 4, 11])
def test_box_blur_is_that_of_pillow_and_scipy(radius):
    inner = slice(radius, -radius)
    pillow = np.asarray(Pillow.fromarray(PHOTO).filter(ImageFilter.BoxBlur(radius)))
    assert off(run("box-blur", PHOTO, radius=radius), pillow)[inner, inner].max() <= 1
    for image, most in ((PHOTO, 0.51), (wide(PHOTO), 0.51), (unit(PHOTO), 1e-5)):
        side = 2 * radius + 1
        exact = scipy.ndimage.uniform_filter(image.astype(np.float64), (side, side, 1), mode="mirror")
        assert off(run("box-blur", image, radius=radius), exact).max() <= most


@pytest.mark.parametrize("name", ["gaussian-blur", "box-blur", "median", "denoise-tv"])
def test_nothing_changes_at_zero(name):
    dial = "amount" if name == "denoise-tv" else "radius"
    assert np.array_equal(run(name, PHOTO, **{dial: 0}), PHOTO)


# The median


@pytest.mark.parametrize("radius", [1, 2, 3, 6])
@pytest.mark.parametrize("image", [PHOTO, wide(PHOTO), unit(PHOTO)], ids=["8", "16", "float"])
def test_median_is_that_of_scipy_in_every_depth(image, radius):
    exact = scipy.ndimage.median_filter(image[:80, :90], (2 * radius + 1, 2 * radius + 1, 1), mode="nearest")
    ours = run("median", np.ascontiguousarray(image[:80, :90]), radius=radius)
    assert off(ours, exact).max() <= (1e-5 if image.dtype == np.float32 else 0)


def test_median_is_that_of_pillow():
    pillow = np.asarray(Pillow.fromarray(PHOTO).filter(ImageFilter.MedianFilter(5)))
    assert np.array_equal(run("median", PHOTO, radius=2)[2:-2, 2:-2], pillow[2:-2, 2:-2])


def test_the_two_ways_to_a_wide_median_of_16_bits_agree():
    plane = np.ascontiguousarray(wide(PHOTO)[:150, :140, 0])
    for radius in (3, 10):
        assert np.array_equal(_median16_narrow(plane, radius), _median16_wide(plane, radius))


def test_median_removes_specks_and_keeps_an_edge():
    image = np.full((60, 60, 1), 60, np.uint8)
    image[:, 30:] = 200
    specked = image.copy()
    rng = np.random.default_rng(0)
    specked[rng.integers(0, 60, 80), rng.integers(0, 60, 80)] = 255
    assert np.array_equal(run("median", specked, radius=3), image)


# Symmetry, range and constancy


FLIPPABLE = {
    "gaussian-blur": {"radius": 20}, "box-blur": {}, "median": {"radius": 4}, "bilateral": {}, "guided": {"radius": 3},
    "sharpen": {"halos": 0.5}, "high-pass": {}, "deconvolve": {}, "denoise-means": {"search": 3}, "denoise-wavelet": {},
    "frequency-separation": {"radius": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", FLIPPABLE)
def test_a_mirrored_or_turned_image_gives_the_mirrored_or_turned_result(name):
    image = PHOTO[:96, :128]
    plain = run(name, image, **FLIPPABLE[name])
    for turn in (lambda i: i[:, ::-1], lambda i: i[::-1], lambda i: i.transpose(1, 0, 2)):
        turned = run(name, np.ascontiguousarray(turn(image)), **FLIPPABLE[name])
        assert off(turned, turn(plain)).max() <= 2


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("name", [*FLIPPABLE, "denoise-tv", "motion-blur", "lens-blur"])
def test_an_even_image_stays_as_it_is(name, value):
    if name not in registry.every():
        pytest.skip("it is not here yet")
    for channels in (1, 3):
        image = np.full((40, 50, channels), value, np.uint8)
        assert off(run(name, image), image).max() <= 0
    opaque = np.full((40, 50, 4), value, np.uint8)
    opaque[..., 3] = 255
    assert np.array_equal(run(name, opaque), opaque)


@pytest.mark.parametrize("name", ["median", "bilateral", "guided", "deconvolve", "denoise-means", "denoise-wavelet"])
def test_invisible_colours_take_no_part(name):
    image = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(image, (30, 30), 20, (200, 120, 40, 255), -1)
    other = image.copy()
    other[image[..., 3] == 0, :3] = (0, 255, 255)
    first, second = run(name, image), run(name, other)
    seen = image[..., 3] > 0
    assert np.array_equal(first[seen], second[seen])
    assert off(first[seen], image[seen]).max() <= 1  # one colour: nothing there to be changed
    assert np.array_equal(first[..., 3], image[..., 3])


def test_invisible_colours_are_filled_from_their_neighbours():
    image = np.zeros((33, 47, 4), np.uint8)
    image[:, :10] = (255, 0, 0, 255)
    image[:, 30:] = (0, 0, 255, 255)
    colour = filled(image)
    assert np.array_equal(colour[image[..., 3] > 0], image[image[..., 3] > 0][:, :3])
    assert colour[:, 10, 0].min() > 150 and colour[:, 29, 2].min() > 150
    assert colour[:, 10:30, 1].max() == 0


# Bilateral and guided


def test_bilateral_is_its_definition():
    plane, deviation, tone = unit(GREY)[:60, :70, 0].astype(np.float64), 2, 0.1
    padded, weights, total = np.pad(plane, 4, mode="reflect"), 0.0, 0.0
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            if dy * dy + dx * dx <= 16:
                there = padded[4 + dy : 64 + dy, 4 + dx : 74 + dx]
                far = (dy * dy + dx * dx) / (2 * deviation**2) + (there - plane) ** 2 / (2 * tone**2)
                weights, total = weights + np.exp(-far), total + np.exp(-far) * there
    exact = (total / weights)[..., None]
    for image, most in ((unit(GREY), 1e-5), (GREY, 0.7), (wide(GREY), 300)):
        scale = {"float32": 1, "uint8": 255, "uint16": 65535}[image.dtype.name]
        ours = run("bilateral", np.ascontiguousarray(image[:60, :70]), radius=deviation, tone=tone)
        assert off(ours, exact * scale).max() < most
    theirs = skimage.restoration.denoise_bilateral(plane, win_size=9, sigma_color=tone, sigma_spatial=deviation)
    assert off(exact[..., 0], theirs)[5:-5, 5:-5].mean() < 0.02  # theirs: a square window, and coarse weights


def test_a_wide_bilateral_filter_is_near_the_whole_one():
    ours = unit(run("bilateral", PHOTO, radius=8, tone=0.1))
    whole = cv2.bilateralFilter(unit(PHOTO), 33, 0.3, 8, borderType=cv2.BORDER_REFLECT_101)
    assert psnr(ours, whole) > 36


def box(plane, radius):
    return scipy.ndimage.uniform_filter(plane, 2 * radius + 1, mode="mirror")


def test_guided_is_the_filter_of_the_paper():
    plane, radius, epsilon = unit(GREY)[..., 0].astype(np.float64), 3, 0.01
    mean = box(plane, radius)
    slope = (box(plane * plane, radius) - mean**2) / (box(plane * plane, radius) - mean**2 + epsilon)
    exact = box(slope, radius) * plane + box(mean - slope * mean, radius)
    ours = run("guided", unit(GREY), radius=radius, tone=0.1)[..., 0]
    assert off(ours, exact).max() < 1e-4
    other = guided(plane.astype(np.float32), unit(GREY), radius, epsilon)
    assert off(other[..., 0], exact).max() < 1e-4


def test_a_wide_guided_filter_is_near_the_whole_one():
    plane, radius = unit(GREY)[..., 0].astype(np.float64), 12
    mean, square = box(plane, radius), box(plane * plane, radius)
    slope = (square - mean**2) / (square - mean**2 + 0.01)
    exact = box(slope, radius) * plane + box(mean - slope * mean, radius)
    assert off(run("guided", unit(GREY), radius=radius, tone=0.1)[..., 0], exact).mean() < 0.01


@pytest.mark.parametrize("name", ["bilateral", "guided"])
def test_smoothing_keeps_edges_and_takes_noise(name):
    clean = np.full((80, 80, 3), 0.3, np.float32)
    clean[:, 40:] = 0.7
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.03, clean.shape), 0, 1).astype(np.float32)
    done = run(name, noisy)
    assert (done - clean)[:, :30].std() < 0.5 * 0.03
    assert done[:, 42:46].mean() - done[:, 34:38].mean() > 0.33


# Sharpening


def test_sharpen_is_the_unsharp_mask_of_scikit_image_and_pillow():
    ours = run("sharpen", unit(GREY), amount=1.5, radius=2)
    theirs = skimage.filters.unsharp_mask(unit(GREY)[..., 0], radius=2, amount=1.5)
    assert off(ours[..., 0], theirs)[8:-8, 8:-8].max() < 2e-3
    pillow = np.asarray(Pillow.fromarray(PHOTO).filter(ImageFilter.UnsharpMask(2, 80, 0)))
    assert off(run("sharpen", PHOTO, amount=0.8, radius=2), pillow)[8:-8, 8:-8].mean() < 1.5


@pytest.mark.parametrize("image", [PHOTO, wide(PHOTO), unit(PHOTO)], ids=["8", "16", "float"])
def test_sharpen_is_its_formula_in_every_depth(image):
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[image.dtype.name]
    soft = scipy.ndimage.gaussian_filter(image.astype(np.float64), (1.5, 1.5, 0), mode="mirror", truncate=6)
    exact = np.clip(image + 0.7 * (image - soft), 0, top)
    most = {"uint8": 1.0, "uint16": 20.0, "float32": 1e-3}[image.dtype.name]
    assert off(run("sharpen", image, amount=0.7, radius=1.5), exact).max() <= most


def test_sharpen_leaves_alone_what_is_below_the_threshold():
    noisy = np.clip(0.5 + np.random.default_rng(0).normal(0, 0.004, (50, 50, 3)), 0, 1).astype(np.float32)
    assert np.array_equal(run("sharpen", noisy, amount=3, threshold=0.05), noisy)
    edge = np.full((50, 50, 3), 0.3, np.float32)
    edge[:, 25:] = 0.7
    assert run("sharpen", edge, amount=1, threshold=0.05)[:, 25].mean() > 0.75


def test_halos_and_coloured_rims_can_be_held_back():
    edge = np.full((50, 50, 3), 0.3, np.float32)
    edge[:, 25:] = (0.7, 0.3, 0.3)
    assert np.allclose(run("sharpen", edge, amount=2, radius=2, halos=0), edge, atol=1e-6)
    plain, light = run("sharpen", edge, amount=1), run("sharpen", edge, amount=1, lightness=True)
    assert off(plain[..., 1], edge[..., 1]).max() < 1e-6  # by itself green has no edge
    change = light - edge
    assert off(change[..., 0], change[..., 1]).max() < 1e-6


def test_high_pass_raises_texture_and_spares_black_and_white():
    texture = lambda image: (unit(image) - separate(unit(image), 2)[0]).std()  # noqa: E731
    assert texture(run("high-pass", COFFEE, amount=1)) > 1.15 * texture(COFFEE)
    ends = np.zeros((40, 40, 1), np.uint8)
    ends[:, 20:] = 255
    assert np.array_equal(run("high-pass", ends, amount=5), ends)
    shown = run("high-pass", PHOTO, show=True)
    assert abs(shown.mean() - 127.5) < 2


def test_deconvolve_is_the_richardson_lucy_of_scikit_image():
    plane = np.clip(scipy.ndimage.gaussian_filter(unit(GREY)[..., 0], 1.5), 0.05, 1).astype(np.float32)
    x = np.arange(-7, 8)
    bell = np.exp(-(x**2) / (2 * 1.5**2))
    bell = np.outer(bell, bell) / np.outer(bell, bell).sum()
    start = richardson_lucy(plane, blur_of("gaussian", 1.5), 8)
    theirs = skimage.restoration.richardson_lucy(plane, bell, num_iter=8, clip=False)  # begins with an even 0.5
    assert off(start, theirs)[20:-20, 20:-20].mean() < 0.01
    sharp = unit(GREY)[..., 0]
    assert psnr(start[20:-20, 20:-20], sharp[20:-20, 20:-20]) > psnr(theirs[20:-20, 20:-20], sharp[20:-20, 20:-20])


@pytest.mark.parametrize(("shape", "radius"), [("gaussian", 1.5), ("lens", 3)])
def test_deconvolve_brings_back_what_a_known_blur_took(shape, radius):
    sharp = unit(GREY)
    blurred = np.clip(blur_of(shape, radius)(sharp[..., 0]), 0, 1)[..., None]
    again = run("deconvolve", blurred, radius=radius, shape=shape, iterations=30, noise=0.001)
    assert psnr(again, sharp) > psnr(blurred, sharp) + 2


def test_deconvolve_does_not_fit_noise():
    noisy = np.clip(0.5 + np.random.default_rng(0).normal(0, 0.004, (60, 60, 1)), 0, 1).astype(np.float32)
    grown = [run("deconvolve", noisy, iterations=30, noise=noise).std() for noise in (0, 0.02)]
    assert grown[1] < 1.2 * noisy.std() < 1.8 * noisy.std() < grown[0]


def test_the_layers_of_a_frequency_separation_add_up():
    low, high = separate(unit(PHOTO), 6)
    assert off(low + high, unit(PHOTO)).max() < 1e-6
    assert np.array_equal(run("frequency-separation", PHOTO, tone=0), PHOTO)
    smooth = run("frequency-separation", PHOTO, tone=1)
    fine = lambda image: (unit(image) - separate(unit(image), 1.5)[0]).std()  # noqa: E731
    assert abs(fine(smooth) / fine(PHOTO) - 1) < 0.05  # the texture is there


# Noise


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
def test_noise_is_measured(noise):
    flat = np.linspace(0.3, 0.7, 200 * 200).reshape(200, 200, 1)
    noisy = (flat + np.random.default_rng(0).normal(0, noise, (200, 200, 3))).clip(0, 1).astype(np.float32)
    assert measured_noise(noisy) == pytest.approx(noise, rel=0.05)
    assert measured_noise(np.full((30, 30, 3), 0.4, np.float32)) == 0


def test_non_local_means_is_its_definition():
    rng = np.random.default_rng(0)
    image = (unit(PHOTO)[:24, :26] + rng.normal(0, 0.05, (24, 26, 3))).astype(np.float32)
    patch, search, noise, width = 1, 3, 0.05, 0.06
    reach = patch + search
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect").astype(np.float64)
    exact = np.zeros(image.shape)
    at = lambda y, x: padded[y - patch : y + patch + 1, x - patch : x + patch + 1]  # noqa: E731
    for y in range(24):
        for x in range(26):
            weights, total = 0.0, np.zeros(3)
            for dy in range(-search, search + 1):
                for dx in range(-search, search + 1):
                    there = (y + reach + dy, x + reach + dx)
                    distance = np.mean((at(y + reach, x + reach) - at(*there)) ** 2)
                    size = max(distance - 2 * noise**2, 0) / width**2
                    weight = np.exp(-size) if size < 5 else 0
                    weights, total = weights + weight, total + weight * padded[there]
            exact[y, x] = total / weights
    assert off(non_local_means(image, noise, width, patch, search), exact).max() < 1e-4


def test_total_variation_comes_closer_than_that_of_scikit_image():
    grey = unit(GREY)
    theirs = skimage.restoration.denoise_tv_chambolle(grey[..., 0], 0.08, eps=1e-7, max_num_iter=1500)
    ours = total_variation(grey, 0.08, 100)[..., 0]
    assert off(ours, theirs).mean() < 0.002

    def energy(u):
        down, right = np.zeros_like(u), np.zeros_like(u)
        down[:-1], right[:, :-1] = np.diff(u, axis=0), np.diff(u, axis=1)
        return ((u - grey[..., 0]) ** 2).sum() / 2 + 0.08 * np.hypot(down, right).sum()

    usual = skimage.restoration.denoise_tv_chambolle(grey[..., 0], 0.08)
    assert energy(ours) < energy(theirs)
    assert energy(total_variation(grey, 0.08, 24)[..., 0]) < 1.01 * energy(usual)


def test_strips_make_no_seams():
    tall = np.tile(unit(PHOTO), (3, 1, 1))
    whole = total_variation(tall, 0.1, 20)
    alone = total_variation(tall[150:330], 0.1, 20)
    assert off(whole[180:300], alone[30:150]).max() < 1e-5


@pytest.mark.parametrize("noise", [0.03, 0.08])
@pytest.mark.parametrize("name", ["denoise-means", "denoise-wavelet", "denoise-tv"])
def test_denoising_brings_a_noisy_photograph_nearer_to_the_clean_one(name, noise):
    clean = unit(PHOTO)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, noise, clean.shape), 0, 1).astype(np.float32)
    gain = {"denoise-means": (3, 5), "denoise-wavelet": (3, 5), "denoise-tv": (2, 4)}[name][noise > 0.05]
    dials = {"amount": 0.8 * noise} if name == "denoise-tv" else {}
    assert psnr(run(name, noisy, **dials), clean) > psnr(noisy, clean) + gain


def test_non_local_means_cleans_as_well_as_that_of_scikit_image():
    clean = unit(PHOTO)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.05, clean.shape), 0, 1).astype(np.float32)
    theirs = skimage.restoration.denoise_nl_means(
        noisy, patch_size=5, patch_distance=6, h=0.04, sigma=0.05, fast_mode=True, channel_axis=2
    )
    assert psnr(run("denoise-means", noisy, noise=0.05), clean) > psnr(theirs, clean) - 0.05


def test_what_has_no_noise_is_left_alone():
    drawn = np.zeros((64, 64, 3), np.uint8)
    drawn[16:48, 16:48] = (200, 40, 90)
    for name in ("denoise-means", "denoise-wavelet"):
        assert np.array_equal(run(name, drawn), drawn)


def test_sixteen_bits_keep_what_eight_cannot_hold():
    ramp = np.linspace(20000, 21000, 400).astype(np.uint16).reshape(1, 400, 1).repeat(40, axis=0)
    for name in ("gaussian-blur", "median", "bilateral", "guided", "denoise-tv"):
        done = run(name, ramp)
        assert len(np.unique(done)) > 300, name
        assert off(done, ramp)[:, 40:-40].max() < 60, name


def test_a_gaussian_of_a_tile_is_a_tile():
    tile = unit(PHOTO)
    op = registry.get("gaussian-blur")
    from maquette.refining.op import Context

    for radius in (3, 15):
        done = op(tile, Context(tile="xy"), radius=radius)
        exact = scipy.ndimage.gaussian_filter(tile.astype(np.float64), (radius, radius, 0), mode="wrap", truncate=6)
        assert off(done, exact).max() < 0.002
    assert np.array_equal(gaussian(tile, 0), tile)
