"""From a model, seeds and wishes to images: image k depends on seed k alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.condition import FLAT, ConditionSpec
from maquette.core.errors import ConditionError, UsageError, nearest
from maquette.core.image import convert, mode_of
from maquette.core.noise import Mix, Noise, leader, uniform
from maquette.families.family import Continues, Family, Samples
from maquette.nn.pixels import condition_tensors, from_tensor
from maquette.trust.origin import Generated, take_stamp

Rows = Mapping[str, NDArray[Any]]
LARGEST_FILM = 1 << 29
"""Bytes of pixels of the films of one pass."""
_stamp = take_stamp()
"""Says that a model made a picture. Nobody else has it, so nothing else can be signed as generated."""


def draw(
    family: Family, seeds: Sequence[int | Mix], conditions: Rows, options: Any = None, *, micro: int | None = None
) -> Iterator[NDArray[Any]]:
    """Images N H W C in the order of the seeds, a pass at a time. Row k of the conditions belongs to seed k.

    In place of a seed may stand a mix of seeds: every family that starts from random numbers makes what lies between.

    Passes are always full (padded), so that an image's pixels do not depend on how many were asked for; `micro` is how
    many images one holds, as the family says when left out.
    """
    for _, images in draw_steps(family, seeds, conditions, options, micro=micro, only_last=True):
        yield images


def draw_steps(
    family: Family,
    seeds: Sequence[int | Mix],
    conditions: Rows,
    options: Any = None,
    *,
    micro: int | None = None,
    only_last: bool = False,
) -> Iterator[tuple[int, NDArray[Any]]]:
    """As `draw`, but with the images as they form: (index of the first seed, images), the last of a pass the result."""
    if not isinstance(family, Samples):
        raise UsageError(f"the family {type(family).__name__.lower()} does not make images from seeds")
    options = family.Options() if options is None else options
    micro = micro or family.together
    asked = family.made(options).conditions
    device = next(family.parameters()).device
    for start in range(0, len(seeds), micro):
        chosen = list(seeds[start : start + micro])
        count = len(chosen)
        padded = chosen + [chosen[-1]] * (micro - count)
        rows = {name: _pad(values[start : start + micro], micro) for name, values in conditions.items()}
        tensors = condition_tensors(asked, rows)
        tensors = {name: value.to(device) for name, value in tensors.items()}
        images = None
        with torch.inference_mode():
            for images in family.sample(Noise(padded), tensors, options):
                if not only_last:
                    yield start, from_tensor(images[:count], family.spec.mode)
            if images is None:
                raise TypeError(f"{type(family).__name__}.sample yielded nothing")
        if only_last:
            yield start, from_tensor(images[:count], family.spec.mode)


def vouched(
    family: Family,
    model: str,
    seeds: Sequence[int | Mix],
    conditions: Rows,
    options: Any = None,
    *,
    micro: int | None = None,
) -> Iterator[list[Generated]]:
    """As `draw`, each image with the proof that the model of this digest made it."""
    # Pixels that somebody gave went in.
    form = family.made(family.Options() if options is None else options)
    guided = any(spec.kind not in FLAT for spec in form.conditions if spec.name in conditions)
    done = 0
    for images in draw(family, seeds, conditions, options, micro=micro):
        yield _vouch(images, seeds[done : done + len(images)], model, guided)
        done += len(images)


def vouched_steps(
    family: Family, model: str, seeds: Sequence[int | Mix], conditions: Rows, options: Any = None
) -> Iterator[NDArray[Any] | list[Generated]]:
    """As `vouched`, with the images as they form before: arrays, and in place of each pass's last the images."""
    form = family.made(family.Options() if options is None else options)
    guided = any(spec.kind not in FLAT for spec in form.conditions if spec.name in conditions)
    at, before = 0, None
    for start, images in draw_steps(family, seeds, conditions, options):
        if before is not None:
            yield before if at == start else _vouch(before, seeds[at : at + len(before)], model, guided)
        at, before = start, images
    if before is not None:
        yield _vouch(before, seeds[at : at + len(before)], model, guided)


def _vouch(images: NDArray[Any], seeds: Sequence[int | Mix], model: str, guided: bool) -> list[Generated]:
    return [
        _stamp(image, seed=leader(seed), model=model, guided=guided, mix=seed if isinstance(seed, Mix) else None)
        for image, seed in zip(images, seeds, strict=True)
    ]


def filmed(
    family: Family, model: str, seeds: Sequence[int], conditions: Rows, options: Any
) -> Iterator[list[list[Generated]]]:
    """As `vouched`, for families that make films: of each pass, the frames of every seed."""
    guided = any(spec.kind not in FLAT for spec in family.made(options).conditions if spec.name in conditions)
    length = _length(family, options)
    frames: list[NDArray[Any]] = []
    for start, images in draw_steps(family, seeds, conditions, options):
        frames.append(images)
        if len(frames) == length:
            chosen = seeds[start : start + len(images)]
            yield [
                [_stamp(frame[row], seed=seed, model=model, guided=guided) for frame in frames]
                for row, seed in enumerate(chosen)
            ]
            frames = []


def film_length(family: Family, options: Any) -> int:
    """How many frames the family makes of one seed with these dials; 1 where it makes an image."""
    return family.frames(options) if isinstance(family, Continues) else 1


def _length(family: Family, options: Any) -> int:
    """The same, where as many as are made at once can be held."""
    length = film_length(family, options)
    spec, count = family.made(options), family.together
    size = count * length * spec.height * spec.width * spec.channels * (2 if spec.mode == "grey16" else 1)
    if size > LARGEST_FILM:
        raise UsageError(
            f"{count} films of {length:,} frames of {spec.width}x{spec.height} do not fit into memory",
            do=f"ask for at most {max(1, length * LARGEST_FILM // size):,} frames",
        )
    return length


def software(family: Family) -> dict[str, str]:
    """What computes, and on what: the facts on which the last bits of an image depend. Nothing of the person."""
    import platform

    import maquette

    return {
        "maquette": maquette.__version__, "python": platform.python_version(), "torch": str(torch.__version__),
        "numpy": np.__version__, "device": next(family.parameters()).device.type,
        "threads": str(torch.get_num_threads()),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }  # fmt: skip


def _pad(values: NDArray[Any], count: int) -> NDArray[Any]:
    missing = count - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values


def wishes(
    specs: Sequence[ConditionSpec],
    table: Rows,
    given: Mapping[str, Any],
    seeds: Sequence[int | Mix],
    size: tuple[int, int],
    optional: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """What each seed's image is to be: what was given, and for the rest a row of the training data chosen by the seed
    (of a mix: by the seed that counts most).

    `given` holds one value for all images by name of condition; `table` holds encoded rows kept from training. What is
    `optional` and not given is left out.
    """
    specs = [spec for spec in specs if spec.name in given or spec.name not in optional]
    by_name = {spec.name: spec for spec in specs}
    for name in given:
        if name not in by_name:
            raise ConditionError(f"this model was not trained with {name!r}", do=nearest(name, by_name))
    encoded = {name: by_name[name].encode(value, *size) for name, value in given.items()}
    for spec in specs:
        if spec.kind not in FLAT and spec.name not in given:
            way = "--frames FILE or FOLDER" if spec.kind == "frames" else f"--image {spec.name}=FILE"
            raise ConditionError(f"this model needs the {spec.kind} {spec.name!r}", do=f"give {way}")
    rest = [spec.name for spec in specs if spec.name not in given]
    picked = _pick_rows(by_name, table, encoded, seeds) if rest else np.zeros(len(seeds), np.int64)
    chosen = {name: np.asarray(table[name])[picked] for name in rest}
    repeated = {name: np.repeat(value[None], len(seeds), axis=0) for name, value in encoded.items()}
    return {spec.name: {**chosen, **repeated}[spec.name] for spec in specs}


def _pick_rows(
    specs: Mapping[str, ConditionSpec], table: Rows, given: Rows, seeds: Sequence[int | Mix]
) -> NDArray[np.int64]:
    count = len(next(iter(table.values())))
    rows = np.arange(count)
    for name, value in given.items():  # Where a label is given, what goes with it comes from rows of that label.
        if specs[name].kind == "label" and (same := np.flatnonzero(np.asarray(table[name])[rows] == value)).size:
            rows = rows[same]
    places = np.array([uniform(leader(seed), "condition", 1)[0] for seed in seeds])
    return np.asarray(rows[(places * len(rows)).astype(np.int64)], dtype=np.int64)


def examples(specs: Sequence[ConditionSpec], table: Rows, count: int) -> dict[str, NDArray[Any]]:
    """Rows of conditions for a sheet: as in the training data, those of one label side by side."""
    if not specs:
        return {}
    rows = np.arange(count) % len(next(iter(table.values())))
    labels = [spec.name for spec in specs if spec.kind == "label"]
    if labels:
        values = np.asarray(table[labels[0]])
        by_label = [np.flatnonzero(values == label) for label in np.unique(values)]
        share = np.arange(count) * len(by_label) // count
        turn = np.arange(count) - np.searchsorted(share, share)
        rows = np.array([by_label[s][t % len(by_label[s])] for s, t in zip(share, turn, strict=True)])
    return {spec.name: np.asarray(table[spec.name])[rows] for spec in specs}


def beside(pictures: Sequence[NDArray[Any]], rows: Rows, specs: Sequence[ConditionSpec]) -> list[NDArray[Any]]:
    """Pictures for a sheet: each behind the image or map that it was made from, where there is one."""
    shown = next((spec for spec in specs if spec.kind in ("image", "map") and spec.name in rows), None)
    if shown is None or not pictures:
        return list(pictures)
    mode = mode_of(pictures[0])
    given = [
        convert(row if shown.kind == "image" else _painted(row, len(shown.classes)), mode) for row in rows[shown.name]
    ]
    return [tile for pair in zip(given, pictures, strict=False) for tile in pair]


def _painted(map_: NDArray[Any], classes: int) -> NDArray[np.uint8]:
    """A map of classes in shades of grey."""
    return (map_[..., None].astype(np.float64) * (255 / max(1, classes - 1))).round().astype(np.uint8)
