"""From an image of which a part is missing to whole ones: one for each seed, blended at the seam, and ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.noise import SEED_LIMIT, Noise
from maquette.families.family import Completes, Family
from maquette.nn.pixels import condition_tensors, from_tensor, to_tensor

LARGEST_SIDE = 8192
LARGEST = 1 << 28
"""Bytes of all extended images of one command."""
WINDOW = 1 << 44
"""From window to window seeds move so far."""
REACH = 3.0
"""Pixels over which what is made is brought to what is given."""


def side(name: str, share: float, height: int, width: int) -> NDArray[np.bool_]:
    """Height x width: what is given where a share of the image is kept, from one side on."""
    kept = np.zeros((height, width), bool)
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    places: dict[str, Any] = {
        "top": (slice(None, rows),), "bottom": (slice(height - rows, None),),
        "left": (slice(None), slice(None, columns)), "right": (slice(None), slice(width - columns, None)),
    }  # fmt: skip
    kept[places[name]] = True
    return kept


def completed(
    family: Family,
    image: NDArray[Any],
    given: NDArray[np.bool_],
    seeds: Sequence[int],
    conditions: Mapping[str, NDArray[Any]],
    options: Any,
    *,
    reach: float = REACH,
) -> Iterator[NDArray[Any]]:
    """Images H W C, one for each seed, of one image H W C or one for each. Where `given` is true (height x width), the
    pixels stay as they are.

    Beside them what is made is brought to them, less and less over about `reach` pixels; 0 leaves a seam.
    """
    if not isinstance(family, Completes):
        name = type(family).__name__.lower()
        raise UsageError(
            f"the family {name} cannot complete images", do="give a run of a flow, gan or recurrent network"
        )
    together = family.together
    device = next(family.parameters()).device
    for start in range(0, len(seeds), together):
        chosen = list(seeds[start : start + together])
        padded = chosen + [chosen[-1]] * (together - len(chosen))
        rows = {
            name: np.concatenate([some, np.repeat(some[-1:], together - len(some), axis=0)])
            for name, some in ((name, values[start : start + together]) for name, values in conditions.items())
        }
        tensors = {name: value.to(device) for name, value in condition_tensors(family.spec.conditions, rows).items()}
        some = image[start : start + together] if image.ndim == 4 else np.repeat(image[None], len(chosen), axis=0)
        full = np.concatenate([some, np.repeat(some[-1:], together - len(some), axis=0)])
        images = to_tensor(full, family.spec.mode).to(device)
        mask = torch.from_numpy(given.astype(np.float32)).to(device).expand(together, 1, -1, -1)
        with torch.inference_mode():
            *_, made = family.complete(images, mask, Noise(padded), tensors, options)
        for whole, found in zip(some, from_tensor(made[: len(chosen)], family.spec.mode), strict=True):
            yield np.where(given[..., None], whole, seamless(found, whole, given, reach) if reach else found)


def extended(
    family: Family,
    image: NDArray[Any],
    more: Mapping[str, int],
    seeds: Sequence[int],
    conditions: Mapping[str, NDArray[Any]],
    options: Any,
    *,
    reach: float = REACH,
) -> Iterator[tuple[int, int] | NDArray[Any]]:
    """More of an image beyond its sides (`more`: top, bottom, left, right in pixels), N H W C larger, one a seed.

    The model looks through a window of its own size that moves outwards by half of it. Yields how many windows are
    done, and all images last.
    """
    height, width, channels = image.shape
    top, left = more.get("top", 0), more.get("left", 0)
    shape = (height + top + more.get("bottom", 0), width + left + more.get("right", 0))
    if max(shape) > LARGEST_SIDE or len(seeds) * shape[0] * shape[1] * channels > LARGEST:
        raise UsageError(
            f"{len(seeds)} images of {shape[1]}x{shape[0]} pixels are too large", do="extend by less, or give --count 1"
        )
    canvas = np.zeros((len(seeds), *shape, channels), image.dtype)
    canvas[:, top : top + height, left : left + width] = image
    known = np.zeros(shape, bool)
    known[top : top + height, left : left + width] = True
    windows = sorted(
        ((y, x) for y in _stops(top, height, shape[0]) for x in _stops(left, width, shape[1])),
        key=lambda place: abs(place[0] - top) + abs(place[1] - left),
    )
    for number, (y, x) in enumerate(windows, start=1):
        part = (slice(y, y + height), slice(x, x + width))
        if not known[part].all():
            own = [(seed + WINDOW * number) % SEED_LIMIT for seed in seeds]  # else every window would repeat the last
            made = completed(family, canvas[:, *part], known[part], own, conditions, options, reach=reach)
            canvas[:, *part] = np.stack(list(made))
            known[part] = True
        yield number, len(windows)
    yield canvas


def _stops(start: int, size: int, whole: int) -> list[int]:
    """Where windows begin along one axis: at the image, and from there by half a window to both ends."""
    found = {start}
    place = start
    while place > 0:
        place = max(0, place - size // 2)
        found.add(place)
    place = start
    while place < whole - size:
        place = min(whole - size, place + size // 2)
        found.add(place)
    return sorted(found)


def seamless(made: NDArray[Any], image: NDArray[Any], given: NDArray[np.bool_], reach: float) -> NDArray[Any]:
    """What was made, with what it lacks at the seam added to it: less with every pixel away from what is given.

    The difference spreads as in Perez et al., "Poisson image editing", 2003, and fades (a screened Poisson equation).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    unknown = ~given
    if not unknown.any() or not given.any():
        return made
    number = np.full(given.shape, -1, np.int64)
    number[unknown] = np.arange(int(unknown.sum()))
    rows, columns, values = [], [], []
    lacks = image.astype(np.float64) - made.astype(np.float64)
    known = np.zeros((int(unknown.sum()), made.shape[2]))
    diagonal = np.full(len(known), 1 / reach**2)
    y, x = np.nonzero(unknown)
    here = number[y, x]
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other_y, other_x = y + down, x + right
        inside = (other_y >= 0) & (other_y < given.shape[0]) & (other_x >= 0) & (other_x < given.shape[1])
        at, beside_y, beside_x = here[inside], other_y[inside], other_x[inside]
        diagonal[at] += 1
        fixed = given[beside_y, beside_x]
        np.add.at(known, at[fixed], lacks[beside_y[fixed], beside_x[fixed]])
        rows.append(at[~fixed])
        columns.append(number[beside_y[~fixed], beside_x[~fixed]])
        values.append(np.full(int((~fixed).sum()), -1.0))
    whole = np.arange(len(known))
    matrix = coo_matrix(
        (np.concatenate([*values, diagonal]), (np.concatenate([*rows, whole]), np.concatenate([*columns, whole])))
    ).tocsc()
    added = np.zeros(made.shape)
    added[unknown] = splu(matrix).solve(known)
    top = np.iinfo(made.dtype).max
    return np.asarray(np.rint(made + added).clip(0, top), made.dtype)
