"""Parts and groups: copies stay together, shares are kept, and names and order do not matter."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.data.dataset import Part
from maquette.data.parts import Tally, connected, divide


def tally(numbers: list[int], wishes: list[Part | None] | None = None) -> Tally:
    """A tally of images whose digests are these numbers."""
    made = Tally()
    for number, wish in zip(numbers, wishes or [None] * len(numbers), strict=True):
        made.add(number * 0x9E3779B97F4A7C15 % 2**64, wish)
    return made


@settings(max_examples=40)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=200), st.floats(0, 0.9), st.integers(0, 2**63 - 1))
def test_copies_are_never_split(numbers: list[int], share: float, seed: int) -> None:
    """Equal images have one group and one part; at most the share is held out, and never everything."""
    parts, groups, moved = divide(tally(numbers), share, seed)
    assert moved == 0 and len(parts) == len(groups) == len(numbers)
    for number in set(numbers):
        same = [k for k, other in enumerate(numbers) if other == number]
        assert len(set(groups[same].tolist())) == len(set(parts[same].tolist())) == 1
    assert len(set(groups.tolist())) == len(set(numbers))
    assert parts.sum() <= max(round(share * len(numbers)), 1) and (parts == 0).any()


@settings(max_examples=20)
@given(st.permutations(range(40)), st.integers(0, 1000))
def test_order_does_not_matter(order: list[int], seed: int) -> None:
    """The same images in another order have the same parts."""
    plain, _, _ = divide(tally(list(range(40))), 0.25, seed)
    mixed, _, _ = divide(tally(list(order)), 0.25, seed)
    assert plain.sum() == 10 and np.array_equal(mixed, plain[list(order)])


def test_seeds_choose_differently() -> None:
    """Another seed holds out other images, and every image has its turn."""
    chosen = np.array([divide(tally(list(range(100))), 0.1, seed)[0] for seed in range(100)])
    assert (chosen.sum(1) == 10).all() and chosen.sum(0).min() > 0
    assert len({row.tobytes() for row in chosen}) == 100


def test_small_sets() -> None:
    """Ten images have one held out, nine none; a share of nothing is nothing."""
    assert divide(tally(list(range(10))), 0.01, 0)[0].sum() == 1
    assert divide(tally(list(range(9))), 0.01, 0)[0].sum() == 0
    assert divide(tally(list(range(100))), 0.0, 0)[0].sum() == 0


def test_a_source_with_its_own_parts() -> None:
    """Its held-out part is kept, whatever the share; what is also trained on leaves it and is counted."""
    wishes: list[Part | None] = ["train", "held-out", "held-out", None, "train", "held-out"]
    parts, groups, moved = divide(tally([1, 2, 3, 4, 3, 5], wishes), 0.9, 0)
    assert parts.tolist() == [0, 1, 0, 0, 0, 1] and moved == 1
    assert groups.tolist() == [0, 1, 2, 3, 2, 4]


def test_a_source_that_only_says_train() -> None:
    """Where everything is called train, or everything test, images are chosen as if nothing had been said."""
    for wish in ("train", "held-out"):
        parts, _, _ = divide(tally(list(range(20)), [wish] * 20), 0.1, 0)  # type: ignore[list-item]
        assert parts.sum() == 2


@given(st.integers(1, 60), st.data())
def test_what_is_connected(count: int, draw: st.DataObject) -> None:
    """As SciPy finds it; each group is called by its least member."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one = st.integers(0, count - 1)
    pairs = np.array(draw.draw(st.lists(st.tuples(one, one), max_size=80)), np.int64).reshape(-1, 2)
    found = connected(pairs, count)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    for label in set(labels.tolist()):
        group = np.flatnonzero(labels == label)
        assert (found[group] == group.min()).all()
