"""Image k depends on the model, its seed and what was asked for alone; wishes and rows of conditions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ConditionError, MaquetteError, UsageError
from maquette.core.noise import Mix
from maquette.core.spec import DataSpec
from maquette.engine.load import build
from maquette.engine.sample import draw, draw_steps, examples, wishes
from maquette.engine.table import condition_table
from maquette.families import REGISTRY
from maquette.families.family import Samples
from maquette.store import weights
from maquette.store.run import Run

LABEL = ConditionSpec(name="label", kind="label", classes=("circle", "ring", "star"))
HEIGHT = ConditionSpec(name="height", kind="number", low=0.0, high=10.0)
SIZE = (8, 8)
TABLE = {
    "label": np.array([0, 1, 2, 1, -1], np.int32),
    "height": np.array([0.0, 1.0, 2.0, 1.5, np.nan], np.float32),
}


def moved(name):
    """A model of this family whose weights are not those of its start, where many are zero; None without the powers."""
    spec, kind = DataSpec(height=8, width=16, conditions=(LABEL,)), REGISTRY.get(name)
    if not issubclass(kind, Samples) or kind.needs or "label" not in kind.accepts:
        return None
    family = build(name, kind.variant("nano", spec), spec, {}, 3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in family.parameters():
            value.add_(0.05 * torch.randn(value.shape, generator=generator))
    return family.eval().requires_grad_(False)


@pytest.mark.parametrize("name", REGISTRY.names())
def test_image_k_is_the_same_in_any_count_start_and_pass(name):
    family = moved(name)
    if family is None:
        pytest.skip("it makes no images from seeds and labels")

    def make(seeds):
        rows = wishes(family.spec.conditions, {"label": TABLE["label"]}, {}, seeds, SIZE)
        return np.concatenate(list(draw(family, seeds, rows)))

    whole = make(range(40))
    assert whole.shape == (40, 8, 16, 3) and whole.dtype == np.uint8
    assert len({image.tobytes() for image in whole}) == 40
    for seeds in (range(1), range(7, 9), range(13, 34), [5], [39, 3, 17, 3], range(24, 40)):
        np.testing.assert_array_equal(make(seeds), whole[list(seeds)])


@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_mix_of_seeds_lies_between_their_images(name):
    family = moved(name)
    if family is None:
        pytest.skip("it makes no images from seeds and labels")
    walk = [Mix.between(5, 9, place) for place in np.linspace(0, 1, 17)]
    rows = {"label": np.zeros(19, np.int32)}
    *way, first, last = np.concatenate(list(draw(family, [*walk, 5, 9], rows)))
    np.testing.assert_array_equal(way[0], first)
    np.testing.assert_array_equal(way[-1], last)
    assert len({image.tobytes() for image in way}) == 17
    step, whole = (np.abs(a.astype(float) - b).mean() for a, b in ((way[7], way[8]), (first, last)))
    assert step < whole / 2  # a step of the way is smaller than the way
    alone = next(draw(family, [walk[4]], {"label": np.zeros(1, np.int32)}))[0]
    np.testing.assert_array_equal(alone, way[4])


def test_passes_are_always_full(toy):
    sizes = []

    class Counting(toy.Toy):
        def sample(self, noise, condition, options):
            sizes.append((len(noise), len(condition["label"])))
            yield torch.zeros(len(noise), *self.spec.shape)

    family = Counting(toy.ToyConfig(), DataSpec(height=8, width=8, conditions=(LABEL,)))
    rows = {"label": np.zeros(37, np.int32)}
    assert [len(images) for images in draw(family, range(37), rows)] == [16, 16, 5]
    assert sizes == [(16, 16)] * 3
    assert [len(images) for images in draw(family, range(9), rows, micro=4)] == [4, 4, 1]
    assert list(draw(family, [], rows)) == []


def test_the_images_form_step_by_step(toy):
    family = toy.Toy(toy.ToyConfig(), DataSpec(height=8, width=8)).eval()
    steps = list(draw_steps(family, range(20), {}))
    assert [start for start, _ in steps] == [0, 0, 16, 16]
    assert [len(images) for _, images in steps] == [16, 16, 4, 4]
    last = [steps[1][1], steps[3][1]]
    for one, other in zip(draw(family, range(20), {}), last, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_family_that_makes_no_images_says_so(toy):
    family = build(
        "oracle", REGISTRY.get("oracle").variant("nano", DataSpec(height=8, width=8)), DataSpec(height=8, width=8), {}
    )

    class Blind(torch.nn.Module):
        spec = family.spec

    with pytest.raises(UsageError, match="the family blind does not make images from seeds"):
        list(draw(Blind(), [1], {}))


def test_seeds_out_of_range_are_refused(toy):
    family = toy.Toy(toy.ToyConfig(), DataSpec(height=8, width=8)).eval()
    for seed in (-1, 2**63):
        with pytest.raises(UsageError, match="a seed lies between"):
            list(draw(family, [seed], {}))
    assert len(next(draw(family, [2**63 - 1], {}))) == 1


# Wishes


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=50, unique=True))
def test_what_is_not_asked_for_depends_on_the_seed_alone(seeds):
    rows = wishes((LABEL, HEIGHT), TABLE, {}, seeds, SIZE)
    for place, seed in enumerate(seeds):
        alone = wishes((LABEL, HEIGHT), TABLE, {}, [seed], SIZE)
        for name in rows:
            np.testing.assert_array_equal(rows[name][place], alone[name][0])
        # Label and number come from one row of the training data.
        pairs = list(zip(TABLE["label"].tolist(), TABLE["height"].tolist(), strict=True))
        found = (int(rows["label"][place]), float(rows["height"][place]))
        assert any(label == found[0] and (h == found[1] or (np.isnan(h) and np.isnan(found[1]))) for label, h in pairs)


def test_what_is_asked_for_is_given_to_all_and_the_rest_goes_with_it():
    rows = wishes((LABEL, HEIGHT), TABLE, {"label": "ring"}, range(100), SIZE)
    assert set(rows["label"].tolist()) == {1} and set(rows["height"].tolist()) == {1.0, 1.5}
    rows = wishes((LABEL, HEIGHT), TABLE, {"label": "star", "height": "7"}, range(3), SIZE)
    assert rows["label"].tolist() == [2, 2, 2] and rows["height"].tolist() == [7.0, 7.0, 7.0]
    # A label that no kept row has: the rest comes from any row.
    rows = wishes((LABEL, HEIGHT), {**TABLE, "label": np.zeros(5, np.int32)}, {"label": "star"}, range(50), SIZE)
    assert set(rows["label"].tolist()) == {2} and len(set(rows["height"].tolist())) > 2


def test_unknown_wishes_name_what_there_is():
    with pytest.raises(ConditionError, match=r"no label 'rings'.*did you mean ring\?.*circle, ring, star"):
        wishes((LABEL,), TABLE, {"label": "rings"}, [0], SIZE)
    with pytest.raises(ConditionError, match=r"not trained with 'labels'.*did you mean label\?"):
        wishes((LABEL,), TABLE, {"labels": "ring"}, [0], SIZE)
    with pytest.raises(ConditionError, match="height = 'tall' is not a number"):
        wishes((HEIGHT,), TABLE, {"height": "tall"}, [0], SIZE)
    image = ConditionSpec(name="before", kind="image")
    with pytest.raises(ConditionError, match=r"needs the image 'before'.*--image"):
        wishes((image,), {"before": np.zeros((2, 8, 8, 3), np.uint8)}, {}, [0], SIZE)


def test_a_sheet_shows_every_label_in_turn():
    rows = examples((LABEL, HEIGHT), {name: values[:4] for name, values in TABLE.items()}, 12)
    assert rows["label"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert rows["height"].tolist() == [0.0] * 4 + [1.0, 1.5] * 2 + [2.0] * 4
    assert examples((), {}, 12) == {}
    assert len(examples((HEIGHT,), TABLE, 12)["height"]) == 12


# The rows kept with a run


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"label": TABLE["label"]},
        {**TABLE, "label": np.array([0, 1, 3, 1, 0], np.int32)},
        {**TABLE, "label": np.array([0, 1, -2, 1, 0], np.int32)},
        {**TABLE, "label": TABLE["label"].astype(np.int64)},
        {**TABLE, "label": TABLE["label"][:3]},
        {**TABLE, "height": TABLE["height"][:0]},
        {**TABLE, "height": TABLE["height"][:, None]},
        {**TABLE, "height": TABLE["height"].astype(np.float64)},
    ],
)
def test_a_damaged_table_is_said(tmp_path, table):
    run = Run.create(tmp_path / "run", {})
    weights.write(run.path / "conditions.safetensors", table, finite=False)
    spec = DataSpec(height=8, width=8, conditions=(LABEL, HEIGHT))
    with pytest.raises(MaquetteError, match="its table of conditions"):
        condition_table(run, spec)


def test_a_sound_table_is_read_and_none_is_needed_without_conditions(tmp_path):
    run = Run.create(tmp_path / "run", {})
    spec = DataSpec(height=8, width=8, conditions=(LABEL, HEIGHT))
    with pytest.raises(MaquetteError, match="its table of conditions cannot be read"):
        condition_table(run, spec)
    weights.write(run.path / "conditions.safetensors", TABLE, finite=False)
    for name, values in condition_table(run, spec).items():
        np.testing.assert_array_equal(values, TABLE[name])
    assert condition_table(run, dataclasses.replace(spec, conditions=())) == {}
