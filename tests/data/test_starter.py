"""The starter dataset: labelled crops, the held-out quarter apart, and every item knowing its rectangle."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import UsageError
from maquette.core.event import Progress, Result
from maquette.data import starter
from maquette.data.dataset import Dataset
from maquette.data.starter import PHOTOGRAPHS, make_starter


def make(to: Path, **settings: int) -> Dataset:
    """Run the generator to its end."""
    events = list(make_starter(to, **settings))
    assert any(isinstance(event, Progress) for event in events)
    assert isinstance(events[-1], Result)
    data = events[-1].value
    assert isinstance(data, Dataset)
    return data


@pytest.mark.parametrize("size", [32, 64])
def test_the_parts_lie_a_crop_apart(tmp_path: Path, size: int) -> None:
    """No held-out rectangle comes nearer than a crop's width to one that is trained on; all show their material."""
    data = make(tmp_path / "s.mq", size=size, count=800)
    labels = data.conditions(np.arange(len(data)), ["label"])["label"]
    classes = data.spec.condition("label").classes
    assert classes == ("brick", "coffee", "fur", "grass", "gravel", "retina", "stars", "tissue")
    for number, name in enumerate(classes):
        items = {
            part: [data.item(int(i))["rectangle"] for i in data.indices(part) if labels[i] == number]  # type: ignore[arg-type]
            for part in ("train", "held-out")
        }
        assert (len(items["train"]), len(items["held-out"])) == (75, 25)
        train, held = np.array(items["train"]), np.array(items["held-out"])
        window = train[0, 2]
        apart = np.abs(train[:, None, :2] - held[None, :, :2]).max(-1)
        assert int(apart.min()) >= 2 * window - 2, f"{name}: {apart.min()} pixels between corners"
    groups = np.asarray(data.groups)
    for number in range(len(classes)):
        assert len(set(groups[labels == number].tolist())) == 2


def test_pixels_are_those_of_the_rectangle(tmp_path: Path) -> None:
    """Cutting the recorded rectangle out of the photograph and reducing it gives nearly the item's pixels."""
    data = make(tmp_path / "s.mq", size=32, count=320)
    found = importlib.util.find_spec("skimage")
    assert found and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "data"
    for index in range(0, len(data), 11):
        item = data.item(index)
        left, top, width, height = item["rectangle"]
        with Pillow.open(folder / item["path"]) as picture:
            cut = picture.convert("RGB").crop((left, top, left + width, top + height))
        again = np.asarray(cut.resize((32, 32), Pillow.Resampling.LANCZOS)).astype(float)
        # The edges see other neighbours, and the rectangle is rounded to whole pixels: compare blurred interiors.
        ours = data.images([index])[0].astype(float)
        assert np.abs(again[4:-4, 4:-4].mean((0, 1)) - ours[4:-4, 4:-4].mean((0, 1))).max() < 4
        assert item["conditions"]["label"] in data.spec.condition("label").classes


def test_the_same_seed_is_the_same_dataset(tmp_path: Path) -> None:
    """The digest depends on the seed alone, and no crop comes twice."""
    first = make(tmp_path / "a.mq", size=32, count=400)
    assert make(tmp_path / "b.mq", size=32, count=400).digest == first.digest
    assert make(tmp_path / "c.mq", size=32, count=400, seed=1).digest != first.digest
    places = {(first.item(k)["path"], *first.item(k)["rectangle"]) for k in range(len(first))}
    assert len(places) == len(first) == 400
    assert set(first.description["licences"]) == {photo.label for photo in PHOTOGRAPHS}


def test_wrong_sizes_and_counts(tmp_path: Path) -> None:
    """What cannot be cut is refused with a sentence, and nothing is left."""
    for settings, words in (
        ({"size": 48}, "choose 32 or 64"),
        ({"count": 3}, "too few"),
        ({"count": 10**7}, "different crops"),
    ):
        with pytest.raises(UsageError, match=words):
            list(make_starter(tmp_path / "s.mq", **settings))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scikit-image without its photographs is named."""
    monkeypatch.setattr(starter, "_folder", lambda: tmp_path / "nowhere")
    with pytest.raises(Exception, match=r"brick\.png: this photograph of scikit-image is missing"):
        list(make_starter(tmp_path / "s.mq"))


def test_scikit_image_is_not_imported() -> None:
    """Only its folder is needed; importing it would take long."""
    script = "import sys, maquette.data.starter; print('skimage' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
