"""The loop: it stops where it should, saves, and goes on bit for bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import IMAGES, again, begin, model_bytes, outcome

from maquette.core.errors import ModelFileError, RunError
from maquette.engine import train as loop
from maquette.engine.load import load
from maquette.store.run import Run


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory):
    """An uninterrupted run of the oracle."""
    trainer, run = begin(shapes, tmp_path_factory.mktemp("whole") / "run")
    steps = list(loop.train(trainer, run, name="oracle"))
    assert [step.images for step in steps] == list(range(8, IMAGES + 1, 8))
    return run


def test_it_trains_to_the_end_and_leaves_a_model(whole, shapes):
    assert whole.checkpoints() == [0, IMAGES]
    records = list(whole.records())
    assert [record["step"] for record in records] == [25, 50]
    assert all({"images", "progress", "fit", "nats", "seconds"} <= record.keys() for record in records)
    assert records[-1]["nats"] < records[0]["nats"]
    run = Run.open(whole.path)
    assert run.facts["images_seen"] == IMAGES and run.facts["seconds"] > 0
    assert not load(run).training


def test_the_last_step_is_at_the_end_and_asks_for_every_sheet_once(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    steps = list(loop.train(trainer, run, name="oracle"))
    assert steps[-1].progress == 1.0 and {step.total for step in steps} == {IMAGES}
    assert sum(step.sheet_due for step in steps) == len(loop.SHEETS)
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)


@settings(max_examples=12)
@given(stops=st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_stopped_anywhere_it_goes_on_bit_for_bit(shapes, whole, tmp_path_factory, stops):
    path = tmp_path_factory.mktemp("stopped") / "run"
    trainer, run = begin(shapes, path)
    for index, stop in enumerate([*stops, IMAGES]):
        if index:
            trainer, run = again(shapes, path)
        steps = loop.train(trainer, run, name="oracle")
        for count, step in enumerate(steps, 1):
            assert index == 0 or count > 1 or step.told[0].startswith("going on from")
            if count == stop:
                break
        steps.close()
        assert run.checkpoints()[-1] == trainer.images
        assert load(Run.open(path)) is not None
    assert outcome(run) == outcome(whole)
    assert model_bytes(run) == model_bytes(whole)


def test_what_was_not_saved_is_done_again(shapes, whole, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    steps = loop.train(trainer, run, name="oracle", every=1e9)
    for _ in range(40):
        next(steps)
    del steps, trainer  # as if killed: closing it would save
    # (It did: so take the checkpoints away again.)
    import shutil

    for images in run.checkpoints()[1:]:
        shutil.rmtree(run.path / "checkpoints" / f"{images:012d}")
    assert [record["step"] for record in run.records()] == [25]
    trainer, run = again(shapes, tmp_path / "run")
    steps = list(loop.train(trainer, run, name="oracle"))
    assert steps[0].images == 8
    assert outcome(run) == outcome(whole)


def test_a_finished_run_stays_as_it_is(shapes, whole, tmp_path):
    import shutil

    shutil.copytree(whole.path, tmp_path / "run")
    trainer, run = again(shapes, tmp_path / "run")
    (run.path / "model.safetensors").unlink()  # as if it was stopped before the model was written
    before = {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").rglob("*")}
    assert list(loop.train(trainer, run, name="oracle")) == []
    assert {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").rglob("*")} == before
    assert model_bytes(run) == model_bytes(whole)


def test_a_damaged_newest_checkpoint_is_said_and_the_one_before_is_used(shapes, whole, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    steps = loop.train(trainer, run, name="oracle", every=1e-9)
    for _ in range(20):
        next(steps)
    steps.close()
    newest = run.path / "checkpoints" / f"{run.checkpoints()[-1]:012d}" / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    trainer, run = again(shapes, tmp_path / "run")
    steps = list(loop.train(trainer, run, name="oracle"))
    assert "000000000160" in steps[0].warned[0] and "digest" in steps[0].warned[0]
    assert steps[0].told == ("going on from 152 images",)
    assert not any(step.warned or step.told for step in steps[1:])
    assert outcome(run) == outcome(whole)


def test_the_rows_of_conditions_are_kept_even_if_it_was_killed_before(shapes, whole, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run")
    list(loop.train(trainer, run, name="oracle"))
    table = (run.path / "conditions.safetensors").read_bytes()
    assert table == (whole.path / "conditions.safetensors").read_bytes()


def test_missing_numbers_do_not_keep_a_run_from_starting(numbers, tmp_path, monkeypatch):
    import numpy as np

    from maquette.engine.table import condition_table

    real = type(numbers).conditions

    def holes(self, indices, names=None):
        found = real(self, indices, names)
        return {n: np.where(np.arange(len(v)) % 3, v, np.nan).astype(v.dtype) for n, v in found.items()}

    monkeypatch.setattr(type(numbers), "conditions", holes)
    trainer, run = begin(numbers, tmp_path / "run")
    list(loop.train(trainer, run, name="oracle"))
    table = condition_table(run, trainer.family.spec)
    assert np.isnan(table["sun_height"]).any() and not np.isnan(table["sun_height"]).all()


# Around it


def test_threads_are_as_before_when_it_ends_or_stops(shapes, tmp_path):
    trainer, run = begin(shapes, tmp_path / "run", plan={"threads": 2})
    steps = loop.train(trainer, run, name="oracle")
    next(steps)
    assert torch.get_num_threads() == 2
    steps.close()
    assert torch.get_num_threads() == 1


def test_a_full_disk_ends_it_in_a_sentence_and_the_last_checkpoint_loads(shapes, tmp_path, monkeypatch):
    import errno

    trainer, run = begin(shapes, tmp_path / "run")
    steps = loop.train(trainer, run, name="oracle", every=1e-9)
    for _ in range(10):
        next(steps)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RunError, match=r"no space left on device.*free some space"):
            next(steps)
    trainer, run = again(shapes, tmp_path / "run")
    assert next(loop.train(trainer, run, name="oracle")).told == ("going on from 80 images",)


def test_a_run_without_a_model_says_so(tmp_path):
    with pytest.raises(ModelFileError, match=r"no model yet.*train it first"):
        load(Run.create(tmp_path / "run", {}))


def test_the_engine_names_no_family():
    import ast
    from pathlib import Path

    import maquette.engine
    from maquette.families import REGISTRY

    names = set(REGISTRY.names())
    for path in Path(maquette.engine.__file__).parent.rglob("*.py"):
        words = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                words.add(str(node.value).lower())
            elif isinstance(node, ast.ImportFrom):
                words |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            elif isinstance(node, ast.Import):
                words |= {part for alias in node.names for part in alias.name.split(".")}
        assert not names & words, path
