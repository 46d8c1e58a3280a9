"""Images to a small grid of tokens (or of numbers) and back: to restore, to compare, to compress, to find odd images.

New images come from a distribution that is fitted to the latents after training (`nn.mixture`), soft ones; `recurrent`
learns to write tokens instead. Which losses, widths and squashes won: docs/log.md.
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
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Conditions, Family, FamilyConfig
from maquette.nn.conv import Convolution, Enlargement, interior
from maquette.nn.mixture import Mixture
from maquette.nn.quantize import STEEPNESS, Quantizer, levels_of
from maquette.nn.thumbnail import squares, undone
from maquette.nn.typical import Typical, statistics
from maquette.nn.views import spoiled
from maquette.nn.windows import by_windows

PATCH = 2
"""Side of the squares of pixels that are looked at as one: the finest level of the network is half the image."""
GROUP = 16
"""Channels that are normalised together."""
WITHIN = 2.0
"""How far latents may stray before they are squashed; beyond this almost everything takes the last step."""


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


class Encoder(nn.Module):
    """Image N C H W -> latents N L h w."""

    def __init__(self, config: Settings, spec: DataSpec, channels: list[int], latents: int) -> None:
        super().__init__()
        enter = Convolution(spec.channels * PATCH**2, channels[0], tile=spec.tile)
        self.fine = nn.Sequential(nn.PixelUnshuffle(PATCH), enter)
        layers: list[nn.Module] = []
        for fine, coarse in itertools.pairwise(channels):
            layers += [Block(fine, spec.tile), Convolution(fine, coarse, 4, stride=2, tile=spec.tile)]
        self.coarse = nn.Sequential(*layers, *(Block(channels[-1], spec.tile) for _ in range(config.depth)))
        self.leave = Convolution(channels[-1], latents, tile=spec.tile)
        # Brightness and colours of each square go straight through, and everything else is learned beside them: left
        # to itself the network found one axis of colour and was long without the other (docs/log.md).
        side = PATCH * 2 ** (len(channels) - 1)
        self.plain = nn.Conv2d(spec.channels, latents, side, stride=side, bias=False)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.get_parameter("bias"))
        with torch.no_grad():
            self.plain.weight.copy_(squares(spec.channels, latents, side))

    def forward(self, images: Tensor) -> Tensor:
        """N C H W -> N L h w."""
        return torch.as_tensor(self.leave(self.coarse(self.fine(images))) + self.plain(images))

    def meaning(self, images: Tensor) -> Tensor:
        """What the last layers see, on average over the image: N channels, float32."""
        return torch.as_tensor(self.coarse(self.fine(images))).float().mean(dim=(2, 3))


class Decoder(nn.Module):
    """Latents N L h w -> image N C H W."""

    def __init__(self, config: Settings, spec: DataSpec, channels: list[int], latents: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(latents, channels[-1], tile=spec.tile)]
        layers += [Block(channels[-1], spec.tile) for _ in range(config.depth)]
        for fine, coarse in reversed(list(itertools.pairwise(channels))):
            layers += [Enlargement(coarse, fine, tile=spec.tile), Block(fine, spec.tile)]
        leave = Convolution(channels[0], spec.channels * PATCH**2, tile=spec.tile)
        self.layers = nn.Sequential(*layers, nn.SiLU(), leave, nn.PixelShuffle(PATCH))
        side = PATCH * 2 ** (len(channels) - 1)
        self.plain = nn.ConvTranspose2d(latents, spec.channels, side, stride=side, bias=False)
        nn.init.zeros_(leave.weight)
        nn.init.zeros_(leave.get_parameter("bias"))
        with torch.no_grad():  # near 0 the squash of the quantiser is about a line of this slope
            slope = STEEPNESS / 2 if config.codes else 1.0
            self.plain.weight.copy_(undone(squares(spec.channels, latents, side)) / slope)

    def forward(self, latents: Tensor) -> Tensor:
        """N L h w -> N C H W."""
        return torch.as_tensor(self.layers(latents) + self.plain(latents))


class Critic(nn.Module):
    """Tells images from what came back of them; what its layers see is compared too."""

    def __init__(self, width: int, spec: DataSpec) -> None:
        super().__init__()
        channels = [spec.channels, width, 2 * width, 4 * width][: 3 if min(spec.height, spec.width) < 16 else 4]
        self.layers = nn.ModuleList(
            Convolution(before, after, 4, stride=2, tile=spec.tile) for before, after in itertools.pairwise(channels)
        )
        # Only differences between two judgements count, so a bias would learn nothing.
        self.judge = nn.Conv2d(channels[-1], 1, 1, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """N C H W -> how real each piece looks, N 1 h w, and what each layer saw; float32."""
        seen, x = [], images
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            seen.append(x.float())
        return self.judge(x).float(), seen


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the autoencoder."""

    batch: int = setting(32, "images a step", ge=1, le=65536)
    width: int = setting(64, "channels of the finest level; coarser levels have twice as many", ge=8, le=1024)
    depth: int = setting(2, "blocks at the coarsest level, in the encoder and in the decoder", ge=1, le=32)
    compression: int = setting(
        4, "pixels along the side of what one token stands for (4, 8 or 16); where that does not fit, half as many",
        ge=2, le=16,
    )  # fmt: skip
    codes: int = setting(
        1000, "different tokens: 16, 64, 240, 1000, 4375 or 15360; 0 keeps numbers instead, finer and not countable",
        ge=0, le=15360,
    )  # fmt: skip
    latents: int = setting(4, "numbers at each place of the grid, where there are no tokens", ge=1, le=64)
    blur: float = setting(0.1, "noise on such numbers in training, so that near ones mean like images", ge=0, le=4)
    pull: float = setting(1e-2, "weight that keeps the numbers from growing", ge=0)
    edges: float = setting(1.0, "weight of the differences between neighbouring pixels, at several sizes", ge=0)
    square: float = setting(2.0, "weight of the squared error, which counts large errors most", ge=0)
    features: float = setting(0.2, "weight of what the critic's layers see; 0 does without a critic", ge=0)
    real: float = setting(0.01, "weight of how real the critic finds what comes back", ge=0)
    critic_from: float = setting(0.5, "share of the run after which the critic joins in", ge=0, lt=1)
    spoiled: float = setting(
        0.1, "share of training images that come in noisy, blurred or with a hole, and are to come back clean", ge=0,
        le=1,
    )  # fmt: skip
    components: int = setting(64, "normal distributions that new latents are drawn from, all labels together", ge=1)
    rate: float = setting(2e-3, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    temperature: float = setting(1.0, "below 1 more typical and less varied images, above 1 stranger ones", ge=0, le=2)


class Autoencoder(Family):
    """Encoder, decoder, the critic of what comes back, and the distributions of latents and of likeness."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = (
        "Images to a small grid of tokens and back: restores, compares, compresses, finds odd ones; soft new ones."
    )
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label"})
    live: ClassVar[frozenset[str]] = frozenset({"temperature"})
    averaged = ("encoder", "decoder")
    counted: Tensor

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        if config.compression not in (2, 4, 8, 16):
            raise UsageError(f"a compression of {config.compression} is not possible", do="choose 2, 4, 8 or 16")
        self.grid, halvings = _grid(config.compression, spec)
        channels = [config.width, *[2 * config.width] * (halvings - 1)]
        self.quantizer = Quantizer(levels_of(config.codes)) if config.codes else None
        latents = len(self.quantizer.levels) if self.quantizer else config.latents
        self.encoder = Encoder(config, spec, channels, latents)
        self.decoder = Decoder(config, spec, channels, latents)
        self.form = (latents, *self.grid)
        self.mixture = Mixture(self.form, spec.conditions, config.components, spec.tile)
        lost, plain = (part(torch.zeros(1, spec.channels, 8, 8)).shape[1] for part in (_energies, statistics))
        self.typical = Typical((plain, channels[-1] + lost))
        self.register_buffer("counted", interior(spec), persistent=False)
        shared: dict[str, Any] = {"rate": config.rate, "warmup": 0.03, "schedule": "cosine", "clip": 1.0}
        fit = Phase(name="fit", trains=self.averaged, optimizer=Optimizer(betas=(0.9, 0.99), **shared))
        self.phases = (fit,)
        self.critic = Critic(config.width // 2, spec) if config.features or config.real else None
        if self.critic is not None:
            optimizer = Optimizer(betas=(0.5, 0.99), **{**shared, "rate": config.rate / 4})
            span = (config.critic_from, 1.0)
            self.phases = (fit, Phase(name="critic", trains=("critic",), span=span, optimizer=optimizer))

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; the larger the image, the more pixels one token stands for."""
        side = min(spec.height, spec.width)
        return Settings(
            width={"nano": 32, "micro": 48, "small": 64, "base": 96}[scale],
            depth={"nano": 1, "micro": 1, "small": 2, "base": 3}[scale],
            compression=4 if side < 128 else 8 if side < 256 else 16,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 20_000, "small": 60_000, "base": 500_000}[scale]

    # Training

    def loss(self, batch: Batch, phase: str) -> Loss:
        """How far what comes back is from the image; and, once the critic has joined in, how unlike it looks."""
        return self._critic_loss(batch) if phase == "critic" else self._fit_loss(batch)

    def _came_back(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What comes back of the batch, and its latents before they are rounded; both phases share one pass."""
        if "came back" not in batch.memo:
            images = spoiled(batch.images, batch.generator, share=self.config.spoiled)
            latents = torch.as_tensor(self.encoder(images)).float()
            batch.memo["came back"] = self.decode(self._carried(latents, batch.generator)), latents
        images, latents = batch.memo["came back"]
        return images, latents

    def _fit_loss(self, batch: Batch) -> Loss:
        config = self.config
        made, latents = self._came_back(batch)
        error = (made - batch.images) * self.counted
        share = self.counted.mean()
        pixels, edges = error.abs().mean() / share, _edges(error) / share
        total = pixels + config.square * error.square().mean() / share + config.edges * edges
        numbers = {"pixels": pixels, "edges": edges, "latents": latents.detach().std()}
        # Where numbers are rounded, only those far outside are pulled back: there the squash lets no gradient through.
        far = latents if self.quantizer is None else F.relu(latents.abs() - WITHIN)
        total = total + config.pull * far.square().mean()
        if self.critic is not None and batch.progress >= config.critic_from:
            # Where axes wrap, what lies at the seam is not judged: it is taken over from the image itself.
            judged, seen = self.critic(batch.images + error)
            with torch.no_grad():
                real, right = self.critic(batch.images)
            features = sum(((s - r).abs().mean() for s, r in zip(seen, right, strict=True)), torch.zeros(()))
            total = total + config.features * features + config.real * F.softplus(real - judged).mean()
            numbers["features"] = features.detach()
        return Loss(total, numbers)

    def _critic_loss(self, batch: Batch) -> Loss:
        assert self.critic is not None
        made, _ = self._came_back(batch)
        shown = batch.images + (made.detach() - batch.images) * self.counted
        real, judged = self.critic(batch.images)[0], self.critic(shown)[0]
        return Loss(F.softplus(judged - real).mean(), {"told apart": (real > judged).float().mean()})

    def _carried(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Latents as they reach the decoder in training: tokens as they are, numbers with noise."""
        if self.quantizer is not None:
            return torch.as_tensor(self.quantizer(latents))
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        return torch.add(latents, noise, alpha=self.config.blur)

    # What it can do

    @property
    def levels(self) -> tuple[int, ...]:
        """Steps of the numbers that a token stands for; empty where latents are numbers."""
        return self.quantizer.levels if self.quantizer is not None else ()

    def encode(self, images: Tensor) -> Tensor:
        """Latents N L h w, float32; where there are tokens, their codes in (-1, 1)."""
        latents = torch.as_tensor(self.encoder(images)).float()
        return latents if self.quantizer is None else torch.as_tensor(self.quantizer(latents))

    def decode(self, latents: Tensor) -> Tensor:
        """Images N C H W, float32."""
        return torch.as_tensor(self.decoder(latents)).float()

    def to_tokens(self, images: Tensor) -> Tensor:
        """Whole numbers N h w of images N C H W."""
        return self._counts().tokens(self.encode(images))

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Images N C H W of whole numbers N h w."""
        return self.decode(self._counts().values(tokens)).clamp(-1, 1)

    def _counts(self) -> Quantizer:
        if self.quantizer is None:
            raise UsageError("this autoencoder keeps numbers and no tokens", do="train one with --set codes=1000")
        return self.quantizer

    def predict(self, images: Tensor) -> Tensor:
        """What comes back of images of any size: cleaner than what came in."""
        return by_windows(lambda some: self.decode(self.encode(some)).clamp(-1, 1), images, self.spec)

    def log_prob(self, images: Tensor, condition: Conditions) -> Tensor:
        """How usual what each image is like is, plainly and to the encoder: see `describe`."""
        return self.typical.usual(self.describe(images))

    def describe(self, images: Tensor) -> Tensor:
        """Plain statistics, what the last layers of the encoder see, and how much is lost at three sizes."""
        lost = _energies(self.decode(self.encode(images)) - images)
        return torch.cat([statistics(images), self.encoder.meaning(images), lost], dim=1)

    def settle(self, batches: Iterable[Batch]) -> None:
        """Fit the distributions of latents and of likeness to real images."""
        seen = [(self.encode(b.images), self.describe(b.images), b.condition) for b in batches]
        if seen:
            latents, rows = torch.cat([each[0] for each in seen]), torch.cat([each[1] for each in seen])
            condition = {s.name: torch.cat([each[2][s.name] for each in seen]) for s in self.spec.conditions}
            self.mixture.fit(latents, condition)
            self.typical.fit(rows)

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Draw latents and decode them."""
        yield self.picture(self.latents(noise, condition, options), condition, options)

    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The grid of latents."""
        return (self.form,)

    def latents(self, noise: Noise, condition: Conditions, options: Any) -> Tensor:
        """N D: drawn as those of real images are spread."""
        latents = self.mixture.draw(noise, condition, options.temperature)
        latents = latents if self.quantizer is None else self.quantizer.snapped(latents)
        return torch.as_tensor(latents.flatten(1))

    def picture(self, latents: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Images N C H W of latents N D; between tokens there is no gap."""
        return self.decode(latents.unflatten(1, self.form)).clamp(-1, 1)

    def invert(self, images: Tensor, condition: Conditions, options: Any) -> Tensor:
        """N D: what the encoder says."""
        return self.encode(images).flatten(1)

    def misfit(self, images: Tensor, condition: Conditions) -> Tensor:
        """N zeros: what comes back of images does not depend on what they are said to be."""
        return torch.zeros(len(images), device=images.device)


def _grid(compression: int, spec: DataSpec) -> tuple[tuple[int, int], int]:
    """The grid of latents, and how many halvings lead to it: as asked for, as fits, and leaving four."""
    halvings = 1
    while 2 ** (halvings + 1) <= compression:
        sides = [divmod(side, 2 ** (halvings + 1)) for side in (spec.height, spec.width)]
        if any(rest or count < 4 for count, rest in sides):
            break
        halvings += 1
    return (spec.height >> halvings, spec.width >> halvings), halvings


def _edges(error: Tensor) -> Tensor:
    """The mean difference between neighbours of N C H W, at up to three sizes, each half the one before."""
    total = torch.zeros((), device=error.device)
    for size in range(3):
        if size and min(error.shape[2:]) < 4:
            break
        error = F.avg_pool2d(error, 2) if size else error
        total = total + error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
    return total


def _energies(error: Tensor) -> Tensor:
    """N C H W -> N 3: the logarithm of the mean square at three sizes, each half the one before."""
    rows = []
    for size in range(3):
        error = F.avg_pool2d(error, 2) if size else error
        rows.append((error.square().mean(dim=(1, 2, 3)) + 1e-6).log())
    return torch.stack(rows, dim=1)
