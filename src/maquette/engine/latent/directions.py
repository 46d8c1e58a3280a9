"""Directions in the latents of a model: what changes along them, found by themselves, from sides, and kept by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import DataError, MaquetteError, UsageError, nearest
from maquette.core.motion import apart, looks
from maquette.engine.latent.latents import Found, Latents
from maquette.engine.sample import Rows
from maquette.families.family import Inverts, Steers
from maquette.nn.pixels import condition_tensors
from maquette.store import weights
from maquette.store.run import Run

FILE = "directions.safetensors"
FORMAT = 1
MOST = 256
NAME = re.compile(r"[\w-]{1,64}")
STEP = 0.35
"""An amount of 1 changes pictures so much, as a share of how far two images of the model are apart."""
FIRST_SEED = 1 << 43
"""Far from the seeds of people: images of these seeds are looked at."""
PASSES = 24
PROBED = 2048
"""Images of the model whose scores say which way leads to one side."""
SIDE = 96
"""Images of each side that are followed back into a model that can do that."""
FEWEST = 3
"""Examples of each side."""
GRID, WAYS = 8, 48
"""Sides are compared as pictures of so many places a side, in so many ways in which they vary."""
SOFT, SHORT = 0.02, 0.1
"""Ways and latents that say little are not trusted beyond this share of the strongest."""
LEAST, CHANCE, WIDER = 0.02, 6.0, 8.0
"""What differs by less than this share of the range is no difference; so many times what chance makes of it is a sure
one; and places that differ by a part of the most count in full."""


@dataclass(frozen=True)
class Direction:
    """One way to change images: what is added to latents for an amount of 1."""

    name: str
    vector: NDArray[np.float32]
    how: str
    """`found`, or what it was learned from, in words."""
    where: NDArray[np.float32] | None = None
    """Height x width from 0 to 1: where images of its two sides differ; None where nobody knows."""


def moved(found: Found, directions: Sequence[Direction], amounts: Sequence[float]) -> Found:
    """Latents moved along directions."""
    total = sum((a * d.vector for d, a in zip(directions, amounts, strict=True)), np.zeros_like(found.latents[0]))
    return dataclasses.replace(found, latents=np.asarray(found.latents + total, np.float32))


def held(on: Latents, found: Found, images: NDArray[Any], directions: Sequence[Direction]) -> NDArray[Any]:
    """Images N H W C of latents that were moved along directions: where these say that nothing is to change, `images`.

    A direction that nobody knows the place of may change everything.
    """
    places = [direction.where for direction in directions]
    known = [place for place in places if place is not None]
    if not known or len(known) < len(places):
        return on.images(found)
    return on.held(found, images, np.max(known, axis=0))


# Kept with the run


def read(run: Run, width: int) -> dict[str, Direction]:
    """The directions of the run's model by name; none of another model's."""
    path = run.path / FILE
    if not path.exists():
        return {}
    tensors, facts = weights.read(path, max_bytes=MOST * width * 4 + (1 << 20))
    if facts.get("model") != run.facts.get("model") or facts.get("format") != FORMAT:
        return {}
    names, hows = facts.get("names"), facts.get("how")
    if not isinstance(names, list) or not isinstance(hows, list) or len(names) != len(hows):
        raise MaquetteError("the directions kept with the run are damaged", where=path, do="remove the file")
    found: dict[str, Direction] = {}
    for place, (name, how) in enumerate(zip(names, hows, strict=True)):
        vector = tensors.get(f"direction.{place}")
        if vector is None or vector.shape != (width,) or not (isinstance(name, str) and NAME.fullmatch(name)):
            raise MaquetteError("the directions kept with the run are damaged", where=path, do="remove the file")
        where = tensors.get(f"where.{place}")
        if where is not None and (where.ndim != 2 or not (0 <= where.min() <= where.max() <= 1)):
            raise MaquetteError("the directions kept with the run are damaged", where=path, do="remove the file")
        found[name] = Direction(name, vector.astype(np.float32), str(how)[:200], where)
    return found


def keep(run: Run, directions: Sequence[Direction]) -> None:
    """Write all directions of the run."""
    if len(directions) > MOST:
        raise UsageError(f"{len(directions)} directions are too many", do=f"a run keeps at most {MOST}: remove some")
    tensors = {f"direction.{place}": direction.vector for place, direction in enumerate(directions)}
    tensors |= {f"where.{place}": one.where for place, one in enumerate(directions) if one.where is not None}
    facts = {
        "format": FORMAT, "model": str(run.facts.get("model")), "names": [d.name for d in directions],
        "how": [d.how for d in directions],
    }  # fmt: skip
    with run.lock():
        weights.write(run.path / FILE, tensors, facts)


def named(known: dict[str, Direction], name: str) -> Direction:
    """The direction of that name."""
    if name not in known:
        do = nearest(name, known) if known else "find some first, with maquette edit find RUN"
        raise UsageError(f"the run knows no direction {name!r}", do=do)
    return known[name]


# Found by themselves


def strongest(on: Latents, count: int, table_rows: Rows) -> Iterator[int | list[NDArray[np.float32]]]:
    """The directions along which pictures change most, the strongest first; yields how many passes are done before.

    Slopes of coarse patterns in the picture, at many images, span what the model can do on a large scale; their
    principal directions are those that the weights amplify most (as SeFa reads them from the first layer alone).
    """
    model = on.model
    assert isinstance(model, Steers)
    spec, together = model.spec, model.together
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    slopes = []
    for number in range(PASSES):
        seeds = range(FIRST_SEED + number * together, FIRST_SEED + (number + 1) * together)
        rows = {name: values[:together] for name, values in table_rows.items()}
        tensors = {name: value.to(device) for name, value in condition_tensors(spec.conditions, rows).items()}
        begin = on.of_seeds(seeds, rows).latents
        with torch.inference_mode(False), torch.enable_grad():
            latents = torch.from_numpy(begin).to(device).requires_grad_()
            coarse = torch.randn(together, spec.channels, 3, 3, generator=generator).to(device)
            pattern = torch.nn.functional.interpolate(coarse, (spec.height, spec.width), mode="bilinear")
            tensors = {name: value.clone() for name, value in tensors.items()}
            (model.picture(latents, tensors, on.options) * pattern).mean(dim=(1, 2, 3)).sum().backward()
            assert latents.grad is not None
            slopes.append(latents.grad.cpu().numpy())
        yield number + 1
    matrix = np.concatenate(slopes)
    _, _, axes = np.linalg.svd(matrix, full_matrices=False)
    yield [np.asarray(axis * np.sign(axis[np.abs(axis).argmax()]), np.float32) for axis in axes[:count]]


# From two sides


def towards(
    on: Latents, one: NDArray[Any], other: NDArray[Any], rows: Rows, other_rows: Rows, looked: Rows
) -> Iterator[int | NDArray[np.float32]]:
    """The direction that leads from images like `other` to images like `one` (N H W C); its length says nothing.

    A model that can go back is asked for the latents of both. Of others, images are drawn, from which it is learned how
    the coarse picture follows the latents; the direction is what changes it as the sides differ, where they do, and
    little beside that. `looked` are conditions for these images.
    """
    if len(one) < FEWEST or len(other) < FEWEST:
        raise DataError(
            f"{len(one)} and {len(other)} images are too few to tell two sides apart", do=f"give {FEWEST} or more each"
        )
    if isinstance(on.model, Inverts):
        sides = []
        for images, own in ((one[:SIDE], rows), (other[:SIDE], other_rows)):
            part = {name: values[:SIDE] for name, values in own.items()}
            sides.append(on.of_images(images, part).latents.mean(axis=0))
            yield len(sides)
        vector = sides[0] - sides[1]
    else:
        pictures, latents, where = [], [], where_of(one, other)
        together = max(on.model.together, 1)
        count = len(next(iter(looked.values()))) if looked else together
        for start in range(0, PROBED, together):
            part = {name: values[(np.arange(together) + start) % count] for name, values in looked.items()}
            found = on.of_seeds(range(FIRST_SEED + start, FIRST_SEED + start + together), part)
            pictures.append(_coarse(on.images(found), where))
            latents.append(found.latents)
            yield start + together
        vector = _along(np.concatenate(latents), np.concatenate(pictures), [_coarse(one, where), _coarse(other, where)])
    length = float(np.linalg.norm(vector))
    if not length > 1e-9:
        raise DataError("nothing tells the two sides apart", do="give other images")
    yield np.asarray(vector / length, np.float32)


def _along(
    latents: NDArray[np.float32], pictures: NDArray[np.float64], sides: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The step in latents that changes coarse pictures as the sides differ.

    How pictures follow latents is told by a linear rule. All is measured in the ways in which pictures vary most, so
    that a small thing counts as much as a large one.
    """
    middle = pictures.mean(axis=0)
    _, strengths, axes = np.linalg.svd(pictures - middle, full_matrices=False)
    spread = strengths[:WAYS] / len(pictures) ** 0.5
    brought = axes[:WAYS].T / np.sqrt(spread**2 + SOFT * spread[0] ** 2)
    follows = (pictures - middle) @ brought
    everything = latents.astype(np.float64)
    gram = everything.T @ everything + SHORT * len(everything) * np.eye(everything.shape[1])
    slope = np.linalg.solve(gram, everything.T @ follows).T  # ways x latents
    wanted = (sides[0].mean(axis=0) - sides[1].mean(axis=0)) @ brought
    both = slope @ slope.T
    both += SHORT * np.trace(both) / len(both) * np.eye(len(both))
    return np.asarray(slope.T @ np.linalg.solve(both, wanted))


def _coarse(images: NDArray[Any], where: NDArray[np.float32]) -> NDArray[np.float64]:
    """N H W C -> rows of the means of a coarse grid of places, as shares of the range, as far as they count."""
    import cv2

    share = where[..., None] / float(np.iinfo(images.dtype).max)
    small = [cv2.resize(image * share, (GRID, GRID), interpolation=cv2.INTER_AREA) for image in images]
    return np.asarray(np.stack(small).reshape(len(images), -1), np.float64)


def where_of(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float32]:
    """Height x width from 0 to 1: where images of two sides N H W C differ, surely and by much beside how they vary."""
    import cv2

    sides = [
        np.stack([cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0).reshape(image.shape) for image in side])
        for side in (one, other)
    ]
    most = float(np.iinfo(one.dtype).max)
    least = (LEAST * most) ** 2
    apart = np.square(sides[0].mean(axis=0) - sides[1].mean(axis=0))
    chance = sum(((side.var(axis=0) + least) / len(side) for side in sides), np.zeros_like(apart))
    sure = apart / (apart + CHANCE * chance)
    share = apart / (np.concatenate(sides).var(axis=0) + least)
    place = (sure * share).max(axis=2)
    return np.asarray(np.clip(WIDER * place / max(float(place.max()), 1e-9), 0, 1), np.float32)


def without(vector: NDArray[np.float32], others: Sequence[Direction]) -> NDArray[np.float32]:
    """The part of a direction that lies along none of the others."""
    rest = vector.astype(np.float64)
    if others:
        basis, _ = np.linalg.qr(np.stack([other.vector for other in others]).T.astype(np.float64))
        rest = rest - basis @ (basis.T @ rest)
    length = float(np.linalg.norm(rest))
    if length < 1e-6:
        raise UsageError("nothing is left of the direction beside those that are kept", do="keep fewer")
    return np.asarray(rest / length, np.float32)


def scaled(on: Latents, vector: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """The direction, so long that an amount of 1 is a change that can be seen, alike for all."""
    together = on.model.together
    part = {name: values[:together] for name, values in rows.items()}
    found = on.of_seeds(range(FIRST_SEED, FIRST_SEED + together), part)
    here = looks(on.images(found))
    usual = float(np.median(apart(here, np.roll(here, 1, axis=0))))
    goal, length, reached = STEP * usual, 1.0, 0.0
    for _ in range(12):  # the first doubling that goes far enough
        ahead = looks(on.images(dataclasses.replace(found, latents=found.latents + length * vector)))
        reached = float(np.median(apart(here, ahead)))
        if reached >= goal:
            break
        length *= 1.6
    return np.asarray(vector * length, np.float32)
