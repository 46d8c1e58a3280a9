"""A decoding worker: a process of its own that turns files into pixels and may be killed at any moment.

It is started by `data.decode` and speaks over its standard input and output. Every message is the length of a JSON
object (4 bytes), the object, and as many bytes as the object's `size` says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import struct
import sys
import warnings
from typing import IO, Any

from PIL import Image as Pillow

from maquette.data.picture import Form, Limits, Refused, decode

_LENGTH = struct.Struct("<I")
_HEAD = 1 << 20


def write_message(stream: IO[bytes], head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Send one message; the receiver sees it once the stream is flushed."""
    text = json.dumps({**head, "size": len(body)}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
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


def main() -> None:
    """Read the limits, then chunks of files, and answer each file with pixels or a reason, in order."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Whatever a library prints must not get among the answers.
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers.
    Pillow.MAX_IMAGE_PIXELS = None  # The limits say it; see data/picture.py.
    head, _ = read_message(source)
    limits = Limits(**{key: value for key, value in head.items() if key != "size"})
    guard = _Guard(limits)
    write_message(answers, {"ready": True})
    answers.flush()
    while True:
        try:
            chunk, _ = read_message(source)
            files = [read_message(source) for _ in range(chunk["count"])]
        except EOFError:
            return
        for task, content in files:
            guard.renew()
            answer, body = _answer(task, content, limits)
            write_message(answers, answer, body)
            answers.flush()


def _answer(task: dict[str, Any], content: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """What becomes of one file."""
    try:
        if "path" in task:
            content = _read(os.fsencode(task["path"]), limits)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        array = decode(content, Form(**task["form"]), limits)
        body = array.tobytes()
        return {"shape": array.shape, "dtype": array.dtype.name, "digest": digest}, body
    except Refused as error:
        return {"reason": str(error)}, b""
    except MemoryError:
        return {"reason": f"it needs more than {limits.memory / 2**30:g} GB of memory to decode"}, b""
    except Exception as error:  # A hostile file can raise anything in a decoder; it costs this file alone.
        return {"reason": f"the image is damaged{_words(error)}"}, b""


def _words(error: Exception) -> str:
    """What Pillow says about the file; what other errors say is about code, not for people."""
    text = " ".join(str(error).split())[:120] if isinstance(error, (OSError, SyntaxError)) else ""
    return f" ({text[:1].lower() + text[1:]})" if text else ""


def _read(path: bytes, limits: Limits) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise Refused(f"it cannot be read ({(error.strerror or str(error)).lower()})") from None
    try:
        form = os.fstat(handle)
        if not stat.S_ISREG(form.st_mode):
            raise Refused("it is not a plain file")
        if form.st_size > limits.file:
            size, most = form.st_size / 2**20, limits.file / 2**20
            raise Refused(f"the file has {size:.0f} MB, more than {most:.0f} are not read")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(limits.file)
    except OSError as error:
        raise Refused(f"it cannot be read ({(error.strerror or str(error)).lower()})") from None
    finally:
        os.close(handle)


class _Guard:
    """Limits that the system itself holds this process to (where it has them: not on Windows)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._resource: Any = None
        try:
            import resource
        except ImportError:
            return
        self._resource = resource
        for name, value in (("RLIMIT_AS", limits.memory), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, name), (value, value))

    def renew(self) -> None:
        """Allow processor time for one more file. Ends a worker that hangs after its parent has died."""
        if self._resource is not None:
            used = sum(self._resource.getrusage(self._resource.RUSAGE_SELF)[:2])
            _, hard = self._resource.getrlimit(self._resource.RLIMIT_CPU)
            with contextlib.suppress(ValueError, OSError):
                self._resource.setrlimit(self._resource.RLIMIT_CPU, (int(used + self._limits.seconds) + 2, hard))


if __name__ == "__main__":
    main()
