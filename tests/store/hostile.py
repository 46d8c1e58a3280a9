"""Model files that somebody else made: hostile ones by a table, damaged ones by chance.

Every case is a function that leaves a file in a folder and returns its path. Cases in `FORM` must be refused whatever
the schema; cases in `SCHEMA_CASES` are sound files of another model.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SCHEMA = {"a.weight": ("float32", (4, 3)), "b/bias": ("float32", (5,)), "count": ("int64", ()), "on": ("bool", (3,))}
MARKER = "marker-of-a-command"
Case = Callable[[Path], Path]


def tensors() -> dict[str, np.ndarray]:
    """Tensors of the schema."""
    return {
        "a.weight": np.arange(12, dtype=np.float32).reshape(4, 3) / 7,
        "b/bias": np.linspace(-1, 1, 5, dtype=np.float32),
        "count": np.array(123456789, np.int64),
        "on": np.array([True, False, True]),
    }


def raw(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """The bytes of a file with this header (JSON, or bytes as they are)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def good_header() -> dict[str, object]:
    """The header of a sound file of the schema."""
    return {
        "__metadata__": {"maquette": '{"family":"gan"}'},
        "count": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
        "a.weight": {"dtype": "F32", "shape": [4, 3], "data_offsets": [8, 56]},
        "b/bias": {"dtype": "F32", "shape": [5], "data_offsets": [56, 76]},
        "on": {"dtype": "BOOL", "shape": [3], "data_offsets": [76, 79]},
    }


def good_data() -> bytes:
    """The numbers of a sound file of the schema."""
    arrays = tensors()
    return b"".join(arrays[name].tobytes() for name in ("count", "a.weight", "b/bias", "on"))


def good() -> bytes:
    """A sound file of the schema."""
    return raw(good_header(), good_data())


def _changed(name: str, **changes: object) -> bytes:
    header = good_header()
    entry = dict(header[name])  # type: ignore[call-overload]
    entry.update(changes)
    header[name] = {key: value for key, value in entry.items() if value is not ...}
    return raw(header, good_data())


def _renamed(name: str) -> bytes:
    header = good_header()
    header[name] = header.pop("b/bias")
    return raw(header, good_data())


def _with_numbers(name: str, array: np.ndarray) -> bytes:
    arrays = {**tensors(), name: array}
    return raw(good_header(), b"".join(arrays[key].tobytes() for key in ("count", "a.weight", "b/bias", "on")))


# Other kinds of file under the name of a model


def command(folder: Path) -> bytes:
    """What a hostile pickle would run."""
    return b"touch " + os.fsencode(folder / MARKER)


def pickle(folder: Path, protocol: int) -> bytes:
    """A pickle that runs a command when it is loaded, put together by hand."""
    words = command(folder)
    if protocol == 0:
        return b"cos\nsystem\n(S'" + words + b"'\ntR."
    if protocol == 1:
        return b"cos\nsystem\n(X" + struct.pack("<I", len(words)) + words + b"tR."
    start = b"\x80" + bytes([protocol])
    body = b"cos\nsystem\n(X" + struct.pack("<I", len(words)) + words + b"tR."
    return start + (b"\x95" + struct.pack("<Q", len(body)) if protocol >= 4 else b"") + body


def _zip(folder: Path, name: str, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, pickle(folder, 2))
    return stream.getvalue()


def _tar(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("../../escape.pkl")
        content = pickle(folder, 2)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _others() -> dict[str, Callable[[Path], bytes]]:
    found: dict[str, Callable[[Path], bytes]] = {
        f"pickle of protocol {protocol}": (lambda folder, p=protocol: pickle(folder, p)) for protocol in range(6)
    }
    found |= {
        "pickle, legacy torch": lambda folder: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + pickle(folder, 2),
        "pickle of a dict": lambda folder: b"\x80\x02}q\x00X\x01\x00\x00\x00a" + pickle(folder, 2)[2:-1] + b"s.",
        "pickle after 8 bytes and a brace": lambda folder: struct.pack("<Q", 1 << 60) + b"{" + pickle(folder, 2),
        "zip, torch": lambda folder: _zip(folder, "archive/data.pkl"),
        "zip, numpy object array": lambda folder: _zip(folder, "weights.npy"),
        "zip, keras": lambda folder: _zip(folder, "config.json", zipfile.ZIP_DEFLATED),
        "zip, empty": lambda folder: b"PK\x05\x06" + b"\0" * 18,
        "zip with a slip name": lambda folder: _zip(folder, "../../../escape"),
        "tar": _tar,
        "tar.gz": lambda folder: gzip.compress(_tar(folder)),
        "gzip of a sound file": lambda folder: gzip.compress(good()),
        "bz2 of a sound file": lambda folder: bz2.compress(good()),
        "xz of a sound file": lambda folder: lzma.compress(good()),
        "onnx": lambda folder: b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\x8a\x01\n\x10\n\x01x\x12\x01y",
        "onnx with external data": lambda folder: b'\x08\x09:\x40\n\x10*\x0elocation\x12\x10../../etc/passwd"\x01',
        "onnx, producer last": lambda folder: b"\x08\x08\x3a\x10\n\x05\n\x01x\x12\x00\x12\x07pytorch",
        "hdf5": lambda folder: b"\x89HDF\r\n\x1a\n" + b"\0" * 88,
        "npy of objects": lambda folder: (
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)"
            b", }                        \n" + pickle(folder, 2)
        ),
        "tflite": lambda folder: b"\x1c\x00\x00\x00TFL3" + b"\0" * 40,
        "gguf": lambda folder: b"GGUF\x03\x00\x00\x00" + b"\0" * 32,
        "sqlite": lambda folder: b"SQLite format 3\x00" + b"\0" * 84,
        "elf": lambda folder: b"\x7fELF\x02\x01\x01" + b"\0" * 57,
        "png": lambda folder: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 40,
        "jpeg": lambda folder: b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\0" * 40,
        "pdf": lambda folder: b"%PDF-1.7\n1 0 obj <<>> endobj",
        "git lfs pointer": lambda folder: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "html": lambda folder: b"<!doctype html><script>alert(1)</script>",
        "svg": lambda folder: b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "shell script": lambda folder: b"#!/bin/sh\n" + command(folder) + b"\n",
        "python": lambda folder: b"import os\nos.system('" + command(folder) + b"')\n",
        "yaml with an object": lambda folder: b"!!python/object/apply:os.system ['" + command(folder) + b"']\n",
        "json": lambda folder: b'{"model_type": "gan", "weights": [1, 2, 3]}',
        "bare header": lambda folder: json.dumps(good_header()).encode(),
        "text in utf-16": lambda folder: "a model".encode("utf-16"),
        "marshalled code": lambda folder: b"\xe3\x00\x00\x00\x00\x00\x00\x00\x00" + b"\0" * 30,
        "all zeros": lambda folder: b"\0" * 65536,
        "all ones": lambda folder: b"\xff" * 65536,
        "empty": lambda folder: b"",
        "one byte": lambda folder: b"{",
        "seven bytes": lambda folder: b"\x02\0\0\0\0\0\0",
        "eight bytes": lambda folder: b"\x02\0\0\0\0\0\0\0",
    }
    found |= {f"random bytes {seed}": lambda folder, s=seed: random.Random(s).randbytes(500) for seed in range(6)}
    return found


# Headers that lie


def _deep(opening: bytes, closing: bytes, middle: bytes, depth: int) -> bytes:
    return opening * depth + middle + closing * depth


def _headers() -> dict[str, bytes]:
    content, data = good(), good_data()
    size = len(content) - 8 - len(data)
    text = json.dumps(good_header())
    lengths = [0, 1, 2, size - 8, size - 1, size + 1, size + 8, size + 79, size + 80, 2**20 + 1, 2**31, 2**32, 2**40]
    lengths += [2**63 - 1, 2**63, 2**64 - 1]
    many = {f"t{k}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for k in range(10_001)}
    facts = lambda words: text.replace('{\\"family\\":\\"gan\\"}', json.dumps(words)[1:-1])  # noqa: E731
    found = {f"header length {length}": struct.pack("<Q", length) + content[8:] for length in lengths}
    for name, header in {
        "list": "[]", "word": '"a"', "number": "1", "null": "null", "true": "true", "nothing": " ", "brace": "{",
        "trailing words": text + " x", "two objects": text + text, "comment": text[:-1] + "/* */}",
        "trailing comma": text[:-1] + ",}", "single quotes": text.replace('"', "'"), "byte order mark": "\ufeff" + text,
        "tensor twice": text[:-1] + ',"on":{"dtype":"BOOL","shape":[3],"data_offsets":[76,79]}}',
        "type twice": text.replace('"dtype": "I64"', '"dtype":"I64","dtype":"U64"'),
        "place twice": text.replace('"data_offsets": [0, 8]', '"data_offsets":[0,4],"data_offsets":[0,8]'),
        "metadata twice": text[:-1] + ',"__metadata__":{}}',
        "facts twice": text.replace('"__metadata__": {', '"__metadata__": {"maquette":"{}",'),
        "not a number": text.replace("[4, 3]", "[NaN, 3]"), "infinity": text.replace("[4, 3]", "[Infinity, 3]"),
        "minus infinity": text.replace("[4, 3]", "[-Infinity, 3]"), "exponent": text.replace("[4, 3]", "[1e999, 3]"),
        "5000 digits": text.replace("[4, 3]", f"[{'9' * 5000}, 3]"), "leading zero": text.replace("[4, 3]", "[04, 3]"),
        "hexadecimal": text.replace("[4, 3]", "[0x4, 3]"), "line end in a word": text.replace("b/bias", "b\nias"),
        "facts not JSON": facts("not json"), "facts a list": facts("[1]"), "facts a word": facts('"a"'),
        "facts twice inside": facts('{"a":1,"a":2}'), "facts not finite": facts('{"a":NaN}'),
        "facts too large a number": facts('{"a":1e999}'), "facts deep": facts('{"a":' + "[" * 3000 + "]" * 3000 + "}"),
        "metadata a list": text.replace('{"maquette": ', "[").replace('gan\\"}"}', 'gan\\"}"]'),
        "metadata a word": '{"__metadata__": "a"}', "metadata a number": '{"__metadata__": 1}',
        "metadata null": '{"__metadata__": null}', "metadata with a number": '{"__metadata__": {"maquette": 1}}',
        "metadata with null": '{"__metadata__": {"a": null}}', "metadata with a list": '{"__metadata__": {"a": ["b"]}}',
        "metadata with an object": '{"__metadata__": {"maquette": {"family": "gan"}}}',
    }.items():  # fmt: skip
        found[f"header: {name}"] = raw(header.encode(), data)
    found |= {
        "header: not utf-8": raw(text.encode().replace(b"count", b"c\xff\xfe\xfdt"), data),
        "header: utf-16": raw(text.encode("utf-16-le"), data),
        "header: over one megabyte": raw(text.encode() + b" " * 2**20, data),
        "header: 10,001 tensors": raw(many),
        "header: deep lists": raw(b'{"a":' + _deep(b"[", b"]", b"1", 200_000) + b"}"),
        "header: deep lists, open": raw(b'{"a":' + b"[" * 500_000),
        "header: deep objects": raw(_deep(b'{"a":', b"}", b"1", 100_000)),
        "header: deep shape": raw(text.replace("[4, 3]", "[" * 900 + "4" + "]" * 900).encode(), data),
        "header: null bytes": raw(b"{" + b"\0" * 64, data),
    }
    return found


def _entries() -> dict[str, bytes]:
    found = {}
    for key in ("dtype", "shape", "data_offsets"):
        found[f"entry without {key}"] = _changed("a.weight", **{key: ...})
        for value in (None, True, {}, "x", -1, 1.5, [[]]):
            found[f"entry with {key} = {value!r}"] = _changed("a.weight", **{key: value})
    found["entry with something more"] = _changed("a.weight", file="../../etc/passwd")
    for value in (None, 1, "F32", [], ["F32", [4, 3], [8, 56]]):
        header = good_header()
        header["a.weight"] = value
        found[f"entry {value!r}"] = raw(header, good_data())
    for word in ("BF16", "F8_E4M3", "F8_E5M2", "f32", "float32", "O", "object", "V8", "C64", "", "F32 ", "F" * 5000):
        found[f"type {word[:10]!r} of {len(word)} letters"] = _changed("a.weight", dtype=word)
    shapes: list[list[object]] = [
        [-4, -3], [-4, 3], [12, 1.0], [4.0, 3], ["4", 3], [4, None], [True, 12], [[4], 3], [4, {}], [2**63, 3],
        [2**32, 2**32], [2**64, 0], [2**62, 4, 0], [12] + [1] * 16, [1] * 64 + [12], [1] * 5000, [4, 4], [3], [], [0],
        [10**30, 1], [2**48, 1],
    ]  # fmt: skip
    found |= {f"shape {str(shape)[:40]} of {len(shape)}": _changed("a.weight", shape=shape) for shape in shapes}
    places: list[list[object]] = [
        [-8, 40], [8], [8, 56, 60], [], [56, 8], [8.0, 56], ["8", "56"], [8, None], [False, 48], [8, 57], [8, 55],
        [9, 57], [0, 48], [2**63, 2**63 + 48], [2**64 + 8, 2**64 + 56], [8, 2**62], [1000, 1048], [31, 79], [8, 8],
    ]  # fmt: skip
    found |= {f"place {place}": _changed("a.weight", data_offsets=place) for place in places}
    return found


def _layouts() -> dict[str, bytes]:
    def two(first: list[int], second: list[int], size: int) -> bytes:
        header = {
            "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first},
            "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": second},
        }
        return raw(header, b"\1" * size)

    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", "x")
    found = {
        "same place twice": two([0, 8], [0, 8], 8), "overlap by one": two([0, 8], [7, 15], 15),
        "one inside the other": two([0, 16], [4, 8], 16), "gap at the start": two([8, 16], [16, 24], 24),
        "gap of one": two([0, 8], [9, 17], 17), "gap at the end": two([0, 8], [8, 16], 17),
        "behind the end": two([0, 8], [8, 16], 15), "all behind the end": two([100, 108], [108, 116], 16),
        "empty one in the middle of another": two([0, 8], [4, 4], 8),
        "empty one behind the end": two([0, 8], [100, 100], 8), "numbers without tensors": raw({}, b"\1" * 8),
        "zip behind the numbers": good() + zipped.getvalue(), "pickle behind the numbers": good() + b"\x80\x02N.",
        "a terabyte that is not there": raw({"a": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}}, b"1"),
        "a gigabyte that is not there": raw({"a": {"dtype": "F32", "shape": [2**28], "data_offsets": [0, 2**30]}}),
        "one byte more": good() + b"\0", "one megabyte more": good() + b"\0" * 2**20,
        "twice in one file": good() + good(), "one byte before": b"\0" + good(),
    }  # fmt: skip
    return found


NAMES = [
    "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../b", "a..b", "a//b", "a/", "/", "C:\\Windows", "a\\b",
    "..\\..\\a", "a\0b", "a\nb", "a\tb", "a b", "a;b", "$(touch x)", "`touch x`", "%s%n", "<script>", "a\u202eb",
    "__class__", "a.__class__.b", "model.__init__.__globals__", "__metadata__.a", "a" * 513, "a." * 300 + "a", "\ud800",
    "~/.bashrc", "a|b", "file:///etc/passwd", "a\u0000/../b", "'", '"',
]  # fmt: skip


def _values() -> dict[str, bytes]:
    weight, bias = tensors()["a.weight"], tensors()["b/bias"]
    found = {}
    for word, value in {"nan": np.nan, "infinity": np.inf, "minus infinity": -np.inf}.items():
        for place in (0, 11):
            array = weight.copy()
            array.flat[place] = value
            found[f"{word} at {place}"] = _with_numbers("a.weight", array)
        array = bias.copy()
        array[-1] = value
        found[f"{word} at the end"] = _with_numbers("b/bias", array)
    signalling = weight.copy().view(np.uint32)
    signalling.flat[5] = 0x7F800001
    found["signalling nan"] = _with_numbers("a.weight", signalling.view(np.float32))
    found["bool of 2"] = _with_numbers("on", np.array([1, 2, 0], np.uint8))
    found["bool of 255"] = _with_numbers("on", np.array([255, 0, 0], np.uint8))
    for word, kind in {"F16": np.float16, "F64": np.float64}.items():
        numbers = np.array([1, np.nan], kind)
        found[f"nan of {word}"] = raw(
            {"a": {"dtype": word, "shape": [2], "data_offsets": [0, numbers.nbytes]}}, numbers.tobytes()
        )
    return found


def _truncated() -> dict[str, bytes]:
    content = good()
    places = {*range(1, 17), len(content) - len(good_data())} | set(range(20, len(content), 23))
    places |= {len(content) - 1, len(content) - 3, len(content) - 4, len(content) - 79, len(content) - 80}
    return {f"cut off at {place}": content[:place] for place in sorted(places)}


# Things that are no files


def _special() -> dict[str, Case]:
    def link(target: str) -> Case:
        def make(folder: Path) -> Path:
            path = folder / "model.safetensors"
            path.symlink_to(target)
            return path

        return make

    def directory(folder: Path) -> Path:
        path = folder / "model.safetensors"
        path.mkdir()
        return path

    def pipe(folder: Path) -> Path:
        path = folder / "model.safetensors"
        os.mkfifo(path)
        return path

    def unix_socket(folder: Path) -> Path:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket must be short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("model.safetensors")
        finally:
            os.chdir(here)
        return folder / "model.safetensors"

    def sparse(folder: Path) -> Path:
        path = folder / "model.safetensors"
        size = 2**40
        header = {"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
        path.write_bytes(raw(header))
        os.truncate(path, path.stat().st_size + size)
        return path

    return {
        "directory": directory, "pipe": pipe, "socket": unix_socket, "sparse file of a terabyte": sparse,
        "link to /dev/zero": link("/dev/zero"), "link to /dev/random": link("/dev/random"),
        "link to /dev/null": link("/dev/null"), "link to /dev/tty": link("/dev/tty"),
        "link to nothing": link("nothing"), "link to itself": link("model.safetensors"), "link to a folder": link("."),
        "link to /proc/self/mem": link("/proc/self/mem"), "link to /proc/self/environ": link("/proc/self/environ"),
        "link to /etc/passwd": link("/etc/passwd"),
        "nothing": lambda folder: folder / "model.safetensors", "name too long": lambda folder: folder / ("a" * 5000),
        "null byte in the path": lambda folder: folder / "model\0.safetensors",
        "file as a folder": lambda folder: Path("/etc/passwd/model.safetensors"),
    }  # fmt: skip


def _file(build: Callable[[Path], bytes]) -> Case:
    def make(folder: Path) -> Path:
        path = folder / "model.safetensors"
        path.write_bytes(build(folder))
        return path

    return make


def _files(found: dict[str, bytes]) -> dict[str, Case]:
    return {name: _file(lambda folder, c=content: c) for name, content in found.items()}


FORM: dict[str, Case] = {
    **{f"other: {name}": _file(build) for name, build in _others().items()},
    **_files(_headers()),
    **_files(_entries()),
    **_files(_layouts()),
    **_files({f"name {ascii(name)[:40]} of {len(name)}": _renamed(name) for name in NAMES}),
    **_files(_values()),
    **_files(_truncated()),
    **_special(),
}
"""Refused whatever the schema."""


def _of_another_model() -> dict[str, bytes]:
    header, data = good_header(), good_data()
    fewer = {name: entry for name, entry in header.items() if name != "on"}
    more = {**header, "extra": {"dtype": "U8", "shape": [2], "data_offsets": [79, 81]}}
    empty = {**header, "extra": {"dtype": "U8", "shape": [0], "data_offsets": [79, 79]}}
    return {
        "nothing at all": raw({}), "one missing": raw(fewer, data[:-3]), "one more": raw(more, data + b"\1\1"),
        "one more, empty": raw(empty, data), "one renamed": _renamed("b.bias"),
        "one renamed to an own method": _renamed("forward"), "other case": _renamed("B/bias"),
        "transposed": _changed("a.weight", shape=[3, 4]), "flat": _changed("a.weight", shape=[12]),
        "one dimension more": _changed("a.weight", shape=[1, 4, 3]), "a list of one": _changed("count", shape=[1]),
        "whole numbers": _changed("a.weight", dtype="I32"), "without sign": _changed("count", dtype="U64"),
        "float64 for int64": _changed("count", dtype="F64"),
        "half as many": _changed("a.weight", dtype="F64", shape=[6]),
        "bytes for bools": _changed("on", dtype="U8"),
        "half precision": _changed("a.weight", dtype="F16", shape=[8, 3]),
    }  # fmt: skip


SCHEMA_CASES: dict[str, Case] = _files(_of_another_model())
"""Sound files of another model."""


# Damage by chance

_NUMBERS = [b"0", b"-1", b"1", b"255", b"65536", b"4294967296", b"9223372036854775808", b"1e999", b"NaN", b"1.5"]
_WORDS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"null",
    b"true",
    b"\\u0000",
    b"\\",
    b'"dtype"',
    b'"F64"',
    b'"BOOL"',
]


def mutant(chance: random.Random, content: bytes) -> bytes:
    """The file with one to four changes; most of them in the header, where they hurt most."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        header = min(len(changed), 8 + int.from_bytes(content[:8], "little"))
        end = header if chance.random() < 0.5 and header else len(changed)
        place = chance.randrange(8) if chance.random() < 0.08 else chance.randrange(max(1, end))
        other, span = chance.randrange(max(1, len(changed))), chance.randrange(1, 24)
        kind = chance.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8))
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and place < len(changed):
            changed[place] = chance.randrange(256)
        elif kind == 2:
            changed[place:place] = chance.randbytes(span)
        elif kind == 3:
            del changed[place : place + span]
        elif kind == 4:
            del changed[place:]
        elif kind == 5:
            changed[place : place + span] = changed[other : other + span]
        elif kind == 6:
            changed[place:place] = changed[other : other + span]
        elif kind == 7:
            changed[place : place + chance.randrange(3)] = chance.choice(_NUMBERS)
        else:
            changed[place : place + chance.randrange(3)] = chance.choice(_WORDS)
    return bytes(changed)


def corrupt(chance: random.Random, checkpoint: Path, older: Path) -> str:
    """Damage a checkpoint in one of the ways of disks, copying tools and people; says what was done."""
    path = chance.choice(sorted(checkpoint.iterdir()))
    content = bytearray(path.read_bytes())
    place, span = chance.randrange(len(content)), chance.randrange(1, 4096)
    kind = chance.choice(("bit", "bit", "bit", "byte", "zeros", "cut", "longer", "gone", "older", "swapped", "empty"))
    if kind == "gone":
        path.unlink()
        return f"{path.name} is gone"
    if kind == "bit":
        content[place] ^= 1 << chance.randrange(8)
    elif kind == "byte":
        content[place] = (content[place] + chance.randrange(1, 256)) % 256
    elif kind == "zeros":
        content[place : place + span] = bytes(len(content[place : place + span]))
        content[place] ^= path.read_bytes()[place] == 0
    elif kind == "cut":
        del content[place:]
    elif kind == "longer":
        content += chance.randbytes(span)
    elif kind == "older":
        content = bytearray((older / path.name).read_bytes())
    elif kind == "swapped":
        other = (place + 1 + chance.randrange(len(content) - 1)) % len(content)
        while content[other] == content[place]:
            other = (other + 1) % len(content)
        content[place], content[other] = content[other], content[place]
    else:
        content.clear()
    assert content != path.read_bytes()
    path.write_bytes(content)
    return f"{path.name}: {kind} at {place}"
