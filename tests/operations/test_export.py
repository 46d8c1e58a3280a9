"""The verb `export`: a file that other programs can use, with its story in it; refused by name where it cannot be."""

from __future__ import annotations

import builtins
import json

import numpy as np
import onnx
import onnxruntime
import pytest

from maquette.core.errors import RunError, UsageError
from maquette.core.image import load as load_image
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.run import Run
from maquette.store.workspace import Workspace


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace with a model that knows labels."""
    home = tmp_path_factory.mktemp("home")
    *_, made = make_drawn("shapes", home / "shapes.mq", width=8, height=8, count=40)
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    request = {"dataset": str(made.value.path), "family": "oracle", "scale": "nano", "images": 640, "set": ["batch=16"]}
    try:
        list(table.run("train", Workspace(home), {**request, "to": "shapes", "given": "label"}))
    finally:
        starting.remembered = before
    list(table.run("card", Workspace(home), {"of": "shapes", "licence": "CC0 <b>all</b>"}))
    return Workspace(home)


@pytest.fixture(scope="module")
def exported(shared, tmp_path_factory):
    """The events, and the file."""
    to = tmp_path_factory.mktemp("out") / "shapes.onnx"
    return list(table.run("export", shared, {"run": "shapes", "to": str(to)})), to


def test_the_result_and_the_metadata_hold_what_is_promised(exported, shared):
    events, to = exported
    result = events[-1].to_json()
    assert result["event"] == "result" and result["verb"] == "export" and result["file"] == str(to)
    assert result["agreement"] == {"largest": 0.0, "apart": 0.0, "images": 16}
    assert result["inputs"] == ["noise_oracle", "condition_label", "dial_temperature"]
    assert [e.path for e in events if e.name == "made"] == [str(to)]
    assert any(e.name == "progress" and e.total == 3 for e in events)
    facts = {p.key: p.value for p in onnx.load(to).metadata_props}
    run = Run.open(shared.runs / "shapes")
    assert facts["family"] == "oracle" and facts["model"] == run.facts["model"] and facts["licence"] == "CC0 <b>all</b>"
    assert facts["dataset"] == run.facts["dataset"]["digest"] and "no signature" in facts["unsigned"]
    inputs = {one["name"]: one for one in json.loads(facts["inputs"])}
    assert "circle" in inputs["condition_label"]["condition"]["classes"]
    assert json.loads(facts["card"])["digest"] == run.facts["model"] and json.loads(facts["agreement"])["images"] == 16


def test_another_program_makes_the_images_of_the_same_seeds(exported, shared, tmp_path):
    _, to = exported
    facts = {p.key: p.value for p in onnx.load(to).metadata_props}
    inputs = {one["name"]: one for one in json.loads(facts["inputs"])}
    noise = inputs["noise_oracle"]
    rows = []
    for seed in (5, 6):  # as the metadata says, without anything of Maquette
        size = int(np.prod(noise["shape"]))
        half = (size + 1) // 2
        raw = np.random.Philox(key=np.array([seed, int(noise["key"], 16)], np.uint64)).random_raw(2 * half)
        u = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
        radius = np.sqrt(-2 * np.log(1 - u[:half]))
        angles = 2 * np.pi * u[half:]
        rows.append(np.concatenate([radius * np.cos(angles), radius * np.sin(angles)])[:size].reshape(noise["shape"]))
    label = inputs["condition_label"]["condition"]["classes"].index("circle")
    runs = onnxruntime.InferenceSession(str(to), providers=["CPUExecutionProvider"])
    (found,) = runs.run(None, {
        "noise_oracle": np.stack(rows).astype(np.float32), "condition_label": np.array([label, label], np.int64),
        "dial_temperature": np.array(1, np.float32),
    })  # fmt: skip
    out = tmp_path / "out"
    list(table.run("sample", shared, {"run": "shapes", "to": str(out), "count": 2, "seed": 5, "label": "circle"}))
    expected = np.stack([load_image(out / f"seed-0000000{seed}.png") for seed in (5, 6)])
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (
            {"to": "shapes.pt"},
            UsageError,
            "shapes.pt could be any kind of file; give a name that ends in .onnx or .html",
        ),
        ({"run": "none"}, RunError, "there is no such folder"),
        ({"what": "encode"}, UsageError, "the family oracle cannot encode; it can: sample"),
        ({"temprature": "2"}, UsageError, "temprature"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(shared, tmp_path, values, error, words):
    request = {"run": "shapes", "to": "shapes.onnx", **values}
    with pytest.raises(error, match=words):
        list(table.run("export", shared, {**request, "to": str(tmp_path / request["to"])}))
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named(shared, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "onnxscript":
            raise ImportError("no", name="onnxscript")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"onnxscript is missing\); install them: pip install 'maquette\[onnx\]'"):
        list(table.run("export", shared, {"run": "shapes", "to": str(tmp_path / "a.onnx")}))
