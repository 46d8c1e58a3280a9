"""From a run folder to a model: what is not a sound model of this program is refused in a sentence, before memory."""

from __future__ import annotations

import copy
import json
import pickle
import resource

import numpy as np
import pytest
import torch
from toys import again, begin

from maquette.core.errors import MaquetteError, ModelFileError, UsageError
from maquette.core.settings import to_json
from maquette.core.spec import DataSpec
from maquette.engine import train as loop
from maquette.engine.load import build, default_config, load, rebuild, recipe, schema, seed_of
from maquette.engine.plan import Plan, read_plan
from maquette.families import REGISTRY
from maquette.store.run import Run

SPEC = DataSpec(height=8, width=8)


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    trainer, run = begin(shapes, tmp_path_factory.mktemp("trained") / "run")
    list(loop.train(trainer, run, name="oracle"))
    return run.path


@pytest.fixture
def copied(trained, tmp_path):
    import shutil

    return shutil.copytree(trained, tmp_path / "copy")


def edit(path, change):
    facts = json.loads((path / "run.json").read_text())
    change(facts["model_recipe"])
    (path / "run.json").write_text(json.dumps(facts))


def test_a_model_comes_back_as_it_was(trained):
    model = load(Run.open(trained))
    assert model.spec.condition("label").classes and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    again_ = load(Run.open(trained))
    assert all(torch.equal(value, again_.state_dict()[name]) for name, value in model.state_dict().items())


GIANT = {
    "width out of bounds": ("gan", {"width": 10**6}),
    "width at its bound": ("gan", {"width": 512, "latent": 4096}),
    "a batch out of bounds": ("gan", {"batch": 10**9}),
    "infinite": ("gan", {"rate": float("inf")}),
    "not a number": ("gan", {"width": "wide"}),
    "unknown setting": ("gan", {"depth_of_the_sea": 3}),
}


@pytest.mark.parametrize("which", GIANT)
def test_a_giant_config_is_refused_before_memory_is_taken(copied, which):
    name, changes = GIANT[which]

    def change(facts):
        facts["family"] = name
        facts["spec"] |= {"height": 4096, "width": 4096}
        facts["config"] = {**to_json(REGISTRY.get(name).variant("nano", SPEC)), **changes}

    edit(copied, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MaquetteError) as error:
        load(Run.open(copied))
    assert str(copied) in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes on Linux


def drop(key):
    return lambda facts: facts.pop(key)


HOSTILE = {
    "unknown family": lambda facts: facts.update(family="../../evil"),
    "family is no word": lambda facts: facts.update(family=["oracle"]),
    "another format": lambda facts: facts.update(format=2),
    "more keys": lambda facts: facts.update(code="import os"),
    "no config": drop("config"),
    "no spec": drop("spec"),
    "no parts": drop("parts"),
    "parts of nothing": lambda facts: facts.update(parts={"codec": copy.deepcopy(facts)}),
    "parts are a list": lambda facts: facts.update(parts=[1]),
    "config is a list": lambda facts: facts.update(config=[1, 2]),
    "config of another family": lambda facts: facts.update(config=to_json(REGISTRY.get("gan").variant("nano", SPEC))),
    "size of no image": lambda facts: facts["spec"].update(height=7),
    "a huge size": lambda facts: facts["spec"].update(height=2**40),
    "size is a word": lambda facts: facts["spec"].update(height="8"),
    "another size": lambda facts: facts["spec"].update(height=16),
    "another mode": lambda facts: facts["spec"].update(mode="grey"),
    "no mode": lambda facts: facts["spec"].update(mode="sepia"),
    "more in the spec": lambda facts: facts["spec"].update(more=1),
    "other classes": lambda facts: facts["spec"]["conditions"][0].update(classes=["one"]),
    "a condition of no kind": lambda facts: facts["spec"]["conditions"][0].update(kind="smell"),
    "conditions are a number": lambda facts: facts["spec"].update(conditions=3),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_recipe_is_refused_in_a_sentence(copied, which):
    edit(copied, HOSTILE[which])
    with pytest.raises(ModelFileError) as error:
        load(Run.open(copied))
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_a_recipe_that_is_no_object(copied):
    facts = json.loads((copied / "run.json").read_text())
    for value in ("words", 3, [1]):
        (copied / "run.json").write_text(json.dumps({**facts, "model_recipe": value}))
        with pytest.raises(ModelFileError):
            load(Run.open(copied))


class Bomb:
    def __reduce__(self):
        return (print, ("the pickle was opened",))


def test_a_renamed_pickle_is_named_for_what_it_is_and_never_opened(copied, capsys):
    (copied / "model.safetensors").write_bytes(pickle.dumps({"weights": Bomb()}))
    with pytest.raises(ModelFileError, match=r"pickle.*only safetensors"):
        load(Run.open(copied))
    assert "opened" not in capsys.readouterr().out


def test_a_flipped_byte_in_the_model_is_found(copied):
    file = copied / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 16
    file.write_bytes(content)
    with pytest.raises(MaquetteError, match="digest"):
        load(Run.open(copied))


def test_a_hostile_run_is_refused_when_it_is_to_go_on(shapes, copied):
    facts = Run.open(copied).facts
    good = to_json(Plan(images=480, batch=8))
    assert read_plan({"plan": good}, copied).batch == 8
    for plan in (
        {**good, "batch": 10**9}, {**good, "threads": 10**6}, {**good, "device": "abacus"}, {**good, "more": 1},
        {**good, "images": "many"}, {**good, "passes": 0}, {"images": 480}, [1], "words", None,
    ):  # fmt: skip
        with pytest.raises(MaquetteError, match="how the run computes"):
            read_plan({**facts, "plan": plan}, copied)
    with pytest.raises(MaquetteError, match="how the run computes"):
        read_plan({}, copied)


def test_weights_depend_on_the_seed_alone():
    config = default_config("gan", "nano", SPEC, {"width": "4", "latent": "8"})
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = build("gan", config, SPEC, {}, 5).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)  # and building disturbs nobody's random numbers
    torch.manual_seed(2)
    second, third = build("gan", config, SPEC, {}, 5).state_dict(), build("gan", config, SPEC, {}, 6).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert any(not torch.equal(value, third[name]) for name, value in first.items())


def test_a_recipe_with_parts_builds_them_again(toy):
    base = build("toy", toy.ToyConfig(width=3), SPEC, {}, 1)
    family = build("standing", toy.ToyConfig(width=5), SPEC, {"base": base}, 2)
    facts = json.loads(json.dumps(recipe("standing", family, {"base": ("toy", base)})))
    found = rebuild(facts)
    assert schema(found) == schema(family)
    assert found.base.config.width == 3 and found.config.width == 5
    with pytest.raises(ValueError, match="the parts of standing are base"):
        rebuild({**facts, "parts": {}})


def test_seeds_of_words_are_apart():
    seeds = {seed_of("step", *words) for words in np.ndindex(10, 10, 10)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of("a", "b") != seed_of("ab") != seed_of("a", "", "b")


def test_a_device_that_is_not_there_is_said(trained, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"no cuda device.*leave out --device"):
        load(Run.open(trained), device="cuda")


def test_a_model_written_in_channels_last_is_the_same_model(shapes, tmp_path):
    found = []
    for layout in ("contiguous", "channels_last"):
        trainer, run = begin(shapes, tmp_path / layout, plan={"layout": layout, "images": 80})
        list(loop.train(trainer, run, name="oracle"))
        found.append(load(Run.open(tmp_path / layout)).state_dict())
    trainer, run = again(shapes, tmp_path / "channels_last", plan={"layout": "channels_last", "images": 80})
    assert list(loop.train(trainer, run, name="oracle")) == []
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value)


def test_a_model_is_loaded_without_torchs_compiler(trained):
    """Loading that takes longer than everything else `sample` does."""
    import subprocess
    import sys

    code = (
        "import sys; from maquette.engine.load import load; from maquette.store.run import Run; "
        f"load(Run.open({str(trained)!r})); print(sorted(name for name in sys.modules if name == 'torch._dynamo'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_model_makes_is_counted_before_it_is_made():
    from maquette.engine.limit import Allowance

    makers = [
        lambda: torch.empty(10, 100), lambda: torch.zeros((10, 100)), lambda: torch.ones(size=(1000,)),
        lambda: torch.full((10, 10, 10), 3.0), lambda: torch.randn(1000), lambda: torch.rand(10, 100),
        lambda: torch.nn.Linear(1000, 1, bias=False), lambda: torch.zeros(500, dtype=torch.float64),
        lambda: torch.nn.Embedding(10, 100), lambda: torch.eye(10, 100),
        lambda: torch.nn.Conv2d(10, 100, 1, bias=False),
    ]  # fmt: skip
    for make in makers:
        with Allowance(4000) as allowance:
            make()
        assert allowance.left == 0
        with pytest.raises(ValueError, match="more memory than its file can fill"), Allowance(3999):
            make()
    with Allowance(8):  # one number twice: a scalar has the size ()
        torch.zeros(())
        torch.empty((), dtype=torch.int32)


def test_random_weights_are_not_drawn_when_they_are_overwritten_at_once():
    from maquette.engine.limit import Allowance

    state = torch.random.get_rng_state()
    with Allowance(2**20):
        layer = torch.nn.Conv2d(3, 8, 3)
        torch.nn.init.orthogonal_(layer.weight)
        torch.nn.init.xavier_uniform_(layer.weight)
    assert torch.equal(torch.random.get_rng_state(), state)
