"""Weights: sound files come back bit for bit; anything else is refused by its name before it is believed."""

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import time
import tracemalloc

import hostile
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as some
import numpy as np
import pytest
import safetensors.numpy
import trials
from hypothesis import given

from maquette.core.errors import ModelFileError
from maquette.store import weights
from maquette.store.digest import file_digest

TYPES = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
]
NAMES = some.from_regex(r"[a-zA-Z0-9_]{1,8}([./:][a-z0-9-]{1,8}){0,2}", fullmatch=True).filter(lambda n: "__" not in n)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**70), 2**70) | some.text(max_size=9)
    | some.floats(allow_nan=False, allow_infinity=False),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@some.composite
def array(draw):
    dtype = np.dtype(draw(some.sampled_from(TYPES)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    made = draw(
        arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
            elements=arrays.from_dtype(dtype, **finite),
        )
    )
    layout = draw(some.sampled_from(["as it is", "transposed", "every second", "other byte order"]))
    if layout == "transposed":
        return made.T
    if layout == "every second" and made.ndim:
        return made[::2]
    return made.astype(made.dtype.newbyteorder(">")) if layout == "other byte order" else made


def same(one, two):
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


@given(
    tensors=some.dictionaries(NAMES, array(), max_size=5),
    facts=some.dictionaries(some.text(max_size=9), JSON, max_size=4),
)
def test_what_is_written_comes_back(tmp_path_factory, tensors, facts):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    digest = weights.write(path, tensors, facts)
    found, said = weights.read(path, weights.schema_of(tensors), digest=digest)
    expected = {name: value.astype(value.dtype.newbyteorder("=")) for name, value in tensors.items()}
    assert said == facts and found.keys() == expected.keys()
    assert all(same(found[name], expected[name]) for name in expected)
    assert all(value.flags.owndata or value.base is not None for value in found.values())
    assert digest == file_digest(path)
    # The library agrees.
    library = safetensors.numpy.load_file(path)
    assert library.keys() == expected.keys() and all(same(library[name], expected[name]) for name in expected)


def test_a_file_of_the_library_is_read(tmp_path):
    tensors = {**hostile.tensors(), "größe": np.ones(2, np.float16), "u": np.arange(3, dtype=np.uint16)}
    safetensors.numpy.save_file(tensors, tmp_path / "a.safetensors", {"format": "pt"})
    found, facts = weights.read(tmp_path / "a.safetensors", weights.schema_of(tensors))
    assert facts == {} and all(same(found[name], tensors[name]) for name in tensors)


def test_the_bytes_are_those_of_the_library(tmp_path):
    tensors = {name: np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32) for name in "cab"}
    weights.write(tmp_path / "own.safetensors", tensors, {"word": 'ü"\\'})
    library = safetensors.numpy.save(tensors, {"maquette": '{"word":"\\u00fc\\"\\\\"}'})
    assert (tmp_path / "own.safetensors").read_bytes() == library


def test_a_large_tensor_is_written_and_read_in_parts(tmp_path):
    tensors = {"a": np.random.default_rng(0).normal(size=(3_000_001,)).astype(np.float32), "b": np.arange(7)}
    digest = weights.write(tmp_path / "a", tensors, {})
    found, _ = weights.read(tmp_path / "a", digest=digest)
    assert same(found["a"], tensors["a"]) and same(found["b"], tensors["b"])
    tensors["a"][-1] = np.nan
    with pytest.raises(ModelFileError, match="'a' holds numbers that are not finite"):
        weights.write(tmp_path / "a", tensors, {})


def test_the_digest_of_tensors_knows_no_order_but_every_change():
    tensors = hostile.tensors()
    digest = weights.digest_of(tensors)
    assert digest == weights.digest_of(dict(reversed(tensors.items())))
    for name, value in tensors.items():
        changed = value.copy()
        changed.reshape(-1)[-1:] = ~changed.reshape(-1)[-1:] if changed.dtype.kind in "ib" else -7
        assert weights.digest_of({**tensors, name: changed}) != digest
        assert weights.digest_of({**tensors, name: value.reshape((1, *value.shape))}) != digest
    assert weights.digest_of({"x" + name: value for name, value in tensors.items()}) != digest


@pytest.mark.parametrize(
    ("tensors", "facts", "words"),
    [
        ({"a": np.array([1.0, np.nan], np.float32)}, {}, "'a' holds numbers that are not finite"),
        ({"a": np.array([np.inf])}, {}, "not finite"),
        ({"../a": np.ones(1)}, {}, "cannot be named '../a'"),
        ({"__class__": np.ones(1)}, {}, "cannot be named"),
        ({"": np.ones(1)}, {}, "cannot be named"),
        ({"a": np.ones(1, complex)}, {}, "complex128"),
        ({"a": np.array(["word"])}, {}, "not kept in files"),
        ({"a": np.array([object()])}, {}, "object"),
        ({f"t{k}": np.ones(0, np.uint8) for k in range(10_001)}, {}, "too many"),
        ({"a": np.ones(1)}, {"words": "x" * 2**20}, "too many"),
        ({"a": np.ones(1)}, {"number": float("nan")}, "number"),
        ({"a": np.ones(1)}, {"deep": {"thing": object()}}, "facts: deep: thing is a object"),
        ({"a": np.ones(1)}, {"deep": [{1: 2}]}, "deep"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_written(tmp_path, tensors, facts, words):
    weights.write(tmp_path / "model.safetensors", {"old": np.ones(3)}, {})
    with pytest.raises(ModelFileError, match=words):
        weights.write(tmp_path / "model.safetensors", tensors, facts)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert list(weights.read(tmp_path / "model.safetensors")[0]) == ["old"]


def test_numbers_that_are_not_finite_pass_where_they_are_asked_for(tmp_path):
    table = {"age": np.array([1, np.nan], np.float32)}
    weights.write(tmp_path / "table.safetensors", table, finite=False)
    assert same(weights.read(tmp_path / "table.safetensors", finite=False)[0]["age"], table["age"])


def test_a_file_larger_than_allowed_is_refused(tmp_path):
    path = tmp_path / "a"
    weights.write(path, hostile.tensors(), {})
    weights.read(path, max_bytes=path.stat().st_size)
    with pytest.raises(ModelFileError, match="at most"):
        weights.read(path, max_bytes=path.stat().st_size - 1)


def test_another_digest_is_refused(tmp_path):
    digest = weights.write(tmp_path / "a", hostile.tensors(), {})
    weights.read(tmp_path / "a", digest=("0" * 64, digest))
    with pytest.raises(ModelFileError, match="digest differs"):
        weights.read(tmp_path / "a", digest="0" * 64)
    with pytest.raises(ModelFileError, match="digest differs"):
        weights.read(tmp_path / "a", digest=())


# Hostile files


@dataclasses.dataclass
class Watch:
    """What the interpreter was seen to do that reading a model file never does."""

    on: bool = False
    seen: list = dataclasses.field(default_factory=list)

    def __call__(self, event, details):
        if not self.on:
            return
        if event.startswith(
            ("os.", "subprocess", "socket", "pickle", "marshal", "exec", "compile", "ctypes", "import")
        ):
            self.seen.append((event, details))
        if event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.seen.append((event, details))


WATCH = Watch()
sys.addaudithook(WATCH)


def refused(path, schema):
    """Read the file, which must be refused within two seconds, without doing anything, by a sentence about it."""
    for name in ("encodings.idna", "unicodedata"):
        __import__(name)
    WATCH.seen.clear()
    began = time.monotonic()
    tracemalloc.start()
    try:
        WATCH.on = True
        with pytest.raises(ModelFileError) as caught:
            weights.read(path, schema)
        WATCH.on = False
        _, most = tracemalloc.get_traced_memory()
    finally:
        WATCH.on = False
        tracemalloc.stop()
    assert time.monotonic() - began < 2
    assert not WATCH.seen
    assert most < 32 * 2**20
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and 20 < len(message) < 400 + len(str(path))
    return message


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, sockets and links of POSIX")
@pytest.mark.parametrize("name", hostile.FORM)
def test_hostile_files_are_refused(tmp_path, name):
    folder = tmp_path / "given"
    folder.mkdir()
    path = hostile.FORM[name](folder)
    before = sorted(child.name for child in folder.iterdir())
    for schema in (None, hostile.SCHEMA):
        assert str(path) in refused(path, schema)
    assert sorted(child.name for child in folder.iterdir()) == before
    assert [child.name for child in tmp_path.iterdir()] == ["given"]


@pytest.mark.parametrize("name", hostile.SCHEMA_CASES)
def test_sound_files_of_another_model_are_refused(tmp_path, name):
    path = hostile.SCHEMA_CASES[name](tmp_path)
    weights.read(path)
    assert "of another model" in refused(path, hostile.SCHEMA)


def test_there_are_enough_hostile_files():
    assert len(hostile.FORM) + len(hostile.SCHEMA_CASES) >= 300


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((f"other: pickle of protocol {protocol}", "looks like a pickle") for protocol in range(6)),
        ("other: pickle, legacy torch", "looks like a pickle"), ("other: zip, torch", "zip archive"),
        ("other: onnx", "ONNX"), ("other: hdf5", "HDF5"), ("other: npy of objects", "NumPy"), ("other: html", "text"),
        ("other: git lfs pointer", "Git LFS"), ("other: empty", "empty"), ("header: 10,001 tensors", "10001 tensors"),
        ("header: over one megabyte", "header has"), ("header: tensor twice", "stands twice"),
        ("overlap by one", "overlap"), ("gap of one", "gap"), ("cut off at 300", "cut off"), ("pipe", "regular file"),
        ("one byte more", "speaks of 79 bytes of numbers, and there are 80"), ("cut off at 409", "there are 78"),
        ("a gigabyte that is not there", "there are 0"),
        ("link to /dev/zero", "regular file"), ("nothing", "no such file"),
    ],
)  # fmt: skip
def test_the_reason_is_named(tmp_path, name, words):
    case = hostile.FORM.get(name) or hostile._file(lambda folder: hostile.good()[: int(name.split()[-1])])
    assert words in refused(case(tmp_path), None)


def test_the_hostile_pickles_do_bite(tmp_path):
    """The marker is left when a pickle is loaded by somebody careless: the tests above could fail."""
    path = hostile.FORM["other: pickle of protocol 4"](tmp_path)
    careless = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", careless, path], check=True, timeout=60)
    assert (tmp_path / hostile.MARKER).exists()


def test_a_sound_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(hostile.good())
    found, facts = weights.read(tmp_path / "a", hostile.SCHEMA)
    assert facts == {"family": "gan"} and all(same(found[name], value) for name, value in hostile.tensors().items())


def test_mutated_files_are_refused_or_are_what_the_library_reads(tmp_path):
    found = list(trials.mutated_files(tmp_path, count=1000, seed=0))
    assert len(found) == 1000 and [trial for trial in found if trial.wrong] == []


def test_some_mutants_are_loaded(tmp_path):
    """Those that change only numbers: the comparison with the library above has something to compare."""
    path, loaded = tmp_path / "a.safetensors", 0
    for seed in range(300):
        path.write_bytes(hostile.mutant(random.Random(seed), hostile.good()))
        with contextlib.suppress(ModelFileError):
            weights.read(path, hostile.SCHEMA)
            loaded += 1
    assert 5 < loaded < 100
