"""Views: steady, of every form, and no more than another way to take the picture."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from maquette.features.views import view


def photos(count=12, side=32, channels=3):
    photo = skimage.data.astronaut()
    cut = np.stack([photo[30 * k : 30 * k + side, 20 * k : 20 * k + side] for k in range(count)])
    if channels == 4:
        alpha = np.broadcast_to(np.where(np.indices((side, side))[1] < side // 2, 0, 255), (count, side, side))
        return np.concatenate([cut, alpha[..., None].astype(np.uint8)], axis=3)
    return cut[..., :channels]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_views_keep_the_form_and_depend_on_the_number_of_the_image_alone(channels):
    images = photos(channels=channels)
    views = view(images)
    assert views.shape == images.shape and views.dtype == np.uint8
    np.testing.assert_array_equal(view(images[5:7], 5), views[5:7])
    assert (view(images, which=1) != views).any() and (view(images) == views).all()


def test_sixteen_bits_are_changed_as_eight_are():
    images = photos(channels=1)
    deep = view(images.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257.0 - view(images)).max() <= 1


def test_a_view_is_nearer_to_its_image_than_other_images_are():
    images = photos(12).astype(float)
    views = view(photos(12)).astype(float)
    flat = lambda x: (x - x.mean((1, 2, 3), keepdims=True)).reshape(len(x), -1)  # noqa: E731
    a, b = flat(images), flat(views)
    likeness = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    assert (likeness.argmax(1) == np.arange(12)).mean() > 0.8
    assert (np.abs(images - views).mean((1, 2, 3)) > 1).all()


def test_what_is_clear_stays_clear():
    views = view(photos(channels=4))
    assert (views[:, :, 0, 3] == 0).mean() > 0.8 and (views[:, :, -1, 3] == 255).mean() > 0.8


def test_plain_images_have_plain_views():
    views = view(np.full((8, 16, 16, 3), 128, np.uint8)).astype(float)
    assert views.std((1, 2)).max() < 30 and np.abs(views.mean((1, 2, 3)) - 128).max() < 45
