"""The verb ingest: its words, its defaults, what the result says, and what it refuses."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.event import Event, Result
from maquette.operations.operation import get, run
from maquette.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of its own."""
    return Workspace(tmp_path / "home")


def ingest(workspace: Workspace, *source: str, **values: Any) -> Result:
    """Do the verb's work; its result."""
    events: list[Event] = list(run("ingest", workspace, {"source": source, **values}))
    assert isinstance(events[-1], Result)
    return events[-1]


def test_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    """The result holds the names that product checks rely on, and the workspace knows the dataset."""
    (tmp_path / "photos").mkdir()
    for k in range(12):
        Pillow.effect_noise((30, 30), 40 + k).save(tmp_path / "photos" / f"{k}.png")
    (tmp_path / "photos" / "bad.jpg").write_text("no")
    result = ingest(workspace, str(tmp_path / "photos"), size=24, held_out=0.25, workers=1)
    facts = result.to_json()
    assert facts["event"] == "result" and facts["kept"] == 12 and facts["held_out"] == 3
    assert [item["path"] for item in facts["set_aside"]] == ["bad.jpg"] and facts["set_aside"][0]["reason"]
    assert Path(facts["dataset"]) == workspace.datasets / "photos"
    assert result.value.spec.mode == "grey" and "12 images of 24x24 grey" in result.summary
    assert [entry.path for entry in workspace.index.list("dataset")] == [workspace.datasets / "photos"]
    assert ingest(workspace, str(tmp_path / "photos"), size="24", held_out=0.25).value.digest == facts["digest"]


@pytest.mark.parametrize(
    ("word", "values", "form"),
    [
        ("starter", {"count": 64}, (32, 32, "rgb", ["label"])),
        ("starter", {"count": "64", "size": "64", "mode": "grey"}, (64, 64, "grey", ["label"])),
        ("drawn:shapes", {"count": 20, "size": "24x16", "mode": "rgba"}, (24, 16, "rgba", ["label", "text"])),
        ("drawn:digits", {"count": 20}, (32, 32, "grey", ["frames"])),
        ("drawn:facades", {"count": 20, "held_out": 0.5}, (32, 32, "rgb", ["map"])),
        ("drawn:numbers", {"count": 20, "seed": 5}, (32, 32, "rgb", ["sun_height", "sun_side"])),
    ],
)
def test_what_the_program_brings_along(
    workspace: Workspace, word: str, values: dict[str, Any], form: tuple[Any, ...]
) -> None:
    """Starter and drawn datasets are sources by name; the same command again changes nothing."""
    data = ingest(workspace, word, to="mine", **values).value
    spec = data.spec
    assert (spec.width, spec.height, spec.mode, [c.name for c in spec.conditions]) == form
    assert len(data) == int(values["count"])
    assert ingest(workspace, word, to="mine", **values).value.digest == data.digest
    with pytest.raises(MaquetteError, match="other sources or settings"):
        ingest(workspace, word, to="mine", **{**values, "seed": 99})


@pytest.mark.parametrize(
    ("source", "values", "words"),
    [
        ([""], {}, "nothing to ingest"),
        (["starter", "photos"], {}, "cannot be mixed"),
        (["starter"], {"size": "64x32"}, "square"),
        (["starter"], {"size": 48}, "choose 32 or 64"),
        (["starter"], {"held_out": 0.5}, "a quarter"),
        (["drawn:shape"], {}, "did you mean shapes"),
        (["photos"], {"count": 5}, "--count is for"),
        (["photos"], {"size": "60"}, "such as 64"),
        (["photos"], {"mode": "cmyk"}, "mode"),
        (["photos"], {"held_out": 2}, "held_out|held-out"),
        (["photos"], {"colour": "red"}, "there is no setting 'colour'"),
    ],
)
def test_wrong_arguments(workspace: Workspace, source: list[str], values: dict[str, Any], words: str) -> None:
    """Arguments that make no sense together are refused with exit code 2 before anything is read or written."""
    with pytest.raises(UsageError, match=words):
        ingest(workspace, *source, **values)
    assert not workspace.datasets.exists()


def test_it_is_light() -> None:
    """The verb can be described without loading NumPy or torch, and done without torch."""
    assert get("ingest").summary.startswith("Make a dataset")
    script = (
        "import sys\n"
        "from maquette.operations.operation import get\n"
        "get('ingest').settings\n"
        "print('numpy' in sys.modules, end=' ')\n"
        "import maquette.data.ingest.ingest\n"
        "print('torch' in sys.modules, 'pyarrow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
