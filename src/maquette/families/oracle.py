"""A model whose best answer is known in closed form: one normal distribution for each pixel. It trains in an instant.

Its mean and its logarithmic scale move with the labels and the numbers that are given, by exact gradients of the exact
likelihood. It is here for tests, for teaching, and as the floor that every other family must beat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.embed import withhold

FLOOR = 1 / 256
"""The smallest standard deviation, about half a step of 8 bits, so that constant pixels stay possible."""


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """The settings of the oracle."""

    average: int = setting(1_000, "half-life of the running average of the weights, in images", ge=1)
    rate: float = setting(0.05, "size of the first steps", gt=0, le=1)
    withheld: float = setting(0.1, "share of training images that are learned without their condition", ge=0, lt=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """The dials of the oracle."""

    temperature: float = setting(1.0, "how far samples stray from the mean", ge=0, le=2)


class Oracle(Family):
    """A normal distribution for each pixel and channel, moved by labels and numbers."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "One normal distribution for each pixel: the known answer that tests and other families compare with."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "number"})
    live: ClassVar[frozenset[str]] = frozenset({"temperature"})

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec, parts)
        self.phases = (Phase(name="fit", optimizer=Optimizer(rate=config.rate, schedule="cosine")),)
        # Along axes that tile every pixel has the same distribution: a mean that differed would show the seam.
        height, width = 1 if "y" in spec.tile else spec.height, 1 if "x" in spec.tile else spec.width
        self.form = (2, spec.channels, height, width)  # mean; logarithm of the scale
        size = math.prod(self.form)
        self.base = nn.Parameter(torch.zeros(1, size))
        # What each condition adds to both: a row for each class, or a slope for a number; the last row is "not given".
        self.shifts = nn.ParameterList(
            torch.zeros(len(condition.classes) + 1 if condition.kind == "label" else 2, size)
            for condition in spec.conditions
        )

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """It has one size."""
        return Settings()

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The negative log-likelihood in nats a value."""
        condition = withhold(batch.condition, self.spec.conditions, self.config.withheld, batch.generator)
        likelihood = self.log_prob(batch.images, condition).mean() / math.prod(self.spec.shape)
        return Loss(-likelihood, {"nats": -likelihood.detach()})

    def log_prob(self, images: Tensor, condition: Conditions) -> Tensor:
        """The exact logarithm of the density of each image, N."""
        mean, scale = self._normal(images.shape[0], condition)
        distance = (images.float() - mean) / scale
        return -(0.5 * distance**2 + scale.log() + 0.5 * math.log(2 * math.pi)).flatten(1).sum(dim=1)

    def sample(self, noise: Noise, condition: Conditions, options: Dials) -> Iterator[Tensor]:
        """Mean plus scaled noise, cut to the range of an image."""
        yield self.picture(self.latents(noise, condition, options), condition, options)

    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Noise of the form of the image."""
        return (self.spec.shape,)

    def latents(self, noise: Noise, condition: Conditions, options: Dials) -> Tensor:
        """N D: how far each value is from its mean, in standard deviations."""
        return latent(noise, "oracle", *self.spec.shape, like=self.base).flatten(1)

    def picture(self, latents: Tensor, condition: Conditions, options: Dials) -> Tensor:
        """Images N C H W of latents N D."""
        mean, scale = self._normal(latents.shape[0], condition)
        moved = mean + options.temperature * scale * latents.unflatten(1, self.spec.shape)
        return torch.as_tensor(moved.clamp(-1, 1))

    def invert(self, images: Tensor, condition: Conditions, options: Dials) -> Tensor:
        """N D: the same way back."""
        mean, scale = self._normal(images.shape[0], condition)
        found = (images - mean) / (scale * max(options.temperature, 1e-3))
        return torch.as_tensor(found.flatten(1))

    def misfit(self, images: Tensor, condition: Conditions) -> Tensor:
        """N: the less probable, the worse."""
        return -self.log_prob(images, condition)

    def _normal(self, count: int, condition: Conditions) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each N C H W, for these conditions."""
        total = self.base.expand(count, -1)
        for spec, shift in zip(self.spec.conditions, self.shifts, strict=True):
            values = condition[spec.name]
            if spec.kind == "label":
                total = total + shift[values]
            else:
                total = total + values.nan_to_num(0.0)[:, None] * shift[0] + values.isnan()[:, None] * shift[1]
        mean, logarithm = total.unflatten(1, self.form).expand(-1, -1, *self.spec.shape).unbind(dim=1)
        return mean, (torch.exp(2 * logarithm) + FLOOR**2).sqrt()
