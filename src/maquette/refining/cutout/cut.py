"""The exact outline of a subject, from a rough idea of where it is: GrabCut, then colours where it cut off too much.

Everything is found on a copy of at most `SIDE` pixels; the matte is then laid along the edges of the image itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, UsageError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.cutout import matte, subject

SIDE = 320
"""The longer side in pixels at which the outline is found."""
ROUNDS = 5
SURE = 1.3
"""How far above Otsu's level a place must stand out to be taken for the subject at first."""
ASKED = 0.85
"""The same where a person has said where to look."""
POSSIBLE = 0.1
"""How much a place must stand out to become part of the subject at all."""
SPECK = 0.02
"""Parts smaller than this share of the largest one are not the subject."""
SMALLEST, LARGEST = 0.001, 0.985
"""Shares of the image between which a subject is believed to have been found."""
Map = NDArray[np.float32]
Model = Callable[[Image], Any]


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a person, or a model, says about where the subject is."""

    box: tuple[float, ...] | None = None
    """Left, top, right, bottom; in pixels, or as shares of the image where none is above 1."""
    keep: tuple[float, ...] | None = None
    """A stroke along x, y, x, y, ... that lies on the subject; in pixels, or as shares."""
    drop: tuple[float, ...] | None = None
    """A stroke that lies on the background."""
    strokes: Image | None = None
    """An image of the same size: white on the subject, black on the background, grey or transparent elsewhere."""
    model: Model | None = None
    """Says for an image how probably each pixel is the subject, in [0, 1]: height x width, x 1, or x classes."""

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.box, self.keep, self.drop, self.strokes, self.model))


def find(image: Image, hints: Hints, soft: float = 1.0) -> Map:
    """The matte of the subject, height x width in [0, 1]; fails in words where there is none.

    A picture that is already cut out has its matte: the alpha. `soft` is how wide the edge may be, 0 for a hard one.
    """
    if image.shape[2] == 4 and not pixels.is_opaque(image) and not hints:
        return np.ascontiguousarray(pixels.to_float(image[..., 3]))
    guide = pixels.to_float(pixels.with_channels(image, 3)[..., :3])
    small = _shrunk(guide, SIDE)
    eight = np.asarray(pixels.to_depth(small, np.uint8))
    certain = _certain(hints, guide.shape[:2], small.shape[:2])
    start = _start(image, eight, hints, certain)
    mask = outline(eight, start, certain)
    _believe(mask, certain)
    return _matte(guide, small, mask, soft)


def outline(rgb: NDArray[np.uint8], start: Map, certain: NDArray[np.int8]) -> NDArray[np.bool_]:
    """The subject in a small image H W 3, from how probable it is everywhere, and what is certain (1, -1, else 0)."""
    labels = _labels(start, certain)
    known = labels & 1
    if min(int(known.sum()), int(known.size - known.sum())) < 8 or min(rgb.shape[:2]) < 4:
        return np.asarray(known > 0)
    models = np.zeros((2, 1, 65))
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    cv2.setRNGSeed(1)  # the same image gives the same outline
    cv2.grabCut(bgr, labels, (0, 0, 0, 0), models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.asarray((labels & 1) > 0)
    if found.any() and not found.all():
        more = _likelihood(models[1, 0], bgr) - _likelihood(models[0, 0], bgr)
        found = _recovered(rgb, found, np.asarray(more, np.float32), labels)
    return _tidy(found, certain)


def _labels(start: Map, certain: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What GrabCut begins with: 0 and 1 are certain background and subject, 2 and 3 probable."""
    level, _ = cv2.threshold(np.asarray(np.rint(start * 255), np.uint8), 0, 255, cv2.THRESH_OTSU)
    asked = bool(certain.any())  # within a box, and with strokes, everything is possible that is not ruled out
    labels = np.where(start * 255 > max((ASKED if asked else SURE) * level, 1), cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels = labels.astype(np.uint8)
    if not asked:
        labels[start < POSSIBLE] = cv2.GC_BGD
    labels[certain > 0], labels[certain < 0] = cv2.GC_FGD, cv2.GC_BGD
    return labels


def _likelihood(model: NDArray[np.float64], bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logarithm of how probable each pixel is under a mixture of OpenCV's form: 5 weights, means, covariances."""
    weights, means, spreads = model[:5], model[5:20].reshape(5, 3), model[20:].reshape(5, 3, 3)
    values = bgr.reshape(-1, 3).astype(np.float64)
    parts = []
    for weight, mean, spread in zip(weights, means, spreads, strict=True):
        if weight <= 0:
            continue
        spread = spread + 4 * np.eye(3)  # two steps of noise: a flat colour has no spread of its own
        root = np.linalg.cholesky(np.linalg.inv(spread))
        distance = np.square((values - mean) @ root).sum(axis=1)
        parts.append(np.log(weight) - np.linalg.slogdet(spread)[1] / 2 - distance / 2)
    if not parts:
        return np.zeros(bgr.shape[:2])
    return np.asarray(np.logaddexp.reduce(parts, axis=0).reshape(bgr.shape[:2]))


def _recovered(
    rgb: NDArray[np.uint8], found: NDArray[np.bool_], more: Map, labels: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Thin parts that the cut took away for a shorter outline, by their colour and their neighbours along edges.

    `more` is by how much the subject's colours explain a pixel better than the background's (a log likelihood ratio).
    """
    guide = rgb.astype(np.float32) / np.float32(255)
    possible = labels != cv2.GC_BGD
    belief = found.astype(np.float32)
    colour = np.clip(more, -6, 6) / 2
    for _ in range(3):
        near = [_followed(guide, belief, radius, smooth) for radius, smooth in ((4, 1e-4), (12, 1e-3))]
        beliefs = 1 / (1 + np.exp(-(colour + 3 * (near[0] + near[1] - 1))))
        belief = np.where(possible, beliefs, 0).astype(np.float32)
    belief[labels == cv2.GC_FGD] = 1
    return np.asarray(belief > 0.5)


def _followed(guide: Map, values: Map, radius: int, smooth: float) -> Map:
    slope, base = matte.follow(guide, values, radius, smooth)
    return np.asarray(np.clip(np.einsum("hwc,hwc->hw", slope, guide) + base, 0, 1))


def _tidy(found: NDArray[np.bool_], certain: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Without specks, and with pinholes filled; what a person marked stays as marked."""
    count, parts, facts, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if count < 2:
        return found
    areas = facts[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept = areas >= SPECK * areas.max()
    marked = np.isin(np.arange(count), parts[certain > 0])
    if marked[1:].any():  # a part with a stroke against it and none for it goes
        against = cv2.dilate((certain < 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        kept[np.unique(parts[against])] = False
    kept |= marked
    kept[0] = False
    found = kept[parts]
    _, holes, facts, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    small = facts[:, cv2.CC_STAT_AREA] < 0.0005 * found.size
    small[0] = False
    small[np.unique(holes[certain < 0])] = False
    return np.asarray(found | small[holes])


def _believe(mask: NDArray[np.bool_], certain: NDArray[np.int8]) -> None:
    """Refuse a cut that holds nothing or everything."""
    share = float(mask.mean())
    if SMALLEST < share < LARGEST or (certain > 0).any():
        return
    what = "no subject was found in it" if share <= SMALLEST else "all of it was taken for the subject"
    raise DataError(what, do="say where the subject is: box=LEFT:TOP:RIGHT:BOTTOM, or keep=X:Y:X:Y")


def _matte(guide: Map, small: Map, mask: NDArray[np.bool_], soft: float) -> Map:
    hard = mask.astype(np.float32)
    if soft == 0:
        height, width = guide.shape[:2]
        grown = hard if hard.shape == guide.shape[:2] else cv2.resize(hard, (width, height))
        return np.asarray(grown > 0.5, np.float32)
    reach = soft * max(small.shape[:2]) / SIDE
    radius = max(1, round(6 * reach))
    found = matte.soft_edge(guide, small, hard, radius)
    small_found = found if small is guide else matte.soft_edge(small, small, hard, radius)
    return matte.explained(guide, found, small, small_found, max(2, round(8 * reach)))


def _shrunk(image: Map, side: int) -> Map:
    height, width = image.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return image
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _start(image: Image, eight: NDArray[np.uint8], hints: Hints, certain: NDArray[np.int8]) -> Map:
    """How probable the subject is everywhere in the small image."""
    height, width = eight.shape[:2]
    if hints.model is not None:
        return _asked(hints.model, image, (height, width))
    if (certain > 0).any():
        return _by_strokes(eight, certain)
    outside = certain < 0 if hints.box else None
    tiny = np.asarray(pixels.to_depth(_shrunk(pixels.to_float(eight), subject.SIDE), np.uint8))
    if outside is not None:
        outside = cv2.resize(outside.astype(np.uint8), tiny.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    found = subject.standing_out(tiny, outside)
    if found is not None:
        return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR))
    return (certain >= 0).astype(np.float32) if hints.box else np.zeros((height, width), np.float32)


def _by_strokes(eight: NDArray[np.uint8], certain: NDArray[np.int8]) -> Map:
    """From strokes: how much nearer a pixel is, in colour and place together, to those on the subject than to those on
    the background and to the border of the image."""
    lab = subject.lab_of(eight)
    rim = np.ones(certain.shape, bool)
    rim[1:-1, 1:-1] = False
    to_subject = _reach(lab, certain > 0)
    to_background = _reach(lab, (certain < 0) | (rim & (certain <= 0)))
    nearer = to_background / np.maximum(to_subject + to_background, 1e-6)
    return np.asarray(np.clip(nearer, POSSIBLE, 1), np.float32)


def _reach(lab: Map, marked: NDArray[np.bool_]) -> Map:
    """How far every pixel is from the marked ones: the distance in CIELAB, and 60 for the longer side of the image."""
    if not marked.any():
        return np.full(marked.shape, 1e3, np.float32)
    place = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, 3) / max(marked.shape)
    samples = np.ascontiguousarray(lab[marked][:: max(1, int(marked.sum()) // 2000)])
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    cv2.setRNGSeed(1)
    flags = cv2.KMEANS_PP_CENTERS
    _, _, centres = cv2.kmeans(samples, min(6, len(samples)), None, stop, 1, flags)  # type: ignore[call-overload]
    colour = np.min([np.linalg.norm(lab - centre, axis=2) for centre in centres], axis=0)
    return np.asarray(colour + 60 * place, np.float32)


def _asked(model: Model, image: Image, size: tuple[int, int]) -> Map:
    """What a model says, at this size."""
    said = np.asarray(model(image), np.float32)
    if said.ndim == 3:  # of several classes the first is the background
        said = said[..., 0] if said.shape[2] == 1 else 1 - said[..., 0]
    if said.ndim != 2 or not said.size or not np.isfinite(said).all():
        raise UsageError(f"the model answered with an array of shape {said.shape}", do="give one of the family segment")
    shrinks = said.shape[0] > size[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.clip(np.asarray(cv2.resize(said, size[::-1], interpolation=way)), 0, 1)


# What a person says


def _certain(hints: Hints, whole: tuple[int, ...], size: tuple[int, ...]) -> NDArray[np.int8]:
    """1 where it is certainly the subject, -1 where it certainly is not, 0 elsewhere."""
    certain = np.zeros(size[:2], np.int8)
    if hints.box is not None:
        left, top, right, bottom = _scaled(hints.box, whole, size, "box")
        columns, rows = (round(left), round(right)), (round(top), round(bottom))
        columns = (max(0, columns[0]), min(size[1], max(columns[1], columns[0] + 1)))
        rows = (max(0, rows[0]), min(size[0], max(rows[1], rows[0] + 1)))
        if columns[0] >= columns[1] or rows[0] >= rows[1] or left >= right or top >= bottom:
            raise UsageError("the box holds no part of the image", do="give box=LEFT:TOP:RIGHT:BOTTOM")
        certain[:] = -1
        certain[rows[0] : rows[1], columns[0] : columns[1]] = 0
    if hints.strokes is not None:
        certain = _painted(hints.strokes, certain, whole)
    for name, points, value in (("keep", hints.keep, 1), ("drop", hints.drop, -1)):
        if points is not None:
            _draw(certain, _scaled(points, whole, size, name), value)
    return certain


def _painted(strokes: Image, certain: NDArray[np.int8], whole: tuple[int, ...]) -> NDArray[np.int8]:
    if strokes.shape[:2] != whole[:2]:
        raise UsageError(
            f"the strokes have {strokes.shape[1]}x{strokes.shape[0]} pixels and the image {whole[1]}x{whole[0]}",
            do="paint them on an image of the same size",
        )
    grey = pixels.to_float(pixels.luminance(strokes))[..., 0]
    seen = pixels.to_float(strokes[..., 3]) > 0.5 if strokes.shape[2] == 4 else np.ones(grey.shape, bool)
    said = np.where(seen & (grey > 0.9), 1.0, np.where(seen & (grey < 0.1), -1.0, 0.0)).astype(np.float32)
    if not said.any():
        raise UsageError("the strokes say nothing", do="paint white on the subject and black on the background")
    small = cv2.resize(said, certain.shape[::-1], interpolation=cv2.INTER_AREA)
    return np.where(small > 0.5, 1, np.where(small < -0.5, -1, certain)).astype(np.int8)


def _draw(certain: NDArray[np.int8], points: list[float], value: int) -> None:
    """A stroke a fiftieth of the image wide."""
    canvas = np.zeros(certain.shape, np.uint8)
    corners = np.rint(np.array(points).reshape(-1, 1, 2) - 0.5).astype(np.int32)
    width = max(1, round(max(certain.shape) / 50))
    if len(corners) == 1:
        x, y = (int(part) for part in corners[0, 0])
        cv2.circle(canvas, (x, y), width // 2, 1, -1)
    else:
        cv2.polylines(canvas, [corners], False, 1, width)
    certain[canvas > 0] = value


def _scaled(numbers: tuple[float, ...], whole: tuple[int, ...], size: tuple[int, ...], name: str) -> list[float]:
    """Places x, y, x, y, ... given in pixels of the whole image, or as shares of it, in pixels of the small one."""
    if len(numbers) % 2 or not numbers:
        raise UsageError(f"{name} has {len(numbers)} numbers", do=f"give pairs, such as {name}=0.4:0.5:0.6:0.5")
    shares = max(numbers) <= 1
    largest = (1.0, 1.0) if shares else (float(whole[1]), float(whole[0]))
    if min(numbers) < 0 or any(value > largest[at % 2] for at, value in enumerate(numbers)):
        raise UsageError(
            f"{name} = {':'.join(f'{n:g}' for n in numbers)} lies outside the image ({whole[1]}x{whole[0]})",
            do="give pixels, or shares of the image from 0 to 1",
        )
    return [value / largest[at % 2] * size[1 - at % 2] for at, value in enumerate(numbers)]
