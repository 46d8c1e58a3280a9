"""`replay`: an image is made again from what it says of itself, identical or with the reasons why not."""

import shutil

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from maquette.core.errors import MaquetteError, TrustError
from maquette.core.event import Warning
from maquette.core.noise import Mix
from maquette.core.settings import to_json
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.load import load
from maquette.engine.probe import Choice
from maquette.engine.sample import software, vouched, wishes
from maquette.engine.table import condition_table
from maquette.families import REGISTRY
from maquette.operations import operation as table
from maquette.store.run import Run
from maquette.store.workspace import Workspace
from maquette.trust.press import Press

FAMILIES = [name for name in REGISTRY.names() if hasattr(REGISTRY.get(name), "sample")]


def train(home, name, family, kind="shapes", **values):
    data = home / f"{kind}.mq"
    if not data.exists():
        list(make_drawn(kind, data, width=16, height=16, count=40))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        request = {"dataset": str(data), "to": name, "family": family, "scale": "nano", "set": ["batch=8"]}
        request |= {"images": 32, **values}
        list(table.run("train", Workspace(home), request))
    finally:
        starting.remembered = before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    train(home, "first", "oracle", images=64)
    train(home, "second", "oracle", images=128)
    return Workspace(home)


@pytest.fixture
def sample(shared, tmp_path):
    def sample(run="first", **values):
        request = {"run": run, "to": str(tmp_path / "out"), "count": 3, "sheet": False, **values}
        *_, result = table.run("sample", shared, request)
        return result.value.paths

    return sample


def replay(shared, image, model="first", **values):
    return list(table.run("replay", shared, {"image": str(image), "model": model, **values}))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_the_same_pixels_again(family, tmp_path):
    given = {}
    if REGISTRY.get(family).accepts <= {"image", "map"}:  # it makes images of images alone
        Pillow.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16) // 64).save(tmp_path / "map.png")
        given = {"image": [str(tmp_path / "map.png")]}
    train(tmp_path, "run", family, "facades" if given else "shapes")
    workspace = Workspace(tmp_path)
    request = {"run": "run", "to": str(tmp_path / "out"), "count": 20, "seed": 5, "sheet": False, **given}
    *_, sampled = table.run("sample", workspace, request)
    for path in (sampled.value.paths[0], sampled.value.paths[17]):
        named = {"given": [f"map={tmp_path / 'map.png'}"]} if given else {}
        result = replay(workspace, path, "run", **named)[-1]
        assert result.facts["same"] is True and result.facts["difference"]["largest"] == 0, result.summary
        assert result.facts["reasons"] == [] and "identical" in result.summary


def test_a_mix_of_seeds_is_made_again(shared, tmp_path):
    run = Run.open(shared.run_path("first"))
    model, mix = load(run), Mix.between(4, 7, 1 / 3)
    rows = wishes(model.spec.conditions, condition_table(run, model.spec), {}, [mix], (16, 16))
    ((made,),) = vouched(model, run.facts["model"], [mix], rows)
    facts = {"batch": model.together, "dials": to_json(model.Options()), "software": software(model)}
    asked = {spec.name: spec.describe(rows[spec.name][0]) for spec in model.spec.conditions}
    Press(shared.home).generated(tmp_path / "mix.png", made, {**facts, "conditions": asked})
    assert replay(shared, tmp_path / "mix.png")[-1].facts["same"] is True


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_every_format_gives_the_same_pixels_again(shared, sample, format):
    path = sample(format=format)[1]
    facts = replay(shared, path)[-1].facts
    assert facts["same"] and facts["seed"] == 1 and facts["status"] == "intact" and facts["said_by"] == "signature"


def test_dials_and_wishes_are_followed(shared, sample):
    path = sample(label="circle", temperature=0.3)[2]
    assert replay(shared, path)[-1].facts["same"]


def test_another_model_is_named_as_the_reason(shared, sample):
    result = replay(shared, sample()[0], "second")[-1]
    assert not result.facts["same"] and result.facts["difference"]["largest"] > 0
    assert any(reason.startswith("another model") for reason in result.facts["reasons"])
    assert "different in" in result.summary


def test_a_changed_image_is_different_and_says_so(shared, sample, tmp_path):
    path = sample()[0]
    with Pillow.open(path) as opened:
        pixels, packet = np.array(opened), opened.text["XML:com.adobe.xmp"]
    pixels[3, 4] ^= 1
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    Pillow.fromarray(pixels).save(tmp_path / "changed.png", pnginfo=info)
    events = replay(shared, tmp_path / "changed.png")
    facts = events[-1].facts
    assert not facts["same"] and facts["difference"]["largest"] == 1 and facts["said_by"] == "metadata"
    assert facts["difference"]["pixels"] == pytest.approx(1 / 256)
    assert any("unsigned" in reason for reason in facts["reasons"])
    assert any(isinstance(event, Warning) and "unsigned" in event.text for event in events)


def test_a_refined_image_is_made_and_refined_again(shared, sample, tmp_path):
    first = sample()[0]
    request = {"source": [str(first)], "to": str(tmp_path / "once"), "with": "white-balance, sharpen amount=0.4"}
    *_, once = table.run("refine", shared, request)
    request = {"source": [str(tmp_path / "once")], "to": str(tmp_path / "twice"), "with": "gaussian-blur radius=1"}
    *_, twice = table.run("refine", shared, request)
    for path in (once.value.paths[0], twice.value.paths[0]):
        result = replay(shared, path)[-1]
        assert result.facts["same"], result.summary


def test_another_form_is_said(shared, sample, tmp_path):
    path = sample()[0]
    with Pillow.open(path) as opened:
        packet = opened.text["XML:com.adobe.xmp"]
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        opened.resize((8, 8)).save(tmp_path / "small.png", pnginfo=info)
    result = replay(shared, tmp_path / "small.png")[-1]
    assert result.facts["same"] is False and result.facts["difference"] is None
    assert any("has the form 8x8" in reason for reason in result.facts["reasons"])


def test_what_cannot_be_made_again_is_said(shared, sample, tmp_path):
    paths = sample(sheet=True)
    Pillow.new("RGB", (16, 16)).save(tmp_path / "plain.png")
    (tmp_path / "no.png").write_bytes(b"no")
    for path, words in (
        (tmp_path / "plain.png", "does not say how it was made"),
        (paths[0].parent / "sheet.png", "not made from a seed"),
        (tmp_path / "no.png", "not an image"), (tmp_path / "none.png", "no such file"),
    ):  # fmt: skip
        with pytest.raises(MaquetteError, match=words):
            replay(shared, path)
    train(shared.home, "other", "flow", given="none")
    with pytest.raises(TrustError, match="family oracle"):
        replay(shared, paths[0], "other")


def test_the_image_can_be_written_again(shared, sample, tmp_path):
    first = sample()[2]
    replay(shared, first, to=str(tmp_path / "again.png"))
    with Pillow.open(first) as one, Pillow.open(tmp_path / "again.png") as two:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_the_manifest_names_the_data_of_the_run(shared, sample):
    path = sample()[0]
    (report,) = list(table.run("verify", shared, {"file": [str(path)]}))[-1].facts["images"]
    run = Run.open(shared.runs / "first")
    said = report["manifest"]
    assert said["model"] == run.facts["model"] and said["dataset"] == run.facts["dataset"]["digest"]
    assert len(said["set_aside"]) == 64 and said["family"] == "oracle" and said["batch"] == 16
    assert {"torch", "threads", "device", "processor"} <= set(said["software"])


def test_a_copy_elsewhere_replays_without_a_name(shared, sample, tmp_path):
    path = sample()[0]
    shutil.copy(path, tmp_path / "x.bin")
    assert replay(shared, tmp_path / "x.bin")[-1].facts["same"]
