"""A generator and a critic that train each other: the fastest way from your images to new ones of their kind.

For minutes on a few cores nothing beat the plain strided pair with batch normalisation (docs/log.md has the races);
the relativistic loss and both gradient penalties are settings for longer runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.conv import Convolution, Enlargement, grid
from maquette.nn.embed import ConditionVector

WIDEST = 8
"""Channels grow towards the small grid up to this multiple of the width."""


class Generator(nn.Module):
    """Noise and condition -> image: a small grid, doubled until it is the image."""

    def __init__(self, config: Settings, spec: DataSpec) -> None:
        super().__init__()
        levels, height, width = grid(spec)
        channels = [config.width * min(WIDEST, 2**level) for level in reversed(range(levels))]
        self.embed = ConditionVector(spec.conditions, config.embedding)
        inputs = config.latent + (config.embedding if self.embed else 0)
        self.start = nn.Linear(inputs, channels[0] * height * width)
        self.shape = (channels[0], height, width)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        outputs = [*channels[1:], spec.channels]
        self.grow = nn.ModuleList(
            Enlargement(count, after, tile=spec.tile, bias=after == spec.channels)
            for count, after in zip(channels, outputs, strict=True)
        )
        for layer in self.grow:
            nn.init.normal_(layer.get_parameter("weight"), std=0.02)

    def forward(self, z: Tensor, condition: Conditions) -> Tensor:
        """N latent -> N C H W in [-1, 1]."""
        if self.embed:
            z = torch.cat([z, self.embed(condition)], dim=1)
        x = self.start(z).unflatten(1, self.shape)
        for norm, grow in zip(self.norms, self.grow, strict=True):
            x = grow(F.relu(norm(x)))
        return torch.tanh(x)


class Critic(nn.Module):
    """Image and condition -> how real it looks, and how well it fits what was asked."""

    def __init__(self, config: Settings, spec: DataSpec) -> None:
        super().__init__()
        levels, height, width = grid(spec)
        channels = [config.width * min(WIDEST, 2**level) for level in range(levels)]
        inputs = [spec.channels, *channels[:-1]]
        self.shrink = nn.ModuleList(
            Convolution(before, after, 4, stride=2, tile=spec.tile, bias=index == 0 or not config.normalise)
            for index, (before, after) in enumerate(zip(inputs, channels, strict=True))
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(count) if config.normalise and index else nn.Identity()
            for index, count in enumerate(channels)
        )
        self.judge = nn.Linear(channels[-1] * height * width, 1)
        self.embed = ConditionVector(spec.conditions, channels[-1])
        for layer in self.shrink:
            nn.init.normal_(layer.get_parameter("weight"), std=0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """N C H W -> the realness N, and what the fit is judged by, N channels; both float32."""
        x = images
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            x = F.leaky_relu(norm(shrink(x)), 0.2)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            return self.judge(x.flatten(1)).squeeze(1), x.mean(dim=(2, 3))

    def fit(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """How well features N C fit embedded conditions N C."""
        if condition is None:
            return torch.zeros(len(features), device=features.device)
        return torch.as_tensor((features * condition).sum(dim=1) / features.shape[1] ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the pair."""

    width: int = setting(64, "channels of the finest level; coarser levels have more", ge=4, le=512)
    latent: int = setting(100, "random numbers an image is made from", ge=2, le=4096)
    embedding: int = setting(64, "size of the vector that conditions become", ge=4, le=1024)
    loss: str = setting("logistic", "how real and made images are compared", choices=("logistic", "relativistic"))
    normalise: bool = setting(True, "batch normalisation in the critic")
    penalty: str = setting("none", "penalty on the critic's slope", choices=("none", "exact", "difference"))
    gamma: float = setting(0.05, "weight of the penalty", ge=0)
    mismatch: float = setting(0.5, "weight of real images under a wrong condition, as examples of a bad fit", ge=0)
    rate: float = setting(2e-4, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    truncation: float = setting(1.0, "below 1 more typical and less varied images, above 1 stranger ones", ge=0, le=2)


class Gan(Family):
    """Generator and critic."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Generator and critic: sharp images after minutes; the first choice for most."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "number", "text"})
    averaged = ("generator",)

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.generator, self.critic = Generator(config, spec), Critic(config, spec)
        optimizer = Optimizer(rate=config.rate, betas=(0.5, 0.999))
        self.phases = (
            Phase(name="critic", trains=("critic",), optimizer=optimizer),
            Phase(name="generator", trains=("generator",), optimizer=optimizer),
        )

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width is the one dial."""
        return Settings(width={"nano": 32, "micro": 48, "small": 64, "base": 96}[scale])

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 30_000, "small": 400_000, "base": 3_000_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The critic tells real from made and fitting from unfitting; the generator makes the critic err."""
        return self._critic_loss(batch) if phase == "critic" else self._generator_loss(batch)

    def _fakes(self, batch: Batch) -> Tensor:
        if "fakes" not in batch.memo:  # One forward pass serves both phases of a step.
            z = torch.randn(
                len(batch.images), self.config.latent, generator=batch.generator, device=batch.images.device
            )
            batch.memo["fakes"] = self.generator(z, batch.condition)
        return torch.as_tensor(batch.memo["fakes"])

    def _critic_loss(self, batch: Batch) -> Loss:
        fakes = self._fakes(batch).detach()
        wish = self.critic.embed(batch.condition) if self.critic.embed else None
        real, features = self.critic(batch.images)
        made, made_features = self.critic(fakes)
        real_fit, made_fit = self.critic.fit(features, wish), self.critic.fit(made_features, wish)
        numbers = {"real": real.mean(), "made": made.mean()}
        if self.config.loss == "relativistic":
            total = F.softplus(made + made_fit - real - real_fit).mean()
        else:
            total = F.softplus(-real - real_fit).mean() + F.softplus(made + made_fit).mean()
        if wish is not None and self.config.mismatch and len(real) > 1:
            # The neighbour's condition: an example of a real image that is not what was asked for.
            wrong = self.critic.fit(features, wish.roll(1, 0))
            differs = (wish - wish.roll(1, 0)).abs().amax(dim=1) > 0
            unfit = (F.softplus(real + wrong) * differs).sum() / differs.sum().clamp_min(1)
            total = total + self.config.mismatch * unfit
            numbers["fit"] = (real_fit - wrong).mean()
        if self.config.penalty != "none":
            slope = sum(self._slope(images, batch) for images in (batch.images, fakes))
            numbers["slope"] = slope
            total = total + self.config.gamma / 2 * slope
        return Loss(total, numbers)

    def _slope(self, images: Tensor, batch: Batch) -> Tensor:
        """The mean squared slope of the critic at these images, exactly or by a finite difference."""
        if self.config.penalty == "exact":
            with torch.autocast(images.device.type, enabled=False):
                at = images.detach().float().requires_grad_()
                real, features = self.critic(at)
                wish = self.critic.embed(batch.condition) if self.critic.embed else None
                (slope,) = torch.autograd.grad((real + self.critic.fit(features, wish)).sum(), at, create_graph=True)
                return torch.as_tensor(slope.square().sum(dim=(1, 2, 3)).mean())
        step = 0.05  # 0.01 drowns in the rounding of bfloat16
        quarter = images[: max(1, len(images) // 4)]
        shift = torch.randn(quarter.shape, generator=batch.generator, device=images.device)
        near, _ = self.critic(quarter + step * shift)
        here, _ = self.critic(quarter)
        return torch.as_tensor((near - here).square().mean() / step**2)

    def _generator_loss(self, batch: Batch) -> Loss:
        fakes = self._fakes(batch)
        made, features = self.critic(fakes)
        wish = self.critic.embed(batch.condition) if self.critic.embed else None
        score = made + self.critic.fit(features, wish)
        if self.config.loss == "relativistic":
            with torch.no_grad():
                real, real_features = self.critic(batch.images)
                score = score - real - self.critic.fit(real_features, wish)
        return Loss(F.softplus(-score).mean())

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the batch statistics of the averaged generator anew; they are then part of the model."""
        for norm in self.generator.norms:
            assert isinstance(norm, nn.BatchNorm2d)
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
        self.generator.train()
        for batch in batches:
            self._fakes(batch)
        self.generator.eval()

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """One pass of the generator."""
        z = latent(noise, "latent", self.config.latent, like=self.generator.start.weight)
        yield self.generator(z * options.truncation, condition)
