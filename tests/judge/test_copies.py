"""Copies are found wherever they were moved to, and honest images are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maquette.data.dataset import Dataset
from maquette.data.drawn.drawn import make_drawn
from maquette.features.cache import Cache
from maquette.judge.clusters import clusters, layout
from maquette.judge.copies import Finder, find_copies, membership, share_of, structures
from maquette.judge.originality import compare


def scenes(count, seed, size=32):
    """Images of many soft shapes: no two alike, none plain."""
    generator = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        canvas = np.full((size, size, 3), generator.integers(0, 256, 3), np.float32)
        for _ in range(9):
            centre, radius = generator.uniform(0, size, 2), generator.uniform(size / 16, size / 4)
            rows, columns = np.indices((size, size))
            inside = np.hypot(rows - centre[0], columns - centre[1]) < radius
            canvas[inside] = generator.integers(0, 256, 3)
        image[:] = cv2.GaussianBlur(canvas, (0, 0), size / 40)
    return images


def moved(image, down, across):
    matrix = np.float32([[1, 0, across], [0, 1, down]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def turned_hue(image, by):
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + by) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


CHANGES = {
    "as it is": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "moved": lambda image: moved(image, 3, -2),
    "moved far and mirrored": lambda image: moved(image, -4, 4)[:, ::-1],
    "hue turned": lambda image: turned_hue(image, 60),
    "channels swapped": lambda image: image[..., [2, 0, 1]],
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 8, image.shape), 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def finder():
    return Finder(structures(scenes(1500, 1)))


@pytest.mark.parametrize("change", CHANGES)
def test_twenty_planted_copies_are_found_however_they_were_changed(change, finder):
    made = scenes(400, 2)
    planted = scenes(1500, 1)[100:120]
    made[:20] = [CHANGES[change](image) for image in planted]
    found = find_copies(finder(structures(made)), finder(structures(scenes(400, 3))))
    assert found.flagged[:20].sum() >= 19
    assert (found.nearest.index[:20] == np.arange(100, 120)).sum() >= 19
    assert found.flagged[20:].mean() <= 0.02  # about one in two hundred


def test_honest_images_are_flagged_as_often_as_held_out_ones(finder):
    found = find_copies(finder(structures(scenes(1000, 2))), finder(structures(scenes(1000, 3))))
    assert found.flagged.mean() <= 0.02 and found.expected <= 0.006
    assert found.share.low <= found.expected <= found.share.high + 0.01


def test_plain_images_resemble_nothing(finder):
    plain = np.full((5, 32, 32, 3), 90, np.uint8)
    assert (finder(structures(plain)).likeness < 0.1).all()


def test_twins_among_the_images_are_found():
    images = scenes(100, 4)
    images[50:55] = images[:5, :, ::-1]
    rows = structures(images)
    twins = Finder(rows)(rows, not_itself=True).likeness > 0.9
    assert twins.sum() == 10 and twins[:5].all() and twins[50:55].all()


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 32, 3), (100, 60, 4)], ids=str)
def test_every_form_has_a_structure(shape):
    images = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    found = structures(images)
    assert found.shape == (6, 32, 32)
    np.testing.assert_allclose(np.linalg.norm(found.reshape(6, -1), axis=1), 1, atol=1e-4)


def test_sixteen_bits_have_the_structure_of_eight():
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), dtype=np.uint8)
    np.testing.assert_allclose(structures(images), structures(images.astype(np.uint16) * 257), atol=1e-5)


def test_the_attack_is_right_half_of_the_time_when_there_is_nothing_to_tell():
    generator = np.random.default_rng(0)
    guess = membership(generator.normal(size=2000), generator.normal(size=2000))
    assert guess.low <= 0.5 <= guess.high and guess.high - guess.low < 0.08
    sure = membership(generator.normal(size=2000) - 3, generator.normal(size=2000))
    assert sure.low > 0.95


def test_a_share_of_none_still_says_what_is_possible():
    none = share_of(np.zeros(100, bool))
    assert none.value == 0 and none.low == 0 and 0.01 < none.high < 0.05


def test_a_dataset_that_holds_out_too_few_says_so(tmp_path):
    *_, made = make_drawn("shapes", tmp_path / "few.mq", width=8, height=8, count=60)
    found = compare(Dataset.open(made.value.path), np.zeros((20, 8, 8, 3), np.uint8))
    assert found.copies is None and "200 are needed" in found.why_not and not found.passes


def test_what_was_compared_once_is_remembered_and_only_then(tmp_path, monkeypatch):
    *_, made = make_drawn("shapes", tmp_path / "shapes.mq", width=16, height=16, count=700, held_out=0.4)
    dataset, cache = Dataset.open(made.value.path), Cache(tmp_path / "cache")
    pictures = dataset.images(dataset.indices("train")[:60])
    pictures[40:] = np.random.default_rng(0).integers(0, 256, pictures[40:].shape, dtype=np.uint8)
    plain, first = compare(dataset, pictures), compare(dataset, pictures, cache)
    searched = []
    search = Finder.__call__
    monkeypatch.setattr(Finder, "__call__", lambda *given, **more: searched.append(1) or search(*given, **more))
    again = compare(dataset, pictures, cache)
    assert not searched
    for one in (first, again):
        np.testing.assert_array_equal(one.copies.flagged, plain.copies.flagged)
        np.testing.assert_array_equal(one.copies.nearest.index, plain.copies.nearest.index)
        np.testing.assert_array_equal(one.copies.nearest.mirrored, plain.copies.nearest.mirrored)
        assert (one.duplicates, one.membership) == (plain.duplicates, plain.membership)
    assert plain.copies.flagged[:40].all()
    pictures[0] = 255 - pictures[0]
    compare(dataset, pictures, cache)
    assert searched, "one pixel that differs is another set of images"


def test_what_is_never_made_is_found_with_its_images():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(6, 8)) * 12
    real = np.concatenate([centre + generator.normal(size=(200, 8)) for centre in centres])
    made = np.concatenate(
        [centres[k] + generator.normal(size=(n, 8)) for k, n in enumerate((0, 200, 200, 200, 600, 0))]
    )
    found = clusters(real, made, 6)
    missing = [cluster for cluster in found if cluster.is_missing]
    assert {int(np.median(cluster.real)) // 200 for cluster in missing} == {0, 5}
    assert [cluster.is_overdone for cluster in found].count(True) == 1


def test_likely_images_lie_together_on_the_map():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(3, 10)) * 10
    rows = np.concatenate([centre + generator.normal(size=(40, 10)) for centre in centres])
    places = layout(rows)
    assert places.shape == (120, 2) and places.min() >= 0 and places.max() <= 1
    middle = np.stack([places[k * 40 : (k + 1) * 40].mean(0) for k in range(3)])
    nearest = np.linalg.norm(places[:, None] - middle[None], axis=2).argmin(1)
    assert (nearest == np.repeat(np.arange(3), 40)).mean() > 0.97
    np.testing.assert_array_equal(places, layout(rows))


def test_a_drawing_on_nothing_is_found_in_other_colours():
    generator = np.random.default_rng(6)
    rows, columns = np.indices((32, 32))

    def drawing():
        image, (down, across) = np.zeros((32, 32, 4), np.uint8), generator.uniform(12, 20, 2)
        inside = np.hypot((rows - down) / generator.uniform(0.6, 1.6), columns - across) < 10
        image[inside] = (*generator.integers(120, 256, 3), 255)
        for _ in range(4):
            spot = np.hypot(rows - generator.uniform(8, 24), columns - generator.uniform(8, 24)) < 4
            image[inside & spot, :3] = generator.integers(0, 256, 3)
        return image

    drawings = np.stack([drawing() for _ in range(300)])
    dark = drawings[:20].copy()
    dark[..., :3] = dark[..., [2, 0, 1]] * 0.6  # figures darker than what was taken for their ground before
    found = Finder(structures(drawings))(structures(dark))
    assert (found.index == np.arange(20)).sum() >= 19 and (found.likeness > 0.95).sum() >= 19
