"""From the colours of one image to those of another: by mean and spread, by their whole shape, or by transport.

Each way ends in a smooth map of colours, so that it can be applied to any image, and written as a .cube file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.colour.cube import Cube
from maquette.refining.colour.gamut import fitted_light
from maquette.refining.colour.measure import Weights, sample
from maquette.refining.colour.space import Floats, encoded, to_lab, to_light
from maquette.refining.pixels import to_float

Method = Literal["transport", "linear", "reinhard"]
_SAMPLES = 12_000
_LATTICE = 33
_ROTATIONS = 40
Map = Callable[[Floats], Floats]


def colours_of(image: Image, weights: Weights) -> tuple[Floats, Floats]:
    """OKLab of a sample of the image's pixels, (n, 3), and how much each counts (adding up to 1)."""
    pixels, counts = sample(image, weights, _SAMPLES)
    visible = counts > 1 / 512
    if visible.any():
        pixels, counts = pixels[visible], counts[visible]
    lab = to_lab(to_light(np.ascontiguousarray(to_float(pixels)[None])))[0]
    return lab, (counts / counts.sum()).astype(np.float32)


def cube_between(
    image: Image, weights: Weights, other: Image, other_weights: Weights, method: Method, tone: float = 1.0
) -> Cube:
    """The map that gives the first image the colours of the other one, and `tone` of its light and dark."""
    source, target = colours_of(image, weights), colours_of(other, other_weights)
    if method == "reinhard":
        change = _scaled(source, target)
    else:
        change = _linear(source, target)
        if method == "transport":
            change = _transported(source, target, change)

    def toned(lab: Floats) -> Floats:
        made = change(lab)
        made[..., 0] = lab[..., 0] + np.float32(tone) * (made[..., 0] - lab[..., 0])
        return made

    def recolour(colours: Image) -> Image:
        return np.asarray(encoded(np.clip(fitted_light(toned(to_lab(to_light(colours)))), 0, 1)), np.float32)

    return Cube.of(recolour, _LATTICE)


def _moments(colours: Floats, counts: Floats) -> tuple[Floats, NDArray[np.float64]]:
    mean = counts @ colours
    centred = (colours - mean).astype(np.float64)
    # A little spread in every direction: flat images have none, and dividing by it would tear colours apart.
    return mean, (centred * counts[:, None]).T @ centred + np.eye(3) * 2e-5


def _scaled(source: tuple[Floats, Floats], target: tuple[Floats, Floats]) -> Map:
    """Mean and spread of lightness and of both opponents (Reinhard and others, 2001)."""
    (mean, spread), (other_mean, other_spread) = _moments(*source), _moments(*target)
    ratio = np.sqrt(np.clip(np.diag(other_spread) / np.diag(spread), 1 / 16, 9)).astype(np.float32)
    return lambda lab: ((lab - mean) * ratio + other_mean).astype(np.float32)


def _linear(source: tuple[Floats, Floats], target: tuple[Floats, Floats]) -> Map:
    """The linear map between both clouds that moves colours the least (Pitie and Kokaram, 2007)."""
    (mean, spread), (other_mean, other_spread) = _moments(*source), _moments(*target)
    root, inverse = _root(spread), np.linalg.inv(_root(spread))
    matrix = inverse @ _root(root @ other_spread @ root) @ inverse
    # Stretching a narrow cloud to a wide one would show noise and blocks: at most threefold.
    values, vectors = np.linalg.eigh(matrix)
    matrix = ((vectors * np.clip(values, 0.1, 3)) @ vectors.T).astype(np.float32)
    return lambda lab: ((lab - mean) @ matrix.T + other_mean).astype(np.float32)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-12))) @ vectors.T)


def _transported(source: tuple[Floats, Floats], target: tuple[Floats, Floats], first: Map) -> Map:
    """The rest of the way after the linear map: sliced optimal transport of the sample, smoothed over colour space."""
    begun, (goal, goal_counts) = first(source[0][None])[0], target
    moved = begun.copy()
    generator = np.random.default_rng(7)  # the directions are the same for every image
    shares = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    for _ in range(_ROTATIONS):
        rotation = np.linalg.qr(generator.standard_normal((3, 3)))[0].astype(np.float32)
        here, there = moved @ rotation, goal @ rotation
        for axis in range(3):
            here[:, axis] = _matched(here[:, axis], source[1], there[:, axis], goal_counts, shares)
        moved += np.float32(0.6) * (here @ rotation.T - moved)
    field = _smooth_field(begun, source[1], moved - begun)

    def change(lab: Floats) -> Floats:
        linear = first(lab)
        return np.asarray(linear + field(linear), np.float32)

    return change


def _matched(values: Any, counts: Any, goal: Any, goal_counts: Any, shares: Any) -> Any:
    """Each value's counterpart of the same rank in the goal."""
    order, other = np.argsort(values), np.argsort(goal)
    rank = np.empty_like(values)
    rank[order] = np.cumsum(counts[order]) - counts[order] / 2
    quantiles = np.interp(shares, np.cumsum(goal_counts[other]) - goal_counts[other] / 2, goal[other])
    return np.interp(rank, shares, quantiles)


def _smooth_field(at: Floats, counts: Floats, step: Floats) -> Map:
    """The steps of the sample as a smooth field over OKLab that fades where there are no samples."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    low, high = np.array([0, -0.4, -0.4], np.float32), np.array([1, 0.4, 0.4], np.float32)
    size = np.array([32, 48, 48])
    scale = ((size - 1) / (high - low)).astype(np.float32)
    cell = np.rint((np.clip(at, low, high) - low) * scale).astype(np.intp)
    flat = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    reach = (1.6, 2.2, 2.2)  # about 0.05 in lightness, 0.04 in the opponents

    def spread(values: Any) -> Floats:
        grid = np.bincount(flat, values, minlength=int(size.prod())).reshape(size)
        return np.asarray(gaussian_filter(grid, reach, mode="constant"), np.float32)

    weight = spread(counts)
    trust = weight / (weight + np.float32(1e-6))
    field = [spread(counts * step[:, axis]) / (weight + np.float32(1e-6)) * trust for axis in range(3)]

    def change(lab: Floats) -> Floats:
        places = ((np.clip(lab, low, high) - low) * scale).reshape(-1, 3).T
        made = [map_coordinates(part, places, order=1, mode="nearest") for part in field]
        return np.stack(made, axis=1).reshape(lab.shape).astype(np.float32)

    return change


def matched_histograms(image: Image, weights: Weights, other: Image, other_weights: Weights) -> Image:
    """The image with each channel's levels as common as in the other image."""
    from maquette.refining.colour.measure import histogram
    from maquette.refining.colour.space import look_up, top
    from maquette.refining.pixels import to_depth

    working = image if image.dtype.kind != "f" else to_depth(image, np.uint16)
    other = to_depth(to_float(other), working.dtype)
    tables = []
    for at in range(3):
        have = np.cumsum(histogram(working[..., at], weights))
        want = np.cumsum(histogram(other[..., at], other_weights))
        known = np.flatnonzero(np.diff(want, prepend=0))
        tables.append(np.interp(have / have[-1], want[known] / want[-1], known))
    levels = np.clip(np.rint(np.stack(tables, axis=1)), 0, top(working.dtype)).astype(working.dtype)
    result = look_up(working, levels)
    return result if image.dtype.kind != "f" else to_float(result)
