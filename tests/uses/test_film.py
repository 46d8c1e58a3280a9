"""What the use `film` is made of: frames between frames, how restless a film is, and maps of a surface."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.core.image import save
from maquette.data.starter import photograph
from maquette.uses import _plate
from maquette.uses._motion import between, closure, even_pace, flicker, psnr, steps
from maquette.uses._plate import staged
from maquette.uses._surface import height_of, normals_of, seam


def scene(place, size=(72, 96)):
    """A soft pattern with a disc on it that moves from left to right."""
    y, x = np.mgrid[: size[0], : size[1]]
    ground = 120 + 40 * np.sin(x / 5) * np.cos(y / 7)
    image = np.repeat(ground[..., None], 3, 2)
    image[(x - place) ** 2 + (y - 36) ** 2 < 140] = (220, 60, 40)
    return image.astype(np.uint8)


def test_a_frame_between_two_shows_what_moved_where_it_was():
    one, middle, other = scene(34), scene(38), scene(42)
    made = between(one, other, 0.5)
    mean = ((one.astype(int) + other) // 2).astype(np.uint8)
    assert psnr(made, middle) > psnr(mean, middle) + 3
    assert psnr(made, middle) > 28


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_at_the_ends_the_frame_is_the_one_that_is_there(place):
    assert psnr(between(scene(30), scene(40), place), scene(30 if place == 0 else 40)) > 30


@pytest.mark.parametrize("size", [(8, 8), (9, 40)])
def test_frames_may_be_tiny(size):
    one = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert between(one, one, 0.5).shape == (*size, 3)


def test_flicker_is_none_where_light_changes_evenly_and_much_where_it_comes_and_goes():
    even = [np.full((4, 4, 3), 10 * k, np.uint8) for k in range(10)]
    blinking = [np.full((4, 4, 3), 200 * (k % 2), np.uint8) for k in range(10)]
    assert flicker(even) == 0
    assert flicker(blinking) == pytest.approx(1, abs=0.01)
    assert flicker(even[:2]) == flicker(even[:1]) == 0
    assert flicker([even[0]] * 5) == 0


def test_a_loop_closes_when_its_last_step_is_like_the_others():
    ring = [np.full((4, 4, 3), round(100 + 90 * np.sin(2 * np.pi * k / 12)), np.uint8) for k in range(12)]
    assert closure(ring) < 1.5
    assert closure(ring[:4]) > 2
    assert steps(ring, closed=True).shape == (12,)


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 10), min_size=3, max_size=30), st.integers(2, 50))
def test_an_even_pace_spends_as_many_frames_on_each_equal_change(sizes, count):
    places = np.arange(len(sizes)) / len(sizes)
    found = even_pace(places, np.array(sizes), count)
    assert found[0] == 0 and (np.diff(found) > 0).all() and found[-1] < 1
    reach = np.concatenate([[0], np.cumsum(sizes)])
    at = np.interp(found, np.append(places, 1.0), reach)
    assert np.allclose(np.diff(at), reach[-1] / count)


def tile():
    y, x = np.mgrid[:64, :64] * 2 * np.pi / 64
    light = 128 + 60 * np.sin(3 * x) * np.cos(2 * y) + 20 * np.sin(8 * x + 5 * y)
    return np.repeat(light[..., None], 3, 2).astype(np.uint8)


def test_the_maps_of_a_tile_are_as_seamless_as_the_tile():
    height = height_of(tile())
    normals = normals_of(height, 0.1)
    assert height.shape == (64, 64, 1) and height.dtype == np.uint16 and height.max() - height.min() > 60_000
    assert seam(tile()) < 1.4 and seam(height) < 1.4 and seam(normals) < 1.4
    assert seam(tile()[:50]) > 1.5 and seam(tile()[:50], "x") < 1.4
    lengths = np.linalg.norm(normals / 127.5 - 1, axis=2)
    assert np.abs(lengths - 1).max() < 0.02 and normals[..., 2].min() >= 127


def test_normals_point_away_from_what_stands_high():
    height = np.zeros((32, 32, 1), np.uint16)
    height[8:24, 8:24] = 40_000
    normals = normals_of(height, 0.2).astype(int)
    left, right, upper, lower = normals[16, 7], normals[16, 24], normals[7, 16], normals[24, 16]
    assert left[0] < 128 < right[0] and lower[1] < 128 < upper[1]
    assert normals[0, 0].tolist() == [128, 128, 255]


def test_a_plate_may_be_three_frames_and_is_refused_when_it_is_one(tmp_path):
    frames = staged(photograph("brick"), 3, 0, 64, 48)
    for number, frame in enumerate(frames):
        save(frame, tmp_path / "clip" / f"{number:03d}.png")
    read = _plate.read(tmp_path / "clip")
    assert len(read) == 3 and all(np.array_equal(one, other) for one, other in zip(read, frames, strict=True))
    save(frames[0], tmp_path / "one" / "001.png")
    with pytest.raises(DataError, match="single frame"):
        _plate.read(tmp_path / "one")
    save(frames[0][:20], tmp_path / "clip" / "003.png")
    with pytest.raises(DataError, match="differ in size"):
        _plate.read(tmp_path / "clip")
    with pytest.raises(DataError, match="no such film"):
        _plate.read(tmp_path / "nothing.mp4")
