"""Files of tokens: what was packed comes back, likely tokens take less room, and damage is one sentence."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import DataError
from maquette.store.tokens import MAGIC, TokenFile, pack, read, unpack

SIZES = st.sampled_from([(8, 5, 5, 5), (4, 4), (2,), (64, 64)])


def some(levels, count, height, width, seed=0, steady=False):
    """Random tokens, or tokens that seldom change along a row."""
    randoms = np.random.default_rng(seed)
    tokens = randoms.integers(0, int(np.prod(levels)), (count, height, width))
    if steady:
        tokens = np.broadcast_to(tokens[:, :, :1], tokens.shape)
    return TokenFile("f00d", levels, tuple(f"bild {n} é" for n in range(count)), tokens.astype(np.int32))


@given(SIZES, st.integers(0, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_what_was_packed_comes_back(levels, count, height, width, seed):
    content = some(levels, count, height, width, seed)
    found = unpack(pack(content))
    assert (found.model, found.levels, found.names) == (content.model, content.levels, content.names)
    assert np.array_equal(found.tokens, content.tokens)
    assert found.tokens.shape == content.tokens.shape


def test_what_repeats_takes_less_room():
    long = some((8, 5, 5, 5), 40, 8, 8)
    bits = 40 * 64 * np.log2(1000)
    assert len(pack(long)) < 1.35 * bits / 8  # names and learning included, though nothing can be foreseen here
    assert len(pack(some((8, 5, 5, 5), 40, 8, 8, steady=True))) < 0.5 * len(pack(long))


def test_any_changed_or_missing_byte_is_found():
    content = pack(some((4, 4), 2, 3, 3))
    for at in range(0, len(content), 3):
        with pytest.raises(DataError, match=r"damaged|no file of tokens"):
            unpack(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DataError, match=r"damaged|no file of tokens"):
            unpack(content[:at])


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"levels": []}, {"levels": [8, 10**9]}, {"levels": [1]}, {"levels": [64] * 9}, {"levels": "8"},
        {"grid": [3]}, {"grid": [10**6, 10**6]}, {"grid": [0, 3]}, {"grid": [4096, 4096], "names": ["a", "b"]},
        {"names": [1]}, {"names": "ab"}, {"model": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_head_is_refused_before_anything_is_made_of_it(changes):
    whole = pack(some((4, 4), 2, 3, 3))
    length = int.from_bytes(whole[8:12], "little")
    head = json.dumps({**json.loads(whole[12 : 12 + length]), **changes}).encode()
    forged = MAGIC + len(head).to_bytes(4, "little") + head + whole[12 + length : -32]
    with pytest.raises(DataError, match=r"head|tokens"):
        unpack(forged + hashlib.sha256(forged).digest())


def test_a_file_that_lies_about_its_length_is_refused():
    head = MAGIC + (2**32 - 1).to_bytes(4, "little") + b"{}"
    with pytest.raises(DataError, match="longer"):
        unpack(head + hashlib.sha256(head).digest())


def test_a_file_is_named_in_the_error(tmp_path):
    path = tmp_path / "cats.tokens"
    with pytest.raises(DataError, match=r"cats\.tokens: it cannot be read"):
        read(path)
    path.write_bytes(b"PK\3\4 something else")
    with pytest.raises(DataError, match=r"cats\.tokens: it is no file of tokens"):
        read(path)
