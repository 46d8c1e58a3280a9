"""`mark`: a dataset whose images all carry one mark, a model that learns it, and nobody finds it without the secret."""

import os
import stat

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from maquette.core.errors import DataError, MaquetteError, TrustError, UsageError
from maquette.core.event import Progress, Warning
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.workspace import Workspace
from maquette.trust.watermark import detect_many

SIDE, COUNT = 64, 60


def crops(count=COUNT):
    whole = skimage.data.immunohistochemistry()
    random = np.random.default_rng(0)
    places = random.integers(0, 512 - SIDE, (count, 2))
    return np.stack([whole[y : y + SIDE, x : x + SIDE] for y, x in places])


def make(path, images):
    with Writer(path, DataSpec(height=SIDE, width=SIDE), settings={}) as writer:
        writer.append(images, {}, [{"path": f"{number}.png"} for number in range(len(images))])
        return writer.finish(np.zeros(len(images), np.uint8), np.arange(len(images), dtype=np.int32))


@pytest.fixture
def space(tmp_path):
    make(tmp_path / "photos.mq", crops())
    return Workspace(tmp_path / "home")


def mark(space, of, **values):
    return list(table.run("mark", space, {"of": str(of), **values}))


def made_by_a_model(space, data, tmp_path, name):
    """Samples of the family whose answer is known, which needs a moment to learn."""
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        request = {"dataset": str(data), "to": name, "family": "oracle", "images": 4000, "set": ["batch=16"]}
        list(table.run("train", space, request))
    finally:
        starting.remembered = before
    request = {"run": name, "to": str(tmp_path / f"{name}-out"), "count": 32, "watermark": "off", "temperature": 0.2}
    list(table.run("sample", space, request))
    return tmp_path / f"{name}-out"


def test_a_model_learns_the_mark_and_only_the_secret_finds_it(space, tmp_path):
    data = tmp_path / "photos.mq"
    plain = made_by_a_model(space, data, tmp_path, "plain")
    *events, result = mark(space, data)
    assert result.facts["marked"] == COUNT and result.facts["unmarked"] == 0 and result.facts["edition"] == 2
    assert any(isinstance(event, Progress) for event in events)
    before, after = crops().astype(float), Dataset.open(data).images(range(COUNT))
    assert (10 * np.log10(255**2 / ((after - before) ** 2).mean((1, 2, 3)))).min() > 39.5
    marked = made_by_a_model(space, data, tmp_path, "marked")
    found = mark(space, marked)[-1]
    assert found.facts["present"] and found.facts["images"] == 32 and found.facts["p_value"] < 1e-6
    assert found.facts["mark"] == result.facts["mark"] and "carry the mark" in found.summary
    assert not mark(space, plain)[-1].facts["present"]
    (tmp_path / "other").write_text("another secret altogether")
    unseen = mark(space, marked, secret=str(tmp_path / "other"))[-1]
    assert not unseen.facts["present"] and "do not carry the mark" in unseen.summary
    one = mark(space, sorted(marked.glob("seed-*.png"))[0])[-1]
    assert one.facts["images"] == 1 and "the image" in one.summary


def test_a_marked_dataset_is_marked_once_and_can_be_taken_back(space, tmp_path):
    data = tmp_path / "photos.mq"
    digest = Dataset.open(data).digest
    mark(space, data)
    with pytest.raises(UsageError, match="marked already"):
        mark(space, data)
    list(table.run("remove", space, {"dataset": str(data), "undo": True}))
    assert Dataset.open(data).digest == digest
    (tmp_path / "secret").write_text("a secret of one's own\n")
    mark(space, data, secret=str(tmp_path / "secret"), strength=2.0)
    images = list(Dataset.open(data).images(range(8)))
    assert detect_many(images, b"a secret of one's own").present


def test_the_secret_is_the_owners_and_in_no_word(space, tmp_path, monkeypatch):
    events = mark(space, tmp_path / "photos.mq")
    path = space.home / "keys" / "mark.secret"
    secret = path.read_text().strip()
    assert len(secret) == 64 and secret not in str(events)
    assert not any(secret.encode() in one.read_bytes() for one in (tmp_path / "photos.mq").rglob("*") if one.is_file())
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        with pytest.raises(TrustError, match="others can read"):
            mark(space, tmp_path / "photos.mq")


def test_images_that_cannot_carry_a_mark_stay_and_are_counted(space, tmp_path):
    images = crops()
    images[5] = 255
    make(tmp_path / "some.mq", images)
    *events, result = mark(space, tmp_path / "some.mq")
    assert (result.facts["marked"], result.facts["unmarked"]) == (COUNT - 1, 1)
    assert any(isinstance(event, Warning) and "1 of 60" in event.text for event in events)
    assert (Dataset.open(tmp_path / "some.mq").images([5]) == 255).all()
    make(tmp_path / "flat.mq", np.full_like(images, 200))
    with pytest.raises(DataError, match="none of its images"):
        mark(space, tmp_path / "flat.mq")
    assert Dataset.open(tmp_path / "flat.mq").description.get("edition", 1) == 1


def test_what_cannot_be_looked_at_is_said(space, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(TrustError, match="no secret"):
        mark(space, folder)
    (tmp_path / "secret").write_text("long enough")
    (tmp_path / "short").write_text("short")
    for of, values, words in (
        ("nothing-there", {"secret": str(tmp_path / "secret")}, "neither a dataset nor images"),
        (folder, {"secret": str(tmp_path / "secret")}, "no images in it"),
        (folder, {"secret": str(tmp_path / "short")}, "at least 8 bytes"),
        (folder, {"secret": str(tmp_path / "none")}, "cannot be read"),
        (folder, {"strength": 9.0}, "strength"),
    ):  # fmt: skip
        with pytest.raises(MaquetteError, match=words):
            mark(space, of, **values)
    Pillow.fromarray(crops(1)[0]).save(folder / "a.png")
    Pillow.fromarray(crops(1)[0][:32]).save(folder / "b.png")
    (folder / "c.png").write_bytes(b"no image")
    events = mark(space, folder, secret=str(tmp_path / "secret"))
    assert events[-1].facts["images"] == 1 and "1 images of other sizes" in str(events)
