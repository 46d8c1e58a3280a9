"""Layouts of banners: whatever the size and the words, nothing lies over the product and nothing is cut off."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.uses._banner import Font, compose, contrast, far_from, held
from maquette.uses._campaign import Brand, choices, shelves, turn
from maquette.uses._layout import SIDES, SMALLEST, Box, Words, best, wrap

FONT = Font()
MEASURE = FONT.measure()
texts = st.lists(st.text("abcdefghij", min_size=1, max_size=9), min_size=1, max_size=6).map(" ".join)
words = st.builds(Words, texts, st.one_of(st.just(""), texts), st.one_of(st.just(""), texts))


@settings(max_examples=60)
@given(st.integers(32, 900), st.integers(32, 900), st.floats(0.1, 10), words, st.sampled_from([None, *SIDES]))
def test_words_never_touch_the_product_and_all_is_inside(width, height, aspect, said, side):
    layout = best(width, height, aspect, said, MEASURE, side)
    if layout is None:
        return
    whole = Box(0, 0, width, height)
    boxes = [line.box for line in layout.lines if line.kind != "action"] + ([layout.button] if layout.button else [])
    assert layout.product.inside(whole) and layout.product.width > 0 and layout.product.height > 0
    for number, box in enumerate(boxes):
        assert box.inside(whole) and not box.touches(layout.product)
        assert not any(box.touches(other) for other in boxes[:number])
    assert min(line.size for line in layout.lines) >= SMALLEST
    assert " ".join(line.text for line in layout.lines if line.kind == "headline") == said.headline
    assert side is None or layout.side == side


@settings(max_examples=40)
@given(texts, st.integers(9, 40), st.integers(20, 600))
def test_lines_hold_all_words_in_their_order_and_are_narrow_enough(text, size, width):
    lines = wrap(text, size, width, MEASURE)
    if lines is None:
        assert max(MEASURE(word, size)[0] for word in text.split()) > width
    else:
        assert " ".join(lines) == text and max(MEASURE(line, size)[0] for line in lines) <= width


def test_where_not_even_the_headline_fits_there_is_no_layout():
    assert best(40, 40, 1.0, Words("incomprehensibilities"), MEASURE) is None
    assert best(8, 8, 1.0, Words("a"), MEASURE) is None


def test_a_product_larger_than_the_banner_is_made_smaller():
    layout = best(120, 60, 4000 / 3000, Words("Now"), MEASURE)
    assert layout is not None and layout.product.height <= 60
    product = np.zeros((3000, 4000, 4), np.uint8)
    product[500:2500, 500:3500] = (200, 30, 30, 255)
    made = compose(
        layout, np.full((60, 120, 3), 128, np.uint8), product, (240, 240, 236), ((0, 0, 0), (255, 255, 255)), FONT
    )
    assert made.picture.shape == (60, 120, 3) and made.overlap == 0
    assert (np.abs(made.picture.astype(int) - (200, 30, 30)).max(2) < 8).any()


@pytest.mark.parametrize("colour", [(91, 42, 28), (243, 230, 211), (196, 81, 45), (20, 40, 220)])
def test_a_background_is_held_at_a_colour_of_the_brand_and_words_can_be_read_on_it(colour):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (250, 300, 3), np.uint8)
    assert far_from(held(noise, colour), colour) < 2.5
    layout = best(300, 250, 1.0, Words("Read me now", "and this as well", "Go"), MEASURE)
    brand = Brand.of(["#{:02x}{:02x}{:02x}".format(*colour)])
    product = np.full((90, 90, 4), 255, np.uint8)
    made = compose(layout, noise, product, colour, brand.inks, FONT)
    assert made.contrast >= 4.5 and made.overlap == 0


def test_contrast_is_that_of_the_guidelines():
    assert float(contrast((0, 0, 0), (255, 255, 255))) == pytest.approx(21)
    assert float(contrast((119, 119, 119), (255, 255, 255))) == pytest.approx(4.48, abs=0.01)


@settings(max_examples=30)
@given(st.tuples(*[st.integers(1, 3)] * 4), st.integers(0, 60), st.integers(0, 5))
def test_variants_differ_and_every_level_is_used_about_equally_often(counts, many, seed):
    found = list(choices(counts, many, seed))
    assert len(found) == many
    every = 4 * int(np.prod(counts))
    assert len(set(found)) == min(many, every)
    for name in ("words", "product", "ground", "colour", "side"):
        levels = range(counts[("words", "product", "ground", "colour").index(name)]) if name != "side" else SIDES
        uses = Counter(getattr(choice, name) for choice in found)
        assert max(uses.values(), default=0) - min(uses[level] for level in levels) <= 3


def test_every_part_takes_its_turn():
    assert [turn(number, (1, 2, 3, 4)).colour for number in range(5)] == [0, 1, 2, 3, 0]


def test_a_sheet_holds_pictures_of_any_size():
    made = shelves([np.full((h, w, 3), 250, np.uint8) for h, w in ((50, 300), (200, 40), (10, 280))], width=400)
    assert made.shape[1] == 400 and (made == 250).all(2).sum() == 50 * 300 + 200 * 40 + 10 * 280
