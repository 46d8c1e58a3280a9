"""From image/mask pairs to cut-outs by a model of one's own, verb by verb."""

import numpy as np
import pytest

from maquette.core.event import Made, Result
from maquette.core.image import encode, load
from maquette.operations.operation import run
from maquette.store.workspace import Workspace


def scene(seed):
    """A green leaf beside a red one on a mottled ground, and the mask of the green one."""
    randoms = np.random.default_rng(seed)
    rows, columns = np.indices((48, 64))
    image = randoms.normal(120, 25, (48, 64, 3))
    left, right = randoms.permutation([18, 46])
    green, red = (np.hypot((rows - 24) / 1.3, columns - x) < randoms.uniform(8, 11) for x in (left, right))
    image[green], image[red] = [60, 170, 70], [190, 60, 50]
    return np.clip(image + randoms.normal(0, 4, image.shape), 0, 255).astype(np.uint8), green


def result(verb, workspace, **values):
    events = list(run(verb, workspace, values))
    assert isinstance(events[-1], Result)
    return events[-1], events


@pytest.mark.slow
def test_a_model_learned_from_pairs_says_what_is_cut_out(tmp_path):
    workspace, folder = Workspace(tmp_path / "home"), tmp_path / "leaves"
    (folder / "masks").mkdir(parents=True)
    lines = ["file_name,mask"]
    for at in range(24):
        image, mask = scene(at)
        (folder / f"{at}.png").write_bytes(encode(image))
        (folder / "masks" / f"{at}.png").write_bytes(encode(mask[..., None].astype(np.uint8) * 255))
        lines.append(f"{at}.png,masks/{at}.png")
    (folder / "metadata.csv").write_text("\n".join(lines))
    data, _ = result("ingest", workspace, source=[str(folder)], to=str(tmp_path / "leaves.mq"), size="32")
    assert data.facts["kept"] == 24 and data.facts["conditions"] == ["mask"]
    assert data.facts["set_aside"] == [], "the masks are no images of their own"

    wish = {"family": "segment", "to": str(tmp_path / "run"), "images": "1600", "scale": "nano"}
    trained, events = result("train", workspace, dataset=str(tmp_path / "leaves.mq"), **wish)
    assert trained.next == () and "sheets" not in trained.summary.lower()
    assert not any(isinstance(event, Made) and event.what == "sheet" for event in events)

    agreed = []
    for at in range(100, 106):
        image, mask = scene(at)
        (tmp_path / f"{at}.png").write_bytes(encode(image))
        words = f"remove-background model={tmp_path / 'run'}"
        result(
            "refine", workspace, source=[str(tmp_path / f"{at}.png")], to=str(tmp_path / "out"), with_=words, sign="off"
        )
        found = load(tmp_path / "out" / f"{at}.png")[..., 3] > 127
        agreed.append((found & mask).sum() / (found | mask).sum())
    assert np.mean(agreed) > 0.9
