"""`encode`, `decode`, `score`, `complete`: images through a model of one's own, and what is said if that cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Result
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import _reading
from maquette.operations import operation as table
from maquette.store.tokens import TokenFile, pack, read
from maquette.store.workspace import Workspace


def do(workspace, verb, **values):
    *_, last = table.run(verb, workspace, values)
    assert isinstance(last, Result)
    known = {str(entry.path) for entry in workspace.index.list("image")} if "images" in last.facts else set()
    assert verb not in ("decode", "complete") or known >= set(last.facts["images"]), "the gallery finds them"
    return last


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace with small models of drawn shapes, and a folder of pictures of another size."""
    home = tmp_path_factory.mktemp("home")
    workspace = Workspace(home)
    *_, made = make_drawn("shapes", home / "shapes.mq", width=16, height=16, count=160)
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    small = ["batch=16", "width=16", "depth=1"]
    wishes = {
        "codec": ("autoencoder", small), "numbers": ("autoencoder", [*small, "codes=0"]), "plain": ("oracle", []),
    }  # fmt: skip
    try:
        for name, (family, settings) in wishes.items():
            request = {"dataset": str(made.value.path), "to": name, "family": family, "scale": "nano", "judge": False}
            do(workspace, "train", images=480, set=settings, **request)
        request = {"dataset": str(made.value.path), "to": "writer", "family": "recurrent", "scale": "nano"}
        small = ["batch=16", "width=32", "blocks=1"]
        do(workspace, "train", images=320, set=small, judge=False, on=str(workspace.run_path("codec")), **request)
    finally:
        starting.remembered = before
    folder = home / "pictures"
    folder.mkdir()
    for at, picture in enumerate(made.value.images(range(5))):
        Pillow.fromarray(picture).resize((48, 40)).save(folder / f"shape {at}.png")
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)).save(folder / "noise.png")
    return workspace


def test_images_become_a_small_file_and_come_back(shared, tmp_path):
    folder = shared.home / "pictures"
    made = do(shared, "encode", run="codec", source=[str(folder)], to=str(tmp_path / "all.tokens"))
    assert sorted(made.facts["images"]) == ["noise", *(f"shape {at}" for at in range(5))]
    assert made.facts["bytes"] == (tmp_path / "all.tokens").stat().st_size < made.facts["pixels_bytes"] / 5
    back = do(shared, "decode", run="codec", file=str(tmp_path / "all.tokens"), to=str(tmp_path / "back"))
    assert {Path(path).stem for path in back.facts["images"]} == set(made.facts["images"])
    assert all(image.shape == (16, 16, 3) for image in back.value)
    again = do(shared, "encode", run="codec", source=[str(folder)], to=str(tmp_path / "all.tokens"))
    assert again.facts["bytes"] == made.facts["bytes"]  # the same content is there already
    checked = do(shared, "verify", file=back.facts["images"])
    assert {found["status"] for found in checked.facts["images"]} == {"intact"}
    assert all("made of other media" in found["words"] for found in checked.facts["images"])


@pytest.mark.parametrize("verb", ["encode", "score"])
def test_files_go_through_a_model_in_full_passes_and_those_that_cannot_be_read_are_named(
    shared, tmp_path, monkeypatch, verb
):
    shutil.copytree(shared.home / "pictures", tmp_path / "in")
    monkeypatch.chdir(tmp_path)  # most people name a folder that lies where they are
    broken = Path("in") / "shape 2 and a half.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    found = []
    for passes in (16, 4):  # all six at once; four, and then two where the broken one lies between
        monkeypatch.setattr("maquette.operations._reading.TOGETHER", passes)
        wish = {"run": "codec", "source": ["in"], "to": str(tmp_path / f"{passes}.out")}
        *events, result = table.run(verb, shared, wish)
        told = [event for event in events if event.name == "progress"]
        assert [(event.done, event.total) for event in told] == [(done, 7) for done in range(1, 8)]
        assert [event.text.partition(": ")[0] for event in events if event.name == "warning"] == [str(broken)]
        assert [left["path"] for left in result.facts["set_aside"]] == [str(broken)]
        assert len(result.facts["images"]) == 6
        found.append((result.facts["images"], (tmp_path / f"{passes}.out").read_bytes()))
    assert found[0] == found[1]
    only = {**wish, "source": [str(broken)], "to": str(tmp_path / "none")}
    with pytest.raises(DataError, match="shape 2 and a half"):
        list(table.run(verb, shared, only))
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_another_model_and_a_model_without_tokens_are_each_a_sentence(shared, tmp_path):
    folder, file = shared.home / "pictures", tmp_path / "all.tokens"
    do(shared, "encode", run="codec", source=[str(folder)], to=str(file))
    with pytest.raises(UsageError, match="keeps numbers and no tokens"):
        do(shared, "encode", run="numbers", source=[str(folder)], to=str(tmp_path / "other.tokens"))
    with pytest.raises(UsageError, match="oracle makes no tokens"):
        do(shared, "decode", run="plain", file=str(file), to=str(tmp_path / "back"))
    from maquette.store.tokens import TokenFile, pack, read

    content = read(file)
    file.write_bytes(pack(TokenFile("beef" * 16, content.levels, content.names, content.tokens)))
    with pytest.raises(DataError, match="another model made these tokens"):
        do(shared, "decode", run="codec", file=str(file), to=str(tmp_path / "back"))
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged"):
        do(shared, "decode", run="codec", file=str(file), to=str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_names_in_a_file_lead_nowhere_else(shared, tmp_path):
    from maquette.store.tokens import TokenFile, pack, read

    file = tmp_path / "all.tokens"
    do(shared, "encode", run="codec", source=[str(shared.home / "pictures")], to=str(file))
    content = read(file)
    names = ("../../out", "/etc/passwd", "a\\..\\b", "..", "C:\\x", "ok")
    file.write_bytes(pack(TokenFile(content.model, content.levels, names, content.tokens)))
    made = do(shared, "decode", run="codec", file=str(file), to=str(tmp_path / "back"), sign="off")
    written = {path.resolve() for path in tmp_path.rglob("*.png")}
    assert len(written) == len(made.facts["images"]) == 6
    assert all((tmp_path / "back").resolve() in path.parents for path in written)


def test_what_is_odd_comes_first(shared, tmp_path):
    folder = shared.home / "pictures"
    found = do(shared, "score", run="codec", source=[str(folder)])
    assert found.facts["images"][0]["path"] == "noise"
    assert found.facts["images"][0]["odd"] == 1.0
    assert found.facts["beside"] > 0
    ordered = [image["score"] for image in found.facts["images"]]
    assert ordered == sorted(ordered)
    do(shared, "score", run="codec", source=[str(folder)], to=str(tmp_path / "odd.csv"))
    lines = (tmp_path / "odd.csv").read_text().splitlines()
    assert lines[0] == "image,score,odd" and lines[1].startswith("noise,") and len(lines) == 7


def test_what_is_kept_stays_and_the_rest_is_made_in_several_ways(shared, tmp_path):
    source = str(shared.home / "pictures" / "shape 1.png")
    wish = {"run": "writer", "source": source, "count": 3, "text": "one red ring at the top"}
    made = do(shared, "complete", to=str(tmp_path / "out"), **wish)
    images = [image.astype(int) for image in made.value]
    assert len(images) == 3 and (tmp_path / "out" / "sheet.png").exists()
    assert all(np.array_equal(image[:8], images[0][:8]) for image in images)
    assert len({image[8:].tobytes() for image in images}) == 3
    more = do(shared, "complete", to=str(tmp_path / "more"), **{**wish, "count": 1, "seed": 2}, sheet=False)
    assert np.array_equal(more.value[0], images[2])  # image k depends on seed k alone
    mask = np.zeros((48, 48), np.uint8)
    mask[24:, 24:] = 255
    Pillow.fromarray(mask).save(tmp_path / "mask.png")
    masked = do(shared, "complete", to=str(tmp_path / "masked"), mask=str(tmp_path / "mask.png"), **wish)
    assert masked.facts["kept"] == 0.75
    assert np.array_equal(masked.value[0][:8], images[0][:8])
    checked = do(shared, "verify", file=masked.facts["images"])
    assert all(found["status"] == "intact" for found in checked.facts["images"])
    Pillow.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "none.png")
    with pytest.raises(DataError, match="white nowhere"):
        do(shared, "complete", to=str(tmp_path / "none"), mask=str(tmp_path / "none.png"), **wish)
    white = np.full((9, 9), 255, np.uint8)
    Pillow.fromarray(white).save(tmp_path / "all.png")
    with pytest.raises(DataError, match="white everywhere"):
        do(shared, "complete", to=str(tmp_path / "all"), mask=str(tmp_path / "all.png"), **wish)
    with pytest.raises(UsageError, match="cannot complete"):
        do(shared, "complete", run="plain", source=source, to=str(tmp_path / "plain"))


def test_an_image_goes_on_beyond_its_sides_and_ways_are_ranked(shared, tmp_path):
    source = str(shared.home / "pictures" / "shape 1.png")
    wish = {"run": "writer", "source": source, "count": 2}
    made = do(shared, "complete", to=str(tmp_path / "wide"), extend=["right=8", "top=4"], **wish)
    assert {image.shape for image in made.value} == {(20, 24, 3)}
    if "ranking" in made.facts:
        times = [each["times"] for each in made.facts["ranking"]]
        assert times == sorted(times) and len(times) == 2
    for wrong in ("up=3", "right=0", "right=x"):
        with pytest.raises(UsageError):
            do(shared, "complete", to=str(tmp_path / "no"), extend=[wrong], **wish)
    with pytest.raises(UsageError, match="not both"):
        do(shared, "complete", to=str(tmp_path / "no"), extend=["right=8"], mask=source, **wish)


def test_a_run_that_makes_other_images_carries_no_other(shared, tmp_path):
    *_, larger = make_drawn("shapes", tmp_path / "larger.mq", width=24, height=16, count=20)
    wish = {"dataset": str(larger.value.path), "family": "recurrent", "images": 32, "scale": "nano"}
    with pytest.raises(UsageError, match=r"takes images of 16x16 rgb, and these are 24x16 rgb"):
        do(shared, "train", to=str(tmp_path / "one"), on=str(shared.run_path("codec")), **wish)
    wish["dataset"] = str(shared.home / "shapes.mq")
    with pytest.raises(UsageError, match="keeps numbers, and tokens are needed"):
        do(shared, "train", to=str(tmp_path / "two"), on=str(shared.run_path("numbers")), **wish)
    with pytest.raises(UsageError, match="stands on one that tokenises, and oracle does not"):
        do(shared, "train", to=str(tmp_path / "three"), on=str(shared.run_path("plain")), **wish)


def test_an_autoencoder_restores_in_a_recipe(shared, tmp_path):
    words = f"restore model={shared.run_path('codec')}"
    made = do(
        shared, "refine", source=[str(shared.home / "pictures" / "shape 0.png")], to=str(tmp_path / "out"), with_=words
    )
    assert made.value[0].shape == (40, 48, 3)


@pytest.mark.parametrize("left", [20, 5, 0])
def test_files_that_go_away_meanwhile_are_left_out(left, shared, tmp_path, monkeypatch):
    """They are counted, then the model is loaded, then they are read: what is named is what was read."""
    picture = next((shared.home / "pictures").glob("shape*"))
    for at in range(left + 1):
        shutil.copy(picture, tmp_path / f"{at:02}.png")

    through = _reading.Reading.through

    def later(self, take, verb):
        for at in range(max(left - 1, 0), left + 1):
            (tmp_path / f"{at:02}.png").unlink()
        return through(self, take, verb)

    monkeypatch.setattr(_reading.Reading, "through", later)
    asked = {"run": "codec", "source": [str(tmp_path)], "to": str(tmp_path / "all.tokens")}
    if not left:
        with pytest.raises(DataError):
            do(shared, "encode", **asked)
        return
    do(shared, "encode", **asked)
    found = read(tmp_path / "all.tokens")
    assert len(found.names) == len(found.tokens) == left - 1


def test_names_and_tokens_belong_together():
    with pytest.raises(ValueError, match="2 names for the tokens of 1"):
        pack(TokenFile(model="0" * 64, levels=(8,), names=("a", "b"), tokens=np.zeros((1, 2, 2), np.int32)))
