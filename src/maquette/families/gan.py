"""A generator and a critic that train each other: the fastest way from your images to new ones of their kind.

For minutes on a few cores nothing beat the plain strided pair with batch normalisation (docs/log.md has the races);
the relativistic loss and gradient penalties are settings. What the critic sees is changed at random once it begins to
know the images by heart.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, joined, latent, parted
from maquette.nn.augment import MOST, Augmentation, rolled
from maquette.nn.contest import normal, own_found, scores, unlike
from maquette.nn.conv import Convolution, Enlargement, grid
from maquette.nn.embed import ConditionVector
from maquette.nn.joint import rows_before
from maquette.nn.seek import descend
from maquette.nn.settling import settling

FEW = 500
"""From fewer images than this nothing is learned but by showing them changed, from the start."""
SURE = 0.25
"""How sure the critic may be of real images (the mean sign of its answers) before it is shown them changed more."""
PACE = 10
"""After so many times through the data a critic that stays too sure sees everything changed."""
PACES = (5_000, 50_000)
"""The same in images, at least and at most."""
SEARCH = 160
"""Steps that look for what is missing of an image."""
NEARBY = 0.1
"""How strongly numbers are kept usual there: what is not given follows from them alone."""
WIDER = (1.15, 1.3)
"""Times as wide as in training random numbers may become in the finished model: averaged weights answer less to them,
so that images are more alike than those of any single step."""
WIDEST = 8
"""Channels grow towards the small grid up to this multiple of the width."""


@torch.no_grad()
def smooth_(weight: Tensor) -> None:
    """Start a 4x4 enlargement as a smooth one, so that no chequered pattern has to be unlearned."""
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    nn.init.normal_(weight, std=0.02 * 4)
    weight.copy_(weight[:, :, 1:2, 1:2] * tent[:, None] * tent)


class Level(nn.Module):
    """One level of the generator: normalise, let what the image is made from and fresh noise speak, double the size."""

    def __init__(self, inputs: int, outputs: int, config: Settings, spec: DataSpec, *, steering: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        # The random numbers speak here as well as the wish: where the wish alone did, it alone came to say how an image
        # looks, and all images of a label were alike (docs/log.md).
        self.steer = nn.Linear(steering, 2 * inputs)
        nn.init.normal_(self.steer.weight, std=0.02)
        nn.init.zeros_(self.steer.bias)
        self.noise = nn.Parameter(torch.full((inputs, 1, 1), config.grain)) if config.grain else None
        self.grow = Enlargement(inputs, outputs, tile=spec.tile, bias=outputs == spec.channels)
        smooth_(self.grow.weight)

    def forward(self, x: Tensor, known: Tensor, noise: Tensor) -> Tensor:
        """N inputs H W, N steering, N 1 H W -> N outputs 2H 2W."""
        scale, shift = self.steer(known)[:, :, None, None].chunk(2, dim=1)
        x = self.norm(x) * (1 + scale) + shift
        if self.noise is not None:
            x = x + self.noise * noise
        return torch.as_tensor(self.grow(F.relu(x)))


class Generator(nn.Module):
    """Noise and what was asked for -> image: a small grid, doubled until it is the image."""

    def __init__(self, config: Settings, spec: DataSpec) -> None:
        super().__init__()
        levels, height, width = grid(spec)
        channels = [config.width * min(WIDEST, 2**level) for level in reversed(range(levels))]
        inputs = config.latent + (config.embedding if is_asked(spec) else 0)
        # The start is the same everywhere but for noise, so that patterns come from noise; places are learned slowly.
        # A start of its own for every place is ahead for the first minute and behind after it (docs/log.md).
        self.start = nn.Linear(inputs, channels[0])
        self.place = nn.Parameter(torch.zeros(channels[0], height, width))
        self.seeds = Convolution(config.field, channels[0], 3, tile=spec.tile, bias=False)
        self.sizes = [(height << level, width << level) for level in range(levels)]
        self.levels = nn.ModuleList(
            Level(before, after, config, spec, steering=inputs)
            for before, after in itertools.pairwise([*channels, spec.channels])
        )

    def forward(self, z: Tensor, field: Tensor, noises: Sequence[Tensor], wish: Tensor | None) -> Tensor:
        """N latent, N field h w of the small grid, N 1 h w for every level, N embedding -> N C H W in [-1, 1]."""
        known = z if wish is None else torch.cat([z, wish], dim=1)
        x = self.start(known)[:, :, None, None] + self.seeds(field) + self.place
        for level, noise in zip(self.levels, noises, strict=True):
            x = level(x, known, noise)
        return torch.tanh(x)


class Critic(nn.Module):
    """Image and what was asked for -> how real it looks, whole and piece by piece, and how well it fits."""

    def __init__(self, config: Settings, spec: DataSpec) -> None:
        super().__init__()
        levels, height, width = grid(spec)
        channels = [config.width * min(WIDEST, 2**level) for level in range(levels)]
        inputs = [spec.channels, *channels[:-1]]
        self.shrink = nn.ModuleList(
            # It never looks over an edge, since real images seldom go on there; those that tile it sees rolled.
            Convolution(before, after, 4, stride=2, bias=index == 0 or config.normalise == "none")
            for index, (before, after) in enumerate(zip(inputs, channels, strict=True))
        )
        self.norms = nn.ModuleList(
            normal(config.normalise, count) if index else nn.Identity() for index, count in enumerate(channels)
        )
        self.judge = nn.Linear(channels[-1] * height * width, 1)
        self.pieces = nn.Conv2d(channels[-2], 1, 1) if config.pieces and levels > 1 else None
        # Normalising by the batch hides how unlike each other its images are, so that they came to be more and more
        # alike (docs/log.md): what is normalised away is told beside it.
        self.crowd = nn.Linear(sum(channels), 1, bias=False) if config.crowd else None
        # Words speak of places and numbers ("two, on the left"), which the mean over the image forgets.
        self.placed = is_read(spec)
        whole = channels[-1] * (height * width if self.placed else 1)
        compared = [whole] if self.pieces is None else [whole, channels[-2]]
        self.fits = nn.ModuleList(nn.Linear(config.embedding, c) for c in compared if is_asked(spec))
        for layer in self.shrink:
            nn.init.normal_(layer.get_parameter("weight"), std=0.02)

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """N C H W -> for the whole and for pieces: realness N P, and features N P channels for the fit; float32."""
        x = images
        views, apart = [], []
        for index, (shrink, norm) in enumerate(zip(self.shrink, self.norms, strict=True)):
            x = shrink(x)
            if self.crowd is not None:
                apart.append(unlike(x if index == len(self.shrink) - 1 else x.mean(dim=(2, 3), keepdim=True)))
            x = F.leaky_relu(norm(x), 0.2)
            if index == len(self.shrink) - 2 and self.pieces is not None:
                views.append((self.pieces(x).float().flatten(1), x.float().flatten(2).transpose(1, 2)))
        x = x.float()
        with torch.autocast(x.device.type, enabled=False):
            compared = x.flatten(1) if self.placed else x.mean(dim=(2, 3))
            real = self.judge(x.flatten(1))
            if self.crowd is not None:
                real = real + self.crowd(torch.cat(apart))
            return [(real, compared[:, None]), *views]

    def wishes(self, wish: Tensor | None) -> list[Tensor | None]:
        """N embedding -> what features are compared with, for the whole and for pieces: N 1 channels, in float32."""
        if wish is None:
            return [None] * (1 if self.pieces is None else 2)
        with torch.autocast(wish.device.type, enabled=False):
            return [fit(wish.float())[:, None] for fit in self.fits]


def is_asked(spec: DataSpec) -> bool:
    """Whether anything is asked for beside an image."""
    return bool(spec.conditions)


def is_read(spec: DataSpec) -> bool:
    """Whether there are words to follow."""
    return any(condition.kind == "text" for condition in spec.conditions)


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the pair."""

    batch: int = setting(32, "images a step", ge=1, le=65536)
    average: int = setting(2_500, "half-life of the running average of the weights, in images", ge=1)
    width: int = setting(64, "channels of the finest level; coarser levels have more", ge=4, le=512)
    latent: int = setting(100, "random numbers an image is made from", ge=2, le=4096)
    field: int = setting(16, "random numbers at every place of the small grid", ge=1, le=256)
    embedding: int = setting(64, "size of the vector that conditions become", ge=4, le=1024)
    loss: str = setting("logistic", "how real and made images are compared", choices=("logistic", "relativistic"))
    grain: float = setting(0.0, "how strongly each level starts to use noise of its own; 0 for none", ge=0, le=2)
    pieces: float = setting(0.5, "weight of judging pieces of the image beside the whole; 0 for none", ge=0)
    crowd: bool = setting(
        False,
        "whether the critic is told how unlike each other the images of a batch are; it is where there are no captions",
    )
    normalise: str = setting("batch", "how the critic normalises", choices=("batch", "layer", "none"))
    penalty: str = setting("none", "penalty on the critic's slope", choices=("none", "exact", "difference"))
    gamma: float = setting(0.05, "weight of the penalty", ge=0)
    mismatch: float = setting(0.5, "weight of real images under a wrong condition, as examples of a bad fit", ge=0)
    words: float = setting(0.5, "weight of finding each image's caption among those of the others", ge=0)
    augment: str = setting(
        "auto", "whether the critic sees images changed at random", choices=("auto", "always", "never")
    )
    momentum: float = setting(0.5, "how much of the last steps each step still follows", ge=0, lt=1)
    rate: float = setting(4e-4, "learning rate to begin with", gt=0, le=1)
    half: int = setting(
        80_000, "images after which the rate is half of that, after twice as many a third; 0 for never", ge=0
    )


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    truncation: float = setting(1.0, "below 1 more typical and less varied images, above 1 stranger ones", ge=0, le=2)


class Gan(Family):
    """Generator and critic."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Generator and critic: sharp images in one pass, the fastest to sample; watch its sheets on long runs."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "number", "text"})
    live: ClassVar[frozenset[str]] = frozenset({"truncation"})
    averaged = ("generator", "embed")

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        # One reading of what was asked for, learned by the critic, serves both: reading text is most of a step's work.
        self.embed = ConditionVector(spec.conditions, config.embedding)
        self.generator, self.critic = Generator(config, spec), Critic(config, spec)
        self.augmentation = Augmentation(spec)
        self.known = 0
        optimizer = Optimizer(rate=config.rate, betas=(config.momentum, 0.999), half=config.half or None)
        self.phases = (
            Phase(name="critic", trains=("critic", "embed"), optimizer=optimizer),
            Phase(name="generator", trains=("generator",), optimizer=optimizer),
        )

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width is the one dial. Where there are captions the critic is told nothing of the crowd and learns on at one
        rate: shapes are learned late (docs/log.md)."""
        width = {"nano": 32, "micro": 48, "small": 64, "base": 96}[scale]
        if is_read(spec):
            return Settings(width=width, grain=0.2, half=0)
        return Settings(width=width, crowd=True, average=10_000)

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 30_000, "small": 250_000, "base": 3_000_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The critic tells real from made and fitting from unfitting; the generator makes the critic err."""
        return self._critic_loss(batch) if phase == "critic" else self._generator_loss(batch)

    def _wish(self, batch: Batch) -> Tensor | None:
        if not self.embed:
            return None
        if "wish" not in batch.memo:
            batch.memo["wish"] = self.embed(batch.condition)
        return torch.as_tensor(batch.memo["wish"])

    def _fakes(self, batch: Batch) -> Tensor:
        if "fakes" not in batch.memo:  # One forward pass serves both phases of a step.
            count, device = len(batch.images), batch.images.device
            z = torch.randn(count, self.config.latent, generator=batch.generator, device=device)
            noises = [torch.randn(count, 1, *s, generator=batch.generator, device=device) for s in self.generator.sizes]
            field = torch.randn(
                count, self.config.field, *self.generator.sizes[0], generator=batch.generator, device=device
            )
            wish = self._wish(batch)
            batch.memo["fakes"] = self.generator(z, field, noises, None if wish is None else wish.detach())
        return torch.as_tensor(batch.memo["fakes"])

    def _views(self, images: Tensor, batch: Batch, *, made: bool) -> list[tuple[Tensor, Tensor]]:
        """What the critic says of images that it sees changed at random."""
        if made:
            images = rolled(images, self.spec.tile, batch.generator)
        if self.config.augment != "never":
            images = self.augmentation(images, batch.generator)
        return list(self.critic(images))

    def _mean(self, losses: Sequence[Tensor]) -> Tensor:
        """The loss of the whole and of the pieces, by their weights."""
        whole, *pieces = [loss.mean() for loss in losses]
        return whole + self.config.pieces * sum(pieces) if pieces else whole

    def _critic_loss(self, batch: Batch) -> Loss:
        fakes, self.known = self._fakes(batch).detach(), batch.known
        wish = self._wish(batch)
        wishes = self.critic.wishes(wish)
        real_views, made_views = (self._views(i, batch, made=m) for i, m in ((batch.images, False), (fakes, True)))
        real, made = scores(real_views, wishes), scores(made_views, wishes)
        numbers = {"real": real[0].mean(), "made": made[0].mean(), "sure": real[0].sign().mean()}
        if self.config.loss == "relativistic":
            total = self._mean([F.softplus(m - r) for r, m in zip(real, made, strict=True)])
        else:
            total = self._mean([F.softplus(-r) + F.softplus(m) for r, m in zip(real, made, strict=True)])
        if wish is not None and self.config.mismatch:
            # The neighbour's condition: an example of a real image that is not what was asked for.
            wrong = [None if wish is None else rows_before(wish) for wish in wishes]
            differs = (wish - rows_before(wish)).abs().amax(dim=1, keepdim=True) > 0
            unfit = self._mean([F.softplus(score) * differs for score in scores(real_views, wrong)])
            total = total + self.config.mismatch * unfit
        if wishes[0] is not None and self.critic.placed and self.config.words:
            found = own_found(real_views[0][1], wishes[0]).mean()
            numbers["captions mistaken"] = found
            total = total + self.config.words * found
        if self.config.penalty != "none":
            slopes = [self._slope(images, wishes, batch.generator) for images in (batch.images, fakes)]
            slope = slopes[0] + slopes[1]
            numbers["slope"] = slope
            total = total + self.config.gamma / 2 * slope
        return Loss(total, numbers)

    def _slope(self, images: Tensor, wishes: Sequence[Tensor | None], generator: torch.Generator) -> Tensor:
        """The mean squared slope of the critic at these images, exactly or by a finite difference."""
        if self.config.penalty == "exact":
            with torch.autocast(images.device.type, enabled=False):
                at = images.detach().float().requires_grad_()
                score = torch.stack([view.mean(dim=1) for view in scores(self.critic(at), wishes)]).sum()
                (slope,) = torch.autograd.grad(score, at, create_graph=True)
                return torch.as_tensor(slope.square().sum(dim=(1, 2, 3)).mean())
        step = 0.05  # 0.01 drowns in the rounding of bfloat16
        images = images[: max(2, len(images) // 4)]
        wishes = [None if wish is None else wish[: len(images)] for wish in wishes]
        shift = torch.randn(images.shape, generator=generator, device=images.device)
        near, here = (scores(self.critic(at), wishes) for at in (images + step * shift, images))
        change = torch.stack([(n.mean(dim=1) - h.mean(dim=1)) for n, h in zip(near, here, strict=True)]).sum(dim=0)
        return torch.as_tensor(change.square().mean() / step**2)

    def _generator_loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            wishes = self.critic.wishes(self._wish(batch))
        views = self._views(self._fakes(batch), batch, made=True)
        made = scores(views, wishes)
        if self.config.loss == "relativistic":
            with torch.no_grad():
                real = scores(self._views(batch.images, batch, made=False), wishes)
            made = [m - r for m, r in zip(made, real, strict=True)]
        total, numbers = self._mean([F.softplus(-score) for score in made]), {}
        if wishes[0] is not None and self.critic.placed and self.config.words:
            numbers["captions missed"] = own_found(views[0][1], wishes[0]).mean()
            total = total + self.config.words * numbers["captions missed"]
        return Loss(total, numbers)

    def observe(self, statistics: Mapping[str, float]) -> None:
        """Hide more from a critic that is too sure of real images: it begins to know them by heart."""
        if "sure" not in statistics or self.config.augment == "never":
            return
        always = self.config.augment == "always" or 0 < self.known < FEW
        # Words name the colours and places that are changed, so that changes begin no sooner than they must.
        pace = max(PACES[0], PACE * self.known)
        pace = pace if self.critic.placed else min(PACES[1], pace)
        self.augmentation.adapt(
            statistics["sure"], self.config.batch, target=SURE, least=MOST if always else 0.0, most=MOST, pace=pace
        )

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the batch statistics of the averaged generator anew; they are then part of the model."""
        with settling(self.generator):
            for batch in batches:
                self._fakes(batch)

    def variants(self) -> Mapping[str, Family]:
        """The same with wider random numbers."""
        return {f"random numbers {times:g} times as wide": self._widened(times) for times in WIDER}

    @torch.no_grad()
    def _widened(self, times: float) -> Gan:
        """A copy in which random numbers count so many times as much; what it normalises by stays."""
        model = copy.deepcopy(self)
        generator, size = model.generator, self.config.latent
        generator.seeds.get_parameter("weight").mul_(times)
        for layer in (generator.start, *(level.get_submodule("steer") for level in generator.levels)):
            layer.get_parameter("weight")[:, :size] *= times
        return model

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """One pass of the generator."""
        yield self.picture(self.latents(noise, condition, options), condition, options)

    def complete(
        self, images: Tensor, given: Tensor, noise: Noise, condition: Conditions, options: Any
    ) -> Iterator[Tensor]:
        """Images of which only a part is given (N 1 H W of 1 and 0): from the numbers of each seed on, those are looked
        for that make what is given.

        What the critic believes of the whole is not asked: it led to stripes where nothing is given (docs/log.md).
        """
        condition = {name: value.clone() for name, value in condition.items()}
        begin = self.latents(noise, condition, options)
        for steps in (SEARCH // 4, SEARCH - SEARCH // 4):
            begin = descend(
                lambda found: self.picture(found, condition, options), begin, images, steps, counted=given,
                pull=NEARBY,
            )  # fmt: skip
            yield self.picture(begin, condition, options)

    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """What the whole image starts from, the small grid, and the grain of every level."""
        sizes = self.generator.sizes
        return ((self.config.latent,), (self.config.field, *sizes[0]), *((1, *size) for size in sizes))

    def latents(self, noise: Noise, condition: Conditions, options: Any) -> Tensor:
        """N D: the random numbers of these seeds."""
        names = ["latent", "field", *(f"grain {level}" for level in range(len(self.generator.sizes)))]
        named = zip(names, self.latent_shapes(), strict=True)
        return joined([latent(noise, name, *shape, like=self.generator.start.weight) for name, shape in named])

    def picture(self, latents: Tensor, condition: Conditions, options: Any) -> Tensor:
        """Images N C H W of latents N D."""
        z, field, *noises = parted(latents, self.latent_shapes())
        wish = self.embed(condition) if self.embed else None
        return torch.as_tensor(self.generator(z * options.truncation, field * options.truncation, noises, wish))
