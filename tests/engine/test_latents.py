"""Images among the latents of a model: every family that can be steered, by its own way back or by an encoder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import ConditionSpec
from maquette.core.errors import UsageError
from maquette.core.noise import Mix
from maquette.core.spec import DataSpec
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.latent import encoder as encoders
from maquette.engine.latent.latents import Found, Latents, blended, decibels, errors, slerp
from maquette.engine.load import build, load
from maquette.engine.sample import draw
from maquette.engine.table import keep_table
from maquette.engine.train import save_model
from maquette.engine.world import World, read, world_of
from maquette.families import REGISTRY
from maquette.families.family import Inverts, Steers, joined, parted
from maquette.store.run import Run

LABEL = ConditionSpec(name="label", kind="label", classes=("circle", "ring", "star"))
STEERED = [name for name in REGISTRY.names() if issubclass(REGISTRY.get(name), Steers)]


def on(name, spec=None):
    """A model of this family whose weights are not those of its start; with an untrained encoder where it needs one."""
    kind = REGISTRY.get(name)
    conditions = (LABEL,) if "label" in kind.accepts else ()
    spec = dataclasses.replace(spec or DataSpec(height=16, width=16), conditions=conditions)
    family = build(name, kind.variant("nano", spec), spec, {}, 3)
    family.together = 4
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in family.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=generator))
    encoder = None
    if encoders.needs_encoder(family):
        encoder = encoders.Encoder(spec, family.latent_shapes()).eval().requires_grad_(False)
    return Latents(family.eval().requires_grad_(False), encoder)


def rows(latents, count, label=1):
    return {"label": np.full(count, label, np.int32)} if latents.specs else {}


def test_the_families_that_can_be_steered():
    assert {"gan", "flow", "autoencoder", "oracle"} <= set(STEERED)


@pytest.mark.parametrize("name", STEERED)
def test_latents_of_seeds_make_what_sampling_makes(name):
    latents = on(name)
    seeds = [*range(18), Mix.between(3, 4, 0.3)]
    found = latents.of_seeds(seeds, rows(latents, 19))
    assert found.latents.shape == (19, latents.width)
    made = latents.images(found)
    np.testing.assert_array_equal(made, np.concatenate(list(draw(latents.model, seeds, rows(latents, 19)))))
    np.testing.assert_array_equal(latents.images(found[17:18])[0], made[17])  # alone as among others


@pytest.mark.parametrize("name", STEERED)
def test_refining_gives_more_of_an_image_back(name):
    latents = on(name)
    target = latents.images(latents.of_seeds([5, 6], rows(latents, 2)))
    start = latents.of_images(target, rows(latents, 2))
    *_, better = latents.refined(start, target, 8)
    assert isinstance(better, Found) and better.latents.shape == start.latents.shape
    before, after = (errors(latents.images(found), target) for found in (start, better))
    assert (after <= before + 1e-4).all() and (name != "gan" or (after < 0.9 * before).all())
    assert np.array_equal(start.rows.get("label", 0), better.rows.get("label", 0))


@pytest.mark.parametrize("name", [name for name in STEERED if issubclass(REGISTRY.get(name), Inverts)])
def test_the_way_back_gives_the_image_again(name):
    latents = on(name)
    made = latents.images(latents.of_seeds(range(3), rows(latents, 3)))
    again = latents.images(latents.of_images(made, rows(latents, 3)))
    if name != "autoencoder":  # an untrained one forgets
        assert decibels(errors(again, made)).min() > 25
    assert again.shape == made.shape


def test_what_an_image_shows_is_guessed():
    latents = on("oracle")
    with torch.no_grad():
        latents.model.shifts[0][:, :768] = torch.tensor([-0.8, 0.0, 0.8, 0.0])[:, None]
        latents.model.base[0, 768:] = -2
    images = np.concatenate([latents.images(latents.of_seeds([1], rows(latents, 1, label))) for label in (2, 0, 1)])
    found = latents.guess(images, {"label": np.arange(3, dtype=np.int32)}, {})
    assert found.rows["label"].tolist() == [2, 0, 1]
    assert latents.guess(images, {}, {"label": "ring"}).rows["label"].tolist() == [1, 1, 1]


def test_families_without_latents_say_so():
    spec = DataSpec(height=16, width=16, conditions=(LABEL,))
    classify = build("classify", REGISTRY.get("classify").variant("nano", spec), spec, {}, 0)
    with pytest.raises(UsageError, match=r"family classify have no latents.*gan, flow or autoencoder"):
        Latents(classify)
    spec = DataSpec(height=16, width=16, conditions=(ConditionSpec(name="sketch", kind="image", mode="grey"),))
    flow = build("flow", REGISTRY.get("flow").variant("nano", spec), spec, {}, 0)
    with pytest.raises(UsageError, match="images of images"):
        Latents(flow)


# Moving in latents


@given(st.integers(2, 40), st.floats(0, 1), st.integers(0, 1000))
def test_the_arc_keeps_the_length(width, place, seed):
    randoms = np.random.default_rng(seed)
    first, second = randoms.normal(size=(2, width)).astype(np.float32)
    between = slerp(first, second, place)
    low, high = sorted((np.linalg.norm(first), np.linalg.norm(second)))
    assert low - 1e-3 <= np.linalg.norm(between) <= high + 1e-3 or abs(np.linalg.norm(first + second)) < 0.2
    np.testing.assert_allclose(slerp(first, second, 0), first, atol=1e-4)
    np.testing.assert_allclose(slerp(first, second, 1), second, atol=1e-4)
    np.testing.assert_allclose(blended([first, second], [1, 0]), first, atol=1e-4)


def test_weights_that_cancel_are_refused():
    row = np.ones(4, np.float32)
    with pytest.raises(UsageError, match="cancel"):
        blended([row, row], [1, -1])


def test_latents_are_parts_put_together():
    shapes = ((3,), (2, 2, 2))
    row = torch.arange(11.0)[None]
    assert torch.equal(joined(parted(row, shapes)), row)


# Encoder and world, kept with a run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """240 drawn shapes of 16x16 pixels, some of them held out."""
    *_, result = make_drawn("shapes", tmp_path_factory.mktemp("data") / "some.mq", width=16, height=16, count=240)
    return result.value


@pytest.fixture
def generator(drawn, tmp_path):
    """A run of the family gan that has learned a little of drawn shapes."""
    import toys

    trainer = toys.fresh("gan", drawn, width=8, latent=8, field=4)
    for _ in range(8):
        trainer.step(0.5)
    facts = {"family": "gan", "dataset": {"path": str(drawn.path), "digest": drawn.digest}, "plan": {}}
    run = Run.create(tmp_path / "gan", facts)
    save_model(trainer, run, "gan", trainer.model())
    keep_table(run, trainer.loader, trainer.family)
    return Run.open(run.path)


def test_an_encoder_is_trained_once_and_kept(generator, drawn):
    model = load(generator)
    assert encoders.needs_encoder(model) and encoders.read(generator, model) is None
    *steps, encoder = encoders.train(generator, model, encoders.dataset_of(generator), steps=50)
    assert steps[-1].images == steps[-1].total and {path.name for path in generator.path.iterdir()} >= {encoders.FILE}
    again = encoders.read(generator, model)
    images = torch.zeros(2, *model.spec.shape)
    assert torch.equal(again(images), encoder(images))
    given = drawn.images(drawn.indices("held-out")[:16])
    found = Latents(model, encoder).guess(given, drawn.conditions(range(16)), {})
    blind = encoders.Encoder(model.spec, model.latent_shapes()).eval().requires_grad_(False)
    poor = Latents(model, blind).guess(given, drawn.conditions(range(16)), {})
    kept, lost = (errors(Latents(model).images(each), given).mean() for each in (found, poor))
    assert kept < 0.8 * lost


def test_an_encoder_of_another_model_is_not_used(generator):
    model = load(generator)
    list(encoders.train(generator, model, None, steps=2))  # without the dataset, from the model's images alone
    assert encoders.read(generator, model) is not None
    generator.update(model="0" * 64)
    assert encoders.read(generator, model) is None
    (generator.path / encoders.FILE).write_bytes(b"nothing")
    assert encoders.read(generator, model) is None


def test_the_world_of_a_model_is_measured_on_held_out_images(generator, drawn, tmp_path):
    world = world_of(generator, drawn)
    assert isinstance(world, World) and not world.other
    inside = world(drawn.images(drawn.indices("held-out")[:20]))
    noise = world(np.random.default_rng(0).integers(0, 256, (3, *drawn.images([0]).shape[1:])).astype(np.uint8))
    assert np.median([far.times for far in inside]) < 1.5 < min(far.times for far in noise)
    assert all(far.farther == 1 and "outside" in far.sentence for far in noise)
    kept = read(generator)
    assert [far.times for far in kept(drawn.images([0, 1]))] == [far.times for far in world(drawn.images([0, 1]))]
    generator.update(dataset={"path": str(tmp_path / "gone.mq"), "digest": "other"})
    assert encoders.dataset_of(generator) is None
    assert "not there any more" in world_of(generator, None)
