"""What the uses `art` and `photographs` decide: the palette of pieces, flat pieces, and what is said of few images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.data.drawn.drawn import draw, spec_of
from maquette.data.ingest.pieces import COMPOSITION_COLOURS, CREAM, INK, PAPER, STICKER_COLOURS
from maquette.uses._materials import named
from maquette.uses._measures import evaluated, from_palette, judged, unmeasured
from maquette.uses.art import _style, flattened, palette_of
from maquette.uses.photographs import limits


def pieces(kind, count=24, size=48):
    spec = spec_of(kind, width=size, height=size)
    return [draw(kind, spec, 0, k).image for k in range(count)]


@pytest.mark.parametrize(
    ("kind", "colours"),
    [("stickers", (*STICKER_COLOURS, INK, CREAM)), ("compositions", (*COMPOSITION_COLOURS, PAPER))],
)
def test_the_palette_is_the_colours_that_were_used_and_not_the_mixtures_along_edges(kind, colours):
    found, share = palette_of(pieces(kind), 12)
    assert {tuple(colour) for colour in found} == set(colours)
    assert share > 0.8 and _style([], found, share) == "flat"


def test_in_pixel_art_a_tone_between_two_others_is_a_colour():
    ramp = np.array([[20, 20, 60], [60, 60, 120], [100, 100, 180]], np.uint8)
    art = ramp[np.random.default_rng(0).choice(3, (4, 16, 16), p=[0.45, 0.1, 0.45])]
    found, share = palette_of(list(art), 8)
    assert sorted(found) == ramp.tolist() and _style([], found, share) == "pixels"


def test_photographs_are_not_flat():
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    found, share = palette_of(list(noise), 8)
    assert _style([], found, share) == "painted"


def test_of_nothing_visible_there_is_a_palette_all_the_same():
    assert palette_of([np.zeros((8, 8, 4), np.uint8)], 8) == ([[0, 0, 0]], 0.0)


@settings(max_examples=15)
@given(st.integers(0, 500), st.sampled_from([1, 4]))
def test_a_flattened_piece_has_only_colours_of_the_palette_and_a_clean_edge(seed, times):
    spec = spec_of("stickers", width=24, height=24)
    image = draw("stickers", spec, 1, seed).image
    names = ["#ee6c5a", "#409c96", "#f2ba48", "#967ccc", "#2c243e", "#fcf6e8"]
    made = flattened(image, names, times)
    assert made.shape == (24 * times, 24 * times, 4)
    palette = [[int(name[at : at + 2], 16) for at in (1, 3, 5)] for name in names]
    seen = made[made[..., 3] > 0]
    assert (np.abs(seen[:, None, :3].astype(int) - palette).max(2).min(1) == 0).all()
    soft = (made[..., 3] > 0) & (made[..., 3] < 255)
    assert soft.mean() < (0.06 if times > 1 else 0.001)


def test_the_distance_to_a_palette_is_that_which_people_see():
    white = np.full((2, 2, 3), 255, np.uint8)
    assert from_palette(white, [[0, 0, 0]]).tolist() == pytest.approx([100] * 4, abs=0.1)
    assert from_palette(white, [[255, 255, 255], [0, 0, 0]]).max() == pytest.approx(0, abs=0.01)


def facts(**metrics):
    return {"metrics": metrics, "grade": "fair", "no_copies": ""}


def test_what_is_said_of_photographs_follows_from_how_many_and_how_good_they_are():
    assert "are few" in limits(50, 32, facts())[0]
    assert "want 2,000 and more" in limits(500, 32, facts())[0]
    assert not any("few" in text for text in limits(5000, 32, facts()))
    assert any("128 pixels" in text for text in limits(5000, 128, facts()))
    assert any("70%" in text for text in limits(5000, 32, facts(sharpness={"value": 0.7})))


def test_figures_are_reached_or_missed_by_what_was_measured():
    estimate = {"value": 0.9, "low": 0.85, "high": 0.95, "anchors": {"held-out": 0.02}}
    variety, copies = judged(facts(variety=estimate, copies=estimate))
    assert variety.reached and not copies.reached
    assert judged(facts()) == [] and len(unmeasured({**facts(), "no_copies": "few"})) == 2


def test_too_few_images_are_not_judged_and_that_is_said():
    class Few:
        def indices(self, part):
            return range(4)

    with pytest.raises(StopIteration) as ended:
        next(evaluated(None, Few(), "run", 60, "page.html"))
    assert ended.value.value["metrics"] == {} and "4 images" in unmeasured(ended.value.value)[0]


def test_folders_in_a_folder_are_materials_and_loose_photographs_are_one(tmp_path):
    for name in ("wood/a.png", "stone/b.png", "c.png"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).touch()
    found = named([str(tmp_path / "all")])
    assert {name: len(files) for name, files in found.items()} == {"wood": 1, "stone": 1, "all": 1}
    assert list(named([str(tmp_path / "all" / "c.png")])) == ["c"]
    (tmp_path / "empty").mkdir()
    for where, said in ((tmp_path / "empty", "no photograph"), (tmp_path / "nowhere", "no such file")):
        with pytest.raises(DataError, match=said):
            named([str(where)])
