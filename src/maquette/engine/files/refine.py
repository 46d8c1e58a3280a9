"""A recipe on many files: decoded in bounded workers, refined and written on all cores, going on where it was ended.

Each thread takes one image at a time from file to file, with a decoding worker of its own, so that memory does not grow
with the number of images and N threads keep N cores busy (what takes time in an op releases Python's lock).
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, MaquetteError
from maquette.core.event import Event, Progress, Result, Warning
from maquette.core.files import write_bytes, write_new
from maquette.core.image import encode
from maquette.core.workers import Workers
from maquette.data.decoding.kept import for_saving
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.shape import WHOLE, Form
from maquette.data.ingest.decode import Decoder, Outcome, Task
from maquette.engine.bulk import bulk
from maquette.engine.files.batch import Batch, Plan, Records, Work, plan
from maquette.refining.op import Context
from maquette.refining.run import run

LIMITS = Limits(seconds=60.0, memory=3 << 30)
"""Of one file: photographs are larger than what a dataset is made of."""
_GIVE_UP = 16
"""When as many images have failed in the same way and none has not, the recipe is at fault, not the images."""


@dataclass(frozen=True)
class _Done:
    work: Work
    error: Exception | None = None


def refine(words: Sequence[str], batch: Batch, elsewhere: Elsewhere | None = None) -> Generator[Event, None, None]:
    """Refine all files that the words name. The result's facts hold the images, and what was set aside and why."""
    made = plan(words, batch)
    records = Records(batch)
    records.check_free(made)
    records.tidy(made)
    aside = list(made.troubles)
    for path, reason in aside:
        yield Warning(text=f"{path}: {reason}")
    began, done, total = time.perf_counter(), 0, len(made.outputs)
    new, failed = 0, set[Path]()
    pool = _Pool(made, records) if elsewhere is None else _Bulk(made, records, elsewhere)
    try:
        for finished in pool:
            done += 1
            if finished is None:
                pass  # it was there already
            elif finished.error is None:
                new += 1
            else:
                aside.append((finished.work.name, sentence_of(finished.error)))
                failed.add(finished.work.to)
                _check(aside, new, total, finished.error)
                yield Warning(text=f"{finished.work.name}: {aside[-1][1]}")
            yield Progress.since(began, "refine", done, total)
    finally:
        pool.close()
    paths = [path for path in (batch.to / inner for inner in made.outputs.values()) if path not in failed]
    if not paths:
        raise DataError(aside[0][1], where=aside[0][0])
    facts = {
        "images": [str(path) for path in paths], "new": new, "to": str(batch.to),
        "set_aside": [{"path": path, "reason": reason} for path, reason in aside], "recipe": str(batch.recipe),
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip
    yield Result(verb="refine", facts=facts, value=paths)


def _check(aside: Sequence[tuple[str, str]], new: int, total: int, error: Exception) -> None:
    """End the work where the recipe cannot be done at all."""
    alone = len(aside) == total
    same = len(aside) >= _GIVE_UP and len({reason for _, reason in aside}) == 1
    if not new and (alone or same):
        if isinstance(error, MaquetteError):
            do = error.do or "give other images, or another recipe"
            raise type(error)(error.what, where=error.where or aside[-1][0], do=do) from None
        raise error


def sentence_of(error: Exception) -> str:
    """What went wrong with one image, in words."""
    if isinstance(error, MaquetteError):
        return str(error).rstrip(".")
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return f"this is a fault in Maquette ({type(error).__name__}: {' '.join(str(error).split())[:200]})"


class _Pool:
    """Threads that each take the next file, and hand over what became of it, in the order in which they finish."""

    def __init__(self, made: Plan, records: Records) -> None:
        self.batch, self.records = made.batch, records
        self._works = made.work()
        self._next = threading.Lock()
        self._stop = threading.Event()
        self._out: queue.SimpleQueue[_Done | BaseException | None] = queue.SimpleQueue()
        self._left = len(made.outputs)
        self._read = _Reader()
        self._cv_threads = _one_thread_each()
        count = min(self.batch.threads, max(1, self._left))
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[_Done | None]:
        ended = 0
        while ended < len(self._threads):
            found = self._out.get()
            if isinstance(found, _Ended):
                ended += 1
            elif isinstance(found, BaseException):
                raise found
            else:
                yield found

    def close(self) -> None:
        """End the work: what is at an image finishes it first."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._read.close()
        _restore_threads(self._cv_threads)

    def _serve(self) -> None:
        try:
            with Decoder(1, LIMITS) as decoder:
                while not self._stop.is_set():
                    with self._next:
                        work = next(self._works, None)
                    if work is None:
                        break
                    self._out.put(None if self.records.is_done(work) else self._do(work, decoder))
        except BaseException as error:  # the disk is full, the records cannot be written: nothing can go on
            self._stop.set()
            self._out.put(error)
        finally:
            self._out.put(_Ended())

    def _do(self, work: Work, decoder: Decoder) -> _Done:
        try:
            content = refined(work, self.batch, decoder, self._read)
        except Exception as error:
            return _Done(work, error)
        put(self.records, work, content)
        return _Done(work)


@dataclass(frozen=True)
class Elsewhere:
    """Workers that refine: the module whose `make` they call, what it is given, and who they are."""

    module: str
    settings: Mapping[str, Any]
    workers: Workers


class _Bulk:
    """As `_Pool`, with workers anywhere; files are read and written here."""

    def __init__(self, made: Plan, records: Records, elsewhere: Elsewhere) -> None:
        self._made, self._records, self._elsewhere = made, records, elsewhere

    def __iter__(self) -> Iterator[_Done | None]:
        given: deque[Work] = deque()
        there = [0]

        def tasks() -> Iterator[bulk.Task]:
            for work in self._made.work():
                if self._records.is_done(work):
                    there[0] += 1
                    continue
                given.append(work)
                head = {"name": work.name, "to": str(work.to), "seed": work.seed, "recipe": work.recipe}
                content = _sent(work.content)
                yield bulk.Task(head, content) if isinstance(content, bytes) else bulk.Task({**head, "path": content})

        elsewhere = self._elsewhere
        answers = bulk.bulk(elsewhere.module, elsewhere.settings, tasks(), elsewhere.workers)
        with contextlib.closing(answers):
            for head, content in answers:
                work, failed = given.popleft(), head.get("failed")
                if failed:
                    yield _Done(work, DataError(failed["what"], where=failed["where"] or None, do=failed["do"]))
                    continue
                put(self._records, work, content)
                yield _Done(work)
        yield from [None] * there[0]

    def close(self) -> None:
        """The workers end with the iteration."""


def _sent(content: bytes | Path) -> bytes | str:
    """The bytes of a file; or where it lies, if it cannot be read or is too large, so that the worker says so."""
    if isinstance(content, bytes):
        return content
    try:
        if content.is_file() and content.stat().st_size <= LIMITS.file:
            return content.read_bytes()
    except OSError:
        pass
    return str(content.absolute())


def put(records: Records, work: Work, content: bytes) -> None:
    """Write what became of an image."""
    records.add(work, content)
    if records.batch.overwrite:
        write_bytes(work.to, content)
    else:
        write_new(work.to, content)


def refined(work: Work, batch: Batch, decoder: Decoder, read: Callable[[str], NDArray[Any]]) -> bytes:
    """One image, from file to file."""
    (outcome,) = decoder.decode([Task(content=work.content, form=WHOLE)])
    image = _image(outcome)
    name = work.to.relative_to(batch.to).with_suffix("").as_posix()
    context = Context(seed=work.seed, tile=batch.tile, read=read, hand=batch.hand, name=name)
    result = run(batch.recipe, image, context)
    kept = outcome.kept if batch.metadata else {}
    if batch.finish is not None:
        return batch.finish(result, kept, work)
    return encode(result, batch.format, **for_saving(kept, batch.format, batch.software))


class _Ended(BaseException):
    """A thread has no more to do."""


def _image(outcome: Outcome) -> NDArray[Any]:
    if outcome.image is None:
        raise DataError(outcome.reason)
    return outcome.image


class _Reader:
    """Reads the image files that dials and masks name; the last few are kept, since most recipes name one for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._cached = functools.lru_cache(maxsize=4)(self._decode)

    def __call__(self, path: str) -> NDArray[Any]:
        with self._lock:
            return self._cached(path)

    def _decode(self, path: str) -> NDArray[Any]:
        self._decoder = self._decoder or Decoder(1, LIMITS)
        (outcome,) = self._decoder.decode([Task(content=Path(path).expanduser(), form=WHOLE)])
        if outcome.image is None:
            raise DataError(outcome.reason, where=path, do="give an image file")
        return outcome.image

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()


def read(path: str) -> NDArray[Any]:
    """One image file, decoded as strangers' files are."""
    reader = _Reader()
    try:
        return reader(path)
    finally:
        reader.close()


def _one_thread_each() -> int:
    """Let OpenCV use one thread a call: the images share the cores, and results depend on no thread count."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    return int(before)


def _restore_threads(count: int) -> None:
    import cv2

    cv2.setNumThreads(count)


def before_and_after(words: Sequence[str], batch: Batch, count: int = 8) -> NDArray[np.uint8]:
    """A sheet of the first images, each before on the left and after on the right of it."""
    from maquette.core.image import sheet

    form = Form(width=256, height=256, mode="rgba", fit="pad", small="enlarge")
    tasks: list[Task] = []
    for work in plan(words, batch).work():
        if work.to.exists() and len(tasks) < 2 * count:
            tasks += [Task(content=work.content, form=form), Task(content=work.to, form=form)]
        if len(tasks) >= 2 * count:
            break
    with Decoder(1, LIMITS) as decoder:
        images = [_image(outcome) for outcome in decoder.decode(tasks)]
    return np.asarray(sheet(images, columns=4 if len(images) > 4 else min(2, len(images)), gap=4))
