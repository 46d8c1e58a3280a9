"""What every family must do, whichever it is: each test runs over the whole registry."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np
import pytest
import torch

from maquette.core.condition import KINDS, ConditionSpec
from maquette.core.errors import ConditionError
from maquette.core.image import MODES, depth, dtype
from maquette.core.noise import Noise
from maquette.core.settings import from_json, to_json
from maquette.core.spec import SCALES, DataSpec
from maquette.data.dataset import Writer
from maquette.data.loader import Loader
from maquette.engine.load import build, load, rebuild, recipe, schema
from maquette.engine.plan import Plan
from maquette.engine.sample import draw
from maquette.engine.start import Wish, given_conditions
from maquette.engine.train import save_model
from maquette.engine.trainer import Trainer
from maquette.families import REGISTRY
from maquette.families.family import Samples
from maquette.nn.pixels import condition_tensors
from maquette.store.run import Run
from tests.engine.groups import play

NAMES = REGISTRY.names()
SAMPLERS = [name for name in NAMES if issubclass(REGISTRY.get(name), Samples)]
CONDITIONS = {
    "label": ConditionSpec(name="label", kind="label", classes=("dark", "light", "striped")),
    "text": ConditionSpec(name="text", kind="text", length=6),
    "number": ConditionSpec(name="number", kind="number", low=-1, high=3),
    "image": ConditionSpec(name="image", kind="image", mode="grey"),
    "map": ConditionSpec(name="map", kind="map", classes=("sky", "sea")),
    "frames": ConditionSpec(name="frames", kind="frames", mode="grey", length=2),
}
# Every mode, every way of tiling, sides that are least, unequal, and odd multiples of eight.
FORMS = [
    *(DataSpec(height=8, width=8, mode=mode) for mode in MODES),
    DataSpec(height=16, width=24, tile="x"),
    DataSpec(height=24, width=16, mode="rgba", tile="y"),
    DataSpec(height=16, width=16, tile="xy"),
    DataSpec(height=8, width=40, mode="grey16", tile="xy"),
]
BATCH = 6
WAYS = [("float32", "contiguous"), ("bfloat16", "channels_last")]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def make_dataset(tmp_path_factory):
    """Small datasets of any form, made once each."""

    @functools.cache
    def make(spec: DataSpec, count: int = 48):
        randoms = np.random.default_rng(7)
        with Writer(tmp_path_factory.mktemp("data") / "some.mq", spec, settings={}) as writer:
            images, labels = waves(spec, count, randoms)
            known = {c.name: encoded(c, spec, count, labels, randoms) for c in spec.conditions}
            writer.append(images, known, [{"path": f"{index}.png"} for index in range(count)])
            return writer.finish(np.zeros(count, np.uint8), np.arange(count, dtype=np.int32))

    return make


def waves(spec, count, randoms):
    """Images of waves that do not close at the edges, brighter by label: N H W C of whole numbers, and the labels."""
    labels = np.arange(count) % 3
    y, x = np.meshgrid(np.arange(spec.height), np.arange(spec.width), indexing="ij")
    length = np.array([0.72, 0.83])  # of the side: one wave is not closed within it
    phase = randoms.uniform(0, 2 * np.pi, (4, count, 1, 1, spec.channels))
    across = np.sin(2 * np.pi * x[None, ..., None] / (length[0] * spec.width) + phase[0])
    down = np.sin(2 * np.pi * y[None, ..., None] / (length[1] * spec.height) + phase[1])
    values = 0.5 + 0.15 * (across + down) + 0.15 * (labels - 1)[:, None, None, None]
    return np.rint(values.clip(0, 1) * depth(spec.mode)).astype(dtype(spec.mode)), labels


def encoded(condition, spec, count, labels, randoms):
    """One value of this condition for each image; where it can be left out, some are."""
    shape = (count, *condition.shape(spec.height, spec.width))
    if condition.kind == "label":
        return np.where(np.arange(count) % 8 == 5, -1, labels).astype(condition.dtype)
    if condition.kind == "number":
        return np.where(np.arange(count) % 8 == 3, np.nan, labels).astype(condition.dtype)
    if condition.kind == "text":
        values = randoms.integers(97, 123, shape).astype(condition.dtype)
        values[::5, 3:] = 0
        return values
    high = len(condition.classes) if condition.kind == "map" else depth(condition.mode) + 1
    return randoms.integers(0, high, shape).astype(condition.dtype)


def with_conditions(name, spec):
    """The form with every condition that the family accepts."""
    accepted = tuple(condition for kind, condition in CONDITIONS.items() if kind in REGISTRY.get(name).accepts)
    return dataclasses.replace(spec, conditions=accepted)


def make_family(name, spec, scale="nano", seed=0):
    """A new family, with new parts where it stands on some."""
    kind = REGISTRY.get(name)
    parts = {part: make_family(need.default, spec, seed=seed) for part, need in kind.needs.items()}
    return build(name, dataclasses.replace(kind.variant(scale, spec), batch=BATCH), spec, parts, seed)


def make_trainer(name, dataset, way=("float32", "contiguous"), spec=None, seed=0, batch=BATCH):
    """A trainer of a new family of the dataset's form."""
    spec = spec or dataset.spec
    names = [condition.name for condition in spec.conditions]
    plan = Plan(batch=batch, seed=seed, precision=way[0], layout=way[1])
    return Trainer(make_family(name, spec, seed=seed), Loader(dataset, "train", names, seed), plan)


def progresses(family):
    """A place in the middle of the span of every phase."""
    return sorted({sum(phase.span) / 2 for phase in family.phases})


def train(trainer, steps):
    """So many steps in each stretch of the run."""
    for progress in progresses(trainer.family):
        for _ in range(steps):
            numbers = trainer.step(progress)
            assert all(np.isfinite(value) for value in numbers.values())


@pytest.fixture(scope="module")
def trained(make_dataset):
    """A family with all its conditions after a few steps, its dataset, and rows of conditions: name -> all three."""

    @functools.cache
    def make(name):
        dataset = make_dataset(with_conditions(name, DataSpec(height=16, width=16)))
        trainer = make_trainer(name, dataset)
        train(trainer, 12)
        return trainer.model(), dataset, dataset.conditions(range(24))

    return make


def samples(family, seeds, rows=None, options=None):
    """All images of these seeds in one array."""
    return np.concatenate(list(draw(family, seeds, rows or {}, options)))


# Training


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_exactly_what_each_phase_trains(name, way, make_dataset):
    trainer = make_trainer(name, make_dataset(with_conditions(name, DataSpec(height=16, width=16))), way)
    family = trainer.family
    trainable = {key for key, parameter in family.named_parameters() if parameter.requires_grad}
    assert trainable == {key for key in trainable if any(phase.owns(key) for phase in family.phases)}

    reached = {phase.name: set() for phase in family.phases}
    for step in range(8):  # Layers that start at zero let nothing through in the first steps.
        for phase in family.phases:
            (batch,) = trainer.batches(step * BATCH, BATCH)
            batch.progress = sum(phase.span) / 2
            trainer.generator.manual_seed(step)
            before = {key: value.detach().clone() for key, value in family.named_parameters()}
            trainer.backward(phase, batch, 1.0, {})
            for key, parameter in family.named_parameters():
                if parameter.grad is None:
                    continue
                assert phase.owns(key), f"{key} has a gradient in the phase {phase.name}"
                assert parameter.grad.isfinite().all()
                if parameter.grad.any():
                    reached[phase.name].add(key)
            trainer.optimizers[phase.name].step(phase.optimizer.rate)
            moved = {key for key, value in family.named_parameters() if not torch.equal(value, before[key])}
            assert all(phase.owns(key) for key in moved)
    for phase in family.phases:
        owned = {key for key in trainable if phase.owns(key)}
        assert reached[phase.name] == owned, f"nothing reaches {sorted(owned - reached[phase.name])} in {phase.name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_float32_and_draws_from_the_generator_alone(name, make_dataset):
    trainer = make_trainer(name, make_dataset(with_conditions(name, DataSpec(height=8, width=8))))
    for phase in trainer.family.phases:
        values = []
        for seed, global_seed in ((0, 1), (0, 2), (1, 1)):
            (batch,) = trainer.batches(0, BATCH)
            trainer.generator.manual_seed(seed)
            torch.manual_seed(global_seed)
            with torch.autocast("cpu", torch.bfloat16):
                loss = trainer.family.loss(batch, phase.name)
            assert loss.total.dtype == torch.float32
            assert loss.total.shape == ()
            values.append(loss.total.item())
        assert values[0] == values[1]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_bit_for_bit(name, way, make_dataset, tmp_path):
    dataset = make_dataset(with_conditions(name, DataSpec(height=16, width=16)))
    straight = make_trainer(name, dataset, way)
    train(straight, 6)
    halfway = make_trainer(name, dataset, way)
    run = Run.create(tmp_path / "run", {"family": name})
    places = [place for place in progresses(halfway.family) for _ in range(6)]
    for place in places[: len(places) // 2]:
        halfway.step(place)
    run.save(halfway.state(1.0))
    resumed = make_trainer(name, dataset, way, seed=0)
    resumed.restore(Run.open(run.path).restore())
    for place in places[len(places) // 2 :]:
        resumed.step(place)
    expected, got = straight.tensors(), resumed.tensors()
    assert expected.keys() == got.keys()
    different = [key for key in expected if not torch.equal(expected[key], got[key])]
    assert not different
    assert straight.averaged_numbers() == resumed.averaged_numbers()


# Configuration and files


@pytest.mark.parametrize("spec", [FORMS[0], FORMS[5], FORMS[-1], DataSpec(height=64, width=96)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_scale_builds_and_its_config_survives_json(name, spec):
    kind, spec = REGISTRY.get(name), with_conditions(name, spec)
    appetites = []
    for scale in SCALES:
        config = kind.variant(scale, spec)
        assert from_json(kind.Config, json.loads(json.dumps(to_json(config)))) == config
        appetites.append(kind.appetite(scale, spec))
        with torch.device("meta"):  # A model file is checked against a family without memory.
            family = make_family(name, spec, scale)
        facts = json.loads(json.dumps(recipe(name, family, _parts(family))))
        with torch.device("meta"):
            assert schema(rebuild(facts)) == schema(family)
    assert appetites == sorted(appetites)
    assert appetites[0] == 0


def _parts(family):
    return {part: (need.default, getattr(family, part)) for part, need in family.needs.items()}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_saved_model_makes_the_same_images(name, trained, tmp_path, make_dataset):
    family, dataset, rows = trained(name)
    trainer = make_trainer(name, dataset)
    facts = {"recipe": recipe(name, family, _parts(family))} if REGISTRY.get(name).needs else {}
    run = Run.create(tmp_path / "run", {"family": name, **facts})
    save_model(trainer, run, name, family)
    again = load(Run.open(run.path))
    state, expected = again.state_dict(), family.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert np.array_equal(samples(again, range(24), rows), samples(family, range(24), rows))


# Sampling


@pytest.mark.parametrize(
    "spec", FORMS, ids=lambda spec: f"{spec.mode}-{spec.width}x{spec.height}-{spec.tile or 'flat'}"
)
@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_have_the_form_of_the_data(name, spec, make_dataset):
    spec = with_conditions(name, spec)
    trainer = make_trainer(name, make_dataset(spec), WAYS[1])
    train(trainer, 2)
    family = trainer.model()
    rows = make_dataset(spec).conditions(range(5))
    *_, last = family.sample(Noise(range(5)), condition_tensors(spec.conditions, rows), family.Options())
    assert last.shape == (5, *spec.shape)
    assert last.dtype == torch.float32
    assert -1 <= float(last.min()) <= float(last.max()) <= 1
    images = samples(family, range(5), rows)
    assert images.shape == (5, spec.height, spec.width, spec.channels)
    assert images.dtype == dtype(spec.mode)
    assert len({image.tobytes() for image in images}) == 5


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_image_depends_on_its_seed_alone(name, trained):
    family, _, rows = trained(name)
    seeds = list(range(100, 124))
    together = samples(family, seeds, rows)
    backwards = samples(family, seeds[::-1], {key: value[::-1] for key, value in rows.items()})
    assert np.array_equal(together, backwards[::-1])
    for place in (0, 9, 23):
        alone = samples(
            family, seeds[place : place + 1], {key: value[place : place + 1] for key, value in rows.items()}
        )
        assert np.array_equal(alone[0], together[place])
    assert len({image.tobytes() for image in together}) == len(seeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_each_condition_is_honoured_or_refused_by_name(name, kind, trained, make_dataset):
    if kind not in REGISTRY.get(name).accepts:
        dataset = make_dataset(DataSpec(height=8, width=8, conditions=(CONDITIONS[kind],)))
        with pytest.raises(ConditionError, match=kind):
            given_conditions(dataset, Wish(family=name, given=(kind,)))
        assert given_conditions(dataset, Wish(family=name))[0] == ()
        return
    family, dataset, rows = trained(name)
    seeds = range(24)
    before = samples(family, seeds, rows)
    changed = {key: value.copy() for key, value in rows.items()}
    changed[kind][7] = rows[kind][6]
    assert not np.array_equal(changed[kind], rows[kind])
    after = samples(family, seeds, changed)
    same = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same == [index != 7 for index in range(24)]  # only the row whose condition changed


# Tiling


@pytest.mark.parametrize(("tile", "steps"), [("x", 20), ("xy", 60)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_tiles_show_no_seam(name, tile, steps, make_dataset):
    """The training images do not close at their edges; what is made of them does."""
    spec = DataSpec(height=24, width=24, mode="grey")
    if REGISTRY.get(name).accepts <= {"image", "map", "frames"}:
        spec = with_conditions(name, spec)  # it makes images of images alone
    dataset = make_dataset(spec)
    trainer = make_trainer(name, dataset, spec=dataclasses.replace(dataset.spec, tile=tile))
    # What writes from top to bottom learns last how the bottom meets the top.
    train(trainer, steps * (4 if name == "recurrent" and "y" in tile else 1))
    real = seams(dataset.images(range(48)))
    made = seams(samples(trainer.model(), range(48), dataset.conditions(range(48))))
    for axis in ("x", "y"):
        if axis in tile:
            assert real[axis] > 2.5
            assert made[axis] < 1.25


def seams(images):
    """How much larger the step over the edge is than the steps inside, for both axes.

    Inside, the steps at every eighth pixel count: there the grids of all levels begin, as they do at the edge.
    """
    found = {}
    for name, axis in (("x", 2), ("y", 1)):
        values = np.moveaxis(images.astype(np.float64), axis, 0)
        steps = np.abs(values - np.roll(values, 1, axis=0)).reshape(len(values), -1).mean(axis=1)
        found[name] = steps[0] / steps[8::8].mean()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_processes_that_share_a_batch_compute_what_one_process_computes(name, make_dataset, world=3):
    """The gradients of every phase and all numbers are those of the whole batch, which the processes cannot divide."""
    dataset = make_dataset(with_conditions(name, DataSpec(height=16, width=16)))

    # Made one after the other: weights begin with random numbers that threads share, and processes do not.
    trainers = [make_trainer(name, dataset, batch=4 * world + 1) for _ in range(world + 1)]

    def work(group=None):
        trainer = trainers[-1 if group is None else group.rank]
        trainer.group = group
        gradients = {}
        for phase, optimizer in trainer.optimizers.items():
            optimizer.step = functools.partial(keep, gradients, phase, optimizer)
        numbers = [trainer.compute(progress) for progress in progresses(trainer.family)]
        buffers = [value.clone() for value in trainer.family.buffers() if value.is_floating_point()]
        return gradients, numbers, buffers

    def keep(gradients, phase, optimizer, rate):
        pieces = [torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in optimizer.parameters]
        gradients[phase] = torch.cat(pieces).clone()
        optimizer.adam.zero_grad(set_to_none=True)

    alone, *others = work(), *play(world, work)
    assert alone[0].keys() == {phase.name for phase in make_family(name, dataset.spec).phases}
    for gradients, numbers, buffers in others:
        for phase, right in alone[0].items():
            assert right.norm() > 0
            assert (gradients[phase] - right).norm() <= 1e-5 * right.norm(), phase
        for found, right in zip(numbers, alone[1], strict=True):
            sure = {key: value for key, value in right.items() if key not in UNSUMMED}
            assert {key: found[key] for key in sure} == pytest.approx(sure, rel=1e-4, abs=1e-5)
        for found, right in zip(buffers, alone[2], strict=True):
            torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


UNSUMMED = {"latents", "overlap"}
"""Numbers that are only told, and are no means over images."""
