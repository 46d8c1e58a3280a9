"""What the contributing page teaches works as it stands: its family trains and samples through the engine."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import maquette as mq
from maquette import families
from maquette.core import registry as registries
from maquette.core.event import Progress
from maquette.core.spec import DataSpec
from maquette.data.dataset import Writer
from maquette.operations import schemas

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


@pytest.fixture
def linear(tmp_path, monkeypatch):
    """The family of the page, added by the entry point that the page shows."""
    text = PAGE.read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (point,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    package = tmp_path / "site" / "your_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "linear.py").write_text(code)
    info = tmp_path / "site" / "your_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: your-package\nVersion: 1.0\n")
    lines = point.replace('[project.entry-points."maquette.families"]', "[maquette.families]").replace('"', "")
    (info / "entry_points.txt").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()

    def forget():
        registries._entry_points.cache_clear()
        schemas.read.cache_clear()
        families.REGISTRY._loaded.pop("linear", None)
        for name in [name for name in sys.modules if name.startswith("your_package")]:
            del sys.modules[name]

    forget()
    yield "linear"
    forget()


def make_dataset(path, count=64):
    values = np.random.default_rng(0).integers(0, 256, (count, 1, 1, 3), np.uint8)
    with Writer(path, DataSpec(height=8, width=16), settings={}) as writer:
        writer.append(np.repeat(np.repeat(values, 8, 1), 16, 2), {}, [{"path": f"{n}.png"} for n in range(count)])
        return writer.finish(np.zeros(count, np.uint8), np.arange(count, dtype=np.int32))


def test_the_family_of_the_page_trains_and_samples(linear, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = []
    data = make_dataset(tmp_path / "photos.mq")
    run = mq.train(data, family=linear, images=64 * 30, to=str(tmp_path / "run"), scale="nano", on_event=events.append)
    numbers = [event.numbers for event in events if isinstance(event, Progress)]
    assert {"error", "spread of codes"} <= set(numbers[-1])
    images = mq.sample(run, count=3, to=str(tmp_path / "out"), spread=0.5)
    assert [image.shape for image in images] == [(8, 16, 3)] * 3
    flat = mq.sample(run, count=2, to=str(tmp_path / "flat"), spread=0)
    assert np.array_equal(flat[0], flat[1])  # the dial reaches the model: without spread all images are the mean
    with pytest.raises(mq.MaquetteError, match="spread"):
        mq.sample(run, count=1, to=str(tmp_path / "more"), spread=5)
    with pytest.raises(mq.MaquetteError, match="spraed"):
        mq.sample(run, count=1, to=str(tmp_path / "more"), spraed=1)


def test_the_family_of_the_page_is_listed(linear):
    assert "linear" in {family["name"] for family in mq.list("families")["families"]}
