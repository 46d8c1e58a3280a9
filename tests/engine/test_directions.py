"""Directions in latents: found by themselves and from two sides, kept by name, and what moves along them."""

import numpy as np
import pytest
import torch

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.spec import DataSpec
from maquette.engine.latent.directions import (
    Direction,
    held,
    keep,
    moved,
    named,
    read,
    scaled,
    strongest,
    towards,
    where_of,
    without,
)
from maquette.engine.latent.latents import Latents
from maquette.engine.load import build
from maquette.families import REGISTRY
from maquette.families.family import Steers
from maquette.store.run import Run

SPEC = DataSpec(height=16, width=16)
STEERED = [name for name in REGISTRY.names() if issubclass(REGISTRY.get(name), Steers)]


def on(name):
    """A model of this family whose weights are not those of its start."""
    family = build(name, REGISTRY.get(name).variant("nano", SPEC), SPEC, {}, 3)
    family.together = 8
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in family.parameters():
            value.add_(0.05 * torch.randn(value.shape, generator=generator))
    return Latents(family.eval().requires_grad_(False))


def seen(latents, direction, amount, seeds=range(8)):
    found = latents.of_seeds(seeds, {})
    return latents.images(moved(found, [direction], [amount])).astype(float)


def coarse(images):
    """Means of 8x8 pixels."""
    return images.reshape(len(images), 2, 8, 2, 8, 3).mean(axis=(2, 4))


@pytest.mark.parametrize("name", STEERED)
def test_the_strongest_directions_change_more_than_any_other(name, monkeypatch):
    monkeypatch.setattr("maquette.engine.latent.directions.PASSES", 4)
    latents = on(name)
    *steps, found = strongest(latents, 3, {})
    assert steps == [1, 2, 3, 4] and len(found) == 3
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-3) for vector in found)
    by_chance = np.random.default_rng(0).normal(size=latents.width).astype(np.float32)
    by_chance /= np.linalg.norm(by_chance)
    still = seen(latents, Direction("a", found[0], ""), 0)
    changes = [coarse(seen(latents, Direction("a", v, ""), 3) - still).std() for v in (found[0], by_chance)]
    assert changes[0] > 1.5 * changes[1]


@pytest.mark.parametrize("name", ["gan", "oracle"])
def test_two_sides_give_the_way_from_one_to_the_other(name, monkeypatch):
    monkeypatch.setattr("maquette.engine.latent.directions.PROBED", 400)
    latents = on(name)
    images = latents.images(latents.of_seeds(range(200), {}))
    light = images.mean(axis=(1, 2, 3)).argsort()
    *_, vector = towards(latents, images[light[-40:]], images[light[:40]], {}, {}, {})
    direction = Direction("light", scaled(latents, vector, {}), "examples")
    darker, still, lighter = (seen(latents, direction, amount).mean(axis=(1, 2, 3)) for amount in (-1, 0, 1))
    assert (lighter > still).mean() > 0.8 and (darker < still).mean() > 0.8


def test_sides_of_too_few_images_are_refused():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(DataError, match="2 and 2 images are too few"):
        list(towards(on("oracle"), images, images, {}, {}, {}))


def test_it_is_seen_where_two_sides_differ():
    """Through the noise of ten images of each, in any mode."""
    randoms = np.random.default_rng(0)
    sides = randoms.normal(120, 20, (2, 10, 16, 16, 3))
    sides[0, :, :6] += 60
    where = where_of(*sides.clip(0, 255).astype(np.uint8))
    assert where[:5].min() > 0.9 and where[8:].mean() < 0.15
    deep = where_of(*(sides[..., :1].clip(0, 255) * 257).astype(np.uint16))
    assert deep.shape == (16, 16) and deep[:5].min() > 0.9 and deep[8:].mean() < 0.15


@pytest.mark.parametrize("name", STEERED)
def test_images_stay_where_a_direction_has_no_place(name, monkeypatch):
    """The upper half is moved and the lower one is the image that was given, pixel for pixel."""
    monkeypatch.setattr("maquette.engine.latent.latents.HELD", 3)
    latents = on(name)
    found = latents.of_seeds(range(4), {})
    before = latents.images(found)
    where = np.zeros((16, 16), np.float32)
    where[:8] = 1
    vector = np.random.default_rng(0).normal(size=latents.width).astype(np.float32)
    placed, anywhere = Direction("a", vector, "", where), Direction("b", vector, "")
    further = moved(found, [placed], [1.0])
    made = held(latents, further, before, [placed])
    assert (made[:, 8:] == before[:, 8:]).all() and (made[:, :8] != before[:, :8]).any()
    free = held(latents, further, before, [placed, anywhere])
    assert (free == latents.images(further)).all() and (free[:, 8:] != before[:, 8:]).any()


def test_what_is_kept_is_left_out():
    randoms = np.random.default_rng(0)
    others = [Direction(str(k), randoms.normal(size=9).astype(np.float32), "") for k in range(3)]
    rest = without(randoms.normal(size=9).astype(np.float32), others)
    assert max(abs(float(rest @ other.vector)) for other in others) < 1e-5 and np.linalg.norm(rest) == pytest.approx(1)
    with pytest.raises(UsageError, match="nothing is left"):
        without(others[0].vector, others)


def test_an_amount_of_one_can_be_seen():
    latents = on("oracle")
    vector = np.zeros(latents.width, np.float32)
    vector[:256] = 1 / 16
    direction = Direction("red", scaled(latents, vector, {}), "found")
    assert 2 < np.abs(seen(latents, direction, 1) - seen(latents, direction, 0)).mean() < 80


# Kept with a run


def test_directions_are_kept_by_name(tmp_path):
    run = Run.create(tmp_path / "run", {"model": "a"})
    kept = [Direction(name, np.full(5, number, np.float32), "found") for number, name in enumerate(("one", "two-2"))]
    keep(run, kept)
    again = read(Run.open(run.path), 5)
    assert list(again) == ["one", "two-2"] and again["two-2"].vector.tolist() == [1.0] * 5
    assert again["one"].where is None
    keep(run, [Direction("one", kept[0].vector, "found", np.eye(4, dtype=np.float32))])
    (placed,) = read(run, 5).values()
    assert placed.where is not None and (placed.where == np.eye(4)).all()
    with pytest.raises(UsageError, match=r"no direction 'tow-2'.*did you mean two-2"):
        named(again, "tow-2")
    with pytest.raises(UsageError, match="find some first"):
        named({}, "x")
    run.update(model="b")
    assert read(run, 5) == {}


@pytest.mark.parametrize("spoil", ["width", "names", "file", "where"])
def test_damaged_directions_are_said(tmp_path, spoil):
    run = Run.create(tmp_path / "run", {"model": "a"})
    where = np.full((4, 4), 2, np.float32) if spoil == "where" else None
    keep(run, [Direction("../x" if spoil == "names" else "one", np.ones(5, np.float32), "found", where)])
    if spoil == "file":
        (run.path / "directions.safetensors").write_bytes(b"nothing")
    with pytest.raises(MaquetteError):
        read(run, 6 if spoil == "width" else 5)
