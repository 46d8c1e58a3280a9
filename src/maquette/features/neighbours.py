"""Nearest neighbours by blocked matrix products: exact, fast, in memory that does not grow with the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22
"""Distances held at once."""


def squared_distances(queries: NDArray[Any], base: NDArray[Any]) -> NDArray[Any]:
    """All squared Euclidean distances, queries x base."""
    products = queries @ base.T
    products *= -2
    products += np.einsum("ij,ij->i", queries, queries)[:, None]
    products += np.einsum("ij,ij->i", base, base)[None, :]
    np.maximum(products, 0, out=products)
    return np.asarray(products)


def nearest(
    queries: NDArray[Any], base: NDArray[Any], count: int = 1, *, not_itself: bool = False
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """The `count` nearest rows of `base` for every query, nearest first: distances and indices, queries x count.

    With `not_itself`, query k is row k of the base and not its own neighbour.
    """
    count = min(count, len(base) - int(not_itself))
    if count < 1:
        return np.zeros((len(queries), 0)), np.zeros((len(queries), 0), np.int64)
    distances, indices = [], []
    step = max(1, _BLOCK // max(1, len(base)))
    for start in range(0, len(queries), step):
        block = squared_distances(queries[start : start + step], base)
        if not_itself:
            rows = np.arange(len(block))
            block[rows, start + rows] = np.inf
        chosen = largest(-block, count)
        found = np.take_along_axis(block, chosen, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        distances.append(np.sqrt(np.take_along_axis(found, order, axis=1)))
        indices.append(np.take_along_axis(chosen, order, axis=1))
    return np.concatenate(distances), np.concatenate(indices)


_CHUNK = 32


def largest(scores: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The columns of the `count` largest scores of every row, in no order.

    Columns are taken together by 32 first, each a 32nd of the row from the next: their maxima are found at the speed of
    memory, and the largest scores lie in the `count` chunks with the largest maxima.
    """
    rows, columns = scores.shape
    if count >= columns:
        return np.tile(np.arange(columns), (rows, 1))
    chunks = columns // _CHUNK
    if chunks <= 2 * count:
        return np.asarray(np.argpartition(scores, columns - count, axis=1)[:, columns - count :])
    maxima = scores[:, : chunks * _CHUNK].reshape(rows, _CHUNK, chunks).max(1)
    best = np.argpartition(maxima, chunks - count, axis=1)[:, chunks - count :]
    inside = (best[:, :, None] + np.arange(0, chunks * _CHUNK, chunks)).reshape(rows, -1)
    rest = np.tile(np.arange(chunks * _CHUNK, columns), (rows, 1))
    considered = np.concatenate([inside, rest], axis=1)
    values = np.take_along_axis(scores, considered, axis=1)
    chosen = np.argpartition(values, values.shape[1] - count, axis=1)[:, values.shape[1] - count :]
    return np.asarray(np.take_along_axis(considered, chosen, axis=1))
