"""Decoding by workers anywhere gives what decoding here gives, file by file and in the same order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.workers import Workers
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.shape import Form
from maquette.data.ingest.decode import Decoder, Task
from maquette.data.ingest.ingest import Settings, ingest
from maquette.engine.bulk.spread import Spread


@pytest.fixture
def files(tmp_path):
    """Photographs, an animation, a broken file, and one that is not there."""
    randoms = np.random.default_rng(1)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(20):
        pixels = randoms.integers(0, 256, (24, 24 + number, 3), np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{number:02}.png")
    frames = [Pillow.fromarray(randoms.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "broken.png").write_bytes((folder / "00.png").read_bytes()[:60])
    return [*sorted(folder.glob("*.png")), folder / "moving.gif", folder / "gone.png"]


def plain(outcome):
    return {
        **dataclasses.asdict(dataclasses.replace(outcome, image=None, frames=None)),
        "pixels": None if outcome.image is None else (outcome.image.shape, outcome.image.tobytes()),
    }


def test_outcomes_are_the_same_and_in_order(files):
    one, other = Form(width=16, height=16, frames="all"), Form(width=24, height=16, mode="grey", small="enlarge")
    tasks = [
        None
        if number % 7 == 6
        else Task(content=path if number % 2 else path.read_bytes(), form=(one, other)[number % 3 == 0])
        for number, path in enumerate(files[:-1])
    ]
    tasks += [Task(content=files[-2], form=one), Task(content=files[-1], form=one), None]
    with Decoder(1) as decoder:
        right = [plain(outcome) for outcome in decoder.decode(tasks)]
    with Spread(Workers(2), Limits()) as spread:
        found = [plain(outcome) for outcome in spread.decode(tasks, first=5)]
    assert found == right
    assert any("pixels" in one and one["reason"] for one in found) and len(found) > len(tasks)


def test_a_dataset_is_the_same_whoever_decodes(files, tmp_path):
    settings = Settings(width=16, height=16, small="enlarge")
    made = []
    for name, decoder in (("here", None), ("spread", lambda limits: Spread(Workers(2), limits))):
        *_, result = ingest([files[0].parent], tmp_path / f"{name}.mq", settings=settings, decoder=decoder)
        made.append(result)
    assert made[0].value.digest == made[1].value.digest
    assert made[0].facts["set_aside"] == made[1].facts["set_aside"] and made[0].facts["set_aside"]
