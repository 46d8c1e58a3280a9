"""What a judgement rests on: images looked at once, placed in the space of likeness, with anchors to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import depth, mode_of
from maquette.core.noise import uniform
from maquette.data.dataset import Dataset
from maquette.features.cache import Cache
from maquette.features.extractor import Extract, Extractor, Features, Pictures, extract, stack
from maquette.features.space import Space
from maquette.features.views import VERSION as VIEW_VERSION
from maquette.features.views import view
from maquette.judge.looks import VERSION as LOOKS_VERSION
from maquette.judge.looks import looks
from maquette.judge.metric import Part
from maquette.store.digest import bytes_digest

LARGEST = 50_000
"""Real images that are looked at, at most."""
LOOKS = 5_000
"""Images whose pixels are looked at, at most."""
ANCHORS = 2_000
"""Images of each anchor, at most."""
VIEWS, VIEWED = 2, 1_500
"""Views of how many training images say which directions of the features are steady."""
FIT = 10_000
"""Real images that the space of likeness is fitted on, at most."""


class Chosen:
    """Some of a dataset's images, read when asked for."""

    def __init__(self, dataset: Dataset, indices: NDArray[np.int64]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return self.dataset.images(self.indices[rows])

    def key(self) -> dict[str, Any]:
        """What these images are, for the cache."""
        return {"dataset": self.dataset.digest, "images": bytes_digest(self.indices.tobytes())}


class Changed:
    """Images that are changed as they are read."""

    def __init__(self, pictures: Pictures, change: Callable[[NDArray[Any], int], NDArray[Any]]) -> None:
        self.pictures, self.change = pictures, change

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return self.change(self.pictures[rows], rows.start or 0)


def blurred(images: NDArray[Any], start: int = 0) -> NDArray[Any]:
    """What a careful eye calls soft: a Gaussian blur of one pixel for every 32 of the side."""
    import cv2

    spread = max(0.7, min(images.shape[1:3]) / 32)
    return np.stack([cv2.GaussianBlur(image, (0, 0), spread).reshape(image.shape) for image in images])


def noised(images: NDArray[Any], start: int = 0) -> NDArray[Any]:
    """Noise of a tenth of the full range on every value."""
    most = depth(mode_of(images[0]))
    steps = np.stack([
        np.random.default_rng([7, start + row]).standard_normal(image.shape, np.float32)
        for row, image in enumerate(images)
    ])  # fmt: skip
    changed = np.clip(images + 0.1 * most * steps, 0, most)
    return np.asarray(np.rint(changed).astype(images.dtype))


def noise(images: NDArray[Any], start: int = 0) -> NDArray[Any]:
    """Nothing but noise."""
    most = depth(mode_of(images[0]))
    rows = [
        np.random.default_rng([11, start + row]).integers(0, most + 1, image.shape) for row, image in enumerate(images)
    ]
    return np.stack(rows).astype(images.dtype)


ANCHOR_CHANGES: Mapping[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {
    "blurred": blurred, "noised": noised, "noise": noise,
}  # fmt: skip


@dataclass
class Reference:
    """A dataset as the judge sees it: the space, its training and held-out images in it, and the anchors."""

    dataset: Dataset
    extractor: Extractor
    space: Space
    train: Part
    train_indices: NDArray[np.int64]
    held: Part | None
    held_indices: NDArray[np.int64]
    anchors: dict[str, Part] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looking:
    """How far the looking is, for progress."""

    what: str
    done: int
    total: int


def pick(indices: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `most` of the indices, drawn at random, always the same ones, in order."""
    if len(indices) <= most:
        return indices
    keys = uniform(seed, "images that are judged by", len(indices))
    return np.sort(indices[np.argsort(keys, kind="stable")[:most]])


def look(
    extractor: Extractor,
    pictures: Pictures,
    what: str,
    cache: Cache | None = None,
    key: Mapping[str, Any] | None = None,
    extract: Extract = extract,
) -> Iterator[Looking | Features]:
    """The features of all pictures, from the cache if they are there; says how far it is, and yields the rows last."""
    full_key = {"extractor": extractor.digest, **key} if key is not None else None
    if cache is not None and full_key is not None and (known := cache.get(full_key)) is not None:
        yield known
        return
    blocks, done = [], 0
    for block in extract(extractor, pictures):
        blocks.append(block)
        done += len(block)
        yield Looking(what, done, len(pictures))
    rows = stack(blocks)
    if cache is not None and full_key is not None:
        cache.put(full_key, rows)
    yield rows


def steady(extractor: Extractor, dataset: Dataset, indices: NDArray[np.int64], viewed: int) -> tuple[Space, Features]:
    """A space of likeness of these images, steady under views of the first few of them; and their features."""

    def seen(pictures: Pictures) -> Features:
        return stack(list(extract(extractor, pictures)))

    rows, some = seen(Chosen(dataset, indices)), Chosen(dataset, indices[:viewed])
    changes = [seen(Changed(some, partial(view, which=k))) - rows[: len(some)] for k in range(VIEWS)]
    return Space.fit(rows, changes=np.concatenate(changes)), rows


def part(
    space: Space,
    rows: Features,
    pictures: Pictures | None,
    conditions: Mapping[str, NDArray[Any]] | None = None,
    cache: Cache | None = None,
    key: Mapping[str, Any] | None = None,
) -> Part:
    """Images as measures see them. The pixels of at most 5,000 are looked at; the others' looks are not needed."""
    seen: dict[str, NDArray[np.float64]] = {}
    if pictures is not None and len(pictures):
        seen = _looked(pictures, cache if key is not None else None, dict(key or {}))
    return Part(space(rows), seen, dict(conditions or {}))


def _looked(pictures: Pictures, cache: Cache | None, key: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """The looks of the first pictures, from the cache if they are there: a column for each number."""
    count, full_key = min(LOOKS, len(pictures)), {"looks": LOOKS_VERSION, **key}
    names = {name: tuple(values.shape[1:]) for name, values in looks(pictures[0:1]).items()}
    widths = [shape[0] if shape else 1 for shape in names.values()]
    table = cache.array(full_key, (count, sum(widths)), np.float64) if cache is not None else None
    if table is None:
        blocks = [looks(pictures[start : min(start + 256, count)]) for start in range(0, count, 256)]
        columns = [np.concatenate([block[name] for block in blocks]).reshape(count, -1) for name in names]
        table = np.concatenate(columns, axis=1)
        if cache is not None:
            cache.put_array(full_key, table)
    parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
    return {
        name: np.ascontiguousarray(column).reshape(count, *shape)
        for (name, shape), column in zip(names.items(), parts, strict=True)
    }


def refer(
    dataset: Dataset,
    make: Callable[[NDArray[Any]], Extractor],
    cache: Cache | None = None,
    extract: Extract = extract,
    /,
    *,
    largest: int = LARGEST,
    anchors: int = ANCHORS,
) -> Iterator[Looking | Reference]:
    """Look at a dataset; says how far it is, and yields the reference last."""
    train = pick(dataset.indices("train"), largest)
    held = pick(dataset.indices("held-out"), largest)
    extractor = make(dataset.images(pick(train, 4_000, seed=1)))
    train_rows, held_rows = None, None
    for what, indices in (("training images", train), ("held-out images", held)):
        rows: Features | None = None
        chosen = Chosen(dataset, indices)
        for step in look(extractor, chosen, what, cache, chosen.key(), extract) if len(indices) else ():
            if isinstance(step, Looking):
                yield step
            else:
                rows = step
        train_rows, held_rows = (rows, held_rows) if what == "training images" else (train_rows, rows)
    assert train_rows is not None
    whole = bool(getattr(extractor, "whole", False))
    if whole:
        space = Space.whole(train_rows)
    else:
        changes: list[Features] = []
        some = pick(np.arange(len(train)), VIEWED, seed=4)
        for which in range(VIEWS):
            viewed = Changed(Chosen(dataset, train[some]), partial(view, which=which))
            key = {**Chosen(dataset, train[some]).key(), "as": f"{VIEW_VERSION}, {which}"}
            for step in look(extractor, viewed, "views of training images", cache, key, extract):
                if isinstance(step, Looking):
                    yield step
                else:
                    changes.append(step - train_rows[some])
        fitted = train_rows[pick(np.arange(len(train_rows)), FIT, seed=2)]
        space = Space.fit(fitted, changes=np.concatenate(changes))

    def placed(rows: Features | None, indices: NDArray[np.int64]) -> Part | None:
        chosen = Chosen(dataset, indices)
        return None if rows is None else part(space, rows, chosen, dataset.conditions(indices), cache, chosen.key())

    learned = placed(train_rows, train)
    assert learned is not None
    reference = Reference(dataset, extractor, space, learned, train, placed(held_rows, held), held)
    # Anchors are changed real images; held-out ones if there are enough of them, so that nothing matches by itself.
    source = pick(held if len(held) >= min(anchors, len(train)) // 4 else train, anchors, seed=3)
    for name, change in ANCHOR_CHANGES.items() if anchors else ():
        pictures = Changed(Chosen(dataset, source), change)
        key = {**Chosen(dataset, source).key(), "as": name}
        for step in look(extractor, pictures, f"{name} images", cache, key, extract):
            if isinstance(step, Looking):
                yield step
            else:
                reference.anchors[name] = part(space, step, pictures, dataset.conditions(source), cache, key)
    if reference.held is not None:
        reference.anchors = {"held-out": reference.held.some(10_000), **reference.anchors}
    yield reference
