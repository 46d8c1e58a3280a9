"""Digests are those of the standard tools, and know content alone."""

import hashlib

import numpy as np
import pytest

from maquette.store.digest import bytes_digest, canonical_json, file_digest, json_digest, tensors_digest


def test_the_digest_of_a_file_is_that_of_sha256sum(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == bytes_digest(content) == hashlib.sha256(content).hexdigest()


def test_the_digest_of_json_knows_no_order():
    assert json_digest({"a": 1, "b": [1.5, None, "ü"]}) == json_digest({"b": [1.5, None, "ü"], "a": 1})
    different = [{"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": None}, {"b": 1}, {}, {"a": {}}]
    assert len({json_digest(value) for value in different}) == len(different)
    assert canonical_json({"b": "ü", "a": [1, 2]}) == b'{"a":[1,2],"b":"\\u00fc"}'
    with pytest.raises(ValueError, match="JSON"):
        json_digest(float("nan"))


def test_the_digest_of_arrays_knows_type_and_shape_but_no_byte_order():
    array = np.arange(6, dtype=np.float32)
    digest = tensors_digest({"a": array})
    assert digest == tensors_digest({"a": array.astype(">f4")}) == tensors_digest({"a": np.repeat(array, 2)[::2]})
    others = [{"b": array}, {"a": array.reshape(2, 3)}, {"a": array.view(np.int32)}, {"a": array, "b": array[:0]}, {}]
    assert len({digest, *(tensors_digest(other) for other in others)}) == len(others) + 1
