"""From noise to image along a straight line, in a few steps: the family that takes every kind of condition.

A network sees an image mixed with noise and says what the clean image is. Sampling starts from noise alone and follows
what the network says. Predicting the image itself, with the error measured as a velocity, trained much faster at this
size than predicting noise or a preconditioned residual (docs/log.md has the numbers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.conv import Convolution, Enlargement, interior
from maquette.nn.embed import ConditionPlanes, ConditionVector, fourier, nothing, withhold
from maquette.nn.loops import looped

NEAREST = 0.05
"""The error is a velocity, (image - guess) / (1 - time); nearer to the image than this it is not divided further."""
FREQUENCIES = 16
LOOKS = (0.3, 0.5)
"""Where between noise and image it is asked how well a condition fits."""
ROUNDS = 3
"""How often each step is gone when an image is completed."""
TRIES = 3
"""How often a step backwards looks again from where the step forwards would have led here."""
GROUP = 16
"""Channels that are normalised together."""


class Block(nn.Module):
    """Two dense convolutions beside the straight way through, steered by time and condition in between."""

    def __init__(self, channels: int, embedding: int, tile: Tile) -> None:
        super().__init__()
        self.first = Convolution(channels, channels, tile=tile)
        self.norm = nn.GroupNorm(max(1, channels // GROUP), channels, affine=False)
        self.steer = nn.Linear(embedding, 2 * channels)
        self.second = Convolution(channels, channels, tile=tile)
        for layer in (self.steer, self.second):  # At first every block lets its input pass.
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """N channels H W and N embedding -> N channels H W."""
        scale, shift = self.steer(state)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm(self.first(F.silu(x)))
        return torch.as_tensor(x + self.second(F.silu(hidden * (1 + scale) + shift)))


def _told(guess: Tensor, known: tuple[Tensor, Tensor] | None) -> Tensor:
    """The guess, with what is known in its place."""
    return guess if known is None else known[1] * known[0] + (1 - known[1]) * guess


class Denoiser(nn.Module):
    """Mixed image, time and condition -> the clean image: a U-shaped network over small patches of pixels."""

    def __init__(self, config: Settings, spec: DataSpec) -> None:
        super().__init__()
        self.patch, embedding = config.patch, config.embedding
        channels = _channels(config, spec)
        self.planes = ConditionPlanes(spec.conditions)
        self.wish = ConditionVector(spec.conditions, embedding)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        pixels = config.patch**2
        self.enter = Convolution((spec.channels + self.planes.channels) * pixels, channels[0], tile=spec.tile)
        self.leave = Convolution(channels[0], spec.channels * pixels, tile=spec.tile)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.get_parameter("bias"))
        pairs = list(itertools.pairwise(channels))
        self.shrink = nn.ModuleList(Convolution(fine, coarse, 4, stride=2, tile=spec.tile) for fine, coarse in pairs)
        self.grow = nn.ModuleList(Enlargement(coarse, fine, tile=spec.tile) for fine, coarse in pairs)
        self.before = nn.ModuleList(Block(fine, embedding, spec.tile) for fine, _ in pairs)
        self.after = nn.ModuleList(Block(fine, embedding, spec.tile) for fine, _ in pairs)
        self.middle = nn.ModuleList(Block(channels[-1], embedding, spec.tile) for _ in range(config.depth))
        # Words speak of places ("on the left"); what steers blocks is the same everywhere, and knows none.
        self.coarse = (channels[-1], *(side // config.patch >> len(pairs) for side in (spec.height, spec.width)))
        read = any(condition.kind == "text" for condition in spec.conditions) and not spec.tile
        self.places = nn.Linear(embedding, math.prod(self.coarse)) if read else None
        if self.places is not None:
            nn.init.zeros_(self.places.weight)
            nn.init.zeros_(self.places.bias)

    def forward(self, mixed: Tensor, time: Tensor, condition: Conditions, wish: Tensor | None = None) -> Tensor:
        """N C H W and N -> N C H W, in float32. `wish` is the vector of what is asked for, where it is known."""
        state = self.time(fourier(time, FREQUENCIES))
        if self.wish:
            state = state + (self.wish(condition) if wish is None else wish)
        state = F.silu(state)
        if self.planes.channels:
            mixed = torch.cat([mixed, self.planes(condition)], dim=1)
        x = self.enter(F.pixel_unshuffle(mixed, self.patch))
        kept = []
        for block, shrink in zip(self.before, self.shrink, strict=True):
            x = block(x, state)
            kept.append(x)
            x = shrink(x)
        if self.places is not None:
            x = x + self.places(state).unflatten(1, self.coarse)
        for block in self.middle:
            x = block(x, state)
        for block, grow in zip(reversed(self.after), reversed(self.grow), strict=True):
            x = block(grow(x) + kept.pop(), state)
        return F.pixel_shuffle(self.leave(F.silu(x)), self.patch).float()


def _channels(config: Settings, spec: DataSpec) -> list[int]:
    """Channels at every level, the finest first; there are fewer levels where the image cannot be halved as often."""
    height, width = spec.height // config.patch, spec.width // config.patch
    channels = [config.width]
    while len(channels) < config.levels and height % 2 == width % 2 == 0 and min(height, width) > 2:
        height, width = height // 2, width // 2
        channels.append(config.width * (len(channels) + 2) // 2)
    return channels


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the flow."""

    batch: int = setting(32, "images a step", ge=1, le=65536)
    width: int = setting(64, "channels of the finest level; coarser levels have more", ge=8, le=1024)
    levels: int = setting(3, "levels of the network, each half as fine as the one before", ge=1, le=6)
    depth: int = setting(2, "blocks at the coarsest level", ge=1, le=32)
    patch: int = setting(2, "side of the squares of pixels that are looked at as one (1, 2, 4 or 8)", ge=1, le=8)
    embedding: int = setting(128, "size of the vector that time and conditions become", ge=8, le=2048)
    middle: float = setting(-0.8, "where most of the training lies between noise (below 0) and image", ge=-4, le=4)
    spread: float = setting(0.8, "how far the training spreads around that place", gt=0, le=4)
    withheld: float = setting(0.1, "share of training images that are learned without their condition", ge=0, lt=1)
    rate: float = setting(1.5e-3, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    steps: int = setting(8, "steps from noise to image; more are slower and finer", ge=1, le=1000)
    guidance: float = setting(1.0, "above 1 follows the condition more closely, with less variety", ge=0, le=20)
    temperature: float = setting(1.0, "below 1 plainer images, above 1 stranger ones", ge=0, le=2)


class Flow(Family):
    """The denoiser, and the way from noise to image along its guesses."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Many small steps from noise to image: varied, takes every kind of condition, and improves for hours."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "text", "number", "image", "map", "frames"})
    live: ClassVar[frozenset[str]] = frozenset({"temperature"})
    counted: Tensor

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        if 8 % config.patch:
            raise UsageError(f"patches of {config.patch} pixels do not fill every image", do="choose 1, 2, 4 or 8")
        self.denoiser = Denoiser(config, spec)
        self.register_buffer("counted", interior(spec), persistent=False)
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.03, schedule="cosine", clip=1.0)
        self.phases = (Phase(name="fit", optimizer=optimizer),)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; the patch follows the size of the image, so that the finest level stays small."""
        side = min(spec.height, spec.width)
        patch = 2 if side <= 32 else 4 if side <= 64 else 8
        return Settings(
            width={"nano": 32, "micro": 48, "small": 64, "base": 96}[scale],
            depth={"nano": 1, "micro": 2, "small": 2, "base": 3}[scale],
            patch=patch,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 30_000, "small": 100_000, "base": 1_000_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The mean squared error of the velocity, at a random place between noise and image."""
        images, config = batch.images, self.config
        noise = torch.randn(images.shape, generator=batch.generator, device=images.device)
        place = torch.randn(len(images), generator=batch.generator, device=images.device)
        time = torch.sigmoid(config.middle + config.spread * place)
        condition = withhold(batch.condition, self.spec.conditions, config.withheld, batch.generator)
        at = time[:, None, None, None]
        guess = self.denoiser((1 - at) * noise + at * images, time, condition)
        error = (guess - images) / (1 - at).clamp_min(NEAREST)
        return Loss((error.square() * self.counted).mean() / self.counted.mean())

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Heun's method from noise to image; yields the clean image as it is guessed after every step."""
        start = self.latents(noise, condition, options).unflatten(1, self.spec.shape)
        yield from self._way(start * options.temperature, condition, options)

    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Noise of the form of the image."""
        return (self.spec.shape,)

    def latents(self, noise: Noise, condition: Conditions, options: Any) -> Tensor:
        """N D: the noise of these seeds."""
        return latent(noise, "flow", *self.spec.shape, like=self.denoiser.leave.weight).flatten(1)

    def picture(self, latents: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Images N C H W of latents N D."""
        start = latents.unflatten(1, self.spec.shape) * options.temperature
        *_, image = self._way(start, condition, options)
        return image

    def invert(self, images: Tensor, condition: Conditions, options: Any) -> Tensor:
        """The same way backwards, step by step: each asks from where its step would have led here."""
        x = images
        times = [step / options.steps for step in range(options.steps + 1)]
        for now, then in reversed(list(itertools.pairwise(times))):
            before, kept, least = x, x, torch.full((len(x),), math.inf, device=x.device)
            for _ in range(TRIES):  # towards the place from which the step ends at x; where that strays, not further
                missed = self._step(before, now, then, condition, options.guidance)[0] - x
                error = missed.square().mean(dim=(1, 2, 3))
                better = error < least
                kept = torch.where(better[:, None, None, None], before, kept)
                least = torch.where(better, error, least)
                before = before - missed
            x = kept
        return torch.as_tensor(x.flatten(1) / max(options.temperature, 1e-3))

    def misfit(self, images: Tensor, condition: Conditions) -> Tensor:
        """N: the error of the guess at the clean image, half way, under the same noise for all conditions."""
        total = torch.zeros(len(images), device=images.device)
        for time in LOOKS:
            noise = latent(Noise([0] * len(images)), "misfit", *self.spec.shape, like=images)
            guess = self._guess((1 - time) * noise + time * images, time, condition, 1.0)
            total = total + (guess - images).square().mean(dim=(1, 2, 3))
        return total

    def complete(
        self, images: Tensor, given: Tensor, noise: Noise, condition: Conditions, options: Any
    ) -> Iterator[Tensor]:
        """Images of which only a part is given (N 1 H W of 1 and 0): it takes the place of the guess there.

        Parts of the way are gone again under fresh noise, so that what is made comes to fit what is given.
        """
        x = self.latents(noise, condition, options).unflatten(1, self.spec.shape) * options.temperature
        times = [step / options.steps for step in range(options.steps + 1)]
        for step, (now, then) in enumerate(itertools.pairwise(times)):
            for again in range(ROUNDS if now > 0 and then < 1 else 1):
                if again:  # back from `then` to `now`
                    share = now / then
                    lost = ((1 - now) ** 2 - (share * (1 - then)) ** 2) ** 0.5
                    fresh = latent(noise, f"again {step} {again}", *self.spec.shape, like=x)
                    x = share * x + lost * options.temperature * fresh
                x, guess = self._step(x, now, then, condition, options.guidance, (images, given))
            yield guess.clamp(-1, 1)

    def hold(self, latents: Tensor, images: Tensor, given: Tensor, condition: Conditions, options: Any) -> Tensor:
        """The way of `picture`, on which what is given takes the place of the guess."""
        x = latents.unflatten(1, self.spec.shape) * options.temperature
        guess, times = x, [step / options.steps for step in range(options.steps + 1)]
        for now, then in itertools.pairwise(times):
            x, guess = self._step(x, now, then, condition, options.guidance, (images, given))
        return _told(guess, (images, given)).clamp(-1, 1)

    def _way(self, x: Tensor, condition: Conditions, options: Any) -> Iterator[Tensor]:
        if options.guidance != 1.0 and not self.denoiser.wish:
            raise UsageError(
                "guidance follows a condition, and this model was trained without one", do="leave guidance at 1"
            )
        if torch.compiler.is_exporting():
            yield self._in_one_graph(x, options.steps, condition, options.guidance)
            return
        times = [step / options.steps for step in range(options.steps + 1)]
        for now, then in itertools.pairwise(times):
            x, guess = self._step(x, now, then, condition, options.guidance)
            yield guess.clamp(-1, 1)

    def _step(
        self,
        x: Tensor,
        now: float,
        then: float,
        condition: Conditions,
        guidance: float,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One step of Heun's method: where it leads, and the clean image as it is guessed there.

        Of `known` images the part that is given is not guessed on the way.
        """
        guess = self._guess(x, now, condition, guidance)
        slope = (_told(guess, known) - x) / (1 - now)
        ahead = x + (then - now) * slope
        if then < 1:
            guess = self._guess(ahead, then, condition, guidance)
            ahead = x + (then - now) / 2 * (slope + (_told(guess, known) - ahead) / (1 - then))
        return ahead, guess

    def _in_one_graph(self, x: Tensor, steps: int, condition: Conditions, guidance: float) -> Tensor:
        """The same as a loop in which the network stands once, so that an exported graph stays small.

        Every step but the last looks twice: from where it is, and from where that would lead.
        """
        length, bare = 1 / steps, nothing(condition, self.spec.conditions)
        wish, none = (self.denoiser.wish(c) if self.denoiser.wish else None for c in (condition, bare))
        looks = [((step + again) / steps, 1.0 - again) for step in range(steps) for again in (0, 1)][:-1]

        def look(state: tuple[Tensor, ...], time: Tensor, first: Tensor) -> tuple[Tensor, ...]:
            at, here, slope, _ = state
            times = time.expand(at.shape[0])
            guess = self.denoiser(at, times, condition, wish)
            if guidance != 1.0:
                plain = self.denoiser(at, times, bare, none)
                guess = plain + guidance * (guess - plain)
            found = (guess - at) / (1 - time)
            ahead = torch.where(first > 0, at + length * found, here + length / 2 * (slope + found))
            return ahead, torch.where(first > 0, at, here), found, guess

        *_, guess = looped(look, (x, *(torch.zeros_like(x) for _ in range(3))), *torch.tensor(looks).unbind(1))
        return guess.clamp(-1, 1)

    def _guess(self, x: Tensor, time: float, condition: Conditions, guidance: float) -> Tensor:
        times = torch.full((x.shape[0],), time, device=x.device)
        guess = torch.as_tensor(self.denoiser(x, times, condition))
        if guidance == 1.0:
            return guess
        plain = self.denoiser(x, times, nothing(condition, self.spec.conditions))
        return torch.as_tensor(plain + guidance * (guess - plain))
