"""Restoring through a model: any mode, large images, and holes alone where holes are given."""

from __future__ import annotations

import numpy as np
import pytest

from maquette.core.errors import UsageError
from maquette.refining.run import refine


def darker(image):
    """A stand-in for a trained model: everything a little darker, in [0, 1]."""
    return image.astype(np.float32) / 255 * 0.5


def test_the_model_says_what_comes_back_and_strength_mixes():
    image = np.full((12, 10, 3), 200, np.uint8)
    assert np.all(refine(image, [{"op": "restore", "model": darker}]) == 100)
    assert np.all(refine(image, [{"op": "restore", "model": darker, "strength": 0.5}]) == 150)


def test_grey_images_may_go_through_a_model_of_colours():
    image = np.full((12, 10, 1), 200, np.uint8)
    found = refine(image, [{"op": "restore", "model": lambda some: darker(np.repeat(some, 3, axis=2))}])
    assert found.shape == image.shape
    assert abs(int(found[0, 0, 0]) - 100) <= 1


def test_only_holes_are_filled():
    image = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    holes = np.zeros((12, 10, 1), np.uint8)
    holes[2:5, 3:6] = 255
    seen = []

    def model(some):
        seen.append(some)
        return np.full(some.shape, 0.25, np.float32)

    found = refine(image, [{"op": "restore", "model": model, "holes": holes, "times": 3}])
    assert np.array_equal(found[holes[..., 0] == 0], image[holes[..., 0] == 0])
    assert np.all(found[2:5, 3:6] == 64)
    assert np.all(seen[0][2:5, 3:6] == 128)  # what was in the hole does not matter
    assert len(seen) == 3


def test_what_is_wrong_is_said():
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UsageError, match="model"):
        refine(image, "restore")
    with pytest.raises(UsageError, match="same size"):
        refine(image, [{"op": "restore", "model": darker, "holes": np.zeros((4, 8, 1), np.uint8)}])
    with pytest.raises(UsageError, match="another size"):
        refine(image, [{"op": "restore", "model": lambda some: darker(some)[:4]}])
