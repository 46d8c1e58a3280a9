"""JSON files and lines on the disk: strict when read, whole when written, and errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maquette.core.errors import MaquetteError, RunError
from maquette.core.files import sync_folder, write_bytes

MAX_JSON = 64 * 2**20
MAX_DEPTH = 32
MAX_DIGITS = 39
_WHAT_TO_DO = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota on that disk",
    errno.EIO: "the disk reports an error of its own: check it, or choose a folder on another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that you may write, or change its permissions",
    errno.EPERM: "choose a folder that you may write, or change its permissions",
}


@contextlib.contextmanager
def writing(what: str, where: Path, kind: type[MaquetteError] = RunError) -> Iterator[None]:
    """Turn an error of the operating system while writing into one sentence."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).lower()
        do = _WHAT_TO_DO.get(error.errno or 0, "")
        raise kind(f"{what} could not be written ({reason})", where=where, do=do) from error


def plain(value: Any, what: str, depth: int = 1) -> Any:
    """The value as plain JSON (tuples become lists); what JSON cannot hold exactly is refused by its name."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if abs(value) < 10**MAX_DIGITS:
            return value
        raise RunError(f"{what} has more than {MAX_DIGITS} digits")
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise RunError(f"{what} is {value}, and only finite numbers can be kept")
    if depth > MAX_DEPTH // 2:  # less deep than what is read, for files may put a few levels around it
        raise RunError(f"{what[:60]}... is nested more than {MAX_DEPTH // 2 - 1} levels deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise RunError(f"{what} has the key {key!r}, and only words can be keys")
        return {key: plain(item, f"{what}: {key}", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{what}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise RunError(f"{what} is a {type(value).__name__}, and only plain JSON can be kept")


def without_infinities(value: Any) -> Any:
    """The value with null in place of numbers that are not finite (a log must be able to say that a loss broke)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_infinities(item) for item in value]
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _whole(word: str) -> int:
    if len(word) > MAX_DIGITS + 1:
        raise ValueError(f"a number has {len(word)} digits")
    return int(word)


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word[:20]} is too large a number")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)


def parse_json(content: bytes | str) -> Any:
    """Strict JSON: UTF-8, no key twice, finite numbers, at most 32 levels deep. Anything else is a ValueError."""
    try:
        value = _DECODER.decode(content if isinstance(content, str) else content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (at character {error.pos})") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level if isinstance(item, (dict, list)) for inner in _inside(item)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def _inside(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item


def json_bytes(value: Any) -> bytes:
    """JSON that people can read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        return (text + "\n").encode()
    except UnicodeEncodeError:  # a path that is not Unicode
        return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_object(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_bytes(path, json_bytes(value))


def read_object(path: Path, *, exact: bool = False) -> dict[str, Any]:
    """Read a JSON object that this program wrote; anything else is a ValueError or OSError.

    `exact` asks that it stands there to the letter as `write_object` writes it, spaces too.
    """
    with open_regular(path) as stream:
        content = stream.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise ValueError("it is too large")
    value = parse_json(content)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    if exact and json_bytes(value) != content:
        raise ValueError("it is not to the letter what was written there")
    return value


def open_regular(path: Path) -> Any:
    """Open a file for reading, unbuffered; a folder, device or pipe is a ValueError (and never waits)."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is not a regular file")
        return os.fdopen(handle, "rb", buffering=0)
    except BaseException:
        os.close(handle)
        raise


def line(record: Mapping[str, Any]) -> bytes:
    """One record as one line."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def append_line(path: Path, record: Mapping[str, Any], *, sync: bool = False) -> None:
    """Add one JSON line to the end of a file, or nothing; the torn last line of a killed process is cut off first."""
    content = line(record)
    new = not path.exists()
    with open(path, "a+b", buffering=0) as stream:
        size, end = stream.seek(0, os.SEEK_END), _whole_end(stream)
        if end < size:
            stream.truncate(end)
        try:
            written = 0
            while written < len(content):
                written += stream.write(content[written:]) or 0
            if sync:
                os.fsync(stream.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                stream.truncate(end)
            raise
    if sync and new:
        sync_folder(path.parent)


def _whole_end(stream: Any) -> int:
    """Where the last whole line ends."""
    end, step = stream.seek(0, os.SEEK_END), 1
    while end > 0:
        start = max(0, end - step)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return int(start + found + 1)
        end, step = start, 65536
    return 0


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Number and content of each whole line; None where a line is damaged. A torn last line does not count."""
    if not path.exists():
        return
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            try:
                value = parse_json(line)
            except ValueError:
                value = None
            yield number, value if isinstance(value, dict) else None
