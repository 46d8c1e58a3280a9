"""A decoding worker: a process of its own that turns files into pixels and may be killed at any moment.

It is started by `line.py` beside it and speaks over its standard input and output. Every message is the length of a
JSON object (4 bytes), the object, and as many bytes as the object's `size` says. A file is answered with one answer for
each of its images; all but the last say that there is more. Several answers go in one message; which file is at work
stands in a few bytes that the parent can see at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import signal
import stat
import struct
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from PIL import Image as Pillow

import maquette
from maquette.core.guard import Guard
from maquette.data.decoding.kept import kept
from maquette.data.decoding.kinds import HEAD, is_film
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.picture import Shot, read
from maquette.data.decoding.pixels import digest_of_pixels
from maquette.data.decoding.plain import look
from maquette.data.decoding.shape import Form
from maquette.trust.incoming import incoming

_LENGTH = struct.Struct("<I")
PLACE = struct.Struct("<I")
"""The file that is at work, counted from 1 in each message."""
PIECE_BYTES, _PIECE_SECONDS = 1 << 16, 0.02
"""Answers wait for each other up to so many bytes or so long."""
_HEAD = 1 << 22
_SMALL = 1 << 20
"""Up to this length a file is read before anybody looks at what it is."""
_NAMES = {np.dtype(name).str: name for name in ("uint8", "uint16")}  # What NumPy works out anew at every asking.


def write_message(stream: IO[bytes], head: dict[str, Any], *bodies: bytes | memoryview) -> None:
    """Send one message, whose body may be given in parts; the receiver sees it once the stream is flushed."""
    text = json.dumps({**head, "size": sum(map(len, bodies))}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    for body in bodies:
        stream.write(body)


def read_message(stream: IO[bytes], most: int = 1 << 40) -> tuple[dict[str, Any], bytes]:
    """The next message, of at most so many bytes; EOFError when the other side is gone."""
    length = _LENGTH.unpack(_exactly(stream, 4))[0]
    if length > _HEAD:
        raise ValueError("a message with a head that long is not one of ours")
    head = json.loads(_exactly(stream, length))
    if not 0 <= head["size"] <= most:
        raise ValueError("a message that long is not one of ours")
    return head, _exactly(stream, head["size"])


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError
    return content


def command(module: str) -> list[str]:
    """The command that runs a module's `main` in a process of its own.

    Not multiprocessing: that would run the caller's script again. The code is the same as here, whatever else is
    installed; but no installed package hides Python's own modules.
    """
    root = str(Path(maquette.__file__).resolve().parents[1])
    script = (
        "import sys; p = sys.path; at = next((k for k, x in enumerate(p) if x.endswith('-packages')), len(p));"
        f" p.insert(at, {root!r}); from {module} import main; main()"
    )
    return [sys.executable, "-P", "-c", script]


def main() -> None:
    """Read the limits, then chunks of files, and answer each file with its images or a reason, in order."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Whatever a library prints must not get among the answers.
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers.
    Pillow.MAX_IMAGE_PIXELS = None  # The limits say it; see data/decoding/picture.py.
    head, _ = read_message(source)
    place = next((mmap.mmap(handle, PLACE.size) for handle in head["place"]), None)
    limits = Limits(**{key: value for key, value in head.items() if key not in ("size", "place")})
    guard = Guard(limits.memory, limits.seconds)
    write_message(answers, {"ready": True})
    answers.flush()
    out = _Out(answers, patient=place is not None)
    while True:
        try:
            question, contents = read_message(source)
        except EOFError:
            return
        forms = [Form(**form) for form in question["forms"]]
        start, skip = 0, question["skip"]
        for number, (form, what) in enumerate(question["files"], 1):
            content, path = b"", None
            if isinstance(what, int):
                content = contents[start : start + what]
                start += what
            else:
                path = os.fsencode(what)
            if place is not None:
                PLACE.pack_into(place, 0, number)
            guard.renew()
            for answer, body in _answers(content, path, forms[form], limits, skip):
                out.add(answer, body)
                guard.renew()
            skip = 0  # Only of the first file, some images are there already.
        out.flush()


class _Out:
    """Answers on their way out: small ones wait for each other, since each message wakes another process."""

    def __init__(self, stream: IO[bytes], patient: bool) -> None:
        self._stream, self._patient = stream, patient
        self._answers: list[dict[str, Any]] = []
        self._bodies: list[bytes] = []
        self._size = 0
        self._sent = time.monotonic()

    def add(self, answer: dict[str, Any], body: bytes) -> None:
        """One more; what says that there is more to come, or says much, goes at once."""
        self._answers.append(answer)
        self._bodies.append(body)
        self._size += len(body)
        late = time.monotonic() - self._sent > _PIECE_SECONDS
        if not self._patient or late or self._size >= PIECE_BYTES or "more" in answer or "kept" in answer:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._answers:
            write_message(self._stream, {"answers": self._answers}, *self._bodies)
            self._stream.flush()
            self._answers, self._bodies, self._size = [], [], 0
        self._sent = time.monotonic()


def _answers(
    content: bytes, path: bytes | None, form: Form, limits: Limits, skip: int = 0
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What becomes of one file, whose bytes are here or lie at a path: image by image, the first ones left out."""
    waiting: tuple[dict[str, Any], bytes] | None = None
    count = 0
    try:
        with contextlib.ExitStack() as stack:
            source: bytes | BinaryIO = content
            if path is not None:
                digest, source = _read(path, limits, stack)
            else:
                digest = _digest(content)
            whole = form.fit == "whole"
            said: dict[str, Any] = {}
            head = look(source) if isinstance(source, bytes) else None
            marks = {} if whole or head else _marks(source, form)
            for count, shot in enumerate(read(source, form, limits, head), 1):
                if count == 1 and whole and isinstance(source, bytes):
                    said = kept(source)  # not before: to see what a PNG says, its pixels are read
                if waiting is not None and count - 1 > skip:
                    yield {**waiting[0], "more": True}, waiting[1]
                waiting = None
                if count > limits.frames:
                    raise Refused(f"it holds more than {limits.frames:,} images, which are not read")
                waiting = _message(shot, digest, said, marks, whole)
    except Exception as error:
        # A hostile file can raise anything in a decoder; it costs this file alone, from here on.
        if waiting is not None and count > skip:
            yield {**waiting[0], "more": True}, waiting[1]
        waiting = {"reason": _reason(error, limits) + (f" (from image {count + 1} on)" if count else "")}, b""
    if waiting is None:
        waiting = {"reason": "it holds no image"}, b""
    yield waiting


def _marks(source: bytes | BinaryIO, form: Form) -> dict[str, Any]:
    """What the file says of its origin. Where its makers forbid training and that is heeded, it is not read."""
    found = incoming(source)
    if form.heed and found.training:
        raise Refused(f"its makers do not allow training on it ({found.training})")
    return found.to_json() if found.source or found.signed or found.training else {}


def _message(
    shot: Shot, digest: str, said: dict[str, Any], marks: dict[str, Any], whole: bool
) -> tuple[dict[str, Any], bytes]:
    head: dict[str, Any] = {
        "shape": shot.image.shape,
        "dtype": _NAMES[shot.image.dtype.str],
        "digest": digest,
        "facts": shot.facts,
    }
    if said:
        head["kept"] = said
    if marks:
        head["marks"] = marks
    if shot.scene:
        head["scene"] = shot.scene
    pixels = shot.image.tobytes()
    if not whole:
        head["pixels"] = digest_of_pixels(pixels)
    if shot.frames is None:
        return head, pixels
    return {**head, "frames": len(shot.frames)}, pixels + shot.frames.tobytes()


def _reason(error: Exception, limits: Limits) -> str:
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, MemoryError):
        return f"it needs more than {limits.memory / 2**30:g} GB of memory to decode"
    return f"the image is damaged{_words(error)}"


def _words(error: Exception) -> str:
    """What Pillow says about the file; what other errors say is about code, not for people."""
    text = " ".join(str(error).split())[:120] if isinstance(error, (OSError, SyntaxError)) else ""
    return f" ({text[:1].lower() + text[1:]})" if text else ""


def _open(path: bytes) -> tuple[int, int]:
    """The handle of a plain file, opened without waiting for whatever else may lie there, and its length."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise Refused(f"it cannot be read ({(error.strerror or str(error)).lower()})") from None
    form = os.fstat(handle)
    if not stat.S_ISREG(form.st_mode):
        os.close(handle)
        raise Refused("it is not a plain file")
    return handle, form.st_size


def _read(path: bytes, limits: Limits, stack: contextlib.ExitStack) -> tuple[str, bytes | BinaryIO]:
    """The digest of a file, and its content: whole, or for films, which may be long, still to be read."""
    handle, size = _open(path)
    try:
        if size <= min(_SMALL, limits.file):
            try:
                content = os.read(handle, size)
            finally:
                os.close(handle)
            return (_digest(content[:HEAD], size) if is_film(content[:HEAD]) else _digest(content)), content
        source = stack.enter_context(os.fdopen(handle, "rb", buffering=0))
        start = source.read(HEAD)
        source.seek(0)
        if is_film(start):
            return _digest(start, size), source
        if size > limits.file:
            raise Refused(f"the file has {size / 2**20:.0f} MB, more than {limits.file / 2**20:.0f} are not read")
        content = source.read(size) or b""  # In one piece: appending would copy it.
    except OSError as error:
        raise Refused(f"it cannot be read ({(error.strerror or str(error)).lower()})") from None
    return _digest(content), content


def _digest(content: bytes, size: int | None = None) -> str:
    """Of all bytes; of a film, which is not read twice, of its start and its length."""
    digest = hashlib.blake2b(content, digest_size=16)
    if size is not None:
        digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()


if __name__ == "__main__":
    main()
