"""Images to a small grid of numbers and back: to restore, to compare, to find odd images, and to make new ones.

New images come from a distribution that is fitted to the latents after training (`nn.mixture`). On the grid of 8 x 8
latents that is the default, details stay sharp and fitted distributions still look like whole images; on 4 x 4 images
were more blurred and no more whole (docs/log.md has the numbers).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Conditions, Family, FamilyConfig
from maquette.nn.conv import Convolution, Enlargement, grid, interior
from maquette.nn.mixture import Mixture

PATCH = 2
"""Side of the squares of pixels that are looked at as one: the finest level of the network is half the image."""
GROUP = 16
"""Channels that are normalised together."""


class Block(nn.Module):
    """Two dense convolutions beside the straight way through."""

    def __init__(self, channels: int, tile: Tile) -> None:
        super().__init__()
        groups = max(1, channels // GROUP)
        self.first_norm, self.second_norm = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.first = Convolution(channels, channels, tile=tile)
        self.second = Convolution(channels, channels, tile=tile)
        nn.init.zeros_(self.second.weight)  # At first every block lets its input pass.
        nn.init.zeros_(self.second.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> the same."""
        hidden = self.first(F.silu(self.first_norm(x)))
        return torch.as_tensor(x + self.second(F.silu(self.second_norm(hidden))))


class Encoder(nn.Sequential):
    """Image N C H W -> latents N L h w."""

    def __init__(self, config: Settings, spec: DataSpec, channels: list[int]) -> None:
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(PATCH),
            Convolution(spec.channels * PATCH**2, channels[0], tile=spec.tile),
        ]
        for fine, coarse in itertools.pairwise(channels):
            layers += [Block(fine, spec.tile), Convolution(fine, coarse, 4, stride=2, tile=spec.tile)]
        layers += [Block(channels[-1], spec.tile) for _ in range(config.depth)]
        super().__init__(*layers, Convolution(channels[-1], config.latents, tile=spec.tile))


class Decoder(nn.Sequential):
    """Latents N L h w -> image N C H W."""

    def __init__(self, config: Settings, spec: DataSpec, channels: list[int]) -> None:
        layers: list[nn.Module] = [Convolution(config.latents, channels[-1], tile=spec.tile)]
        layers += [Block(channels[-1], spec.tile) for _ in range(config.depth)]
        for fine, coarse in reversed(list(itertools.pairwise(channels))):
            layers += [Enlargement(coarse, fine, tile=spec.tile), Block(fine, spec.tile)]
        leave = Convolution(channels[0], spec.channels * PATCH**2, tile=spec.tile)
        super().__init__(*layers, nn.SiLU(), leave, nn.PixelShuffle(PATCH))


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the autoencoder."""

    width: int = setting(64, "channels of the finest level; coarser levels have twice as many", ge=8, le=1024)
    depth: int = setting(2, "blocks at the coarsest level, in the encoder and in the decoder", ge=1, le=32)
    grid: int = setting(8, "the shorter side of the grid of latents, about", ge=1, le=256)
    latents: int = setting(4, "numbers at each place of the grid", ge=1, le=64)
    blur: float = setting(0.1, "noise on the latents in training, so that near latents mean like images", ge=0, le=4)
    pull: float = setting(1e-3, "weight that keeps the latents small", ge=0)
    edges: float = setting(1.0, "weight of the differences between neighbouring pixels, at several sizes", ge=0)
    components: int = setting(64, "normal distributions that new latents are drawn from, all labels together", ge=1)
    rate: float = setting(1e-3, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    temperature: float = setting(1.0, "below 1 more typical and less varied images, above 1 stranger ones", ge=0, le=2)


class Autoencoder(Family):
    """Encoder, decoder, and the distribution of the latents."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Images to a small grid of numbers and back: restores and compares images, makes soft new ones at once."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label"})
    counted: Tensor

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        # Half the image is the finest level, so there is at least one halving; small images have smaller grids.
        levels, height, width = grid(spec, min(config.grid, min(spec.height, spec.width) // PATCH))
        channels = [config.width, *[2 * config.width] * (levels - 1)]
        self.encoder, self.decoder = Encoder(config, spec, channels), Decoder(config, spec, channels)
        self.mixture = Mixture((config.latents, height, width), spec.conditions, config.components, spec.tile)
        self.register_buffer("counted", interior(spec), persistent=False)
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.03, schedule="cosine", clip=1.0)
        self.phases = (Phase(name="fit", optimizer=optimizer),)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; large images have a finer grid of latents."""
        return Settings(
            width={"nano": 32, "micro": 48, "small": 64, "base": 96}[scale],
            depth={"nano": 1, "micro": 2, "small": 2, "base": 3}[scale],
            grid=8 if min(spec.height, spec.width) < 128 else 16,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 20_000, "small": 60_000, "base": 500_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """How far what comes back is from the image: its pixels, and their differences at several sizes."""
        latents = self.encode(batch.images)
        error = (self.decode(self._carried(latents, batch.generator)) - batch.images) * self.counted
        share = self.counted.mean()
        pixels, edges = error.abs().mean() / share, _edges(error) / share
        total = pixels + self.config.edges * edges + self.config.pull * latents.square().mean()
        return Loss(total, {"pixels": pixels, "edges": edges, "latents": latents.detach().std()})

    def _carried(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Latents as they reach the decoder in training. A family that counts in tokens rounds them here."""
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        return torch.add(latents, noise, alpha=self.config.blur)

    def encode(self, images: Tensor) -> Tensor:
        """Latents N L h w, float32."""
        return torch.as_tensor(self.encoder(images)).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Images N C H W, float32."""
        return torch.as_tensor(self.decoder(latents)).float()

    def settle(self, batches: Iterable[Batch]) -> None:
        """Fit the distribution of the latents to those of real images."""
        seen = [(self.encode(batch.images), batch.condition) for batch in batches]
        if seen:
            latents = torch.cat([each for each, _ in seen])
            condition = {spec.name: torch.cat([given[spec.name] for _, given in seen]) for spec in self.spec.conditions}
            self.mixture.fit(latents, condition)

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Draw latents and decode them."""
        yield self.decode(self.mixture.draw(noise, condition, options.temperature)).clamp(-1, 1)


def _edges(error: Tensor) -> Tensor:
    """The mean difference between neighbours of N C H W, at up to three sizes, each half the one before."""
    total = torch.zeros((), device=error.device)
    for size in range(3):
        if size and min(error.shape[2:]) < 4:
            break
        error = F.avg_pool2d(error, 2) if size else error
        total = total + error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
    return total
