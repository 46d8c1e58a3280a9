"""A model whose best answer is known in closed form: one normal distribution for each pixel. It trains in an instant.

Its mean and its logarithmic scale move with the labels and the numbers that are given, by exact gradients of the exact
likelihood. It is here for tests, for teaching, and as the floor that every other family must beat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.embed import withhold

FLOOR = 1 / 256
"""The smallest standard deviation, about half a step of 8 bits, so that constant pixels stay possible."""


@dataclass(frozen=True, kw_only=True)
class OracleConfig(FamilyConfig):
    """The settings of the oracle."""

    average: int = setting(1_000, "half-life of the running average of the weights, in images", ge=1)
    rate: float = setting(0.05, "size of the first steps", gt=0, le=1)
    dropout: float = setting(0.1, "share of the training images whose conditions are withheld", ge=0, lt=1)


@dataclass(frozen=True, kw_only=True)
class OracleOptions:
    """The dials of the oracle."""

    temperature: float = setting(1.0, "how far samples stray from the mean", ge=0, le=2)


class Oracle(Family):
    """A normal distribution for each pixel and channel, moved by labels and numbers."""

    Config, Options = OracleConfig, OracleOptions
    summary = "one normal distribution for each pixel: the known answer that tests compare with"
    accepts = frozenset({"label", "number"})

    def __init__(self, config: OracleConfig, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec, parts)
        self.phases = (Phase(name="fit", optimizer=Optimizer(rate=config.rate, schedule="cosine")),)
        size = math.prod(spec.shape)
        self.base = nn.Parameter(torch.zeros(2, size))  # mean; logarithm of the scale
        # What each condition adds to both: a row for each class, or a slope for a number; the last row is "not given".
        self.shifts = nn.ParameterList(
            torch.zeros(len(condition.classes) + 1 if condition.kind == "label" else 2, 2 * size)
            for condition in spec.conditions
        )

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> OracleConfig:
        """It has one size."""
        return OracleConfig()

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The negative log-likelihood in nats a value."""
        config: OracleConfig = self.config
        condition = withhold(batch.condition, self.spec.conditions, config.dropout, batch.generator)
        likelihood = self.log_prob(batch.images, condition).mean() / math.prod(self.spec.shape)
        return Loss(-likelihood, {"nats": -likelihood.detach()})

    def log_prob(self, images: Tensor, condition: Conditions) -> Tensor:
        """The exact logarithm of the density of each image, N."""
        mean, scale = self._normal(len(images), condition)
        distance = (images.float() - mean) / scale
        return -(0.5 * distance**2 + scale.log() + 0.5 * math.log(2 * math.pi)).flatten(1).sum(dim=1)

    def sample(self, noise: Noise, condition: Conditions, options: OracleOptions) -> Iterator[Tensor]:
        """Mean plus scaled noise, cut to the range of an image."""
        mean, scale = self._normal(len(noise), condition)
        noises = latent(noise, "oracle", *self.spec.shape, like=self.base)
        yield (mean + options.temperature * scale * noises).clamp(-1, 1)

    def _normal(self, count: int, condition: Conditions) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each N C H W, for these conditions."""
        total = self.base.flatten().expand(count, -1)
        for spec, shift in zip(self.spec.conditions, self.shifts, strict=True):
            values = condition[spec.name]
            if spec.kind == "label":
                total = total + shift[values]
            else:
                total = total + values.nan_to_num(0.0)[:, None] * shift[0] + values.isnan()[:, None] * shift[1]
        mean, logarithm = total.reshape(count, 2, *self.spec.shape).unbind(dim=1)
        return mean, (torch.exp(2 * logarithm) + FLOOR**2).sqrt()
