"""Where the subject of a picture is, when nobody says: a map of how much every place stands out from the surroundings.

Superpixels are compared by their colours and by the mixture of colours around them (for textures). What is strongly
connected with the border of the image is background (Zhu and others, Saliency optimization from robust background
detection, 2014); what differs from the background, near the middle, is the subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

SIDE = 200
"""The longer side in pixels at which a subject is looked for."""
SUPERPIXELS = 250
COLOURS = 24
"""How many colours the mixtures of colours are counted in."""
APART = 10.0
"""A difference (in CIELAB units) from which on two places count as different things."""
NEAR = 0.25
"""How far away, as a share of the longer side, other places still count in contrast and the middle in weight."""
BELOW = 0.3
"""How much the lower border counts as background beside the others."""
LEAST = 3.0
"""The least difference (in CIELAB units) between a subject and its surroundings."""
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Places:
    """Superpixels: which pixel belongs to which, and what they are like."""

    labels: NDArray[np.int32]
    colours: Map
    """Count x 3, CIELAB."""
    centres: Map
    """Count x 2, as shares of the longer side."""
    touches: NDArray[np.bool_]
    """Count x count."""
    mixtures: Map
    """Count x colours of the palette: the share of each in and around the superpixel."""
    palette: Map


def standing_out(rgb: NDArray[np.uint8], outside: NDArray[np.bool_] | None = None) -> Map | None:
    """How much every pixel belongs to the subject, 0 to 1; None where nothing stands out.

    `rgb` is small (`SIDE`). `outside` marks what is known to be background; the border of the image when left out.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < 4:
        return None
    places = superpixels(rgb)
    count = len(places.colours)
    edge = np.zeros((height, width), bool)
    edge[0], edge[-1], edge[:, 0], edge[:, -1] = True, True, True, True
    if outside is not None and outside.any() and not outside.all():
        edge = outside
    inside = np.bincount(places.labels.ravel(), weights=(~edge).ravel(), minlength=count)
    whole = np.bincount(places.labels.ravel(), minlength=count)
    border = (inside < 0.5 * whole) if edge is outside else inside < whole
    weight = border.astype(np.float32)
    if edge is not outside:  # people and animals often go on below the picture, so its lower border says less
        lowest = np.bincount(places.labels[-1], minlength=count) > 0
        above = np.bincount(
            np.concatenate([places.labels[:-1, 0], places.labels[:-1, -1], places.labels[0]]), minlength=count
        )
        weight[lowest & (above == 0)] = BELOW
    if border.all() or not border.any() or count < 4:
        return None
    differences = _differences(places)
    background = _background(places, differences, border, weight)
    if edge is outside:
        background[border] = 1.0
    subject, contrast = _contrast(places, differences, background)
    if contrast < LEAST:
        return None
    return np.asarray(_settled(places, differences, background, subject)[places.labels], np.float32)


def superpixels(rgb: NDArray[np.uint8]) -> Places:
    """The image in about 250 pieces of about one size."""
    from skimage.segmentation import slic

    height, width = rgb.shape[:2]
    lab = lab_of(rgb)
    smooth = cv2.bilateralFilter(lab, 5, 12, 3)
    labels = slic(
        smooth, n_segments=SUPERPIXELS, compactness=0.3, start_label=0, convert2lab=False, max_num_iter=5,
        channel_axis=-1,
    ).astype(np.int32)  # fmt: skip
    count = int(labels.max()) + 1
    flat = labels.ravel()
    sizes = np.bincount(flat, minlength=count).astype(np.float32)

    def mean(values: NDArray[Any]) -> Map:
        return np.asarray(np.bincount(flat, weights=values.ravel(), minlength=count) / sizes, np.float32)

    rows, columns = np.indices((height, width)) / max(height, width)
    colours = np.stack([mean(lab[..., channel]) for channel in range(3)], axis=1)
    touches = np.zeros((count, count), bool)
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        touches[one.ravel(), other.ravel()] = True
    touches |= touches.T
    np.fill_diagonal(touches, False)
    palette, counts = _palette(lab, labels, count)
    near = counts + 0.5 * (touches.astype(np.float32) @ counts)
    mixtures = near / near.sum(axis=1, keepdims=True)
    return Places(labels, colours, np.stack([mean(rows), mean(columns)], axis=1), touches, mixtures, palette)


def lab_of(rgb: NDArray[np.uint8]) -> Map:
    """CIELAB: L in 0 to 100."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB))


def _palette(lab: Map, labels: NDArray[np.int32], count: int) -> tuple[Map, Map]:
    """The colours of the image, and how many pixels of each every superpixel has."""
    pixels = lab.reshape(-1, 3)
    sample = np.ascontiguousarray(pixels[:: max(1, len(pixels) // 4000)])
    number = min(COLOURS, len(np.unique(np.rint(sample), axis=0)))
    cv2.setRNGSeed(1)  # the same image gives the same palette
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, _, palette = cv2.kmeans(sample, number, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    # |pixel - colour|^2 without |pixel|^2, which is the same for all colours
    nearest = (np.square(palette).sum(axis=1) - 2 * pixels @ palette.T).argmin(axis=1)
    cells = np.bincount(labels.ravel() * number + nearest, minlength=count * number)
    return palette, cells.reshape(count, number).astype(np.float32)


def _differences(places: Places) -> Map:
    """Count x count: how different two superpixels are, half by colour and half by mixture, in CIELAB units."""
    colour = np.linalg.norm(places.colours[:, None] - places.colours[None], axis=2)
    alike = np.exp(-np.square(np.linalg.norm(places.palette[:, None] - places.palette[None], axis=2) / 12))
    mixtures = places.mixtures @ alike
    mixtures /= np.linalg.norm(mixtures, axis=1, keepdims=True)
    mixture = 60 * np.sqrt(np.maximum(0, 1 - mixtures @ mixtures.T))
    return np.asarray(0.5 * colour + 0.5 * mixture, np.float32)


def _background(places: Places, differences: Map, border: NDArray[np.bool_], weight: Map) -> Map:
    """How probably each superpixel is background: how much of its region lies along the border."""
    linked = places.touches.copy()
    at_border = np.flatnonzero(weight == 1)
    linked[np.ix_(at_border, at_border)] = True
    np.fill_diagonal(linked, False)
    closest = np.where(places.touches, differences, np.inf).min(axis=1)
    usual = closest[np.isfinite(closest)].mean() if np.isfinite(closest).any() else 0.0
    steps = np.where(linked, np.maximum(differences - usual, 0) + 1e-6, 0)
    way = shortest_path(steps, directed=False)
    belongs = np.exp(-np.square(way / APART) / 2)
    length = (belongs * weight).sum(axis=1)
    connected = length / np.sqrt(belongs.sum(axis=1))
    return np.asarray(1 - np.exp(-np.square(connected) / 2), np.float32)


def _contrast(places: Places, differences: Map, background: Map) -> tuple[Map, float]:
    """How much each superpixel differs from the background around it, weighed by its nearness to the middle, 0 to 1;
    and how much the most different one does, in CIELAB units."""
    apart = np.square(np.linalg.norm(places.centres[:, None] - places.centres[None], axis=2))
    near = np.exp(-apart / (2 * NEAR**2)) * background
    mean = (differences * near).sum(axis=1) / np.maximum(near.sum(axis=1), 1e-6)
    total = (differences * near).sum(axis=1)
    total = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    middle = (places.centres.max(axis=0) + places.centres.min(axis=0)) / 2
    central = np.exp(-np.square(places.centres - middle).sum(axis=1) / (2 * NEAR**2))
    subject = total * central
    subject[subject < 0.2 * subject.max()] *= 0.5
    return subject, float((mean * (1 - background)).max())


def _settled(places: Places, differences: Map, background: Map, subject: Map) -> Map:
    """The least-squares agreement of what is background, what is subject, and what is like its neighbours."""
    alike = np.where(places.touches, np.exp(-np.square(differences / APART) / 2) + 0.1, 0)
    system = np.diag(alike.sum(axis=1) + background + subject + 1e-4) - alike
    settled = np.linalg.solve(system, subject)
    return np.asarray((settled - settled.min()) / max(float(np.ptp(settled)), 1e-6), np.float32)
