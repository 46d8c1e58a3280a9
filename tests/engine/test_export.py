"""Exported graphs: every family's does what the family does, for any number of images, and says how to fill it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ModelFileError, UsageError
from maquette.core.noise import Noise, normal
from maquette.core.spec import DataSpec
from maquette.engine.export import onnx as files
from maquette.engine.export.facts import inputs_of, stream_key
from maquette.engine.export.graph import POWERS, graph_of
from maquette.engine.load import build
from maquette.engine.sample import draw
from maquette.families import REGISTRY
from maquette.nn.loops import looped
from maquette.nn.solve import solved

CONDITIONS = {
    "label": ConditionSpec(name="label", kind="label", classes=("dark", "light", "striped")),
    "text": ConditionSpec(name="what it shows", kind="text", length=6),
    "number": ConditionSpec(name="number", kind="number", low=-1, high=3),
    "image": ConditionSpec(name="image", kind="image", mode="grey"),
    "map": ConditionSpec(name="map", kind="map", classes=("sky", "sea")),
    "frames": ConditionSpec(name="frames", kind="frames", mode="grey", length=2),
}
KINDS = {"forecast": ("label", "frames"), "gan": ("label", "text", "number"), "flow": ("text", "map"),
         "oracle": ("label", "number"), "recurrent": ("label", "text")}  # fmt: skip
"""Conditions to try a family with, where not all that it accepts: graphs of fewer are made sooner."""
FORMS = {"gan": DataSpec(height=8, width=16, mode="grey16", tile="xy")}
"""Images to try a family with, where not small ones of three colours: deep ones, and those without seams."""
QUICK = ("classify", "oracle")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in REGISTRY.names()]


def make(name, form):
    """A family whose weights are all moved a little, so that nothing is zero."""
    kind = REGISTRY.get(name)
    accepted = tuple(c for k, c in CONDITIONS.items() if k in kind.accepts and k in KINDS.get(name, CONDITIONS))
    spec = dataclasses.replace(form, conditions=accepted)
    parts = {part: make(need.default, form) for part, need in kind.needs.items()}
    config = kind.variant("nano", spec)
    small = {"depth": 1, "blocks": 1, "levels": 2}
    config = dataclasses.replace(config, **{key: value for key, value in small.items() if hasattr(config, key)})
    family = build(name, config, spec, parts)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    return family.eval().requires_grad_(False)


def rows_of(family, options, count=5):
    randoms = np.random.default_rng(2)
    rows = {}
    form = family.made(options)
    for condition in form.conditions:
        shape = (count, *condition.shape(form.height, form.width))
        if condition.kind == "label":
            rows[condition.name] = (np.arange(count) % 4 - 1).astype(np.int32)  # the first is: not given
        elif condition.kind == "number":
            rows[condition.name] = np.where(np.arange(count) == 1, np.nan, np.linspace(-1, 3, count)).astype(np.float32)
        elif condition.kind == "text":
            rows[condition.name] = randoms.integers(97, 123, shape).astype(np.uint8)
        else:
            high = len(condition.classes) if condition.kind == "map" else 256
            rows[condition.name] = randoms.integers(0, high, shape).astype(np.uint8)
    return rows


def graph(family, what="auto", **dials):
    options = dataclasses.replace(family.Options(), **dials)
    return graph_of(family, what, options, rows_of(family, options) if hasattr(family, "sample") else {})


STEADY = {"recurrent": {"temperature": 0.0}}
"""Dials for half precision: of a thousand tokens that are about as likely, another may be drawn for a small change."""


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_of_every_family_does_what_the_family_does(name):
    made = graph(make(name, FORMS.get(name, DataSpec(height=8, width=8))))
    model = files.traced(made)
    content = files.described(model, {"family": name})
    feeds, expected = made.trial(range(2))
    (found,) = files.session(content).run(None, feeds)
    assert found.dtype == expected.dtype, "images come out as they are stored"
    found = files.agreement(made, content, range(9))  # in batches of 1, 3 and 5
    assert found.largest <= 1 and found.apart == 0 and found.images == 9

    read = onnx.load_from_string(content)
    assert [i.name for i in read.graph.input] == [i.name for i in made.inputs]
    assert all(i.name.startswith(("noise_", "condition_", "dial_", "image")) for i in made.inputs)
    assert {p.key: p.value for p in read.metadata_props} == {"family": name}
    weights = {w.name: w for w in read.graph.initializer}
    assert not any(onnx.external_data_helper.uses_external_data(w) for w in weights.values())
    assert b".py" not in content and b"site-packages" not in content, "the file tells of the machine that wrote it"

    if name in STEADY:
        made = graph(make(name, DataSpec(height=8, width=8)), **STEADY[name])
        model = files.traced(made)
    half = files.described(files.halved(model), {})
    assert len(half) < len(content) and files.agreement(made, half, range(9)).apart == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["encode", "decode"])
def test_an_autoencoder_has_more_graphs(what):
    made = graph(make("autoencoder", DataSpec(height=8, width=8, mode="rgba")), what)
    content = files.described(files.traced(made), {})
    assert files.checked(files.agreement(made, content, range(9))).largest <= 1


def test_a_dial_that_scales_noise_can_still_be_turned_and_the_others_are_fixed():
    family = make("oracle", DataSpec(height=8, width=8))
    made = graph(family)
    content = files.described(files.traced(made), {})
    feeds, _ = made.trial(range(3))
    for value in (0.0, 0.5, 2.0):
        (found,) = files.session(content).run(None, {**feeds, "dial_temperature": np.array(value, np.float32)})
        options = dataclasses.replace(family.Options(), temperature=value)
        rows = {name: np.resize(v, (3, *v.shape[1:])) for name, v in made.rows.items()}
        expected = np.concatenate(list(draw(family, range(3), rows, options)))
        assert files.compared(found, expected).largest <= 1
    assert dict(made.fixed) == {}
    assert dict(graph(make("flow", DataSpec(height=8, width=8)), steps=3).fixed) == {"steps": 3, "guidance": 1.0}


def test_inputs_say_how_they_are_filled():
    said = {one["name"]: one for one in inputs_of(graph(make("gan", DataSpec(height=8, width=8))))}
    assert {"noise_latent", "noise_field", "condition_label", "condition_what_it_shows", "dial_truncation"} <= set(said)
    assert json.loads(json.dumps(said)) == said
    latent = said["noise_latent"]
    key = np.array([7, int(latent["key"], 16)], np.uint64)
    raw = (np.random.Philox(key=key).random_raw(4) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    first = np.sqrt(-2 * np.log(1 - raw[0])) * np.cos(2 * np.pi * raw[2])
    assert first == normal(7, "latent", 4)[0] and latent["stream"] == "latent" and stream_key("latent") == latent["key"]
    assert said["condition_label"]["condition"]["classes"] == ["dark", "light", "striped"]
    dial = said["dial_truncation"]
    assert dial["value"] == 1.0 and dial["bounds"] == {"ge": 0, "le": 2} and dial["help"] and not dial["batched"]


def test_what_cannot_be_had_is_said_in_one_sentence():
    family = make("classify", DataSpec(height=8, width=8))
    with pytest.raises(UsageError, match="the family classify cannot sample; it can: predict, describe"):
        graph_of(family, "sample", family.Options(), {})
    with pytest.raises(UsageError, match="neither makes images nor answers"):
        graph_of(torch.nn.Linear(1, 1), "auto", None, {})
    assert next(iter(POWERS)) == "sample"


def test_a_graph_that_is_too_far_from_its_model_is_refused():
    expected = np.zeros((4, 8, 8, 3), np.uint8)
    near, far = expected.copy(), expected.copy()
    near[0, 0, 0, 0], far[0, :2] = 2, 9
    assert files.checked(files.compared(near, expected)).largest == 2
    with pytest.raises(ModelFileError, match="does not agree with the model"):
        files.checked(files.compared(far, expected))
    broken = np.full((2, 3), np.nan, np.float32)
    with pytest.raises(ModelFileError, match="does not agree"):
        files.checked(files.compared(broken, np.zeros((2, 3), np.float32)))
    with pytest.raises(ModelFileError, match="the graph gives"):
        files.compared(expected[:1], expected)


def test_a_loop_is_the_same_outside_a_graph():
    steps = torch.tensor([1.0, 2.0, 3.0])
    (total, last) = looped(lambda state, row: (state[0] + row, row), (torch.zeros(()), torch.zeros(())), steps)
    assert total == 6 and last == 3


@pytest.mark.parametrize("count", [1, 3, 4])
def test_small_systems_are_solved(count):
    generator = torch.Generator().manual_seed(count)
    some = torch.randn(2, 5, 9, count, generator=generator)
    matrices = some.transpose(-1, -2) @ some + torch.eye(count)
    right = torch.randn(2, 5, count, 2, generator=generator)
    torch.testing.assert_close(solved(matrices, right), torch.linalg.solve(matrices, right), rtol=1e-4, atol=1e-5)


def test_a_stand_in_for_noise_hands_out_what_it_is_given():
    family = make("gan", DataSpec(height=8, width=8))
    made = graph(family)
    seeds = [3, 4]
    feeds = made.feeds(seeds, {name: v[:2] for name, v in made.rows.items()})
    np.testing.assert_array_equal(
        feeds["noise_latent"], Noise(seeds).normal("latent", *feeds["noise_latent"].shape[1:])
    )
    with torch.inference_mode():
        found = made([torch.as_tensor(feeds[i.name]) for i in made.inputs]).numpy()
    rows = {name: v[:2] for name, v in made.rows.items()}
    np.testing.assert_array_equal(found, np.concatenate(list(draw(family, seeds, rows, micro=2))))


def test_a_dial_that_a_model_never_looks_at_is_no_input():
    form = DataSpec(height=8, width=8)
    kind = REGISTRY.get("translate")
    for task, dials in (("upscale", []), ("edges", ["dial_variety"])):  # only what is drawn anew can vary
        config = dataclasses.replace(kind.variant("nano", form), task=task)
        family = build("translate", config, form, {}).eval()
        rows = {"input": np.zeros((2, 8, 8, 3 if task == "upscale" else 1), np.uint8)}
        made = graph_of(family, "sample", family.Options(), rows)
        assert [given.name for given in made.inputs if given.kind == "dial"] == dials
