"""The contract: what the author of a model writes, and the powers a model may have.

A family is one file in this folder (or an entry point of the group `maquette.families`) with one subclass of `Family`.
The engine knows only what stands here; it never names a family.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Need, Phase, Scale

Conditions = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class FamilyConfig:
    """Settings that every family has; a family's own Config adds its own."""

    batch: int = setting(64, "images a step", ge=1, le=65536)
    average: int = setting(10_000, "half-life of the running average of the weights, in images", ge=1)


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """For families without dials."""


class Family(nn.Module):
    """Base of all families: an architecture, its losses, and its powers.

    Inside, images are float N C H W in [-1, 1]; RGBA is premultiplied. Losses must be computed in float32: the engine
    may run the forward passes under bfloat16 autocast.
    """

    Config: ClassVar[type[FamilyConfig]]
    Options: ClassVar[type] = NoOptions
    summary: ClassVar[str]
    """One sentence for people: what the family is good for."""
    accepts: ClassVar[frozenset[Kind]] = frozenset()
    needs: ClassVar[Mapping[str, Need]] = {}
    averaged: ClassVar[tuple[str, ...]] = ("",)
    """Prefixes of the parameters whose running average is kept; what only training needs can be left out."""
    phases: tuple[Phase, ...] = (Phase(name="fit"),)
    """May be replaced in __init__ by one that depends on the config."""
    least: ClassVar[int] = 2
    """Fewer images than this teach it nothing."""
    live: ClassVar[frozenset[str]] = frozenset()
    """Dials that only scale random numbers: in an exported graph they can still be turned."""
    together: ClassVar[int] = 16
    """Images a pass when sampling: passes are always full, so that an image does not depend on how many are made."""

    def __init__(self, config: Any, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__()
        self.config, self.spec = config, spec

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> FamilyConfig:
        """The settings for a size of model and a form of data: the one dial from which the rest follows."""
        raise NotImplementedError

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """How many images this size must see before it is better than the next smaller one."""
        return 0

    def loss(self, batch: Batch, phase: str) -> Loss:
        """What the phase minimises on this batch. Random numbers come from `batch.generator` alone."""
        raise NotImplementedError

    def observe(self, statistics: Mapping[str, float]) -> None:
        """Adapt own state to a step's statistics (averaged over processes). Keep such state in buffers."""

    def made(self, options: Any) -> DataSpec:
        """The form of what it makes with these dials, and all that it can be given for it: the data's, usually.

        Images and maps that it can be given beyond the data's conditions may be left out.
        """
        return self.spec

    def derive(self, images: Tensor) -> Conditions:
        """What it makes of images to learn from them: examples of what it can be given beyond the data's conditions."""
        return {}

    def settle(self, batches: Iterable[Batch]) -> None:
        """Called on an averaged copy before it samples: recompute what averaging spoils (batch statistics)."""

    def variants(self) -> Mapping[str, Family]:
        """Other forms of the finished model, by what tells them from it: held-out images choose among them."""
        return {}


@runtime_checkable
class Samples(Protocol):
    """Makes images from noise. Yields the images as they form; the last one is the result."""

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """N C H W in [-1, 1]; row k depends on `noise.seeds[k]` and row k of the conditions alone."""
        ...


@runtime_checkable
class Continues(Protocol):
    """Makes films: what `sample` yields are frames in the order of time, each finished, and the last is its image.

    Frame t is the same however many follow: the image of a film of t frames is frame t of a longer one.
    """

    def frames(self, options: Any) -> int:
        """How many frames `sample` yields with these dials; 1 where it makes one image of what it is given."""
        ...

    def until(self, options: Any, count: int) -> Any:
        """The same dials for a film of `count` frames."""
        ...


@runtime_checkable
class Steers(Protocol):
    """Makes images from latents: numbers that can be blended, moved along directions and looked for.

    The latents of seeds are drawn by chance; those of an image that somebody gives are found (`engine.latent`).
    """

    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parts that a row of latents is put together of: (numbers,) or (channels, height, width)."""
        ...

    def latents(self, noise: Noise, condition: Conditions, options: Any) -> Tensor:
        """N D: from which `sample` makes the images of these seeds."""
        ...

    def picture(self, latents: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Images N C H W of latents N D; slopes go through."""
        ...


@runtime_checkable
class Inverts(Protocol):
    """Finds the latents of images by itself, without an encoder that is trained for it."""

    def invert(self, images: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Latents N D from which `picture` makes nearly these images N C H W."""
        ...

    def misfit(self, images: Tensor, condition: Conditions) -> Tensor:
        """N: how badly images fit what they are said to be, from one cheap look; only comparisons count."""
        ...


@runtime_checkable
class Holds(Protocol):
    """Makes images of latents beside a part of other images, so that both fit."""

    def hold(self, latents: Tensor, images: Tensor, given: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Images N C H W of latents N D; of the images, N 1 H W says from 0 to 1 how much of a pixel stays."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Turns images into latents and back."""

    def encode(self, images: Tensor) -> Tensor:
        """Latents N L h w of images N C H W."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images N C H W of latents."""
        ...


@runtime_checkable
class Tokens(Protocol):
    """Turns images into whole numbers on a grid, and back."""

    levels: tuple[int, ...]
    """Steps of the few numbers that a token stands for; their product is how many tokens there are. Empty where the
    model's settings keep it from counting."""
    grid: tuple[int, int]
    """Height and width of the grid."""

    def to_tokens(self, images: Tensor) -> Tensor:
        """Whole numbers N h w of images N C H W."""
        ...

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Images N C H W of whole numbers N h w."""
        ...


@runtime_checkable
class Scores(Protocol):
    """Says how probable images are."""

    def log_prob(self, images: Tensor, condition: Conditions) -> Tensor:
        """How probable each image is, N: the natural logarithm, or what falls and rises as it would."""
        ...


@runtime_checkable
class Completes(Protocol):
    """Goes on where an image ends."""

    def complete(
        self, images: Tensor, given: Tensor, noise: Noise, condition: Conditions, options: Any
    ) -> Iterator[Tensor]:
        """Images N C H W, of which N 1 H W says with 1 what is given and stays; rows depend on their seeds alone."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """Turns an image (or frames) into an image, a mask or a label's logits."""

    def predict(self, images: Tensor) -> Tensor:
        """What is predicted of images N C H W."""
        ...


@runtime_checkable
class Describes(Protocol):
    """Turns images into rows of numbers in which likeness can be measured."""

    def describe(self, images: Tensor) -> Tensor:
        """N numbers of images N C H W."""
        ...


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Parts of latents, each N and a shape, as rows N D."""
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def parted(latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The inverse of `joined`."""
    pieces = latents.split([math.prod(shape) for shape in shapes], dim=1)
    return [piece.unflatten(1, shape) for piece, shape in zip(pieces, shapes, strict=True)]


def latent(noise: Noise, stream: str, *shape: int, like: Tensor) -> Tensor:
    """Normal numbers of these seeds, on the device of `like`."""
    return torch.as_tensor(noise.normal(stream, *shape)).to(like.device)
