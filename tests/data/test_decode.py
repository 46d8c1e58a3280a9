"""Bounded decoding: every file has exactly one outcome, in order, whatever the files do to the workers."""

import io
import itertools
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError
from maquette.data.decoding import worker
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.shape import WHOLE, Form
from maquette.data.ingest.decode import Decoder, Outcome, Task

FORM = Form(width=16, height=16, small="enlarge")


def png(value: int, side: int = 16, mode: str = "RGB") -> bytes:
    """An even grey image of that value."""
    stream = io.BytesIO()
    Pillow.new("RGB", (side, side), (value, value, value)).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def outcomes(contents: list[bytes | Path], workers: int = 2, limits: Limits | None = None) -> list[Outcome]:
    """Decode them all."""
    with Decoder(workers, limits) as decoder:
        return list(decoder.decode(Task(content=content, form=FORM) for content in contents))


def test_order_and_completeness(tmp_path: Path) -> None:
    """Hundreds of files and bytes come back in order, bad ones with their reason, and nothing twice."""
    contents: list[bytes | Path] = []
    for k in range(400):
        content = png(k % 256) if k % 7 else b"not an image"
        if k % 2:
            path = tmp_path / f"{k}.png"
            path.write_bytes(content)
            contents.append(path)
        else:
            contents.append(content)
    results = outcomes(contents)
    assert len(results) == 400
    for k, outcome in enumerate(results):
        if k % 7:
            assert outcome.image is not None and (outcome.image == k % 256).all() and not outcome.reason
        else:
            assert outcome.image is None and "not an image" in outcome.reason
    assert results[1].digest == results[257].digest != results[2].digest


def test_truncated_among_good_ones() -> None:
    """One file that is cut short costs one file."""
    whole = png(7, 200)
    results = outcomes([png(1), whole[: len(whole) // 2], png(2)])
    assert [outcome.image is not None for outcome in results] == [True, False, True]
    assert "damaged" in results[1].reason


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, a pipe that nobody writes to, and a file that is too long: each has its reason."""
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "long", "wb") as stream:
        stream.truncate(20_000_000)
    names = ["missing", ".", "pipe", "long"]
    results = outcomes([tmp_path / name for name in names], 1, Limits(file=10_000_000))
    words = ["no such file", "not a plain file|is a directory", "not a plain file", "more than 10 are not read"]
    for outcome, said in zip(results, words, strict=True):
        assert any(part in outcome.reason for part in said.split("|")), outcome.reason


def _slow() -> bytes:
    """A text picture that takes long to read: every pixel is a word."""
    return b"P3\n6000 6000\n255\n" + b"1 " * (3 * 6000 * 6000)


def counted_starts(decoder: Decoder) -> list[int]:
    """Grows by one with every worker that is started."""
    starts: list[int] = []
    for line in decoder._lines:
        line._start = lambda start=line._start: starts.append(1) or start()  # type: ignore[func-returns-value,misc]
    return starts


def test_a_slow_file_costs_one_file() -> None:
    """A file that takes too long is given up after its time; its neighbours are not."""
    with Decoder(1, Limits(seconds=1.0)) as decoder:
        starts = counted_starts(decoder)
        results = list(decoder.decode(Task(content=content, form=FORM) for content in (png(1), _slow(), png(2))))
    assert [outcome.image is not None for outcome in results] == [True, False, True]
    assert "more than 1 seconds" in results[1].reason
    assert len(starts) == 2  # It is not tried again: one worker until it, one after it.


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux holds a process to its address space")
def test_a_file_that_needs_too_much_memory() -> None:
    """A small file that becomes huge is refused by the system's limit, and the worker lives on."""
    stream = io.BytesIO()
    Pillow.new("RGB", (9000, 9000)).save(stream, "PNG")
    results = outcomes([png(1), stream.getvalue(), png(2)], 1, Limits(memory=200 << 20))  # of 309 at least
    assert [outcome.image is not None for outcome in results] == [True, False, True]
    assert "of memory" in results[1].reason


def test_what_is_too_large_is_never_unpacked_for_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound PNG of 20,000 x 20,000 pixels is refused by its head; texts at its end are not looked for."""
    asked: list[bytes] = []
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", None)  # as in a worker, whose own limit is tried here
    monkeypatch.setattr(worker, "kept", lambda content: asked.append(content) or {"author": "Ada"})
    rows = zlib.compress(bytes(20_000 * (1 + 20_000 // 8)), 1)  # a bit a pixel, and one byte a row
    chunks = [(b"IHDR", struct.pack(">II5B", 20_000, 20_000, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    ((answer, _),) = worker._answers(content, None, WHOLE, Limits())
    assert "more than 100 million are not read" in answer["reason"] and not asked
    ((answer, _),) = worker._answers(png(3), None, WHOLE, Limits())
    assert answer["kept"] == {"author": "Ada"} and len(asked) == 1


def test_a_killed_worker_is_replaced() -> None:
    """Workers that are killed at any moment cost no file: each is tried once more.

    One is killed whenever so many outcomes have come that whatever was under way at the kill before is long done: a
    busy machine on which workers start slowly must not look like a file that kills its worker twice.
    """
    contents: list[bytes | Path] = [png(k % 256) for k in range(6000)]
    dice, results = random.Random(0), []
    with Decoder(2) as decoder:
        starts = counted_starts(decoder)
        next_kill = 100
        for outcome in decoder.decode(Task(content=content, form=FORM) for content in contents):
            results.append(outcome)
            if len(results) == next_kill:
                decoder._lines[dice.randrange(2)].kill()
                next_kill += 800 + dice.randrange(200)  # At most 5 messages of 128 files are under way.
    assert len(results) == 6000 and len(starts) >= 5
    wrong = [k for k, outcome in enumerate(results) if outcome.image is None or outcome.image[0, 0, 0] != k % 256]
    assert wrong == []


def test_a_file_that_always_kills_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that crashes the decoder twice is set aside; all others are decoded, those just before it as well."""
    hook = tmp_path / "sitecustomize.py"
    hook.write_text(
        "import os\n"
        "from PIL import PngImagePlugin as png\n"
        "load = png.PngImageFile.load\n"
        "def deadly(self):\n"
        "    if self.size == (13, 13): os.abort()\n"
        "    return load(self)\n"
        "png.PngImageFile.load = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    deadly = [png(value, 13, "P") for value in (2, 4)]  # with a palette, so that Pillow decodes them
    contents: list[bytes | Path] = [png(k) for k in range(60)]
    contents[1], contents[50] = deadly
    results = outcomes(contents)
    assert [k for k, outcome in enumerate(results) if outcome.image is None] == [1, 50]
    assert all(outcome.image[0, 0, 0] == k for k, outcome in enumerate(results) if outcome.image is not None)
    assert results[1].reason == results[50].reason == "it crashed the image decoder"


def test_workers_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no worker starts is said in a sentence, not tried for ever."""
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DataError, match="the image decoder could not be started"):
        outcomes([png(1), png(2)])


def test_leaving_early_ends_the_workers() -> None:
    """A caller that stops in the middle waits for nothing and leaves no process behind."""
    taken = itertools.count()
    with Decoder(2) as decoder:
        stream = decoder.decode(Task(content=png(1), form=FORM) for _ in zip(range(100_000), taken, strict=False))
        assert next(stream).image is not None
        processes = [line._process for line in decoder._lines]
    assert next(taken) < 1000
    assert all(process is None or process.poll() is not None for process in processes)


def test_an_error_of_the_tasks_reaches_the_caller() -> None:
    """What goes wrong while tasks are made is not swallowed."""

    def tasks() -> object:
        yield Task(content=png(1), form=FORM)
        raise RuntimeError("the source is gone")

    with Decoder(1) as decoder, pytest.raises(RuntimeError, match="the source is gone"):
        list(decoder.decode(tasks()))  # type: ignore[arg-type]


def test_mutated_files() -> None:
    """A hundredth of the full count: mutants of every format have one outcome each, and nothing hangs or dies."""
    rng = np.random.default_rng(0)
    picture = Pillow.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    seeds = []
    for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"):
        stream = io.BytesIO()
        picture.save(stream, format)
        seeds.append(stream.getvalue())
    mutants: list[bytes | Path] = []
    for k in range(200):
        content = bytearray(seeds[k % len(seeds)])
        for _ in range(int(rng.integers(1, 6))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        if k % 5 == 0:
            content = content[: int(rng.integers(len(content)))]
        mutants.append(bytes(content))
    results = outcomes(mutants, 2)
    assert len(results) == 200
    for outcome in results:
        assert (outcome.image is None) == bool(outcome.reason) and "seconds to decode" not in outcome.reason
        assert outcome.image is None or outcome.image.shape == (16, 16, 3)
