"""Datasets on the disk: what is written comes back, damage is named, and nothing is half-written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer

SPEC = DataSpec(
    height=8,
    width=16,
    conditions=(
        ConditionSpec(name="label", kind="label", classes=("cat", "dog")),
        ConditionSpec(name="height", kind="number", low=0.0, high=9.0),
        ConditionSpec(name="text", kind="text", length=12),
        ConditionSpec(name="walls", kind="map", classes=("sky", "wall")),
    ),
)


def build(path: Path, count: int = 10, *, spec: DataSpec = SPEC, seed: int = 0, held_out: int = 2) -> Dataset:
    """A small dataset with every kind of trouble: some values are missing."""
    rng = np.random.default_rng(seed)
    with Writer(path, spec, settings={"seed": seed}) as writer:
        for start in range(0, count, 4):
            n = min(4, count - start)
            images = rng.integers(0, 256, (n, spec.height, spec.width, spec.channels), np.uint8)
            said = [{"label": "dog" if k % 2 else None, "height": k % 10 or None, "text": f"é {k}"} for k in range(n)]
            conditions = {
                c.name: np.stack([c.encode(row[c.name], spec.height, spec.width) for row in said])
                for c in spec.conditions
                if c.kind != "map"
            }
            if any(c.name == "walls" for c in spec.conditions):
                conditions["walls"] = rng.integers(0, 2, (n, 8, 16), np.uint8)
            items = [{"path": f"{start + k}.png", "conditions": said[k]} for k in range(n)]
            writer.append(images, conditions, items)
        writer.set_aside("bad.png", "it is not an image")
        parts = np.zeros(count, np.uint8)
        parts[count - held_out :] = 1
        return writer.finish(parts, np.arange(count, dtype=np.int32))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    """Images, conditions, records and parts are those that were appended, also after opening again."""
    build(tmp_path / "a.mq")
    data = Dataset.open(tmp_path / "a.mq")
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (4, 8, 16, 3), np.uint8)
    assert len(data) == 10 and data.name == "a" and data.spec == SPEC
    assert np.array_equal(data.images([0, 3, 1]), first[[0, 3, 1]])
    values = data.conditions([1, 2, 0])
    assert [SPEC.conditions[0].describe(v) for v in values["label"]] == ["dog", None, None]
    assert [SPEC.conditions[2].describe(v) for v in values["text"]] == ["é 1", "é 2", "é 0"]
    assert values["walls"].shape == (3, 8, 16) and np.isnan(values["height"][2])
    assert list(data.conditions([0], ["text"])) == ["text"]
    assert data.item(9) == {"path": "9.png", "conditions": {"label": "dog", "height": 1, "text": "é 1"}}
    assert data.set_aside() == [{"path": "bad.png", "reason": "it is not an image"}]
    assert data.indices("train").tolist() == list(range(8)) and data.indices("held-out").tolist() == [8, 9]
    assert (data.missing("label"), data.missing("height"), data.missing("text")) == (5, 3, 0)
    assert data.groups.tolist() == list(range(10))
    data.verify()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mq"]


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    """Place and time do not change the digest; pixels and parts do."""
    first = build(tmp_path / "a.mq").digest
    assert build(tmp_path / "elsewhere" / "b.mq").digest == first
    assert build(tmp_path / "c.mq", seed=1).digest != first
    assert build(tmp_path / "d.mq", held_out=3).digest != first


def test_sixteen_bits(tmp_path: Path) -> None:
    """16-bit grey is kept as it is."""
    spec = DataSpec(height=8, width=8, mode="grey16")
    values = np.arange(2 * 64, dtype=np.uint16).reshape(2, 8, 8, 1) * 500
    with Writer(tmp_path / "a.mq", spec, settings={}) as writer:
        writer.append(values, {}, [{"path": "0"}, {"path": "1"}])
        data = writer.finish(np.zeros(2, np.uint8), np.arange(2, dtype=np.int32))
    assert np.array_equal(data.images([0, 1]), values)


def test_not_a_dataset(tmp_path: Path) -> None:
    """Each wrong folder has its own sentence."""
    with pytest.raises(DataError, match="there is no dataset here"):
        Dataset.open(tmp_path / "nothing.mq")
    with pytest.raises(DataError, match="this is not a dataset"):
        Dataset.open(tmp_path)
    (tmp_path / "dataset.json").write_text('{"maquette": "run"}')
    with pytest.raises(DataError, match="this is not a dataset"):
        Dataset.open(tmp_path)


def _change(path: Path, **values: object) -> None:
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, **values}))


DAMAGE = {
    "short images": lambda at: os.truncate(at / "images.npy", 1000),
    "no header": lambda at: os.truncate(at / "images.npy", 3),
    "other header": lambda at: np.save(at / "images.npy", np.zeros((10, 8, 16, 1), np.uint8)),
    "wrong type": lambda at: np.save(at / "parts.npy", np.zeros(10, np.float64)),
    "objects": lambda at: np.save(at / "parts.npy", np.array([None] * 10), allow_pickle=True),
    "label outside": lambda at: (at / "conditions/label.npy").write_bytes(
        (at / "conditions/label.npy").read_bytes()[:-4] + b"\x05\0\0\0"
    ),
    "part outside": lambda at: (at / "parts.npy").write_bytes((at / "parts.npy").read_bytes()[:-1] + b"\x07"),
    "missing file": lambda at: (at / "conditions/text.npy").unlink(),
    "description cut": lambda at: os.truncate(at / "dataset.json", 300),
    "another count": lambda at: _change(at / "dataset.json", count=11),
    "negative count": lambda at: _change(at / "dataset.json", count=-1),
    "no arrays": lambda at: _change(at / "dataset.json", arrays=None),
    "bad spec": lambda at: _change(at / "dataset.json", spec={"height": 7}),
    "digest changed": lambda at: _change(at / "dataset.json", digest="0" * 64),
    "newer version": lambda at: _change(at / "dataset.json", version=99),
    "escaping name": lambda at: (at / "dataset.json").write_text(
        (at / "dataset.json").read_text().replace('"walls"', '"../../x"')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_on_opening(tmp_path: Path, damage: str) -> None:
    """Whatever is changed in a dataset's form, opening it says so in a sentence."""
    build(tmp_path / "a.mq")
    DAMAGE[damage](tmp_path / "a.mq")
    with pytest.raises(DataError, match="dataset"):
        Dataset.open(tmp_path / "a.mq")


@pytest.mark.parametrize("file", ["images.npy", "conditions/text.npy", "groups.npy", "items.jsonl", "set_aside.jsonl"])
def test_verify_finds_a_changed_byte(tmp_path: Path, file: str) -> None:
    """One flipped byte of the content is found by reading everything again."""
    data = build(tmp_path / "a.mq")
    content = bytearray((data.path / file).read_bytes())
    content[-2] ^= 1
    (data.path / file).write_bytes(content)
    with pytest.raises(DataError, match=Path(file).name):
        data.verify()


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    """An error in the middle removes the hidden folder."""
    with pytest.raises(RuntimeError), Writer(tmp_path / "a.mq", SPEC, settings={}) as writer:
        writer.set_aside("x", "y")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_existing_target_is_kept(tmp_path: Path) -> None:
    """A dataset is never written over something that exists."""
    build(tmp_path / "a.mq")
    with pytest.raises(DataError, match="exists already"):
        Writer(tmp_path / "a.mq", SPEC, settings={})
    Dataset.open(tmp_path / "a.mq").verify()


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: one sentence, nothing left."""
    script = (
        "import resource, sys, numpy as np\n"
        "from maquette.core.spec import DataSpec\n"
        "from maquette.data.dataset import Writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
        "spec = DataSpec(height=64, width=64)\n"
        "with Writer(sys.argv[1], spec, settings={}) as writer:\n"
        "    while True: writer.append(np.zeros((64, 64, 64, 3), np.uint8), {}, [{}] * 64)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.mq")], capture_output=True, text=True)
    assert done.returncode == 1 and "the dataset could not be written" in done.stderr
    assert "nothing of it is left" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_is_cleaned_up(tmp_path: Path) -> None:
    """What a killed process left goes when the dataset is written again; a living one's work stays."""
    script = (
        "import os, sys\n"
        "from maquette.core.spec import DataSpec\n"
        "from maquette.data.dataset import Writer\n"
        "Writer(sys.argv[1], DataSpec(height=8, width=8), settings={})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.mq")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    other = Writer(tmp_path / "a.mq", SPEC, settings={})
    assert len(list(tmp_path.iterdir())) == 1
    build(tmp_path / "a.mq")
    assert len(list(tmp_path.iterdir())) == 2
    other.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mq"]


def test_a_dataset_can_move(tmp_path: Path) -> None:
    """The folder may be renamed or moved."""
    digest = build(tmp_path / "a.mq").digest
    shutil.move(tmp_path / "a.mq", tmp_path / "b")
    moved = Dataset.open(tmp_path / "b")
    assert (moved.digest, moved.name) == (digest, "b")
