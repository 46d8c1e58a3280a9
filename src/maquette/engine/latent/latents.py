"""Between images and the latents of a model: an image that somebody gives is found among those the model can make."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.condition import FLAT, ConditionSpec
from maquette.core.errors import UsageError
from maquette.core.noise import Mix, Noise
from maquette.engine.sample import Rows
from maquette.families.family import Family, Holds, Inverts, Steers
from maquette.nn.pixels import condition_tensors, from_tensor, to_tensor
from maquette.nn.seek import descend

TRIED = 3
"""Of them those that are tried all the way, where no encoder makes it cheap to try all."""
HELD = 40
"""Steps that look for latents of an image that is held but for a part."""
CANDIDATES = 32
"""Conditions that are tried for an image of which nobody says what it shows."""


@dataclass(frozen=True)
class Found:
    """Latents of some images, with what they are asked to be."""

    latents: NDArray[np.float32]
    """N D."""
    rows: Rows
    """Conditions, one row an image."""

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, rows: Any) -> Found:
        return Found(self.latents[rows], {name: values[rows] for name, values in self.rows.items()})

    def where(self, kept: NDArray[np.bool_], other: Found) -> Found:
        """Rows of this where `kept`, else of the other."""
        rows = {
            name: np.where(kept.reshape(-1, *[1] * (value.ndim - 1)), value, other.rows[name])
            for name, value in self.rows.items()
        }
        return Found(np.where(kept[:, None], self.latents, other.latents), rows)

    @classmethod
    def together(cls, parts: Sequence[Found]) -> Found:
        """One after the other."""
        rows = {name: np.concatenate([part.rows[name] for part in parts]) for name in parts[0].rows}
        return cls(np.concatenate([part.latents for part in parts]), rows)


class Latents:
    """A model that can be steered, and the way from images to its latents: its own, or an encoder trained for it."""

    def __init__(self, model: Family, encoder: nn.Module | None = None, options: Any = None) -> None:
        if not isinstance(model, Steers):
            raise UsageError(
                f"models of the family {type(model).__name__.lower()} have no latents that could be moved",
                do="give a run of the family gan, flow or autoencoder",
            )
        asked = model.Options() if options is None else options
        large = [spec.name for spec in model.made(asked).conditions if spec.kind not in FLAT]
        if large:
            raise UsageError(
                f"this model makes images of images ({', '.join(large)}), which cannot be moved by latents",
                do="give a run that was trained without them",
            )
        self.model, self.encoder, self.options = model, encoder, asked
        self.specs: tuple[ConditionSpec, ...] = model.spec.conditions
        self._steers: Steers = model
        self._device = next(model.parameters()).device

    @property
    def width(self) -> int:
        """How many numbers the latents of one image are."""
        return sum(math.prod(shape) for shape in self._steers.latent_shapes())

    def of_seeds(self, seeds: Sequence[int | Mix], rows: Rows) -> Found:
        """The latents that `sample` makes the images of these seeds from."""
        blocks = []
        for start, count, tensors in self._passes(len(seeds), rows):
            chosen = list(seeds[start : start + count])
            chosen += [chosen[-1]] * (self.model.together - count)
            with torch.inference_mode():
                made = self._steers.latents(Noise(chosen), tensors, self.options)
            blocks.append(made[:count].float().cpu().numpy())
        return Found(np.concatenate(blocks), rows)

    def images(self, found: Found) -> NDArray[Any]:
        """Images N H W C of latents. Passes are always full, so that an image does not depend on how many there are."""
        return np.concatenate(list(self.each(found)))

    def each(self, found: Found) -> Iterator[NDArray[Any]]:
        """As `images`, a pass at a time."""
        for start, count, tensors in self._passes(len(found), found.rows):
            block = _full(found.latents[start : start + count], self.model.together)
            with torch.inference_mode():
                made = self._steers.picture(torch.from_numpy(block).to(self._device), tensors, self.options)
            yield from_tensor(made[:count], self.model.spec.mode)

    def of_images(self, images: NDArray[Any], rows: Rows) -> Found:
        """Latents of images N H W C in the form of the model, under these conditions."""
        blocks = []
        for start, count, tensors in self._passes(len(images), rows):
            block = to_tensor(_full(images[start : start + count], self.model.together), self.model.spec.mode)
            with torch.inference_mode():
                blocks.append(self._latents_of(block.to(self._device), tensors)[:count].float().cpu().numpy())
        return Found(np.concatenate(blocks), rows)

    def _latents_of(self, images: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        if self.encoder is not None:
            return torch.as_tensor(self.encoder(images))
        if isinstance(self.model, Inverts):
            return self.model.invert(images, condition, self.options)
        raise TypeError("a model without a way back needs an encoder")

    def guess(self, images: NDArray[Any], table: Rows, given: Mapping[str, Any]) -> Found:
        """As `of_images`, where nobody says what the images show: as what they fit best.

        Of the conditions that seem to fit an image, that counts under which most of it comes back.
        """
        candidates = self._candidates(table, given)
        if len(candidates) == 1:
            return self.of_images(images, _repeated(candidates[0], len(images)))
        order = np.stack([self._misfit(images, row) for row in candidates]).argsort(axis=0)
        best: Found | None = None
        least = np.full(len(images), np.inf)
        for rank in range(1 if self.encoder is not None else min(TRIED, len(candidates))):
            rows = {name: np.stack([candidates[k][name] for k in order[rank]]) for name in candidates[0]}
            found = self.of_images(images, rows)
            error = errors(self.images(found), images)
            best = found if best is None else best.where(error >= least, found)
            least = np.minimum(error, least)
        assert best is not None
        return best

    def likely(self, images: NDArray[Any], table: Rows, given: Mapping[str, Any]) -> Rows:
        """Conditions that images seem to fit, from a look at each."""
        candidates = self._candidates(table, given)
        best = np.stack([self._misfit(images, row) for row in candidates]).argmin(axis=0)
        return {name: np.stack([candidates[k][name] for k in best]) for name in candidates[0]}

    def _misfit(self, images: NDArray[Any], row: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """N: how badly images fit a condition. With an encoder: how little comes back of them."""
        rows = _repeated(row, len(images))
        if self.encoder is not None or not isinstance(self.model, Inverts):
            return errors(self.images(self.of_images(images, rows)), images)
        found = []
        for start, count, tensors in self._passes(len(images), rows):
            block = to_tensor(_full(images[start : start + count], self.model.together), self.model.spec.mode)
            with torch.inference_mode():
                found.append(self.model.misfit(block.to(self._device), tensors)[:count].double().cpu().numpy())
        return np.concatenate(found)

    def _candidates(self, table: Rows, given: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """Rows of conditions to try: labels, else what training images had."""
        size = (self.model.spec.height, self.model.spec.width)
        fixed = {spec.name: spec.encode(given[spec.name], *size) for spec in self.specs if spec.name in given}
        free = [spec for spec in self.specs if spec.name not in given]
        if not free:
            return [fixed]
        if len(free) == 1 and free[0].kind == "label":
            classes = range(min(CANDIDATES, len(free[0].classes)))
            return [{**fixed, free[0].name: np.asarray(label, np.dtype(free[0].dtype))} for label in classes]
        count = len(next(iter(table.values())))
        seen: dict[bytes, dict[str, NDArray[Any]]] = {}
        for at in range(count):
            row = {spec.name: np.asarray(table[spec.name][at]) for spec in free}
            seen.setdefault(b"".join(value.tobytes() for value in row.values()), row)
        return [{**fixed, **row} for row in list(seen.values())[:CANDIDATES]]

    def refined(self, found: Found, images: NDArray[Any], steps: int) -> Iterator[int | Found]:
        """Latents from which more of each image comes back: yields how many images are done, and all latents last."""
        blocks, done = [], 0
        for start, count, tensors in self._passes(len(images), found.rows):
            target = to_tensor(_full(images[start : start + count], self.model.together), self.model.spec.mode)
            begin = torch.from_numpy(_full(found.latents[start : start + count], self.model.together))
            blocks.append(self._descend(begin, target, tensors, steps)[:count].cpu().numpy())
            done += count
            yield done
        yield dataclasses.replace(found, latents=np.concatenate(blocks))

    def _descend(self, latents: Tensor, target: Tensor, condition: Mapping[str, Tensor], steps: int) -> Tensor:
        condition = {name: value.clone() for name, value in condition.items()}
        return descend(
            lambda found: self._steers.picture(found, condition, self.options), latents.to(self._device),
            target.to(self._device), steps,
        )  # fmt: skip

    def held(self, found: Found, images: NDArray[Any], where: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Images N H W C of latents where `where` (height x width) is 1; where it is 0, the given images as they are.

        A model that can is asked to fit the one to the other on its way; of others, latents are looked for that make
        both.
        """
        share = where.astype(np.float32)[None, :, :, None]
        if isinstance(self.model, Holds):
            blocks = []
            for start, count, tensors in self._passes(len(found), found.rows):
                block = torch.from_numpy(_full(found.latents[start : start + count], self.model.together))
                target = to_tensor(_full(images[start : start + count], self.model.together), self.model.spec.mode)
                given = torch.from_numpy(1 - share[..., 0]).expand(self.model.together, 1, -1, -1)
                with torch.inference_mode():
                    made = self.model.hold(
                        block.to(self._device), target.to(self._device), given.to(self._device), tensors, self.options
                    )
                blocks.append(from_tensor(made[:count], self.model.spec.mode))
            return np.concatenate(blocks)
        goal = np.rint(share * self.images(found) + (1 - share) * images).astype(images.dtype)
        *_, better = self.refined(found, goal, HELD)
        assert isinstance(better, Found)
        return np.asarray(np.rint(share * self.images(better) + (1 - share) * images), images.dtype)

    def _passes(self, count: int, rows: Rows) -> Iterator[tuple[int, int, dict[str, Tensor]]]:
        """Full passes: where each starts, how many of its rows count, and its conditions."""
        together = self.model.together
        for start in range(0, count, together):
            part = {name: _full(values[start : start + together], together) for name, values in rows.items()}
            tensors = {name: value.to(self._device) for name, value in condition_tensors(self.specs, part).items()}
            yield start, min(together, count - start), tensors


def _repeated(row: Mapping[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    return {name: np.repeat(value[None], count, axis=0) for name, value in row.items()}


def _full(values: NDArray[Any], count: int) -> NDArray[Any]:
    missing = count - len(values)
    return (
        np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else np.ascontiguousarray(values)
    )


def errors(images: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """The mean squared difference of each pair of images, as a share of the full range squared."""
    most = float(np.iinfo(images.dtype).max)
    apart = (images.astype(np.float32) - others.astype(np.float32)) / most
    return np.asarray(np.square(apart).mean(axis=(1, 2, 3)), np.float64)


def decibels(error: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of mean squared errors; 99 where nothing differs."""
    return np.asarray(np.minimum(99.0, -10 * np.log10(np.maximum(error, 1e-12))))


def slerp(first: NDArray[Any], second: NDArray[Any], place: float) -> NDArray[np.float32]:
    """Between two rows of latents along the arc, so that what lies between is as far from the middle as they are."""
    lengths = [float(np.linalg.norm(row)) for row in (first, second)]
    if min(lengths) < 1e-6:
        return np.asarray((1 - place) * first + place * second, np.float32)
    one, other = first / lengths[0], second / lengths[1]
    angle = math.acos(max(-1.0, min(1.0, float(one @ other))))
    length = (1 - place) * lengths[0] + place * lengths[1]
    if angle < 1e-4 or math.pi - angle < 1e-4:
        return np.asarray((1 - place) * first + place * second, np.float32)
    parts = math.sin((1 - place) * angle) * one + math.sin(place * angle) * other
    return np.asarray(length * parts / math.sin(angle), np.float32)


def blended(rows: Sequence[NDArray[Any]], weights: Sequence[float]) -> NDArray[np.float32]:
    """One row of several: their directions added by weight, as far from the middle as they are on average."""
    share = np.abs(np.asarray(weights, np.float64)) / np.abs(weights).sum()
    lengths = np.array([np.linalg.norm(row) for row in rows])
    total = sum(
        (weight * row / max(length, 1e-9) for weight, row, length in zip(weights, rows, lengths, strict=True)),
        np.zeros_like(rows[0], np.float64),
    )
    length = float(np.linalg.norm(total))
    if length < 1e-9:
        raise UsageError("these weights cancel each other", do="give other ones")
    return np.asarray(total / length * float((share * lengths).sum()), np.float32)
