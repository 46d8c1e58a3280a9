"""`sample --refine`: images are finished before they are written, carry what was made, and can be made again."""

import json

import numpy as np
import pytest

import maquette as mq
from maquette.core.errors import MaquetteError, UsageError
from maquette.core.image import load
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.workspace import Workspace

RECIPE = "resize scale=4 method=nearest, sharpen amount=0.6, grain"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    list(make_drawn("shapes", home / "shapes.mq", width=16, height=16, count=40))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        request = {"dataset": str(home / "shapes.mq"), "to": "first", "family": "oracle", "images": 64}
        list(table.run("train", Workspace(home), request))
    finally:
        starting.remembered = before
    return Workspace(home)


@pytest.fixture
def sample(shared, tmp_path):
    def sample(to="out", **values):
        return list(table.run("sample", shared, {"run": "first", "to": str(tmp_path / to), "count": 3, **values}))

    return sample


def test_every_image_is_what_the_recipe_makes_of_it_with_its_seed(sample):
    plain, finished = sample("plain", seed=5)[-1], sample("finished", seed=5, refine=RECIPE)[-1]
    assert finished.facts["seeds"] == [5, 6, 7]
    for at, (before, after) in enumerate(zip(plain.value, finished.value, strict=True)):
        assert after.shape == (64, 64, 3)
        assert np.array_equal(after, mq.refine(before, RECIPE, seed=5 + at))


def test_again_keeps_what_is_there_and_another_recipe_is_refused(sample):
    first = sample(refine=RECIPE)[-1].value.paths
    before = [path.read_bytes() for path in first]
    assert [path.read_bytes() for path in sample(refine=RECIPE)[-1].value.paths] == before
    with pytest.raises(MaquetteError, match="a file with other content is there already"):
        sample(refine="invert")
    assert [path.read_bytes() for path in first] == before


def test_verify_finds_the_signature_and_replay_makes_it_again(sample, shared):
    path = sample(refine=RECIPE)[-1].value.paths[1]
    *_, said = table.run("verify", shared, {"file": [str(path)]})
    (image,) = said.facts["images"]
    assert image["status"] == "intact"
    *_, again = table.run("replay", shared, {"image": str(path), "model": "first"})
    assert again.facts["same"] is True


def test_sizes_that_differ_stand_on_one_sheet(sample, tmp_path):
    result = sample(refine="trim tolerance=0.3")[-1]
    assert load(tmp_path / "out" / "sheet.png").ndim == 3
    assert len(result.facts["images"]) == 3


def test_other_formats_and_no_signature(sample, tmp_path):
    result = sample(refine="invert", format="jpeg", sign="off")[-1]
    assert [path.suffix for path in result.value.paths] == [".jpg"] * 3
    record = json.loads((tmp_path / "out" / "samples.jsonl").read_text().splitlines()[-1])
    assert record["seed"] == 2


@pytest.mark.parametrize(
    ("recipe", "said"), [("sharpn", "did you mean sharpen"), ("on 'a.png': invert", "there is no mask"), ("", None)]
)
def test_a_wrong_recipe_is_refused_before_anything_is_made(sample, tmp_path, recipe, said):
    if said is None:
        assert sample(refine=recipe)[-1].value[0].shape == (16, 16, 3)
        return
    with pytest.raises(UsageError, match=said):
        sample(refine=recipe)
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_refined_is_named(sample):
    with pytest.raises(MaquetteError, match=r"missing\.png"):
        sample(refine="on missing.png: invert")
