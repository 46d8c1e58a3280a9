"""The verbs of editing: real images and seeds in a model, mixed, varied and signed."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.image import load, save
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.faces import arguments
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with a run of an oracle of drawn shapes, and of a classifier of them."""
    home = tmp_path_factory.mktemp("home")
    list(make_drawn("shapes", home / "shapes.mq", width=16, height=16, count=240))
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        for name, family in (("first", "oracle"), ("sorter", "classify")):
            request = {"dataset": str(home / "shapes.mq"), "to": name, "family": family, "scale": "nano"}
            list(table.run("train", Workspace(home), request | {"images": 64, "set": ["batch=16"], "judge": False}))
    finally:
        starting.remembered = before
    return home


@pytest.fixture
def edit(home, tmp_path):
    def edit(action, *source, run="first", **values):
        request = {"run": run, "source": [str(file) for file in source], "to": str(tmp_path / "out"), **values}
        return list(table.run(f"edit-{action}", Workspace(home), request))

    return edit


@pytest.fixture
def photo(tmp_path):
    def photo(name="photo.png", seed=0, size=40):
        pixels = np.random.default_rng(seed).integers(90, 160, (5, 5, 3)).repeat(size // 5, 0).repeat(size // 5, 1)
        return save(pixels.astype(np.uint8), tmp_path / name)

    return photo


def test_two_words_are_one_verb():
    assert arguments.verb_of(["--quiet", "edit", "mix", "first"]) == ("edit-mix", ["--quiet", "first"])
    assert arguments.verb_of(["edit-mix", "first"]) == ("edit-mix", ["first"])
    assert arguments.verb_of(["edit"]) == ("edit", [])


def test_reconstructing_says_what_is_kept_and_how_far_it_is(edit, photo, home):
    noise = photo("noise.png", size=5)
    Pillow.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)).save(noise)
    result = edit("reconstruct", photo(), noise)[-1]
    usual, odd = result.facts["found"]
    assert usual["psnr"] > 15 and odd["farther"] == 1.0 and "outside" in odd["world"] and odd["times"] > 2
    assert load(result.value.paths[0]).shape == (16, 16, 3)
    (report,) = list(table.run("verify", Workspace(home), {"file": [str(result.value.paths[0])]}))[-1].facts["images"]
    assert report["status"] == "intact" and report["manifest"]["kind"] == "edited"
    assert report["manifest"]["refinements"][0]["op"] == "edit-reconstruct"


def test_mixes_of_seeds_are_made_by_the_model_and_made_again(edit, home):
    result = edit("mix", seeds="3,8", weights="0.7,0.3", between=2)[-1]
    assert len(result.facts["images"]) == 3
    for path in result.facts["images"]:
        again = list(table.run("replay", Workspace(home), {"image": path, "model": "first"}))[-1]
        assert again.facts["same"] is True


def test_a_mix_of_an_image_and_a_seed_lies_between_them(edit, photo):
    result = edit("mix", photo(), seeds="8", between=3)[-1]
    _, *way = [load(path).astype(float) for path in result.value.paths]
    steps = [np.abs(one - other).mean() for one, other in itertools.pairwise(way)]
    assert len(way) == 3 and max(steps) < np.abs(way[0] - way[-1]).mean()


def test_variations_stray_as_far_as_asked(edit, photo):
    near, far = (edit("vary", photo(), count=4, amount=amount, to=f"{photo().parent}/{amount}")[-1]
                 for amount in (0.05, 0.6))  # fmt: skip
    original = load(edit("reconstruct", photo())[-1].value.paths[0]).astype(float)
    strayed = [np.mean([np.abs(load(p) - original).mean() for p in result.value.paths]) for result in (near, far)]
    assert 0 < strayed[0] < strayed[1] / 2
    assert len({path.read_bytes() for path in far.value.paths}) == 4
    seeds = edit("vary", seeds=[3], count=2)[-1]
    assert [path.name for path in seeds.value.paths] == ["seed-00000003-000.png", "seed-00000003-001.png"]


@pytest.mark.parametrize(
    ("action", "values", "message"),
    [
        ("reconstruct", {"run": "sorter", "seeds": [1]}, "no latents that could be moved"),
        ("reconstruct", {}, "needs images or seeds"),
        ("mix", {"seeds": [1]}, "needs two images or seeds"),
        ("mix", {"seeds": [1, 2], "weights": [1.0]}, "1 weights do not fit 2"),
        ("mix", {"seeds": [1, 2], "weights": [0.0, 0.0]}, "mix nothing"),
        ("mix", {"seeds": [1, 2, 3], "between": 2}, "give two of them"),
        ("vary", {"seeds": [-1]}, "a seed lies between"),
        ("vary", {"seeds": [1], "label": "nothing"}, "no label"),
    ],
)
def test_what_cannot_be_done_is_said(edit, action, values, message):
    with pytest.raises(UsageError if "label" not in message else MaquetteError, match=message):
        edit(action, **values)


def test_a_file_that_is_no_image_is_left_out_and_named(edit, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    events = edit("reconstruct", photo(), tmp_path / "broken.png")
    assert len(events[-1].facts["images"]) == 1
    assert any("broken" in getattr(event, "text", "") for event in events)
    with pytest.raises(MaquetteError, match="none of the images can be used"):
        edit("reconstruct", tmp_path / "broken.png")


# Walks


def test_a_walk_through_seeds_closes_in_even_steps(edit, home, tmp_path):
    result = edit("walk", seeds="1,5,9", count=24, film="webp", stills=True)[-1]
    motion = result.facts["motion"]
    assert motion["frames"] == 24 and motion["unevenness"] < 0.1 and 0.8 < motion["closure"] < 1.2
    assert motion["flicker"] < 0.6
    (film,) = result.facts["films"]
    kinds = {str(one.path): one.facts.get("kind", "image") for one in Workspace(home).index.list("image")}
    assert kinds[film] == "film" and kinds[result.facts["images"][0]] == "image", "both are found in the gallery"
    with Pillow.open(film) as picture:
        assert picture.n_frames == 24 and picture.size == (16, 16)
    assert len(result.facts["images"]) == 24
    again = list(table.run("replay", Workspace(home), {"image": result.facts["images"][7], "model": "first"}))[-1]
    assert again.facts["same"] is True


def test_a_round_about_one_image_stays_near_it(edit, photo):
    near, far = (edit("walk", photo(), count=12, wander=wander, to=f"{photo().parent}/{wander}", film="gif")[-1]
                 for wander in (0.05, 0.5))  # fmt: skip
    assert near.facts["motion"]["step"] < far.facts["motion"]["step"] / 3
    assert all(0.7 < each.facts["motion"]["closure"] < 1.3 for each in (near, far))


def test_a_walk_that_does_not_loop_ends_at_its_last_stop(edit, photo):
    edit("walk", photo(), seeds=[4], count=9, loop=False, film="none", stills=True)
    frames = sorted((photo().parent / "out" / "frames").iterdir())
    assert len(frames) == 9
    ends = [load(frames[0]), load(frames[-1])]
    alone = edit("reconstruct", photo(), to=f"{photo().parent}/alone")[-1].value[0]
    assert np.abs(ends[0].astype(int) - alone).max() <= 2
    assert np.abs(ends[1].astype(int) - ends[0]).mean() > 5


def test_a_film_is_signed_and_never_called_generated(edit, home):
    pytest.importorskip("av")
    (film,) = edit("walk", seeds=[1, 2], count=8, film="mp4")[-1].facts["films"]
    (report,) = list(table.run("verify", Workspace(home), {"file": [film]}))[-1].facts["images"]
    assert report["status"] == "intact" and report["manifest"]["kind"] == "sheet"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": [1, 2], "film": "none"}, "nothing would be written"),
        ({"seeds": [1, 2], "count": 1}, "count = 1 is not possible"),
        ({}, "needs images or seeds"),
        ({"seeds": [1, 2], "run": "sorter"}, "no latents"),
    ],
)
def test_walks_that_cannot_be_taken(edit, values, message):
    with pytest.raises(UsageError, match=message):
        edit("walk", **values)


# Directions


def test_directions_from_labels_words_and_examples(edit, home, photo, tmp_path):
    def find(**values):
        return list(table.run("edit-find", Workspace(home), {"run": "first", **values}))[-1]

    assert find(count=2, to=str(tmp_path / "strips")).facts["directions"] == ["found-1", "found-2"]
    assert (tmp_path / "strips" / "directions.png").exists()
    assert find(**{"class": "ring"}).facts["directions"] == ["ring"]
    assert find(word="red", name="redder", keep=["ring"]).facts["all"] == ["found-1", "found-2", "ring", "redder"]
    for side, level in (("light", 200), ("dark", 50)):
        (tmp_path / side).mkdir()
        for number in range(4):
            pixels = np.random.default_rng(number).integers(level - 30, level + 30, (16, 16, 3)).astype(np.uint8)
            save(pixels, tmp_path / side / f"{number}.png")
            (tmp_path / f"{side}-left").mkdir(exist_ok=True)
            pixels[:, 6:] = np.random.default_rng(number).integers(100, 160, (16, 10, 3))
            save(pixels, tmp_path / f"{side}-left" / f"{number}.png")
    find(like=[str(tmp_path / "light-left")], unlike=[str(tmp_path / "dark-left")], name="left")
    pictures = []
    for hold, amount in ((False, 0), (True, 2), (False, 2)):
        to = str(tmp_path / f"{hold}-{amount}")
        made = edit("apply", seeds=[3], direction=[f"left={amount}"], hold=hold, to=to)[-1]
        pictures.append(load(made.value.paths[0]).astype(int))
    plain, within, free = pictures
    assert (within[:, 10:] == plain[:, 10:]).all() and (within[:, :4] != plain[:, :4]).any()
    assert (free[:, 10:] != plain[:, 10:]).any()
    find(like=[str(tmp_path / "light")], unlike=[str(tmp_path / "dark")], name="lighter")
    means = []
    for amount in ("-1.5", "1.5"):
        made = edit("apply", photo(), direction=[f"lighter={amount}"], to=str(tmp_path / amount))[-1]
        means.append(load(made.value.paths[0]).mean())
    assert means[1] > means[0] + 5
    made = edit("apply", seeds=[3], direction=["lighter=1,redder=-1"])[-1]
    assert made.facts["directions"] == {"lighter": 1.0, "redder": -1.0} and made.facts["change"] > 0

    swing = edit("walk", seeds=[3], direction=["lighter=1"], count=16, film="none", stills=True)[-1]
    levels = [load(Path(path)).mean() for path in swing.facts["images"]]
    assert np.argmax(levels) in (3, 4, 5) and np.argmin(levels) in (11, 12, 13)
    assert 0.5 < swing.facts["motion"]["closure"] < 1.5
    with pytest.raises(UsageError, match="begins at one image"):
        edit("walk", seeds=[3, 4], direction=["lighter=1"])

    def directions(**values):
        return list(table.run("edit-directions", Workspace(home), {"run": "first", **values}))[-1]

    left = directions(rename=["found-1=glow"], remove=["found-2", "left"])
    assert left.value == ["glow", "ring", "redder", "lighter"]
    for values in ({"rename": ["glow=ring"]}, {"rename": ["glow=a b"]}, {"remove": ["nothing"]}):
        with pytest.raises(UsageError):
            directions(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"direction": []}, "nothing says where to"),
        ({"direction": ["nowhere=1"]}, "no direction 'nowhere'"),
        ({"direction": ["nowhere=far"]}, "is no amount"),
        ({"direction": ["nowhere=1e9"]}, "is too far"),
    ],
)
def test_directions_that_are_not_there(edit, values, message):
    with pytest.raises(UsageError, match=message):
        edit("apply", seeds=[1], **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class": "hexagon"}, "no label 'hexagon'"),
        ({"word": "elephant"}, "no caption has the word"),
        ({"like": ["x"]}, "two sides"),
        ({"class": "ring", "word": "red"}, "leads to one thing"),
        ({"name": "a b"}, "cannot be a name"),
        ({"run": "sorter"}, "no latents"),
        ({"keep": ["nothing"]}, "no direction 'nothing'"),
    ],
)
def test_directions_that_cannot_be_found(home, values, message):
    with pytest.raises(MaquetteError, match=message):
        list(table.run("edit-find", Workspace(home), {"run": "first", **values}))
