"""Geometry: golden against Pillow and OpenCV, exact where it can be, and honest about sizes before it begins."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import maquette as mq
from maquette.core.errors import DataError, UsageError
from maquette.refining.ops.geometry import _inscribed, skew

PHOTO = np.ascontiguousarray(data.astronaut()[40:200, 130:370])  # 160 x 240
CLEAR = np.concatenate([PHOTO, np.full((160, 240, 1), 255, np.uint8)], axis=2)


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


@pytest.mark.parametrize("size", [(120, 80), (77, 191), (480, 320), (1, 1)])
@pytest.mark.parametrize(
    ("method", "golden"),
    [
        ("lanczos", Pillow.Resampling.LANCZOS), ("bicubic", Pillow.Resampling.BICUBIC),
        ("bilinear", Pillow.Resampling.BILINEAR), ("area", Pillow.Resampling.BOX),
    ],
)  # fmt: skip
def test_resize_is_pillows(method, golden, size):
    result = mq.refine(PHOTO, f"resize width={size[0]} height={size[1]} method={method}")
    assert np.array_equal(result, np.asarray(Pillow.fromarray(PHOTO).resize(size, golden)))
    deep = mq.refine(PHOTO.astype(np.uint16) * 257, f"resize width={size[0]} height={size[1]} method={method}")
    # Pillow clips between its two passes where values overshoot; deep pixels are not clipped before the end.
    assert np.mean(np.abs(deep / 257 - result) > 1.01) < 0.01
    exact = mq.refine(PHOTO / 255, f"resize width={size[0]} height={size[1]} method={method}")
    assert np.mean(np.abs(exact * 255 - result) > 1.01) < 0.01


def test_resize_with_nearest_keeps_the_colours_of_pixel_art():
    art = noise(9, 7)
    assert np.array_equal(mq.refine(art, "resize scale=5 method=nearest"), np.kron(art, np.ones((5, 5, 1), np.uint8)))


@pytest.mark.parametrize(
    ("dials", "size"),
    [
        ("width=120", (120, 80)), ("height=40", (60, 40)), ("scale=0.5", (120, 80)),
        ("width=100 height=100 fit=inside", (100, 67)), ("width=100 height=100 fit=cover", (100, 100)),
        ("width=100 height=30", (100, 30)), ("width=500 enlarge=no", (240, 160)), ("width=100 enlarge=no", (100, 67)),
    ],
)  # fmt: skip
def test_resize_finds_the_size(dials, size):
    assert mq.refine(PHOTO, f"resize {dials}").shape[1::-1] == size


def test_resize_of_transparent_images_has_no_fringe_and_of_opaque_ones_is_that_of_colours():
    image = np.zeros((64, 64, 4), np.uint8)
    image[...] = (255, 0, 255, 0)
    image[16:48, 16:48] = (10, 200, 30, 255)
    small = mq.refine(image, "resize scale=0.37").astype(int)
    seen = small[..., 3] > 8
    assert np.abs(small[seen][:, :3] - (10, 200, 30)).max() <= 2
    assert np.array_equal(mq.refine(CLEAR, "resize scale=0.37")[..., :3], mq.refine(PHOTO, "resize scale=0.37"))


@pytest.mark.parametrize("text", ["resize scale=0.5", "resize scale=2", "upscale", "upscale method=lanczos times=3"])
def test_a_tile_stays_a_tile_in_any_size(text):
    tile = np.ascontiguousarray(noise(32, 48)[:, :, :1])
    whole = mq.refine(np.tile(tile, (3, 3, 1)), text).astype(int)
    height, width = whole.shape[0] // 3, whole.shape[1] // 3
    alone = mq.refine(tile, text, tile="xy").astype(int)
    assert alone.shape[:2] == (height, width)
    assert np.abs(alone - whole[height : 2 * height, width : 2 * width]).max() <= 2


@pytest.mark.parametrize("angle", [90, 180, 270, -90, 360, 0])
def test_quarter_turns_are_exact(angle):
    assert np.array_equal(mq.refine(PHOTO, f"rotate angle={angle}"), np.rot90(PHOTO, angle // 90))


def test_turning_there_and_back_gives_the_image():
    smooth = cv2.GaussianBlur(PHOTO, (0, 0), 2)
    there = mq.refine(smooth, "rotate angle=23 ground=edge")
    back = mq.refine(there, "rotate angle=-23 canvas=same ground=edge")
    top, left = (back.shape[0] - 160) // 2, (back.shape[1] - 240) // 2
    middle = back[top + 20 : top + 140, left + 20 : left + 220]
    shifts = [
        peak_signal_noise_ratio(smooth[20 + y : 140 + y, 20 + x : 220 + x], middle)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    ]
    assert max(shifts) > 36


def test_turning_makes_no_fringe_and_grey_stays_grey():
    white = np.full((60, 90, 3), 255, np.uint8)
    turned = mq.refine(white, "rotate angle=30").astype(int)
    assert turned.shape[2] == 4
    assert (turned[turned[..., 3] > 8][:, :3] >= 254).all(), "no dark edge"
    assert mq.refine(white[..., :1], "rotate angle=30 ground=colour").shape[2] == 1


@pytest.mark.parametrize("angle", [3, 17, 45, 80, -33])
@pytest.mark.parametrize("size", [(240, 160), (300, 40), (100, 100)])
def test_cut_corners_leave_nothing_empty(angle, size):
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    result = mq.refine(image, f"rotate angle={angle} canvas=crop ground=colour colour=#000000")
    assert result[1:-1, 1:-1].min() >= 199
    width, height = _inscribed(*size, math.radians(angle))
    assert width * height >= 0.2 * min(size) ** 2


@pytest.mark.parametrize("angle", [-6.4, -1.2, 0.6, 3.3, 8.5])
def test_straighten_finds_the_angle(angle):
    page = np.full((500, 400, 1), 250, np.uint8)
    for row in range(60, 440, 22):
        cv2.putText(page, "Maquette makes generators", (40, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 20, 1, cv2.LINE_AA)
    assert skew(page) == pytest.approx(0, abs=0.15)
    turned = mq.refine(page, f"rotate angle={angle} canvas=same ground=colour")
    assert skew(turned) == pytest.approx(-angle, abs=0.25)
    assert abs(skew(mq.refine(turned, "straighten canvas=same"))) < 0.25


def test_straighten_leaves_alone_what_has_no_lines():
    for image in (data.gravel()[..., None], data.chelsea(), data.moon()[..., None], noise(200, 200)):
        assert skew(image) == 0


def test_crop_and_trim():
    assert np.array_equal(mq.refine(PHOTO, "crop width=50 height=40 x=0 y=1"), PHOTO[120:, :50])
    assert mq.refine(PHOTO, "crop aspect=1:1").shape == (160, 160, 3)
    assert mq.refine(PHOTO, "crop aspect=16:9").shape == (135, 240, 3)
    assert np.array_equal(mq.refine(PHOTO, "crop width=9999"), PHOTO)
    framed = np.pad(PHOTO, ((7, 9), (20, 3), (0, 0)), constant_values=255)
    assert np.array_equal(mq.refine(framed, "trim"), PHOTO)
    assert mq.refine(framed, "trim margin=2").shape == (164, 244, 3)
    blank = np.full((20, 20, 3), 7, np.uint8)
    assert np.array_equal(mq.refine(blank, "trim"), blank)
    clear = np.pad(CLEAR, ((5, 6), (7, 8), (0, 0)))
    assert np.array_equal(mq.refine(clear, "trim"), CLEAR)


def test_flip_and_pad():
    assert np.array_equal(mq.refine(PHOTO, "flip"), PHOTO[:, ::-1])
    assert np.array_equal(mq.refine(PHOTO, "flip axis=xy"), PHOTO[::-1, ::-1])
    padded = mq.refine(PHOTO, "pad margin=3 colour=#102030")
    assert np.array_equal(padded[3:-3, 3:-3], PHOTO)
    assert padded[0, 0].tolist() == [16, 32, 48]
    assert mq.refine(PHOTO, "pad aspect=1:1").shape == (240, 240, 3)
    assert mq.refine(PHOTO, "pad aspect=2:1").shape == (160, 320, 3)
    clear = mq.refine(PHOTO, "pad margin=5 ground=transparent")
    assert clear.shape[2] == 4 and clear[0, 0, 3] == 0 and clear[5, 5, 3] == 255
    assert mq.refine(PHOTO[..., :1], "pad margin=1 colour=#ff0000").shape[2] == 3
    assert np.array_equal(mq.refine(PHOTO, "pad margin=4 ground=wrap"), np.pad(PHOTO, ((4, 4), (4, 4), (0, 0)), "wrap"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resize width=32767", "32767 x 21845 pixels is not worked on; at most 100 million"),
        ("resize scale=64, upscale times=4", "is not worked on"),
        ("pad width=20000 height=20000", "20000 x 20000 pixels is not worked on"),
        ("crop aspect=round", "aspect = 'round' is not possible"),
        ("crop aspect=1:0", "aspect = '1:0' is not possible"),
        ("resize width=0", "give at least 1"),
        ("rotate angle=3 strength=0.5", "rotate changes the size, so it is done or not"),
        ("(rotate angle=3, sharpen) strength=0.5", "rotate changes the size, so it cannot be done in part"),
        ("on m.png: crop width=3", "crop changes the size, so it cannot be done in part"),
    ],
)
def test_what_is_not_possible_is_said_before_anything_is_allocated(text, said):
    with pytest.raises(UsageError, match=said):
        mq.refine(PHOTO, text)


def test_ops_that_lie_on_the_whole_image_are_refused_for_tiles():
    with pytest.raises(UsageError, match="crop cannot keep a tile seamless"):
        mq.refine(PHOTO, "crop width=20", tile="x")
    assert np.array_equal(mq.refine(PHOTO, "crop width=20 strength=0", tile="x"), PHOTO)


# Upscaling


@pytest.mark.parametrize("times", [2, 4])
def test_edges_are_nearer_to_the_truth_than_lanczos(times):
    gained = []
    for photo in (data.astronaut(), data.coffee()[:400], data.cat()[:300, :448]):
        small = cv2.resize(photo, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
        edges, lanczos = (mq.refine(small, f"upscale times={times} method={m}") for m in ("edges", "lanczos"))
        gained.append(peak_signal_noise_ratio(photo, edges) - peak_signal_noise_ratio(photo, lanczos))
    assert min(gained) > 0.15
    assert np.mean(gained) > 0.3


def test_an_upscaled_image_shrinks_to_the_image():
    large = mq.refine(PHOTO, "upscale times=3")
    back = cv2.resize(large, (240, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - PHOTO).mean() < 0.6
    assert np.array_equal(mq.refine(np.full((9, 9, 3), 77, np.uint8), "upscale"), np.full((18, 18, 3), 77, np.uint8))


def test_a_learned_upscaler_is_handed_in():
    def double(image):
        assert image.dtype == np.float32 and image.shape[2] == 3
        return image.repeat(2, axis=0).repeat(2, axis=1)

    image = noise(12, 10)
    result = mq.refine(image, [{"op": "upscale", "times": 4, "model": double}])
    assert np.array_equal(result, image.repeat(4, axis=0).repeat(4, axis=1))
    third = mq.refine(image, [{"op": "upscale", "times": 3, "model": "my-run"}], hand=lambda run: double)
    assert third.shape == (36, 30, 3)
    soft = np.concatenate([image, noise(12, 10, 1, seed=3)], axis=2)
    assert mq.refine(soft, [{"op": "upscale", "model": double}]).shape == (24, 20, 4)
    with pytest.raises(DataError, match="the model does not enlarge images"):
        mq.refine(image, [{"op": "upscale", "model": lambda image: image}])
    with pytest.raises(UsageError, match="the run 'my-run' cannot be opened from here"):
        mq.refine(image, "upscale model=my-run")


# Tiles


def seam(image, axis):
    """The step over the edge, by the steps inside."""
    image = image.astype(float) if axis else image.astype(float).swapaxes(0, 1)
    return np.abs(image[:, 0] - image[:, -1]).mean() / np.abs(np.diff(image, axis=1)).mean()


@pytest.mark.parametrize("name", ["gravel", "grass"])
def test_a_texture_becomes_a_tile(name):
    image = getattr(data, name)()[:256, :256, None]
    tile = mq.refine(image, "make-tileable")
    assert min(seam(image, 0), seam(image, 1)) > 1.5
    assert max(seam(tile, 0), seam(tile, 1)) < 1.35
    assert tile.shape[0] >= 0.79 * 256


def test_uneven_light_leaves_no_step():
    light = np.linspace(0.6, 1, 200)[None, :, None] * np.linspace(0.7, 1, 160)[:, None, None]
    texture = np.random.default_rng(0).normal(0.7, 0.05, (160, 200, 3))
    tile = mq.refine(np.clip(light * texture, 0, 1), "make-tileable")
    assert seam(tile, 0) < 1.2 and seam(tile, 1) < 1.2


def test_one_axis_alone_and_tiles_that_are_tiles_already():
    image = data.gravel()[:128, :150, None]
    assert mq.refine(image, "make-tileable along=x").shape[0] == 128
    assert np.array_equal(mq.refine(image, "make-tileable", tile="xy"), image)
