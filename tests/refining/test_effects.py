"""Light, print, paint, glitches and repairs: what must hold of each, and what Pillow gives too."""

import io

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.data
import skimage.restoration
from PIL import Image as Pillow

from maquette.core.errors import UsageError
from maquette.refining import registry
from maquette.refining.blocks import blockiness
from maquette.refining.colour.space import to_light
from maquette.refining.kernels import disc_kernel, line_kernel
from maquette.refining.neighbourhood import luma
from maquette.refining.noise import film_noise, soft_noise
from maquette.refining.op import Context
from maquette.refining.ops.repairing import faults
from maquette.refining.pixels import to_float
from maquette.refining.screens import diffused, threshold_map

PHOTO = skimage.data.astronaut()[40:200, 140:330]
CUP = np.ascontiguousarray(skimage.data.coffee()[80:280, 120:360])


def run(name, image, context=None, **dials):
    return registry.get(name)(image, context, **dials)


def off(first, second):
    return np.abs(first.astype(np.float64) - second.astype(np.float64))


def psnr(first, second, white=255.0):
    return -10 * np.log10(np.mean(((first.astype(np.float64) - second) / white) ** 2))


def seam(image, axis):
    """How much larger the step across the border of a tile is than the usual step."""
    values = np.moveaxis(image.astype(np.float64), axis, 0)
    across = np.abs(values[0] - values[-1]).mean()
    return across / np.abs(np.diff(values, axis=0)).mean()


def tile(height=96, width=128):
    y, x = np.mgrid[0:height, 0:width]
    waves = [0.5 + 0.35 * np.sin(2 * np.pi * (2 * x / width + (k + 1) * y / height + k / 3)) for k in range(3)]
    return np.rint(np.stack(waves, axis=2) * 255).astype(np.uint8)


# Kernels of motion and lens


@pytest.mark.parametrize("angle", [0, 30, 90, 137])
@pytest.mark.parametrize("distance", [3, 24.5])
def test_a_line_of_motion_has_its_length_and_direction(distance, angle):
    kernel = line_kernel(distance, angle).astype(np.float64)
    y, x = np.mgrid[0 : kernel.shape[0], 0 : kernel.shape[1]]
    y, x = y - kernel.shape[0] // 2, x - kernel.shape[1] // 2
    assert kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel[::-1, ::-1])
    turn = np.deg2rad(angle)
    along, across = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    assert np.sqrt((kernel * along**2).sum()) == pytest.approx(distance / np.sqrt(12), abs=0.35)
    assert np.sqrt((kernel * across**2).sum()) < 0.6


@pytest.mark.parametrize("blades", [0, 5, 6])
def test_a_disc_has_its_area(blades):
    kernel = disc_kernel(9.5, blades)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert 1 / kernel.max() == pytest.approx(np.pi * 9.5**2, rel=0.03)


@pytest.mark.parametrize("name", ["motion-blur", "lens-blur"])
def test_light_is_mixed_as_light(name):
    dials = {"distance": 15, "angle": 33} if name == "motion-blur" else {"radius": 6, "highlights": 0}
    kernel = line_kernel(15, 33) if name == "motion-blur" else disc_kernel(6)
    light = to_light(PHOTO).astype(np.float64)
    exact = np.stack([scipy.ndimage.convolve(light[..., c], kernel, mode="mirror") for c in range(3)], axis=2)
    assert off(to_light(run(name, PHOTO, **dials)), exact).max() < 0.006  # a level of 8 bits near white
    assert to_light(run(name, PHOTO, **dials)).mean() == pytest.approx(light.mean(), abs=0.02)


def test_lights_out_of_focus_become_bright_discs():
    night = np.full((80, 80, 3), 8, np.uint8)
    night[39:42, 39:42] = 255
    dim, bright = (run("lens-blur", night, radius=8, highlights=h)[40, 36, 0] for h in (0, 1))
    assert bright > 2 * dim
    shape = run("lens-blur", night, radius=8, highlights=1)[..., 0] > 60
    assert np.pi * 7**2 < shape.sum() < np.pi * 10.5**2


@pytest.mark.parametrize("name", ["motion-blur", "lens-blur"])
def test_a_blurred_cut_out_keeps_its_colour_at_the_rim(name):
    cut = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(cut, (30, 30), 18, (220, 90, 40, 255), -1)
    done = run(name, cut)
    seen = done[..., 3] > 8
    assert seen.sum() > (cut[..., 3] > 0).sum()
    assert off(done[seen][:, :3], np.array([220, 90, 40])).max() <= 3


# Bloom, vignette, grain


def test_bloom_adds_light_around_lights_alone():
    night = np.full((90, 90, 3), 20, np.uint8)
    night[40:50, 40:50] = 255
    done = run("bloom", night, radius=8)
    assert (done >= night).all()
    assert done[45, 56].min() > 40 and off(done, night)[:5].max() <= 1
    assert np.array_equal(run("bloom", np.minimum(night, 90)), np.minimum(night, 90))
    red = run("bloom", night, radius=8, tint="#ff0000")
    assert red[45, 56, 0] > 40 and red[45, 56, 1] == 20


def test_a_cut_out_glows_beyond_its_outline():
    sign = np.zeros((80, 80, 4), np.uint8)
    sign[36:44, 20:60] = (80, 255, 220, 255)
    done = run("bloom", sign, amount=1.5, radius=6)
    assert done[40, 40, 3] == 255 and 20 < done[30, 40, 3] < 255
    assert done[30, 40, 1] > 200 > done[30, 40, 0]


def test_a_vignette_is_symmetric_and_as_deep_as_it_says():
    even = np.full((121, 161, 3), 180, np.uint8)
    done = run("vignette", even, amount=0.6, size=0)
    assert np.array_equal(done, done[::-1, ::-1])
    light = to_light(done)[..., 0] / to_light(even)[0, 0, 0]
    assert light[60, 80] == pytest.approx(1, abs=0.01)
    assert light[0, 0] == pytest.approx(0.4, abs=0.02)
    assert (np.diff(light[60, 80:]) <= 1e-6).all()
    assert np.array_equal(run("vignette", even, amount=0), even)
    assert run("vignette", even, amount=-0.5)[0, 0, 0] > 200
    with pytest.raises(UsageError, match="seamless"):
        run("vignette", even, Context(tile="xy"))


@pytest.mark.parametrize("size", [1.0, 2.0, 5.0])
def test_grain_is_as_coarse_as_it_says_and_wraps(size):
    field = soft_noise(256, 320, size, 3)
    assert abs(field.mean()) < 1e-3 and field.std() == pytest.approx(1, abs=1e-3)
    near = np.mean(field * np.roll(field, 1, axis=1))
    sigma = 0.5 * size
    assert near == pytest.approx(np.exp(-1 / (4 * sigma**2)), abs=0.12)  # a Gaussian's own correlation
    for axis in (0, 1):
        assert seam(field, axis) < 1.25
    assert not np.array_equal(field, soft_noise(256, 320, size, 4))


def test_grain_lies_in_the_middle_tones_and_in_lightness():
    ramp = np.repeat(np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None], 256, axis=0)[..., None], 3, axis=2)
    change = run("grain", ramp, seed=1).astype(int) - ramp
    spread = change.std(axis=(0, 2))
    assert spread[100:150].mean() > 5 and spread[0] == 0 and spread[255] == 0
    assert abs(change.mean()) < 0.4
    colours = change - change.mean(axis=2, keepdims=True)
    assert colours.std() < 0.5 * change.std()
    assert np.array_equal(run("grain", ramp, colour=0)[..., 0], run("grain", ramp, colour=0)[..., 2])
    assert np.array_equal(run("grain", ramp, amount=0), ramp)
    assert not np.array_equal(run("grain", ramp, seed=1), run("grain", ramp, seed=2))


def test_the_noise_of_film_has_fine_grains_and_clumps():
    field = film_noise(256, 256, 1.6, 0)
    power = np.abs(np.fft.fft2(field)) ** 2
    far = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    assert power[far < 0.05].mean() > 3 * power[(far > 0.3)].mean()


# Print


@pytest.mark.parametrize("value", [(20, 60, 200), (128, 128, 128), (230, 180, 90)])
@pytest.mark.parametrize("dials", [{}, {"shape": "line"}, {"inks": "one", "ink": "#000000"}, {"size": 12}])
def test_a_halftone_has_the_brightness_of_the_image_from_afar(value, dials):
    even = np.full((240, 240, 3), value, np.uint8)
    done = to_light(run("halftone", even, **dials)).mean(axis=(0, 1))
    wanted = to_light(even)[0, 0]
    if "inks" in dials:
        wanted = np.repeat(wanted @ [0.2126, 0.7152, 0.0722], 3)
    assert off(done, wanted).max() < 0.02


def test_a_halftone_is_made_of_paper_and_inks():
    for value, colour in ((255, "#ffffff"), (0, "#000000")):
        even = np.full((40, 40, 1), value, np.uint8)
        done = run("halftone", even)
        assert done.shape == (40, 40, 3)
        assert (done == int(colour[1:3], 16)).mean() > 0.99
    red = run("halftone", PHOTO, inks="one", ink="#cc2233", paper="#ffeecc", size=8)
    line = to_light(np.array([[[0xCC, 0x22, 0x33], [0xFF, 0xEE, 0xCC]]], np.uint8))[0].astype(np.float64)
    light = to_light(red).reshape(-1, 3) - line[0]
    step = line[1] - line[0]
    share = (light @ step) / (step @ step)
    assert np.abs(light - share[:, None] * step).max() < 0.02  # every pixel is a mixture of the two
    assert np.mean((share < 0.1) | (share > 0.9)) > 0.5  # and most are one of them


@pytest.mark.parametrize("dials", [{}, {"shape": "line", "inks": "one"}, {"size": 7.3, "angle": 20}])
def test_the_screens_of_a_tile_repeat(dials):
    even = np.full((100, 130, 3), 140, np.uint8)
    done = run("halftone", even, Context(tile="xy"), **dials)
    for axis in (0, 1):
        assert seam(done, axis) < 1.3


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_posterise_has_the_steps_of_pillow(bits):
    from PIL import ImageOps

    pillow = np.asarray(ImageOps.posterize(Pillow.fromarray(PHOTO), bits))
    ours = run("posterise", PHOTO, levels=2**bits)
    for step in np.unique(pillow):
        assert len(np.unique(ours[pillow == step])) == 1
    assert len(np.unique(ours)) == len(np.unique(pillow))
    assert ours.min() == 0 and ours.max() == 255


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_posterise_again_changes_nothing(dtype):
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = (PHOTO / 255 * white).astype(dtype)
    once = run("posterise", image, levels=6)
    assert np.array_equal(run("posterise", once, levels=6), once)
    assert len(np.unique(once)) == 6


@pytest.mark.parametrize("pattern", ["noise", "ordered", "diffusion"])
@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_dither_keeps_tones(pattern, levels, dtype):
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    ramp = np.linspace(0, 1, 512)[None, :, None].repeat(128, axis=0)
    image = (ramp * white).astype(dtype)
    for light in (True, False):
        done = run("dither", image, pattern=pattern, levels=levels, light=light)
        assert len(np.unique(done)) == levels and done.min() == 0 and done.max() == white
        seen, wanted = (to_light(part) if light else part / white for part in (done, image))
        means = [np.asarray(part, np.float64).reshape(128, 16, 32).mean(axis=(0, 2)) for part in (seen, wanted)]
        assert off(*means).max() < 0.02


def test_diffusion_is_that_of_pillow_and_the_slanted_front_that_of_the_paper():
    pillow = np.asarray(Pillow.fromarray(PHOTO[..., 0]).convert("1"))
    ours = run("dither", PHOTO[..., :1], pattern="diffusion", light=False)[..., 0] > 0
    blurred = [cv2.blur(part.astype(np.float32), (9, 9)) for part in (pillow, ours)]
    assert off(*blurred).mean() < 0.02
    values = np.random.default_rng(0).integers(0, 65536, (12, 15, 1)).astype(np.uint16)
    place = np.arange(65536) / 65535 * 3
    left, exact = place[values[..., 0]].copy(), np.zeros((12, 15), int)
    for y in range(12):
        for x in range(15):
            exact[y, x] = np.clip(np.rint(left[y, x]), 0, 3)
            error = left[y, x] - exact[y, x]
            for dy, dx, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                if 0 <= x + dx < 15 and y + dy < 12:
                    left[y + dy, x + dx] += error * share / 16
    assert np.mean(diffused(values, place, 4)[..., 0] == exact * 21845) > 0.98  # ties may fall otherwise in float32


def test_thresholds_are_spread_evenly_and_blue_noise_is_blue():
    for pattern, side in (("ordered", 8), ("noise", 64)):
        cell = threshold_map(pattern, side, side)
        assert np.array_equal(np.sort(cell, axis=None), ((np.arange(side * side) + 0.5) / side**2).astype(np.float32))
    dots = threshold_map("noise", 64, 64) < 0.3
    power = np.abs(np.fft.fft2(dots - dots.mean())) ** 2
    far = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    assert power[far < 0.15].mean() < 0.1 * power[far > 0.25].mean()


def test_dots_can_be_large():
    done = run("dither", PHOTO, size=5)
    assert np.array_equal(done[:155:5, :190:5].repeat(5, axis=0).repeat(5, axis=1), done[:155, :190])


@pytest.mark.parametrize("size", [3, 8, 500])
def test_pixelate_is_the_mean_of_squares_as_in_pillow(size):
    done = run("pixelate", PHOTO, size=size)
    small = np.asarray(Pillow.fromarray(PHOTO).reduce(size))
    assert off(done[::size, ::size], small).max() <= 1
    assert np.array_equal(run("pixelate", done, size=size), done)
    assert off(done.mean(), PHOTO.mean()).max() < 0.6


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixelate_by_the_median_leaves_out_what_bleeds_in_at_the_borders(dtype):
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
    drawn = squares.repeat(5, axis=0).repeat(5, axis=1)[:, :53]
    smeared = drawn.copy()
    smeared[:-1, ::5], smeared[::5, 4::5] = 255, 0  # two of five rows and columns of each square are spoilt
    given = {"uint8": smeared, "uint16": smeared.astype(np.uint16) * 257, "float32": smeared / np.float32(255)}[dtype]
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    done = run("pixelate", given, size=5, take="median")
    assert np.array_equal(np.rint(done / white * 255)[:, :50], drawn[:, :50])


# Painted and broken


@pytest.mark.parametrize("name", ["draw", "oil", "watercolour", "glitch"])
def test_a_seed_is_a_picture(name):
    first, again, other = (run(name, CUP, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert off(first, other).mean() > 0.3
    assert off(first, CUP).mean() > 3


@pytest.mark.parametrize("name", ["draw", "oil", "watercolour", "glitch", "grain", "bloom", "halftone", "heal"])
def test_a_tile_stays_without_a_seam(name):
    image = tile()
    done = run(name, image, Context(tile="xy", seed=2))
    for axis in (0, 1):
        assert seam(done, axis) < max(1.35, 1.5 * seam(image, axis)), f"axis {axis}"


@pytest.mark.parametrize("name", ["draw", "oil", "watercolour", "halftone", "heal", "deblock", "dehalo"])
def test_the_outline_of_a_cut_out_stays_and_is_not_fringed(name):
    cut = np.zeros((90, 90, 4), np.uint8)
    cv2.circle(cut, (45, 45), 30, (210, 120, 60, 255), -1, cv2.LINE_AA)
    other = cut.copy()
    other[cut[..., 3] == 0, :3] = (0, 255, 255)
    first, second = run(name, cut), run(name, other)
    assert np.array_equal(first[..., 3], cut[..., 3])
    assert np.array_equal(first[cut[..., 3] > 0], second[cut[..., 3] > 0])


@pytest.mark.parametrize("name", ["oil", "watercolour"])
def test_paint_keeps_the_picture_and_flattens_detail(name):
    dials = {"thickness": 0} if name == "oil" else {"paper": 0, "pigment": 0, "edges": 0}
    done = run(name, CUP, **dials)
    coarse = [cv2.resize(part, (30, 25), interpolation=cv2.INTER_AREA) for part in (done, CUP)]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.96
    detail = [np.abs(cv2.Laplacian(part, cv2.CV_32F)) for part in (done, CUP)]
    assert np.median(detail[0]) < 0.6 * np.median(detail[1])


def test_ink_is_black_and_white_and_lines_lie_on_edges():
    disc = np.full((120, 120, 3), 225, np.uint8)
    cv2.circle(disc, (60, 60), 35, (120, 120, 120), -1, cv2.LINE_AA)
    done = run("draw", disc, style="contour")[..., 0]
    y, x = np.mgrid[0:120, 0:120]
    rim = np.abs(np.hypot(y - 60, x - 60) - 35)
    assert done[rim < 2].min() < 90 and done[rim > 8].min() > 235
    ink = run("draw", PHOTO, style="ink")
    assert np.mean((ink < 40) | (ink > 215)) > 0.85
    assert np.array_equal(ink[..., 0], ink[..., 1])
    assert not np.array_equal(*(run("draw", CUP, style="ink", colour=1)[..., c] for c in (0, 2)))


def test_a_pencil_shades_what_is_dark():
    steps = np.repeat(np.array([40, 120, 240], np.uint8), 60)[None, :, None].repeat(120, axis=0)
    done = run("draw", steps)
    dark, middle, light = (done[20:100, left : left + 40].mean() for left in (10, 70, 130))
    assert dark < middle - 30 < light - 60 and light > 235


def test_a_glitch_moves_pixels_and_invents_none():
    plain = run("glitch", PHOTO, shift=0, lines=0, seed=4)
    known = {tuple(sorted(colour)) for colour in PHOTO.reshape(-1, 3).tolist()}
    assert {tuple(sorted(colour)) for colour in plain.reshape(-1, 3).tolist()} <= known
    assert np.array_equal(run("glitch", PHOTO, amount=0, shift=0, lines=0), PHOTO)


# Repairs


def jpeg(image, quality):
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Pillow.open(file).convert("RGB"))


@pytest.mark.parametrize(("quality", "gain"), [(5, 0.6), (10, 0.5), (20, 0.3), (40, 0.2)])
@pytest.mark.parametrize("photo", [PHOTO, CUP], ids=["astronaut", "coffee"])
def test_deblock_brings_a_jpeg_nearer_to_the_original(photo, quality, gain):
    broken = jpeg(photo, quality)
    done = run("deblock", broken)
    assert psnr(done, photo) > psnr(broken, photo) + gain
    assert blockiness(luma(to_float(done))) < 0.3 * blockiness(luma(to_float(broken)))


def test_deblock_leaves_alone_what_has_no_blocks():
    for photo in (PHOTO, CUP, skimage.data.cat()):
        assert np.array_equal(run("deblock", photo), photo)


def test_deblock_finds_the_grid_of_a_crop():
    broken = jpeg(CUP, 10)[3:, 5:]
    assert psnr(run("deblock", broken), CUP[3:, 5:]) > psnr(broken, CUP[3:, 5:]) + 0.4


def test_dehalo_takes_back_what_sharpening_drew_along_edges():
    edge = np.full((60, 80, 1), 90, np.uint8)
    edge[:, 40:] = 190
    edge = cv2.GaussianBlur(edge, (0, 0), 0.8)[..., None]
    halo = run("sharpen", edge, amount=1.5, radius=1.5)
    done = run("dehalo", halo)
    over = [int(part.max()) - 190 for part in (halo, done)]
    under = [90 - int(part.min()) for part in (halo, done)]
    assert over[0] > 20 and over[1] < 0.35 * over[0]
    assert under[0] > 20 and under[1] < 0.35 * under[0]
    assert psnr(run("dehalo", PHOTO), PHOTO) > 34  # a clean photograph hardly changes


def test_dehalo_keeps_lines_that_are_drawn():
    drawing = np.full((60, 60, 1), 230, np.uint8)
    drawing[:, 30:32] = 20
    assert np.array_equal(run("dehalo", drawing), drawing)


def spoiled(seed=3):
    smooth = cv2.GaussianBlur(CUP, (0, 0), 3)
    marks, rng = np.zeros(smooth.shape[:2], np.uint8), np.random.default_rng(seed)
    for _ in range(20):
        cv2.circle(marks, tuple(int(side) for side in rng.integers(5, 195, 2)), int(rng.integers(1, 3)), 1, -1)
    cv2.line(marks, (30, 5), (60, 190), 1, 2)
    dirty = smooth.copy()
    dirty[marks > 0] = 255
    return smooth, dirty, marks > 0


def test_heal_finds_specks_and_scratches_and_fills_them():
    clean, dirty, marks = spoiled()
    found = faults(dirty, 5, 0.5)
    assert found[marks].mean() > 0.9
    assert found[~marks].mean() < 0.01
    assert psnr(run("heal", dirty), clean) > psnr(dirty, clean) + 12
    assert np.mean(run("heal", clean) != clean) < 0.005
    noise = np.random.default_rng(1).normal(0, 6, clean.shape)
    noisy, worse = (np.clip(image + noise, 0, 255).astype(np.uint8) for image in (clean, dirty))
    assert psnr(run("heal", worse), noisy) > psnr(worse, noisy) + 6, "noise hides the faults"
    assert np.mean(run("heal", noisy) != noisy) < 0.01


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_heal_by_mask_fills_as_well_as_scikit_image_and_changes_nothing_else(dtype):
    _, _, marks = spoiled()
    dirty = CUP.copy()
    dirty[marks] = 255
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    image = (dirty / 255 * white).astype(dtype)
    done = run("heal", image, mask=(marks * np.uint8(255))[..., None], widen=0)
    assert np.array_equal(done[~marks], image[~marks])
    theirs = skimage.restoration.inpaint_biharmonic(dirty / 255.0, marks, channel_axis=2)
    assert psnr(done[marks] / white, CUP[marks] / 255, 1) > psnr(theirs[marks], CUP[marks] / 255, 1) - 1


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(UsageError, match="does not fit"):
        run("heal", PHOTO, mask=np.zeros((5, 5, 1), np.uint8))
