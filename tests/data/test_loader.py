"""The loader's order: complete, repeatable from any position, and shared without repetition."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset, Writer
from maquette.data.loader import Loader, balanced

SPEC = DataSpec(height=8, width=8, mode="grey", conditions=(ConditionSpec(name="index", kind="number"),))


def numbered(path: Path, count: int, held_out: int = 0) -> Dataset:
    """A dataset whose image k is filled with k and whose condition is k."""
    with Writer(path, SPEC, settings={}) as writer:
        images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 1))
        writer.append(images, {"index": np.arange(count, dtype=np.float32)}, [{}] * count)
        parts = (np.arange(count) >= count - held_out).astype(np.uint8)
        return writer.finish(parts, np.arange(count, dtype=np.int32))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Thirteen images to train on and four held out; made once."""
    return numbered(tmp_path_factory.mktemp("loader") / "small.mq", 17, 4)


def test_every_epoch_shows_every_image_once(small: Dataset) -> None:
    """Each epoch is a permutation of the part, and each differs."""
    loader = Loader(small, "train", ["index"], seed=3)
    epochs = [loader.batch(13 * epoch, 13) for epoch in range(3)]
    for images, conditions in epochs:
        assert sorted(images[:, 0, 0, 0].tolist()) == list(range(13))
        assert np.array_equal(images[:, 0, 0, 0], conditions["index"])
    assert not np.array_equal(epochs[0][0], epochs[1][0]) and not np.array_equal(epochs[1][0], epochs[2][0])


@given(st.integers(0, 10_000), st.integers(1, 90), st.integers(0, 90), st.integers(0, 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_a_batch_depends_on_its_position_alone(small: Dataset, position: int, count: int, cut: int, seed: int) -> None:
    """A batch is the same from a new loader, and equal to its two halves asked for in the wrong order."""
    cut = min(cut, count)
    used = Loader(small, "train", seed=seed)
    later = used.batch(position + cut, count - cut)[0]
    earlier = used.batch(position, cut)[0]
    whole = Loader(small, "train", seed=seed).batch(position, count)[0]
    assert np.array_equal(whole, np.concatenate([earlier, later]))


def test_parts_and_seeds(small: Dataset) -> None:
    """The held-out part is separate, and another seed is another order."""
    held = Loader(small, "held-out").batch(0, 4)[0]
    assert sorted(held[:, 0, 0, 0].tolist()) == [13, 14, 15, 16]
    orders = {tuple(Loader(small, "train", seed=seed).indices(0, 13)) for seed in range(5)}
    assert len(orders) == 5


def test_the_order_is_written_in_stone(small: Dataset) -> None:
    """Runs made by an older version must be resumable: this order may never change."""
    expected = [7, 1, 5, 10, 0, 4, 3, 6, 9, 8, 11, 12, 2]
    assert Loader(small, "train", seed=0).indices(0, 13).tolist() == expected


def test_an_empty_part(tmp_path: Path) -> None:
    """No held-out images is said, not divided by."""
    with pytest.raises(DataError, match="no images in its part 'held-out'"):
        Loader(numbered(tmp_path / "a.mq", 3), "held-out")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_memory_stays_small(tmp_path: Path) -> None:
    """40,000 images at 32 px (123 MB) pass through a process that stays far smaller than they are."""
    spec = DataSpec(height=32, width=32)
    with Writer(tmp_path / "a.mq", spec, settings={}) as writer:
        for _ in range(40):
            writer.append(np.zeros((1000, 32, 32, 3), np.uint8), {}, [{}] * 1000)
        writer.finish(np.zeros(40_000, np.uint8), np.zeros(40_000, np.int32))
    script = (
        "import sys\n"
        "from maquette.data.dataset import Dataset\n"
        "from maquette.data.loader import Loader\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "loader = Loader(Dataset.open(sys.argv[1]))\n"
        "before = most = resident()\n"
        "for at in range(0, 40_000, 64):\n"
        "    loader.batch(at, 64)\n"
        "    most = max(most, resident())\n"
        "print(most - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.mq")], capture_output=True, check=True)
    assert int(done.stdout) < 30e6


@given(labels=st.lists(st.integers(-1, 4), min_size=1, max_size=60))
def test_balancing_repeats_rare_labels_and_loses_nothing(labels: list[int]) -> None:
    """Every item is there, all labels are as frequent as the most frequent one, and repeats are spread evenly."""
    items, known = np.arange(len(labels)), np.array(labels)
    rows = balanced(items, known)
    counts = np.bincount(rows, minlength=len(labels))
    assert counts.min() >= 1 and (counts[known < 0] == 1).all()
    most = max((labels.count(label) for label in set(labels) - {-1}), default=0)
    for label in set(labels) - {-1}:
        own = counts[known == label]
        assert own.sum() == most and own.max() - own.min() <= 1
