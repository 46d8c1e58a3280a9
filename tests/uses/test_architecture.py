"""The use `architecture` on pairs of one's own, and what is said of maps that cannot be painted."""

import json
from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import ConditionError, DataError, MaquetteError, UsageError
from maquette.core.event import to_line
from maquette.core.image import save
from maquette.data.drawn.drawn import draw, spec_of
from maquette.operations import operation as table
from maquette.operations._uses import REGISTRY
from maquette.store.workspace import Workspace

TINY = {**REGISTRY.get("architecture").trial, "time": "1s"}


def pairs(place: Path, count: int = 24, maps: str = "maps") -> dict[str, object]:
    """Two folders of files with equal names."""
    spec = spec_of("facades", width=16, height=16)
    for k in range(count):
        item = draw("facades", spec, 0, k)
        for folder, image in (("pictures", item.image), (maps, item.conditions["map"][..., None].astype(np.uint8))):
            (place / folder).mkdir(exist_ok=True)
            save(image, place / folder / f"{k:02d}.png")
    return {"source": [str(place / "pictures")], "maps": str(place / maps), "to": str(place / "out")}


def work(home, **values):
    return json.loads(to_line(list(table.run("use", Workspace(home), {"name": "architecture", **TINY, **values}))[-1]))


@pytest.mark.slow
def test_pairs_of_ones_own_and_a_plan(tmp_path, home):
    given = pairs(tmp_path)
    plan = tmp_path / "maps" / "03.png"
    result = work(home, **given, plan=str(plan))
    assert len(result["images"]) == 2 + 2 + 4 and result["figures"]["signed and whole"]["reached"]
    assert set(result["figures"]) >= {"map kept", "map kept by the variants", "variants apart"}


@pytest.mark.parametrize(("value", "words"), [(9, "holds 9, and the classes are 0 to 5"), (255, "holds 255")])
def test_a_plan_with_unknown_labels_is_refused_before_anything_is_learned(tmp_path, home, value, words):
    save(np.full((16, 16, 1), value, np.uint8), tmp_path / "plan.png")
    with pytest.raises(ConditionError, match=words):
        work(home, **pairs(tmp_path), plan=str(tmp_path / "plan.png"))
    assert not (tmp_path / "out" / "painter").exists()


def test_material_that_is_not_whole_is_said(tmp_path, home):
    given = pairs(tmp_path)
    with pytest.raises(UsageError, match="no maps"):
        work(home, **{**given, "maps": "", "to": str(tmp_path / "a")})
    with pytest.raises(UsageError, match="no pictures"):
        work(home, **{**given, "source": [], "to": str(tmp_path / "b")})
    with pytest.raises(MaquetteError):
        work(home, **{**given, "maps": str(tmp_path / "nowhere"), "to": str(tmp_path / "c")})
    sketches = pairs(tmp_path, maps="sketches")
    with pytest.raises(DataError, match="no maps of classes"):
        work(home, **{**sketches, "to": str(tmp_path / "d")})
