"""The running averages are what their definition says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from maquette.engine.average import LENGTHS, MIDDLE


def test_averages_follow_the_definition_in_double_precision(shapes):
    trainer = toys.fresh("oracle", shapes, average=200, batch=8)
    half_lives = [200 * length for length in LENGTHS]
    start = {name: value.detach().double().numpy() for name, value in trainer.family.named_parameters()}
    expected = [{name: value.copy() for name, value in start.items()} for _ in LENGTHS]
    for step in range(1, 120):
        trainer.step(step / 120)
        images = 8 * step
        for half_life, values in zip(half_lives, expected, strict=True):
            kept = 0.5 ** (8 / min(half_life, 0.1 * images))
            for name, value in trainer.family.named_parameters():
                values[name] = kept * values[name] + (1 - kept) * value.detach().double().numpy()
    found = trainer.averages.tensors()
    assert len(found) == len(LENGTHS) * len(start)
    for length, values in enumerate(expected):
        for name, value in values.items():
            np.testing.assert_allclose(found[f"{length}.{name}"].numpy(), value, rtol=1e-4, atol=1e-5)


def test_a_short_half_life_is_nearer_to_the_last_weights(shapes):
    trainer = toys.fresh("oracle", shapes, average=100, batch=8)
    for step in range(200):
        trainer.step(step / 200)
    last = dict(trainer.family.named_parameters())
    distances = [
        sum(
            float((value - last[name]).detach().square().sum())
            for name, value in zip(trainer.averages.names, values, strict=True)
        )
        for values in trainer.averages.values
    ]
    assert distances == sorted(distances) and distances[0] < distances[-1]


def test_only_what_the_family_wants_is_averaged(toy, shapes):
    class Half(toy.Toy):
        averaged = ("first",)

    trainer = toys.trainer_of(Half(toy.ToyConfig(), shapes.spec), shapes)
    assert {name.partition(".")[2] for name in trainer.averages.tensors()} == {"first.weight", "first.bias"}
    trainer.step(0.0)
    trainer.step(0.5)
    model = trainer.model()
    middle = trainer.averages.tensors()[f"{MIDDLE}.first.weight"]
    assert torch.equal(model.first.weight, middle)
    assert torch.equal(model.last.weight, trainer.family.last.weight)  # not averaged: as it was trained
    assert not torch.equal(model.first.weight, trainer.family.first.weight)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_an_average_keeps_the_layout_of_its_weight(toy, shapes, layout):
    trainer = toys.fresh("toy", shapes, {"layout": layout}, kinds=())
    trainer.step(0.0)
    for values in trainer.averages.values:
        assert all(v.stride() == p.stride() for v, p in zip(values, trainer.averages.parameters, strict=True))
