"""`translate`: pairs that are there or made of plain images, any size, several inputs, and a learned upscaler."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ConditionError, DataError, MaquetteError, UsageError
from maquette.core.image import load
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.engine import start as starting
from maquette.engine.load import build
from maquette.engine.probe import Choice
from maquette.families import translate
from maquette.families.translate import TASKS, Dials, Settings
from maquette.nn.spoil import blurred, edges, greyed, shrunk
from maquette.operations import operation as table
from maquette.store.workspace import Workspace

SKETCH = ConditionSpec(name="sketch", kind="image", mode="grey")
SPEC = DataSpec(height=32, width=32)


def make(task="upscale", spec=SPEC, **changes):
    """A family whose weights say something of everything."""
    config = Settings(**{"task": task, "width": 8, "patch": 2, "depth": 1, **changes})
    family = build("translate", config, spec, {}, 0)
    with torch.no_grad():
        for name, value in family.generator.named_parameters():
            if "second.weight" in name or "leave.weight" in name:
                value.normal_(std=0.05, generator=torch.Generator().manual_seed(3))
    return family.eval()


def pictures(count=3, height=32, width=32, channels=3, seed=0):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sample(family, condition, seeds=(1, 2, 3), **dials):
    with torch.inference_mode():
        (images,) = family.sample(Noise(seeds), condition, Dials(**dials))
    return images


@pytest.mark.parametrize("task", TASKS[1:])
def test_pairs_are_made_of_plain_images(task):
    family = make(task)
    (condition,) = family.made(Dials()).conditions
    given = family.derive(pictures())[condition.name]
    assert given.shape == (3, 3 if condition.mode == "rgb" else 1, 32, 32)
    assert -1 <= float(given.min()) <= float(given.max()) <= 1
    answer = sample(family, {condition.name: given})
    assert answer.shape == (3, 3, 32, 32)
    with pytest.raises(ConditionError, match="this model needs the image 'input'; give --image FILE"):
        sample(family, {})


def test_what_is_given_says_less_than_what_is_wanted():
    images = pictures()
    assert float((make("upscale").derive(images)["input"] - images).abs().mean()) > 0.1
    assert float(blurred(images, 2.0).std()) < 0.3 * float(images.std())
    torch.testing.assert_close(greyed(torch.ones(1, 3, 8, 8)), torch.ones(1, 1, 8, 8))
    step = torch.full((1, 1, 16, 16), -1.0)
    step[..., 8:] = 1
    lines = edges(step)
    assert (lines[..., 7:9] == -1).all() and (lines[..., :6] == 1).all() and (lines[..., 10:] == 1).all()


@pytest.mark.parametrize(("height", "width", "times"), [(32, 48, 2), (30, 24, 3), (16, 16, 4)])
def test_images_are_made_smaller_as_programs_make_them(height, width, times):
    """By Lanczos, as Pillow does it."""
    image = np.random.default_rng(times).random((height, width), np.float32)
    by_pillow = Pillow.fromarray(image).resize((width // times, height // times), Pillow.Resampling.LANCZOS)
    assert np.abs(shrunk(torch.from_numpy(image)[None, None], times)[0, 0].numpy() - np.asarray(by_pillow)).max() < 1e-5


def test_tasks_that_cannot_be_are_refused():
    with pytest.raises(DataError, match=r"the data have no pairs to learn from.*--set task=NAME, one of upscale"):
        make("pairs")
    with pytest.raises(DataError, match="grey images have no colours"):
        make("colour", DataSpec(height=32, width=32, mode="grey"))
    with pytest.raises(UsageError, match="a width of 36 pixels is not possible; choose a multiple of 8, such as 3"):
        make().made(Dials(width=36))


def test_answers_vary_with_the_seed_where_there_are_several():
    given = {"sketch": pictures(channels=1)[:1].expand(3, -1, -1, -1)}
    family = make("pairs", dataclasses.replace(SPEC, conditions=(SKETCH,)))
    images = sample(family, given)
    assert not torch.equal(images[0], images[1])
    calm = sample(family, given, variety=0.0)
    assert torch.equal(calm[0], calm[1])
    sharper = make("upscale")
    once = sample(sharper, {"input": pictures()[:1].expand(2, -1, -1, -1)}, seeds=(1, 2))
    assert torch.equal(once[0], once[1])  # there is one right answer


@pytest.mark.parametrize("tile", ["", "x", "xy"])
def test_large_images_are_made_piece_by_piece_as_in_one(tile, monkeypatch):
    family = make("pairs", dataclasses.replace(SPEC, conditions=(SKETCH,), tile=tile))
    given = {"sketch": pictures(1, 160, 224, channels=1)}
    whole = sample(family, given, seeds=(4,), height=160, width=224)
    monkeypatch.setattr(translate, "WINDOW", 64)
    pieces = sample(family, given, seeds=(4,), height=160, width=224)
    edge = family.generator.reach
    inner = [slice(0 if axis in tile else edge, None if axis in tile else -edge) for axis in "yx"]
    assert whole[..., inner[0], inner[1]].numel() > 1000
    torch.testing.assert_close(pieces[..., inner[0], inner[1]], whole[..., inner[0], inner[1]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (17, 45), (8, 100)])
def test_whole_images_of_any_size_are_predicted(size):
    images = pictures(1, *size)
    with torch.inference_mode():
        assert make("upscale", times=3).predict(images).shape == (1, 3, 3 * size[0], 3 * size[1])
        assert make("colour").predict(images).shape == (1, 3, *size)
    two = dataclasses.replace(SPEC, conditions=(SKETCH, ConditionSpec(name="plan", kind="map", classes=("a", "b"))))
    with pytest.raises(UsageError, match=r"needs more than one image.*image 'sketch', map 'plan'"):
        make("pairs", two).predict(images)


def test_upscaling_is_learned(tmp_path):
    """From stripes alone: what is between two pixels of a stripe is known once stripes are."""
    torch.manual_seed(0)
    family = make("upscale", dataclasses.replace(SPEC, mode="grey"), width=16, rate=3e-3, patch=1, levels=1)
    for value in (family.generator.leave.weight, family.generator.leave.bias):
        torch.nn.init.zeros_(value)
    optimizer = torch.optim.Adam(family.generator.parameters(), 3e-3)
    generator = torch.Generator()

    def stripes(seed):
        phase = torch.rand(8, 2, 1, 1, generator=generator.manual_seed(seed)) * 6
        row, column = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        return torch.sign(torch.sin(row / 3 + phase[:, 0]) + torch.sin(column / 2.5 + phase[:, 1]))[:, None]

    for step in range(120):
        optimizer.zero_grad()
        family.loss(Batch(stripes(step), {}, generator), "fit").total.backward()
        optimizer.step()
    images = stripes(1000)
    given = family.derive(images)["input"]
    error = float((given - images).abs().mean())
    with torch.inference_mode():
        assert float((family._answer(given, None) - images).abs().mean()) < 0.7 * error


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder of plain photographs, and two models: `larger` upscales, `maps` was given maps."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    for number, picture in enumerate(pictures(12, 32, 32).add(1).mul(127).byte().permute(0, 2, 3, 1).numpy()):
        Pillow.fromarray(picture).save(home / "photos" / f"{number:02d}.png")
    space = Workspace(home / "space")
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        result("ingest", space, source=[str(home / "photos")], to="photos", size=32)
        words = ["batch=4", "width=8", "depth=1"]
        wish = {"family": "translate", "images": 16, "scale": "nano"}
        result("train", space, dataset="photos", to="larger", set=[*words, "task=upscale"], **wish)
        result("ingest", space, source=["drawn:facades"], to="facades", size=16, count=24)
        result("train", space, dataset="facades", to="maps", set=words, **wish)
    finally:
        starting.remembered = before
    return space


def result(verb, workspace, **values):
    return list(table.run(verb, workspace, values))[-1]


def test_each_image_of_a_folder_is_translated(workspace, tmp_path):
    photos = workspace.home.parent / "photos"
    made = result("sample", workspace, run="larger", image=[str(photos)], to=str(tmp_path / "out"))
    names = [f"{number:02d}-seed-00000000.png" for number in range(12)]
    assert [path.name for path in made.value.paths] == names
    assert made.facts["seeds"] == [0] * 12
    alone = result("sample", workspace, run="larger", count=1, image=[str(photos / "07.png")], to=str(tmp_path / "one"))
    assert alone.value.paths[0].name == "seed-00000000.png"
    assert np.array_equal(alone.value[0], made.value[7])
    both = result(
        "sample", workspace, run="larger", count=2, to=str(tmp_path / "two"),
        image=[str(photos / "03.png"), f"input={photos / '07.png'}"],
    )  # fmt: skip
    assert [path.name for path in both.value.paths] == [
        f"{stem}-seed-{seed:08d}.png" for stem in ("03", "07") for seed in (0, 1)
    ]
    assert np.array_equal(both.value[2], made.value[7])
    again = result(
        "replay", workspace, image=str(made.value.paths[7]), model="larger", given=[f"input={photos / '07.png'}"]
    )
    assert again.facts["same"]


def test_one_odd_file_among_several_is_left_out(workspace, tmp_path):
    good = workspace.home.parent / "photos" / "01.png"
    (tmp_path / "bad.png").write_text("no image")
    events = list(
        table.run(
            "sample",
            workspace,
            {"run": "larger", "image": [str(tmp_path / "bad.png"), str(good)], "to": str(tmp_path / "out")},
        )
    )
    assert any(event.name == "warning" and "bad.png" in event.text for event in events)
    assert [path.name for path in events[-1].value.paths] == ["01-seed-00000000.png"]
    assert len(events[-1].facts["set_aside"]) == 1
    with pytest.raises(DataError, match="none of the 2 images can be used"):
        result("sample", workspace, run="larger", image=[str(tmp_path / "bad.png")] * 2, to=str(tmp_path / "none"))


def test_a_folder_without_images_and_sets_that_do_not_fit_are_refused(workspace, tmp_path):
    with pytest.raises(MaquetteError, match="there is no image in it"):
        result("sample", workspace, run="larger", image=[str(tmp_path)], to=str(tmp_path / "out"))


def test_sheets_show_what_was_given(workspace):
    sheet = load(sorted((workspace.runs / "maps" / "samples").iterdir())[-1])
    assert sheet.shape[1] == 8 * 2 * 16 + 9 * 2  # four pairs a row, twice as large


def test_the_run_is_an_upscaler_for_refine(workspace, tmp_path):
    photo = workspace.home.parent / "photos" / "01.png"
    words = f"upscale times=2 model={workspace.runs / 'larger'}"
    made = result("refine", workspace, source=[str(photo)], to=str(tmp_path / "out"), with_=words, sign="off")
    assert made.value[0].shape == (64, 64, 3)
