"""Tracing: what an independent renderer makes of the drawing is the image."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.data.drawn.drawn import draw, spec_of
from maquette.refining.colour.palette import reduced
from maquette.refining.trace import borders, layers, to_svg

COLOURS = np.array(
    [[0, 0, 0, 0], [255, 0, 0, 255], [0, 128, 0, 255], [20, 30, 200, 255], [250, 250, 250, 255]], np.uint8
)


def render(svg):
    """Height x width x 4: every pixel has the colour of the topmost path that its centre lies in (even-odd)."""
    width, height = (int(word) for word in re.search(r'width="(\d+)" height="(\d+)"', svg).groups())
    y, x = np.mgrid[:height, :width] + 0.5
    picture = np.zeros((height, width, 4), np.uint8)
    for colour, path in re.findall(r'<path fill="#([0-9a-f]{6})" d="([^"]*)"/>', svg):
        inside = np.zeros((height, width), bool)
        for loop in path.split("Z")[:-1]:
            corners = np.array([[float(part) for part in word.split()] for word in loop.removeprefix("M").split("L")])
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
                if y0 != y1:
                    inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        picture[inside] = [*bytes.fromhex(colour), 255]
    return picture


@st.composite
def flat_images(make):
    height, width = make(st.integers(1, 9)), make(st.integers(1, 9))
    cells = make(st.lists(st.integers(0, 4), min_size=height * width, max_size=height * width))
    return COLOURS[np.array(cells).reshape(height, width)]


@settings(max_examples=50)
@given(flat_images())
def test_without_simplifying_the_drawing_is_the_image(image):
    assert np.array_equal(render(to_svg(image)), image)


@settings(max_examples=50)
@given(flat_images())
def test_borders_are_closed_and_enclose_as_many_pixels_as_the_mask_has(image):
    mask = image[..., 3] > 0
    area = 0.0
    for loop in borders(mask):
        x, y = loop.T
        area += float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2  # holes count against it
    assert area == mask.sum()


def test_simplified_borders_have_far_fewer_corners_and_show_nearly_the_same():
    piece = draw("stickers", spec_of("stickers", width=128, height=128), 0, 3).image
    flat = np.array([[44, 36, 62], [252, 246, 232], [150, 124, 204]], np.float32) / 255
    image = np.concatenate([reduced(piece[..., :3], flat), np.where(piece[..., 3:] >= 128, 255, 0)], 2).astype(np.uint8)
    image[image[..., 3] == 0] = 0
    exact, simple = to_svg(image), to_svg(image, 0.6)
    assert np.array_equal(render(exact), image)
    assert (render(simple) == image).all(2).mean() > 0.985
    assert simple.count("L") < exact.count("L") / 3
    assert len(simple.encode()) < len(exact.encode()) / 2


def test_no_gap_shows_between_two_simplified_shapes():
    image = np.zeros((40, 40, 4), np.uint8)
    y, x = np.mgrid[:40, :40]
    image[..., :] = np.where(((x - 20) ** 2 + (y - 20) ** 2 < 150)[..., None], COLOURS[1], COLOURS[3])
    assert render(to_svg(image, 1.0))[..., 3].min() == 255


def test_nothing_visible_is_an_empty_drawing():
    assert layers(np.zeros((4, 4, 4), np.uint8)) == []
    assert "<path" not in to_svg(np.zeros((4, 4, 4), np.uint8))


def test_what_is_not_flat_is_refused_with_what_to_do():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    with pytest.raises(DataError, match="has 256 colours"):
        layers(noise)


def test_a_title_is_text():
    assert "<title>a &lt;b&gt;</title>" in to_svg(np.zeros((2, 2, 3), np.uint8), title="a <b>")
