"""Quick work in as many threads as OpenCV may use, for calls that use one by themselves: tables, histograms.

NumPy and OpenCV let go of Python's lock while they compute. Whoever works on several images at once tells
OpenCV to use one thread, and then this does too. Results never depend on the number.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")
PROCESSORS = os.cpu_count() or 1
_NAME = "refining-in-parts"
_WORTH = 1 << 18
"""Values below which starting threads costs more than it gains."""


def threads() -> int:
    """How many may be used."""
    return max(1, min(cv2.getNumThreads(), PROCESSORS))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PROCESSORS, thread_name_prefix=_NAME)


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def at_once(jobs: Sequence[Callable[[], Result]], values: int) -> list[Result]:
    """The results of all jobs, which together work on so many values. What a job asks for in turn is done in line."""
    inside = threading.current_thread().name.startswith(_NAME)
    if inside or threads() == 1 or values < _WORTH or len(jobs) < 2:
        return [job() for job in jobs]
    return list(_pool().map(lambda job: job(), jobs))


def bands(rows: int, values: int) -> list[tuple[int, int]]:
    """The rows of an image in as many parts as there are threads to use: from and up to."""
    parts = 1 if values < _WORTH else min(threads(), rows)
    edges = [rows * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


def in_strips(
    image: NDArray[Any],
    work: Callable[[NDArray[Any]], NDArray[Any]],
    halo: int,
    rows: int,
    channels: int | None = None,
    dtype: Any = None,
) -> NDArray[Any]:
    """`work` done on strips of rows with a halo of the rows around, on all cores: the same pixels as at once.

    Strips small enough stay in the processor's cache. `channels` and `dtype` are the result's, where they are not those
    of the image.
    """
    height = image.shape[0]
    result = np.empty((*image.shape[:2], channels or image.shape[2]), dtype or image.dtype)

    def one(begin: int) -> None:
        end, top = min(begin + rows, height), max(0, begin - halo)
        result[begin:end] = work(image[top : end + halo])[begin - top : end - top]

    at_once([functools.partial(one, begin) for begin in range(0, height, rows)], image.size)
    return result
