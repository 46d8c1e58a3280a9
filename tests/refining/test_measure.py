"""Connected parts: the numbers are those of scikit-image, for drawn and for random masks."""

import csv
import io

import numpy as np
import pytest
import skimage.data
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st

from maquette.refining import measure, registry


def masks():
    yield skimage.data.horse() == 0
    yield np.random.default_rng(0).random((60, 80)) < 0.4
    yield registry.get("otsu")(np.ascontiguousarray(skimage.data.coins()[..., None]))[..., 0] > 0
    rows, columns = np.indices((80, 90))
    yield (np.hypot(rows - 40, columns - 45) < 30) & (np.hypot(rows - 40, columns - 45) > 12)


@pytest.mark.parametrize("mask", list(masks()), ids=["horse", "noise", "coins", "ring"])
def test_parts_are_those_of_scikit_image(mask):
    found = measure.parts(mask)
    labels = skimage.measure.label(mask, connectivity=2)
    expected = {(*region.bbox, region.area): region for region in skimage.measure.regionprops(labels)}
    assert len(found) == labels.max() == measure.count(mask)
    assert [part.area for part in found] == sorted((part.area for part in found), reverse=True)
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    seen = 0
    for part in found:
        key = (part.top, part.left, part.top + part.height, part.left + part.width, part.area)
        region = expected[key]
        if not np.allclose((part.y, part.x), region.centroid):
            continue  # two parts of one size in one box: the other one
        seen += 1
        assert part.length == pytest.approx(region.axis_major_length, abs=1e-6)
        assert part.breadth == pytest.approx(region.axis_minor_length, abs=1e-4)
        assert part.outline == pytest.approx(region.perimeter, abs=1e-6)
        assert part.holes == 1 - region.euler_number
        if part.length - part.breadth > 1e-3:  # scikit-image counts the angle from the rows
            apart = (part.angle - (np.degrees(region.orientation) + 90)) % 180
            assert min(apart, 180 - apart) < 1e-3
    assert seen > 0.98 * len(found)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_parts_share_out_what_is_chosen(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    found = measure.parts(mask)
    assert sum(part.area for part in found) == mask.sum()
    for part in found:
        assert 0 <= part.left <= part.x <= part.left + part.width - 1 + 1e-9 < width + 1e-6
        assert 0 <= part.top <= part.y <= part.top + part.height - 1 + 1e-9 < height + 1e-6
        assert -90 <= part.angle <= 90 and 0 < part.roundness <= 1
    assert len(measure.parts(mask, smallest=5)) == sum(part.area >= 5 for part in found)


def test_colours_are_those_of_the_image():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 2:6] = mask[7:9, 8:11] = True
    image = np.zeros((10, 12, 3), np.uint16)
    image[mask] = [65535, 257, 0]
    for part in measure.parts(mask, image):
        assert (part.red, part.green, part.blue) == pytest.approx((255, 1, 0))


def test_parts_become_rows_of_csv():
    rows = [("a, b.png", part) for part in measure.parts(skimage.data.horse() == 0)]
    (read,) = csv.DictReader(io.StringIO(measure.to_csv(rows)))
    assert read["image"] == "a, b.png"
    assert int(read["area"]) == rows[0][1].area and float(read["x"]) == pytest.approx(rows[0][1].x, abs=1e-3)
