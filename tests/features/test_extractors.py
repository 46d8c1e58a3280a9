"""What every kind of features must hold, and what scattering is for."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from maquette.core.errors import DataError
from maquette.features import REGISTRY, extract
from maquette.features.extractor import stack
from maquette.features.extractors.patches import make as make_patches
from maquette.features.extractors.scattering import make as make_scattering

FORMS = [(8, 8, 1), (32, 32, 3), (24, 40, 4), (8, 64, 3), (64, 64, 1)]


def crops(count, shape, seed=0):
    """Crops of a photograph in any form."""
    generator = np.random.default_rng(seed)
    photo = skimage.data.astronaut()
    height, width, channels = shape
    rows = generator.integers(0, photo.shape[0] - height, count)
    columns = generator.integers(0, photo.shape[1] - width, count)
    cut = np.stack([photo[r : r + height, c : c + width] for r, c in zip(rows, columns, strict=True)])
    if channels == 4:
        alpha = generator.integers(0, 256, (*cut.shape[:3], 1), dtype=np.uint8)
        return np.concatenate([cut, alpha], axis=3)
    return cut[..., :channels]


@pytest.mark.parametrize("name", REGISTRY.names())
@pytest.mark.parametrize("shape", FORMS, ids=str)
def test_every_kind_takes_every_form(name, shape):
    images = crops(30, shape)
    extractor = REGISTRY.get(name)(images)
    rows = extractor(images)
    assert rows.dtype == np.float32 and len(rows) == 30 and rows.shape[1] > 10
    assert np.isfinite(rows).all()
    assert extractor.name == name and len(extractor.digest) == 64 and extractor.resize


@pytest.mark.parametrize("name", REGISTRY.names())
def test_the_rows_do_not_depend_on_how_many_are_looked_at(name):
    images = crops(40, (32, 32, 3))
    extractor = REGISTRY.get(name)(images)
    np.testing.assert_allclose(extractor(images)[7:9], extractor(images[7:9]), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", REGISTRY.names())
def test_fitting_twice_gives_one_digest_and_other_images_give_another_where_there_is_something_to_fit(name):
    make = REGISTRY.get(name)
    images, others = crops(40, (32, 32, 3)), crops(40, (32, 32, 3), seed=1)
    assert make(images).digest == make(images).digest
    if name == "patches":
        assert make(images).digest != make(others).digest


@pytest.mark.parametrize("name", REGISTRY.names())
def test_sixteen_bits_are_seen_as_eight_bits_are(name):
    images = crops(30, (32, 32, 1))
    extractor = REGISTRY.get(name)(images)
    deep = images.astype(np.uint16) * 257
    np.testing.assert_allclose(extractor(images), extractor(deep), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", REGISTRY.names())
def test_colour_that_nobody_can_see_does_not_count(name):
    images = crops(30, (32, 32, 4))
    images[..., 3] = np.where(images[..., 3] < 128, 0, 255)
    other = images.copy()
    other[..., :3][other[..., 3] == 0] = 77
    extractor = REGISTRY.get(name)(images)
    np.testing.assert_array_equal(extractor(images), extractor(other))


def test_blocks_are_small_and_joined_in_order():
    seen = []

    class Watched:
        def __len__(self):
            return 1000

        def __getitem__(self, rows):
            block = np.zeros((len(range(*rows.indices(1000))), 64, 64, 3), np.uint8)
            block += np.arange(1000, dtype=np.int64)[rows].astype(np.uint8)[:, None, None, None]
            seen.append(len(block))
            return block

    rows = stack(list(extract(make_scattering(crops(2, (8, 8, 1))), Watched())))
    assert len(rows) == 1000 and max(seen) * 64 * 64 * 3 <= 1 << 20
    assert np.argsort(rows[:256, 0]).tolist() == list(range(256))  # brightness rises with the index


def test_too_few_images_for_a_dictionary_are_said():
    with pytest.raises(DataError, match="too few"):
        make_patches(crops(5, (32, 32, 3)))


def test_scattering_tells_directions_apart():
    _, columns = np.indices((32, 32))
    upright = (127 + 120 * np.sin(columns * 1.8)).astype(np.uint8)[None, :, :, None]
    lying = np.swapaxes(upright, 1, 2)
    extractor = make_scattering(upright)
    assert np.abs(extractor(upright) - extractor(lying)).max() > 1
