"""One look at all images of a dataset: what every check measured, and what several of them need (copies, features).

Images are read block by block, by two threads or by whoever takes their place; about 250 bytes an image are kept,
whatever its size.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.event import Event, Progress
from maquette.data.audit import similar
from maquette.data.audit.block import Block
from maquette.data.audit.crowd import Crowd, crowd_of
from maquette.data.audit.stage import Arrays, Stage, Through
from maquette.data.dataset import Dataset
from maquette.data.parts import connected

_BLOCK_BYTES, _BLOCK_IMAGES = 4 << 20, 4_096
_THREADS = 2
_TELL_EVERY = 0.25
_SAMPLE = 8192
"""Images that the space of likeness is fitted on."""


class Survey:
    """The images of a dataset that are in use, by position, and what is known about each."""

    def __init__(self, data: Dataset, *, family: str = "", elsewhere: Through | None = None) -> None:
        self.data, self.family = data, family
        self._elsewhere = elsewhere
        self.indices = np.sort(np.concatenate([data.indices("train"), data.indices("held-out")]))
        """The item of the dataset at each position."""
        held = np.zeros(len(data), bool)
        held[data.indices("held-out")] = True
        self.held_out: NDArray[np.bool_] = held[self.indices]
        self._columns: dict[str, NDArray[Any]] = {}
        self._signatures: NDArray[np.float16] | None = None
        self._pairs: similar.Pairs | None = None
        self.crowd = Crowd()
        """Whether all these images are so alike that less counts as a copy."""
        self._features: NDArray[np.float32] | None = None

    def of(self, data: Dataset) -> Survey:
        """The same survey of a copy of the dataset at another place."""
        if data.digest != self.data.digest:
            raise ValueError("this is no copy")
        other = copy.copy(self)
        other.data = data
        return other

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """What was measured under that name, one value an image."""
        return self._columns[name]

    def images(self, positions: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """The images at these positions."""
        return self.data.images(self.indices[np.asarray(positions, np.int64)])

    def path(self, position: int) -> str:
        """Where an image came from, for people."""
        return str(self.item(position).get("path", f"image {int(self.indices[position])}"))

    def item(self, position: int) -> dict[str, Any]:
        """What the dataset remembers about an image."""
        return self.data.item(int(self.indices[position]))

    @functools.cached_property
    def stories(self) -> NDArray[np.int64]:
        """A number for what is said about each image (labels and texts): equal where the same is said."""
        told = [c.name for c in self.data.spec.conditions if c.kind in ("label", "text")]
        if not told:
            return np.zeros(len(self), np.int64)
        columns = [self.condition(name).reshape(len(self), -1).view(np.uint8).reshape(len(self), -1) for name in told]
        whole = np.ascontiguousarray(np.concatenate(columns, axis=1))
        _, numbers = np.unique(whole.view([("", np.void, whole.shape[1])]).reshape(-1), return_inverse=True)
        return np.asarray(numbers, np.int64)

    def condition(self, name: str) -> NDArray[Any]:
        """The encoded condition of every image."""
        return self.data.conditions(self.indices, [name])[name]

    @property
    def block_size(self) -> int:
        """Images that are looked at together."""
        spec = self.data.spec
        return max(1, min(_BLOCK_IMAGES, _BLOCK_BYTES // (spec.height * spec.width * 4)))

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """All images, block by block: the first position and the images."""
        for start in range(0, len(self), self.block_size):
            yield start, self.data.images(self.indices[start : start + self.block_size])

    # Measuring

    def measure(self, names: Sequence[str]) -> Iterator[Event]:
        """Read all images once and keep what the measures of these checks say."""
        count = len(self)
        signatures = np.zeros((count, similar.WIDTH), np.float16)
        teller = _Teller(count, "images")
        done = 0
        for values in self._through(Stage("measure", tuple(names)), np.arange(count)):
            rows = slice(done, done + len(values["digest"]))
            for name, column in values.items():
                if name == "signature":
                    signatures[rows] = column
                    continue
                if name not in self._columns:
                    self._columns[name] = np.zeros((count, *column.shape[1:]), column.dtype)
                self._columns[name][rows] = column
            done = rows.stop
            yield from teller.tell(done)
        self._signatures = signatures

    def _through(self, stage: Stage, positions: NDArray[np.int64]) -> Iterator[Arrays]:
        """What a stage finds in these images, block by block."""
        size = self.block_size
        pieces = ((start, positions[start : start + size]) for start in range(0, len(positions), size))
        if self._elsewhere is not None:
            yield from self._elsewhere(stage, ((start, self.images(piece)) for start, piece in pieces))
            return
        work = stage.work()
        waiting: deque[Future[Arrays]] = deque()
        for start, piece in pieces:
            waiting.append(self._pool.submit(lambda start, piece: work(start, self.images(piece)), start, piece))
            if len(waiting) > 2 * _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    # What several checks need

    @functools.cached_property
    def exact(self) -> list[NDArray[np.int64]]:
        """Groups of images whose pixels are equal, the first one first."""
        groups = []
        digests = self["digest"]
        order = np.argsort(digests, kind="stable")
        edges = np.flatnonzero(np.diff(digests[order])) + 1
        for group in np.split(order, edges):
            if len(group) > 1:
                groups += [np.sort(part) for part in self._really_equal(group)]
        return sorted(groups, key=lambda group: int(group[0]))

    def _really_equal(self, group: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The group by its pixels: equal digests of eight bytes may be chance, or somebody's work."""
        whole = [hashlib.blake2b(image.tobytes(), digest_size=32).digest() for image in self.images(group)]
        return [
            group[[k for k, other in enumerate(whole) if other == digest]]
            for digest in dict.fromkeys(whole)
            if whole.count(digest) > 1
        ]

    @functools.cached_property
    def unique(self) -> NDArray[np.int64]:
        """The first of every group of equal images, and every image that has no equal."""
        extra = np.zeros(len(self), bool)
        for group in self.exact:
            extra[group[1:]] = True
        return np.flatnonzero(~extra)

    @property
    def pairs(self) -> similar.Pairs:
        """Pairs of images that look alike, equal ones apart."""
        if self._pairs is None:
            deque(self.compare(), maxlen=0)
        assert self._pairs is not None
        return self._pairs

    def compare(self) -> Iterator[Event]:
        """Look for images that look alike."""
        unique = self.unique
        if len(unique) < 2 or self._signatures is None:
            self._pairs = similar.no_pairs()
            return
        teller = _Teller(len(unique), "images compared")
        pieces, done = [], 0
        for columns in self._through(Stage("near", known=self._signatures[unique]), unique):
            pieces.append(similar.records(columns))
            done += self.block_size
            yield from teller.tell(done)
        found = similar.best_of(pieces)

        def images(positions: NDArray[np.int64]) -> NDArray[np.uint8]:
            return Block(self.images(unique[positions])).colour

        confirmed = similar.confirm(found, images)
        self.crowd = crowd_of(confirmed, self._signatures[unique], images)
        self._pairs = self.crowd.settle(confirmed).at(unique)

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_THREADS)

    @functools.cached_property
    def origins(self) -> NDArray[np.void]:
        """What is known of the file behind each image (`origin.ORIGIN`); zeros where nothing is."""
        found: NDArray[np.void] = self.data.origins()[self.indices]
        return found

    @property
    def features(self) -> NDArray[np.float32]:
        """Every image by its textures and layout, in a space where likeness can be measured: n x width."""
        if self._features is None:
            deque(self.describe(), maxlen=0)
        assert self._features is not None
        return self._features

    def describe(self) -> Iterator[Event]:
        """Place every image in that space (wavelet scattering, whitened softly)."""
        from maquette.features.space import FEWEST, Space

        if len(self) < FEWEST:
            self._features = np.zeros((len(self), 1), np.float32)
            return
        teller = _Teller(len(self), "images described")
        rng = np.random.Generator(np.random.Philox(0))
        sample = np.sort(rng.choice(len(self), min(len(self), _SAMPLE), replace=False))
        stage = Stage("describe")
        seen = np.concatenate([found["features"] for found in self._through(stage, sample)])
        space = Space.fit(seen)
        found = np.empty((len(self), space.width), np.float32)
        if len(sample) == len(self):
            found[:] = space(seen)
            yield from teller.tell(len(self))
        else:
            done = 0
            for values in self._through(stage, np.arange(len(self))):
                rows = slice(done, done + len(values["features"]))
                found[rows] = space(values["features"])
                done = rows.stop
                yield from teller.tell(done)
        self._features = found


class _Teller:
    """Tells now and then how far the work is."""

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._began = self._told = time.monotonic()

    def tell(self, done: int) -> Iterator[Event]:
        """An event, if it is time for one."""
        done, now = min(done, self._total), time.monotonic()
        if done == self._total or now - self._told > _TELL_EVERY:
            self._told = now
            yield _progress(done, self._total, now - self._began, self._unit)


def _progress(done: int, total: int, seconds: float, unit: str = "images") -> Progress:
    eta = seconds * (total - done) / max(1, done)
    return Progress(verb="audit", done=done, total=total, unit=unit, seconds=seconds, eta=eta)


def joined(pairs: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Groups of positions that pairs (n x 2) hold together, each sorted."""
    if not len(pairs):
        return []
    labels = connected(pairs, count)
    touched = np.unique(pairs)
    order = touched[np.argsort(labels[touched], kind="stable")]
    edges = np.flatnonzero(np.diff(labels[order])) + 1
    return sorted((np.sort(group) for group in np.split(order, edges)), key=lambda group: int(group[0]))
