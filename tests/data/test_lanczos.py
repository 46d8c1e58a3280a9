"""Lanczos by products of matrices: Pillow's pixels, or none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from maquette.data.decoding.lanczos import resized

SIDE = st.integers(1, 260)
SHARE = st.floats(0, 1)


def part(side: int, one: float, other: float) -> tuple[float, float]:
    """Two ends in a side, not in the same place."""
    low, high = sorted((one * side, other * side))
    return (low, high) if high - low >= 0.5 else (0.0, float(side))


@settings(max_examples=300, deadline=None)
@given(SIDE, SIDE, st.integers(1, 200), st.integers(1, 200), SHARE, SHARE, SHARE, SHARE, st.sampled_from([1, 3]),
       st.sampled_from([None, 0, 1]), st.integers(0, 99))  # fmt: skip
def test_the_pixels_are_those_of_pillow(
    width: int, height: int, wide: int, high: int, a: float, b: float, c: float, d: float, channels: int,
    whole: int | None, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    # Noise, and black beside white, where sums leave 0 to 255.
    values = (
        rng.integers(0, 256, (height, width, channels))
        if seed % 2
        else rng.integers(0, 2, (height, width, channels)) * 255
    )
    pixels = values.astype(np.uint8)
    (left, right), (top, bottom) = part(width, a, b), part(height, c, d)
    if whole is not None:
        left, right = 0.0, float(width)
        top, bottom = (0.0, float(height)) if whole else (top, bottom)
    box = (left, top, right, bottom)
    found = next(filter(lambda found: found is not None, (resized(pixels, (wide, high), box) for _ in range(5))), None)
    if found is None:
        large = max(width * height, wide * high, height * wide) > 65_536
        assert large or max((right - left) / wide, (bottom - top) / high) >= 6
        return
    picture = Pillow.fromarray(pixels if channels == 3 else pixels[..., 0])
    expected = picture.resize((wide, high), Pillow.Resampling.LANCZOS, box, 3.0)
    assert np.array_equal(found, np.asarray(expected).reshape(found.shape))


def test_sizes_that_come_once_are_left_to_pillow():
    pixels = np.zeros((37, 53, 3), np.uint8)
    answers = [resized(pixels, (20, 20), (8.0, 0.0, 45.0, 37.0)) for _ in range(6)]
    assert [answer is None for answer in answers] == [True] * 4 + [False] * 2
