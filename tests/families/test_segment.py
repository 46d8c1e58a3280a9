"""The segmenter learns masks, of every form they come in, and answers for images of any size."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.spec import Batch, DataSpec
from maquette.families.segment import Segment
from maquette.nn.pixels import condition_tensors, to_tensor

SOFT = ConditionSpec(name="mask", kind="map", classes=tuple(map(str, range(256))))
TWO = ConditionSpec(name="mask", kind="map", classes=("ground", "disc"))
THREE = ConditionSpec(name="mask", kind="map", classes=("ground", "disc", "square"))
GREY = ConditionSpec(name="matte", kind="image", mode="grey")


def scene(height, width, randoms, condition):
    """A disc and a square of one colour each on a noisy ground, and the mask as the condition has it."""
    rows, columns = np.indices((height, width))
    image = randoms.normal(110, 20, (height, width, 3))
    y, x = randoms.uniform(0.3, 0.7, 2) * (height, width)
    disc = np.hypot(rows - y, columns - x) < min(height, width) * randoms.uniform(0.18, 0.28)
    image[disc] = randoms.normal((200, 60, 40), 15, (int(disc.sum()), 3))
    top, left = int(randoms.integers(0, height - 6)), int(randoms.integers(0, width - 6))
    square = np.zeros_like(disc)
    square[top : top + 6, left : left + 6] = True
    image[square] = (40, 60, 200)
    disc &= ~square
    numbers = disc + 2 * square if condition is THREE else disc * (1 if condition is TWO else 255)
    mask = numbers.astype(np.uint8)
    return np.clip(image, 0, 255).astype(np.uint8), mask[..., None] if condition is GREY else mask, disc


def batch(spec, condition, randoms, count=8):
    images, masks, _ = zip(*(scene(spec.height, spec.width, randoms, condition) for _ in range(count)), strict=True)
    given = condition_tensors(spec.conditions, {condition.name: np.stack(masks)})
    return Batch(to_tensor(np.stack(images), "rgb"), given, torch.Generator().manual_seed(int(randoms.integers(99))))


def learned(condition, steps=60, **changes):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    spec = DataSpec(height=32, width=32, conditions=(condition,))
    family = Segment(dataclasses.replace(Segment.variant("nano", spec), **changes), spec)
    optimizer, randoms = torch.optim.Adam(family.parameters(), 4e-3), np.random.default_rng(0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = family.loss(batch(spec, condition, randoms), "fit")
        loss.total.backward()
        optimizer.step()
    return family.eval(), loss


@pytest.mark.parametrize("condition", [SOFT, TWO, THREE, GREY], ids=["opacity", "two", "three", "image"])
def test_masks_of_every_form_are_learned(condition):
    family, loss = learned(condition)
    assert float(loss.statistics["overlap"]) > 0.6
    randoms, agreed = np.random.default_rng(5), []
    for height, width in ((32, 32), (50, 90), (120, 64)):
        image, _, disc = scene(height, width, randoms, condition)
        found = family.predict(to_tensor(image[None], "rgb"))
        assert found.shape == (1, 3 if condition is THREE else 1, height, width)
        assert -1 <= float(found.min()) <= float(found.max()) <= 1
        chosen = (found[0].argmax(dim=0) == 1) if condition is THREE else found[0, 0] > 0
        agreed.append((chosen.numpy() & disc).sum() / (chosen.numpy() | disc).sum())
    assert np.mean(agreed) > 0.75


def rough(family, coarse):
    """The family, which finds these masks, K h w and blurred, whatever it is shown."""
    family._probabilities = lambda images: F.interpolate(coarse[None], images.shape[2:], mode="area")
    return family


@pytest.mark.parametrize("tile", ["", "xy"])
def test_outlines_follow_the_edges_of_the_whole_image(tile):
    spec = DataSpec(height=96, width=96, tile=tile, conditions=(SOFT,))
    family = Segment(dataclasses.replace(Segment.variant("nano", spec), mirror=False), spec)
    rows, columns = np.indices((320, 320))
    disc = np.hypot(rows - 150, columns - 170) < 90
    image = np.where(disc[..., None], [200, 60, 40], [60, 120, 90]) + np.random.default_rng(0).normal(
        0, 8, (320, 320, 3)
    )
    coarse = F.avg_pool2d(torch.as_tensor(disc, dtype=torch.float32)[None, None], 31, stride=1, padding=15)[0]
    found = rough(family, coarse).predict(to_tensor(np.clip(image, 0, 255).astype(np.uint8)[None], "rgb"))[0, 0].numpy()
    plain = F.interpolate(coarse[None], (96, 96), mode="area")
    plain = F.interpolate(plain, (320, 320), mode="bilinear")[0, 0].numpy()
    agreed = [((mask & disc).sum() / (mask | disc).sum()) for mask in (found > 0, plain > 0.5)]
    assert agreed[0] > 0.999 > 0.99 > agreed[1]


def test_what_is_found_everywhere_stays_so_and_classes_stay_shares():
    spec = DataSpec(height=32, width=32, conditions=(THREE,))
    family = Segment(dataclasses.replace(Segment.variant("nano", spec), mirror=False), spec)
    image = to_tensor(np.random.default_rng(0).integers(0, 256, (1, 70, 96, 3)).astype(np.uint8), "rgb")
    even = torch.tensor([0.2, 0.5, 0.3])[:, None, None].expand(3, 70, 96)
    shares = (rough(family, even).predict(image) + 1) / 2
    assert torch.allclose(shares, even[None], atol=1e-4)
    uneven = torch.rand(3, 70, 96, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    shares = (rough(family, uneven).predict(image) + 1) / 2
    assert torch.allclose(shares.sum(dim=1), torch.ones(1, 70, 96), atol=1e-3)


def test_pairs_change_together():
    spec = DataSpec(height=32, width=32, conditions=(SOFT,))
    family = Segment(Segment.variant("nano", spec), spec)
    given = batch(spec, SOFT, np.random.default_rng(1), 32)
    truth = family._truth(given.condition)
    images, masks = family._changed(given.images, truth, torch.Generator().manual_seed(3))
    assert images.shape == given.images.shape and masks.shape == truth.shape
    assert float(masks.min()) >= 0 and float(masks.max()) <= 1
    assert not torch.equal(images, given.images)
    disc = masks[:, 0] > 0.9  # where the mask says disc, the image is redder than it is blue, whatever the light
    assert float((images[:, 0] - images[:, 2])[disc].mean()) > 0.5
    assert abs(float((images[:, 0] - images[:, 2])[masks[:, 0] < 0.02].mean())) < 0.35


def test_where_there_is_nothing_to_change_pairs_stay():
    spec = DataSpec(height=32, width=32, conditions=(SOFT,))
    plain = dataclasses.replace(Segment.variant("nano", spec), mirror=False, move=0, enlarge=1, light=0, lay=0)
    family = Segment(plain, spec)
    given = batch(spec, SOFT, np.random.default_rng(1))
    truth = family._truth(given.condition)
    images, masks = family._changed(given.images, truth, torch.Generator())
    assert torch.equal(images, given.images) and torch.equal(masks, truth)


def test_the_mask_is_chosen_by_name_or_said_to_be_missing():
    both = DataSpec(height=16, width=16, conditions=(GREY, TWO))
    assert Segment(Segment.variant("nano", both), both).target is TWO
    named = dataclasses.replace(Segment.variant("nano", both), mask="matte")
    assert Segment(named, both).target is GREY
    with pytest.raises(UsageError, match=r"no map or image 'sky'.*mask, matte"):
        Segment(dataclasses.replace(named, mask="sky"), both)
    bare = DataSpec(height=16, width=16)
    with pytest.raises(DataError, match=r"no masks to learn from.*metadata.csv"):
        Segment(Segment.variant("nano", bare), bare)
