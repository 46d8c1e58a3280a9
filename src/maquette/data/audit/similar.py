"""Near duplicates: images that are the same picture rescaled, recompressed, blurred, cropped a little or mirrored.

Two steps. First a search: every image has a signature of 63 numbers (the low frequencies of its grey thumbnail without
the mean, to length one), and is looked for as it is, cropped by 5 % in five ways, and all of that mirrored, among the
signatures of all others, cell by cell, so that time grows far slower than the square of the count. Then every pair that
was found is confirmed: the two thumbnails are laid over each other (shift, scale, brightness, contrast), and must agree
in their fine detail, which blurring and compression weaken but do not change.

Hashes of 64 bits are not used, because they lose one cropped image in four; decision 0010 has the figures.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIDE = 32
"""Thumbnails are 32 x 32."""
_LOW = 8
"""Frequencies along each axis that make the signature."""
WIDTH = _LOW * _LOW - 1
_CROP = 0.05
_QUIET = 32.0
"""Length of the signature of an image that varies by one of 255 levels: quieter ones are like no other."""
_SPANS = ((0.0, 1.0), (_CROP / 2, 1 - _CROP / 2), (0.0, 1 - _CROP), (_CROP, 1.0))
_VIEWS = ((0, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3))
"""Pairs of spans (rows, columns) in which an image is looked for: whole, centre, and four corners."""
VIEWS = 2 * len(_VIEWS)
"""The first half as they are, the second half mirrored."""
ALIKE = 0.955
"""Cosine of two signatures from which on a pair is looked at closely; 99 % of copies lie above 0.98."""
_PROBES = 3
"""Cells that each view is looked for in."""
_SHADE = 16.0
"""Levels by which a tenth of a copy may be lighter or darker; compressing, blurring and cropping stay below."""
_SPOT = 36.0
"""Levels by which any of 64 parts of a copy may differ."""
_DARKEST = 57
"""Of 64 parts of an image, sorted by how much they differ: the one that a tenth lies beyond."""
_UNKNOWN_COLOUR = 2.0
"""The difference of colours that grey images are taken to have, in levels of 255: rather more than copies have."""
_PAIRS = 128
"""Pairs that are confirmed at once."""
_EDGE = 2
"""Pixels of a thumbnail along its edges that are left out of comparisons."""
_ROUNDS = 4


@dataclass(frozen=True)
class Pairs:
    """Found pairs: positions of two images (first < second), how alike they are, and how one became the other."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    score: Floats
    """How much speaks for one being a copy of the other (log odds): above 0 it is likelier than not."""
    detail: Floats
    """Agreement of shapes and edges whatever the colours, up to 1."""
    colour: Floats
    """Mean difference of the colours, in levels of 255."""
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs."""
        return Pairs(*(getattr(self, f.name)[chosen] for f in dataclasses.fields(self)))

    def at(self, positions: NDArray[np.int64]) -> Pairs:
        """The pairs by other positions."""
        return dataclasses.replace(self, first=positions[self.first], second=positions[self.second])

    @property
    def both(self) -> NDArray[np.int64]:
        """The positions as n x 2."""
        return np.stack([self.first, self.second], axis=1)


def no_pairs() -> Pairs:
    """Nothing is like anything."""
    none, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
    return Pairs(whole, whole, none, none, none, np.zeros(0, bool))


# Thumbnails and signatures


@functools.lru_cache(maxsize=32)
def resampler(size: int, side: int = SIDE, low: float = 0.0, high: float = 1.0) -> Floats:
    """The matrix (side x size) that shrinks or stretches one axis; every pixel counts by the part that is covered."""
    edges = (low + (high - low) * np.arange(side + 1) / side) * size
    if (high - low) * size >= side:  # area
        start, end = edges[:-1, None], edges[1:, None]
        covered = np.clip(np.minimum(end, np.arange(1, size + 1)) - np.maximum(start, np.arange(size)), 0, None)
        weights = covered / covered.sum(1, keepdims=True)
    else:  # linear between centres
        places = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, size - 1)
        weights = np.clip(1 - np.abs(places[:, None] - np.arange(size)), 0, None)
    return np.asarray(weights, np.float32)


def thumbnails(grey: Floats, side: int = SIDE) -> Floats:
    """Grey images (n x height x width) as n x side x side."""
    rows, columns = resampler(grey.shape[1], side), resampler(grey.shape[2], side)
    return np.asarray(rows @ grey @ columns.T, np.float32)


@functools.lru_cache(maxsize=1)
def _cosines() -> Floats:
    """The matrix of the orthonormal cosine transform of one axis: SIDE x SIDE."""
    k, x = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    matrix = np.cos(np.pi * k * (x + 0.5) / SIDE) * np.sqrt(2.0 / SIDE)
    matrix[0] /= np.sqrt(2.0)
    return np.asarray(matrix, np.float32)


def signatures(small: Floats) -> Floats:
    """The signature of each thumbnail (n x SIDE x SIDE): n x WIDTH, of length one unless it hardly varies."""
    return _views(small, ((0, 0),))[:, 0]


def views(small: Floats) -> Floats:
    """The signatures under which each image is looked for: n x VIEWS x WIDTH."""
    plain = _views(small, _VIEWS)
    signs = np.ones((_LOW, _LOW), np.float32)
    signs[:, 1::2] = -1  # a mirrored image: the odd frequencies across change their sign
    return np.concatenate([plain, plain * signs.reshape(-1)[1:]], axis=1)


def _views(small: Floats, wanted: tuple[tuple[int, int], ...]) -> Floats:
    low = _cosines()[:_LOW]
    axes = [low @ resampler(SIDE, SIDE, *span) if span != (0.0, 1.0) else low for span in _SPANS]
    rows = {r: axes[r] @ small for r in {r for r, _ in wanted}}  # n x LOW x SIDE
    whole = np.stack([rows[r] @ axes[c].T for r, c in wanted], axis=1)
    flat = whole.reshape(len(small), len(wanted), -1)[:, :, 1:]
    length = np.sqrt(np.einsum("nvk,nvk->nv", flat, flat))[..., None]
    return np.asarray(flat / np.maximum(length, _QUIET), np.float32)


# The search


class Cells:
    """All signatures in cells of like ones, ready to be searched."""

    def __init__(self, known: NDArray[np.float16], *, seed: int = 0) -> None:
        self.known = known
        count = len(known)
        # Cells and their members together are looked at for each view: the square root balances the two.
        self.centres = _centres(known, int(np.clip(round(count**0.5), 1, 2048)), seed)
        home = np.empty(count, np.int32)
        for start in range(0, count, 8192):
            home[start : start + 8192] = (known[start : start + 8192].astype(np.float32) @ self.centres.T).argmax(1)
        self._members = np.argsort(home, kind="stable")
        self._starts = np.searchsorted(home[self._members], np.arange(len(self.centres) + 1))

    def near(self, wanted: Floats, threshold: float) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
        """Rows of `wanted`, indices of known images, and their likeness, for all pairs above the threshold."""
        probes = min(_PROBES, len(self.centres))
        closeness = wanted @ self.centres.T
        chosen = np.argpartition(closeness, -probes, axis=1)[:, -probes:]
        rows = np.repeat(np.arange(len(wanted)), probes)
        cells = chosen.reshape(-1)
        order = np.argsort(cells, kind="stable")
        starts = np.searchsorted(cells[order], np.arange(len(self.centres) + 1))
        for cell in np.flatnonzero(np.diff(starts)):
            asked = rows[order[starts[cell] : starts[cell + 1]]]
            members = self._members[self._starts[cell] : self._starts[cell + 1]]
            likeness = wanted[asked] @ self.known[members].astype(np.float32).T
            row, column = np.nonzero(likeness > threshold)
            if len(row):
                yield asked[row], members[column], likeness[row, column]


def _centres(known: NDArray[np.float16], count: int, seed: int) -> Floats:
    """Directions that the signatures gather around: a few rounds of k-means on a sample."""
    rng = np.random.Generator(np.random.Philox(seed))
    sample = known[np.sort(rng.choice(len(known), min(len(known), 16 * count), replace=False))].astype(np.float32)
    centres = sample[rng.choice(len(sample), count, replace=False)]
    for _ in range(4):
        near = (sample @ centres.T).argmax(1)
        order = np.argsort(near, kind="stable")
        there, starts = np.unique(near[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        centres[there] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return np.asarray(centres, np.float32)


CANDIDATE = np.dtype([("first", np.int64), ("second", np.int64), ("view", np.int8), ("likeness", np.float32)])
"""`first` was looked for in that view, and `second` was found."""


def candidates(start: int, looked: Floats, cells: Cells, threshold: float = ALIKE) -> NDArray[Any]:
    """Pairs worth a closer look, as records of `CANDIDATE`.

    `looked` holds the views (n x VIEWS x WIDTH) of the images from position `start` on.
    """
    pieces = [np.zeros(0, CANDIDATE)]
    for row, member, likeness in cells.near(looked.reshape(-1, WIDTH), threshold):
        image, view = start + row // VIEWS, row % VIEWS
        other = member != image
        piece = np.empty(int(other.sum()), CANDIDATE)
        piece["first"], piece["second"] = image[other], member[other]
        piece["view"], piece["likeness"] = view[other], likeness[other]
        pieces.append(piece)
    return best_of(pieces)


def records(columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Records of `CANDIDATE` from their columns."""
    found = np.empty(len(columns["first"]), CANDIDATE)
    for name, column in columns.items():
        found[name] = column
    return found


def best_of(pieces: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Each pair once, in the view in which the two are most alike."""
    pairs = np.concatenate(pieces)
    low, high = np.minimum(pairs["first"], pairs["second"]), np.maximum(pairs["first"], pairs["second"])
    order = np.lexsort((-pairs["likeness"], high, low))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    return np.asarray(pairs[order[fresh]])


# The closer look


def confirm(pairs: NDArray[Any], images: Callable[[NDArray[np.int64]], NDArray[np.uint8]]) -> Pairs:
    """Look closely at candidates. `images` hands over some images, n x height x width x 1 or 3."""
    pieces = []
    for start in range(0, len(pairs), _PAIRS):
        some = pairs[start : start + _PAIRS]
        view, turned = some["view"].astype(np.int64), some["first"] > some["second"]
        pictures = images(np.concatenate([some["first"], some["second"]]))
        grey, colours = _planes(pictures)
        n = len(some)
        whole, middle, fine = compare(grey[:n], grey[n:], view)
        colour = _other_colours(colours, view) if colours else np.full(n, _UNKNOWN_COLOUR, np.float32)
        cells = np.abs(thumbnails(_see(grey[:n], view), 8) - thumbnails(grey[n:], 8)).reshape(n, -1)
        shade = np.partition(cells, _DARKEST, axis=1)[:, _DARKEST]
        score = _score(some["likeness"], whole, middle, fine, colour)
        score -= 0.5 * np.maximum(0, shade - _SHADE)  # a dark skin and a light one are no copies,
        score -= 0.3 * np.maximum(0, cells.max(1) - _SPOT)  # nor are two signs that differ in one letter
        low, high = np.where(turned, some["second"], some["first"]), np.where(turned, some["first"], some["second"])
        pieces.append(Pairs(low, high, score, middle, colour, view >= len(_VIEWS)))
    if not pieces:
        return no_pairs()
    columns = (np.concatenate([getattr(p, f.name) for p in pieces]) for f in dataclasses.fields(Pairs))
    return Pairs(*columns)


def _other_colours(planes: list[Floats], view: NDArray[Any]) -> Floats:
    """By how many levels the colours differ on average; in colourful images the same difference counts for less."""
    n = len(view)
    difference, colourful = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for plane in planes:
        first, second = thumbnails(_see(plane[:n], view), 8), thumbnails(plane[n:], 8)
        difference += np.abs(first - second).mean((1, 2))
        for side in (first, second):
            colourful += np.abs(side - side.mean((1, 2), keepdims=True)).mean((1, 2)) / 2
    return np.asarray(difference * 20 / (20 + colourful), np.float32)


def _planes(pictures: NDArray[np.uint8]) -> tuple[Floats, list[Floats]]:
    """Thumbnails of the luminance, and of what red and blue differ from it by (none for grey images)."""
    count, height, width, channels = pictures.shape
    # Rows first, all channels at once; the rest is done on what is left of them.
    rows = resampler(height) @ pictures.astype(np.float32).reshape(count, height, -1)
    planes = np.ascontiguousarray(rows.reshape(count, SIDE, width, channels).transpose(3, 0, 1, 2))
    small = planes @ resampler(width).T
    if channels == 1:
        return small[0], []
    grey = np.float32(0.2126) * small[0] + np.float32(0.7152) * small[1] + np.float32(0.0722) * small[2]
    return grey, [small[0] - grey, small[2] - grey]


def _score(likeness: Floats, whole: Floats, middle: Floats, fine: Floats, colour: Floats) -> Floats:
    """The log odds that one image is a copy of the other.

    The weights are a logistic regression on copies of 1,000 images of CIFAR-10, of crops of scikit-image's photographs
    and of drawn pictures (compressed, halved, blurred, mirrored, cropped) against different images that look alike.
    """
    evidence = (
        1.76 * np.arctanh(np.clip(likeness, 0, 0.999)) - 0.95 * np.arctanh(np.clip(whole, 0, 0.995))
        + 2.33 * np.arctanh(np.clip(middle, -0.9, 0.99)) + 1.64 * np.arctanh(np.clip(fine, -0.9, 0.99))
        - 4.0 * np.log1p(colour) - 1.67
    )  # fmt: skip
    return np.asarray(evidence, np.float32)


def compare(query: Floats, known: Floats, view: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Lay the seen view of one thumbnail over the other: how well the whole, the middle and the fine detail agree.

    `query` and `known` are n x SIDE x SIDE in levels of 255. All three are correlations, -1 to 1; detail that is no
    stronger than rounding and compression leave behind counts as not agreeing.
    """
    seen, bands = _see(query, view), _bands(known)
    still, aligned = (_agreement(_bands(moved), bands) for moved in (seen, _align(seen, known)))
    # Textures that repeat can be led astray by alignment: then the image as it was found counts.
    better = aligned[1] > still[1]
    whole, middle, fine = (np.where(better, a, b) for a, b in zip(aligned, still, strict=True))
    return whole, middle, fine


def _bands(images: Floats) -> tuple[Floats, Floats, Floats]:
    """The inside of each image: as a whole, its middle frequencies, and its fine detail."""
    inside = slice(_EDGE, -_EDGE)
    once = _smooth(images, 1)
    whole = images[:, inside, inside]
    middle, fine = (once - _smooth(once, 4))[:, inside, inside], (images - once)[:, inside, inside]
    return whole - whole.mean((1, 2), keepdims=True), middle, fine


def _agreement(moved: tuple[Floats, Floats, Floats], known: tuple[Floats, Floats, Floats]) -> tuple[Floats, ...]:
    """How well each band of the two agrees."""
    return tuple(_correlation(a, b, noise) for a, b, noise in zip(moved, known, (1.0, 0.7, 0.7), strict=True))


def _correlation(a: Floats, b: Floats, noise: float) -> Floats:
    """The correlation of each pair of bands, as if each held `noise` levels of noise of its own."""
    floor = noise * noise * a.shape[1] * a.shape[2]
    product = np.einsum("nyx,nyx->n", a, b)
    lengths = (np.einsum("nyx,nyx->n", a, a) + floor) * (np.einsum("nyx,nyx->n", b, b) + floor)
    return np.asarray(product / np.sqrt(lengths), np.float32)


def _smooth(images: Floats, times: int) -> Floats:
    """Blur by the binomial filter 1 2 1 along both axes, again and again; beyond the edge the edge goes on."""
    matrix = _blur(times)
    return np.asarray(matrix @ images @ matrix.T, np.float32)


@functools.lru_cache(maxsize=4)
def _blur(times: int) -> Floats:
    """The matrix that does it along one axis."""
    once = np.eye(SIDE) / 2 + np.eye(SIDE, k=1) / 4 + np.eye(SIDE, k=-1) / 4
    once[0, 0] = once[-1, -1] = 0.75
    return np.asarray(np.linalg.matrix_power(once, times), np.float32)


def _align(moved: Floats, fixed: Floats) -> Floats:
    """The first images shifted, scaled, brightened and stretched in contrast so that they fit the second ones best.

    Gauss-Newton on six numbers a pair: shift and scale along each axis, contrast, brightness.
    """
    count = len(moved)
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    along = np.arange(SIDE, dtype=np.float32)[None]
    inside = slice(_EDGE, -_EDGE)
    warp = np.zeros((count, 4), np.float32)  # shift x, shift y, scale x, scale y
    limits = np.array([2.5, 2.5, 0.08, 0.08], np.float32)
    for step in range(_ROUNDS + 1):
        seen = _sample(moved, along + warp[:, 1:2] + warp[:, 3:] * (along - middle),
                       along + warp[:, :1] + warp[:, 2:3] * (along - middle))  # fmt: skip
        down, across = (np.gradient(seen, axis=axis) for axis in (1, 2))
        columns = (across, down, across * (x - middle), down * (y - middle), seen, np.ones_like(seen))
        design = np.stack([c[:, inside, inside].reshape(count, -1) for c in columns], axis=1)
        target = fixed[:, inside, inside].reshape(count, -1, 1)
        normal = design @ design.transpose(0, 2, 1)
        scale = np.einsum("nkk->nk", normal)
        normal += np.eye(6, dtype=np.float32) * (1e-3 * scale + 1e-3)[:, :, None]
        solved = np.linalg.solve(normal, design @ target)[:, :, 0]
        if step == _ROUNDS:
            return np.asarray(solved[:, 4, None, None] * seen + solved[:, 5, None, None], np.float32)
        contrast = np.where(np.abs(solved[:, 4:5]) > 0.1, solved[:, 4:5], 1.0)
        warp = np.clip(warp + solved[:, :4] / contrast, -limits, limits)
    raise AssertionError("unreachable")


def _sample(images: Floats, y: Floats, x: Floats) -> Floats:
    """Values between pixels (linear), at rows y and columns x (each n x SIDE); beyond the edge the edge goes on.

    The weights of both axes as matrices: to multiply with them is faster than to gather pixels.
    """
    pixels = np.arange(SIDE, dtype=np.float32)
    down, across = (np.maximum(0, 1 - np.abs(np.clip(places, 0, SIDE - 1)[:, :, None] - pixels)) for places in (y, x))
    return np.asarray(down @ images @ across.transpose(0, 2, 1), np.float32)


def _see(small: Floats, view: NDArray[Any]) -> Floats:
    """Each thumbnail in the view under which it was found."""
    seen = np.empty_like(small)
    for v in np.unique(view):
        r, c = _VIEWS[v % len(_VIEWS)]
        rows, columns = resampler(SIDE, SIDE, *_SPANS[r]), resampler(SIDE, SIDE, *_SPANS[c])
        seen[view == v] = rows @ small[view == v] @ columns.T
        if v >= len(_VIEWS):
            seen[view == v] = seen[view == v][:, :, ::-1]
    return seen
