"""The drawn datasets: what is said of an image is what the image shows, and item k depends on (seed, k) alone."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import UsageError
from maquette.core.event import Result
from maquette.core.image import MODES, Mode
from maquette.data.dataset import Dataset
from maquette.data.drawn import chances, drawings
from maquette.data.drawn.drawn import KINDS, MOVING, draw, make_drawn, spec_of


def make(kind: str, to: Path, **settings: object) -> Dataset:
    """Run the generator to its end."""
    last = list(make_drawn(kind, to, **settings))[-1]  # type: ignore[arg-type]
    assert isinstance(last, Result)
    data = last.value
    assert isinstance(data, Dataset)
    return data


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_mode(tmp_path: Path, kind: str, mode: Mode) -> None:
    """Each kind makes a whole dataset of any mode and of a size that is not square."""
    data = make(kind, tmp_path / "d.mq", mode=mode, width=24, height=16, count=20)
    data.verify()
    assert data.spec.mode == mode and len(data) == 20 and len(data.indices("held-out")) == 2
    images = data.images(np.arange(20))
    assert len({image.tobytes() for image in images}) == 20
    for condition in data.spec.conditions:
        assert data.missing(condition.name) == 0
    assert data.item(3)["facts"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_depends_on_seed_and_index_alone(tmp_path: Path, kind: str) -> None:
    """A larger dataset begins with the smaller one; another seed shares nothing."""
    small = make(kind, tmp_path / "a.mq", count=5, held_out=0.0)
    large = make(kind, tmp_path / "b.mq", count=150)
    other = make(kind, tmp_path / "c.mq", count=5, seed=1)
    assert np.array_equal(small.images(np.arange(5)), large.images(np.arange(5)))
    assert not any(np.array_equal(a, b) for a, b in zip(small.images(range(5)), other.images(range(5)), strict=True))
    single = draw(kind, large.spec, 0, 140)
    assert np.array_equal(single.image, large.images([140])[0])


def test_shapes_are_as_the_caption_says() -> None:
    """The share of coloured pixels and their middle agree with colour, count and place."""
    spec = spec_of("shapes", width=64, height=64, mode="rgba")
    for index in range(40):
        drawn = draw("shapes", spec, 7, index)
        facts, image = drawn.facts, drawn.image
        counted, colour, shape = drawn.conditions["text"].split()[:3]
        assert colour == facts["colour"] and shape.startswith(facts["shape"])
        assert counted == drawings.COUNTS[facts["count"]] and len(facts["centres"]) == facts["count"]
        solid = image[..., 3] == 255
        assert 0.01 < solid.mean() < 0.4
        assert np.array_equal(np.unique(image[solid][:, :3], axis=0), [drawings.COLOURS[facts["colour"]]])
        rows, columns = np.nonzero(image[..., 3] > 127)
        place = drawings.PLACES[facts["place"]]
        assert abs(columns.mean() / 64 - place[0]) < 0.08 and abs(rows.mean() / 64 - place[1]) < 0.08
        assert not image[[0, -1], :, 3].any() and not image[:, [0, -1], 3].any(), "a shape touches the border"


def test_transparent_edges_have_no_fringe() -> None:
    """Half transparent pixels keep the colour of the shape."""
    spec = spec_of("shapes", width=32, height=32, mode="rgba")
    for index in range(10):
        drawn = draw("shapes", spec, 0, index)
        edge = (drawn.image[..., 3] > 32) & (drawn.image[..., 3] < 255)
        wanted = np.array(drawings.COLOURS[drawn.facts["colour"]])
        assert edge.any() and np.abs(drawn.image[edge][:, :3].astype(int) - wanted).max() <= 4


def test_digits_fly_straight_and_bounce() -> None:
    """A digit never leaves the image, and the last frame is one step after the frames that are known."""
    spec = spec_of("digits", width=64, height=64)
    drawn = draw("digits", spec, 0, 1)
    frames = [*drawn.conditions["frames"], drawn.image]
    assert len(frames) == drawings.FRAMES + 1
    masses = np.array([frame.astype(float).sum() for frame in frames])
    assert masses.min() > 0.6 * masses.max()
    steps = [np.abs(a.astype(int) - b.astype(int)).mean() for a, b in pairwise(frames)]
    far = np.abs(frames[0].astype(int) - frames[-1].astype(int)).mean()
    assert min(steps) > 0 and max(steps) < 1.5 * far


@pytest.mark.parametrize("kind", MOVING)
def test_a_longer_film_begins_as_the_shorter_one(kind: str, tmp_path: Path) -> None:
    """How many frames come before an image changes neither what they show nor what a dataset without it is."""
    short, long = (spec_of(kind, width=32, height=32, past=past) for past in (3, 19))
    one, other = draw(kind, short, 0, 2), draw(kind, long, 0, 2)
    assert len(other.conditions["frames"]) == 19
    assert np.array_equal(np.concatenate([one.conditions["frames"], one.image[None]]), other.conditions["frames"][:4])
    assert make(kind, tmp_path / "d.mq", count=3, past=6).spec.condition("frames").length == 6
    for past in (0, 65):
        with pytest.raises(UsageError, match="frames before each image cannot be drawn"):
            spec_of(kind, width=32, height=32, past=past)


def test_bounces_fly_straight_until_chance_turns_them_at_a_border() -> None:
    """Between two turns the middle of the shape moves evenly; the shape never leaves the image."""
    spec = spec_of("bounces", width=64, height=64, past=19)
    turned = 0
    for index in range(20):
        drawn = draw("bounces", spec, 0, index)
        frames = np.stack([*drawn.conditions["frames"], drawn.image]).astype(float)
        seen = np.abs(frames - frames[0, 0, 0]).sum(-1)
        assert seen.sum((1, 2)).min() > 0.8 * seen.sum((1, 2)).max()
        middle = np.stack([(seen * place).sum((1, 2)) / seen.sum((1, 2)) for place in np.mgrid[:64, :64]], axis=1)
        steps = np.diff(middle, axis=0)
        for moment in range(1, 19):
            if not any(moment - 1 < turn < moment + 1 for turn in drawn.facts["turns"]):
                assert np.abs(steps[moment] - steps[moment - 1]).max() < 0.5
        turned += len(drawn.facts["turns"])
    assert turned > 20


def test_fields_are_as_warm_and_as_unsure_as_their_numbers_say() -> None:
    """Over many fields of the same numbers, mean and spread of every pixel are those of the closed form."""
    spec = spec_of("fields", width=24, height=16)
    scaled = []
    for index in range(600):
        drawn = draw("fields", spec, 0, index)
        mean, spread = chances.field(*(drawn.conditions[name] for name in ("east", "north", "unrest")), 24, 16)
        assert drawn.image.min() > 0 and drawn.image.max() < 255
        scaled.append((drawn.image[..., 0] / 255 - mean) / np.hypot(spread, 1 / 255 / 12**0.5))
    whole = np.stack(scaled)
    assert abs(whole.mean()) < 0.02 and abs(whole.std() - 1) < 0.02
    assert np.abs(whole.mean(0)).max() < 0.2 and np.abs(whole.std(0) - 1).max() < 0.15
    assert 0.87 < (np.abs(whole) < 1.645).mean() < 0.93


def test_facades_wear_the_colours_of_their_map() -> None:
    """Within one part of a house the colours are alike; the map has every part."""
    spec = spec_of("facades", width=64, height=64)
    for index in range(10):
        drawn = draw("facades", spec, 0, index)
        chosen = drawn.conditions["map"]
        assert set(np.unique(chosen)) == set(range(len(drawings.FACADE)))
        roof = drawn.image[chosen == drawings.FACADE.index("roof")].astype(float)
        ground = drawn.image[chosen == drawings.FACADE.index("ground")].astype(float)
        assert np.median(np.abs(roof - np.median(roof, 0))) < 3 and np.median(np.abs(ground - np.median(ground, 0))) < 3
        windows = drawn.facts["storeys"] * drawn.facts["columns"] - 1
        assert windows >= 1


def test_the_sun_stands_where_the_numbers_say() -> None:
    """The brightest disc lies at the place that follows from the two numbers."""
    for height in (0.0, 0.5, 1.0):
        for side in (0.0, 0.5, 1.0):
            image = drawings.sun(height, side, 64, 64).astype(int)
            disc = (image[..., 0] > 250) & (image[..., 2] < 140) & (image[..., 1] > 190)
            rows, columns = np.nonzero(disc)
            assert abs(columns.mean() / 64 - (0.15 + 0.7 * side)) < 0.03
            assert abs(rows.mean() / 64 - (0.66 - 0.52 * height)) < 0.03


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    """Unknown names and impossible counts are refused with a sentence."""
    with pytest.raises(UsageError, match="did you mean shapes"):
        list(make_drawn("shape", tmp_path / "d.mq"))
    with pytest.raises(UsageError, match="at least one image"):
        list(make_drawn("shapes", tmp_path / "d.mq", count=0))
    assert list(tmp_path.iterdir()) == []
