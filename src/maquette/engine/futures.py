"""Several possible images, or films, of each case: what a forecast is measured by."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.engine.sample import draw_steps, film_length
from maquette.families.family import Family

LARGEST = 1 << 30
"""Bytes of all that is held at once."""


def possible(
    model: Family, conditions: Mapping[str, NDArray[Any]], members: int, seed: int = 0, options: Any = None
) -> Generator[int, None, NDArray[Any]]:
    """K N T H W C: of each of N cases (row k of the conditions) K possible films; T is 1 where the model makes images.

    Yields how many members there are so far.
    """
    options = model.Options() if options is None else options
    count = len(next(iter(conditions.values())))
    length = film_length(model, options)
    spec = model.made(options)
    size = members * count * length * spec.height * spec.width * spec.channels * (2 if spec.mode == "grey16" else 1)
    if size > LARGEST:
        raise ValueError(f"{members} times {count} films of {length} frames do not fit into memory")
    found: list[NDArray[Any]] = []
    for member in range(members):
        seeds = [seed + member * count + place for place in range(count)]
        moments: dict[int, list[NDArray[Any]]] = {}
        for start, images in draw_steps(model, seeds, conditions, options, only_last=length == 1):
            moments.setdefault(start, []).append(images)
        found.append(np.concatenate([np.stack(films, axis=1) for _, films in sorted(moments.items())]))
        yield member + 1
    return np.stack(found)
