"""From image to image: pairs that were ingested, or pairs that it makes itself of plain images.

A U-shaped network turns the given image into the wanted one. Where there is one right answer (a larger image, a sharper
one) only the distance to it counts; where there are many (colours, photographs of drawings, facades of maps) a critic
that sees both images asks for one that could be real.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import FLAT, ConditionSpec, Kind
from maquette.core.errors import ConditionError, DataError, UsageError
from maquette.core.image import CHANNELS, Mode
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import MAX_SIDE, Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.conv import Convolution, Enlargement, interior
from maquette.nn.embed import ConditionPlanes
from maquette.nn.spoil import blurred, edges, enlarged, greyed, shrunk

TASKS = ("pairs", "upscale", "deblur", "colour", "edges")
RESTORING = ("upscale", "deblur")
"""Tasks with one right answer."""
INPUT = "input"
"""The name of the image that is given, where pairs are made of plain images."""
WINDOW = 512
"""Side of the pieces in which large images are worked on."""


class Block(nn.Module):
    """Two convolutions beside the straight way through. Nothing in it looks at the whole image."""

    def __init__(self, channels: int, tile: Tile) -> None:
        super().__init__()
        self.first = Convolution(channels, channels, tile=tile)
        self.second = Convolution(channels, channels, tile=tile)
        nn.init.zeros_(self.second.weight)  # At first every block lets its input pass.
        nn.init.zeros_(self.second.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> the same."""
        return torch.as_tensor(x + self.second(F.silu(self.first(F.silu(x)))))


class Generator(nn.Module):
    """Planes N C H W and noise -> N outputs H W: a U-shaped network over small squares of pixels."""

    def __init__(self, config: Settings, levels: int, inputs: int, outputs: int, noise: int, tile: Tile) -> None:
        super().__init__()
        self.patch, pixels = config.patch, config.patch**2
        channels = [config.width * (level + 2) // 2 for level in range(levels)]
        pairs = list(itertools.pairwise(channels))
        self.enter = Convolution(inputs * pixels, channels[0], tile=tile)
        self.before = nn.ModuleList(Block(fine, tile) for fine, _ in pairs)
        self.shrink = nn.ModuleList(Convolution(fine, coarse, 4, stride=2, tile=tile) for fine, coarse in pairs)
        self.vary = Convolution(noise, channels[-1], 1, bias=False) if noise else None
        self.middle = nn.ModuleList(Block(channels[-1], tile) for _ in range(config.depth))
        self.grow = nn.ModuleList(Enlargement(coarse, fine, tile=tile) for fine, coarse in pairs)
        self.after = nn.ModuleList(Block(fine, tile) for fine, _ in pairs)
        self.leave = Convolution(channels[0], outputs * pixels, tile=tile)
        nn.init.normal_(self.leave.weight, std=1e-3)
        self.step = config.patch << len(pairs)
        # How far the network sees: nine places at every level that is halved, two for each block of the coarsest.
        reach = [9 * (config.patch << level) for level in range(len(pairs))]
        reach.append((2 * config.depth + (0 if pairs else 2)) * self.step)
        self.reach = -(-sum(reach) // self.step) * self.step

    def forward(self, planes: Tensor, noise: Tensor | None) -> Tensor:
        """Planes N C H W, sides multiples of the step, and noise N k h w at the coarsest grid."""
        x = self.enter(F.pixel_unshuffle(planes, self.patch))
        kept = []
        for block, shrink in zip(self.before, self.shrink, strict=True):
            x = block(x)
            kept.append(x)
            x = shrink(F.silu(x))
        if self.vary is not None and noise is not None:
            x = x + self.vary(noise)
        for block in self.middle:
            x = block(x)
        for block, grow in zip(reversed(self.after), reversed(self.grow), strict=True):
            x = block(grow(F.silu(x)) + kept.pop())
        return F.pixel_shuffle(self.leave(F.silu(x)), self.patch).float()


class Critic(nn.Module):
    """Given image and image -> how well they go together, piece by piece."""

    def __init__(self, config: Settings, spec: DataSpec, inputs: int) -> None:
        super().__init__()
        count = max(1, min(config.sight, int(math.log2(min(spec.height, spec.width))) - 1))
        channels = [config.width * 2**level for level in range(count)]
        self.shrink = nn.ModuleList(
            Convolution(before, after, 4, stride=2, bias=not number)
            for number, (before, after) in enumerate(itertools.pairwise([inputs + spec.channels, *channels]))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) if number else nn.Identity() for number, c in enumerate(channels))
        self.head = nn.Conv2d(channels[-1], 1, 1)

    def forward(self, planes: Tensor, images: Tensor) -> Tensor:
        """N inputs H W and N C H W -> scores N 1 h w in float32."""
        x = torch.cat([planes, images], dim=1)
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            x = F.leaky_relu(norm(shrink(x)), 0.2)
        return torch.as_tensor(self.head(x).float())


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the translator."""

    batch: int = setting(16, "images a step", ge=1, le=65536)
    average: int = setting(5_000, "half-life of the running average of the weights, in images", ge=1)
    task: str = setting(
        "pairs", "what it learns: the pairs of the data, or to upscale, deblur, colour or draw plain images",
        choices=TASKS,
    )  # fmt: skip
    times: int = setting(2, "how many times as wide and high `upscale` makes images", ge=2, le=4)
    blur: float = setting(1.5, "the radius of the blur that `deblur` takes away, in pixels", gt=0, le=10)
    width: int = setting(48, "channels of the finest level; coarser levels have more", ge=8, le=1024)
    levels: int | None = setting(
        None, "levels of the network, each half as fine as the one before; if not given 3, or 1 to upscale and deblur",
        ge=1, le=6,
    )  # fmt: skip
    depth: int = setting(2, "blocks at the coarsest level", ge=1, le=32)
    patch: int = setting(2, "side of the squares of pixels that are looked at as one (1, 2, 4 or 8)", ge=1, le=8)
    noise: int = setting(4, "random numbers at every place of the coarsest grid, where answers vary", ge=0, le=64)
    sight: int = setting(3, "how often the critic halves the size: the more, the larger the pieces it sees", ge=1, le=7)
    critic: float | None = setting(
        None, "weight of the critic; 1 where answers vary and 0 elsewhere if not given", ge=0
    )
    distance: float = setting(20.0, "weight of the mean distance to the right answer, beside the critic's 1", gt=0)
    mirror: bool = setting(True, "whether mirrored pairs are as good as those that are given")
    rate: float = setting(1e-3, "learning rate; upscale and deblur take three times that", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    width: int = setting(0, "width in pixels; as in training when 0", ge=0, le=MAX_SIDE)
    height: int = setting(0, "height in pixels; as in training when 0", ge=0, le=MAX_SIDE)
    variety: float = setting(1.0, "how far the answers to one image stray; 0 gives the usual one", ge=0, le=4)


class Translate(Family):
    """The network, its critic, and the making of pairs."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Image to image, from pairs or from plain images alone: maps to facades, upscaling, colouring, edges."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"image", "map"})
    live: ClassVar[frozenset[str]] = frozenset({"variety"})
    averaged = ("generator",)
    together = 4
    counted: Tensor

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.given = _given(config, spec)
        self.planes = ConditionPlanes(spec.conditions)
        inputs = self.planes.channels + (CHANNELS[self.given.mode] if self.given else 0)
        self.weight = float(config.task not in RESTORING) if config.critic is None else config.critic
        noise = config.noise if self.weight else 0
        self.generator = Generator(config, _levels(config, spec), inputs, spec.channels, noise, spec.tile)
        self.noise = noise
        self.register_buffer("counted", interior(spec), persistent=False)
        calm = Optimizer(rate=3 * config.rate, betas=(0.9, 0.99), warmup=0.02, schedule="cosine", final=0.02, clip=1.0)
        lively = Optimizer(rate=config.rate / 2, betas=(0.5, 0.99), schedule="linear", final=0.1)
        if self.weight:
            self.critic = Critic(config, spec, inputs)
            self.phases = (
                Phase(name="critic", trains=("critic",), optimizer=lively),
                Phase(name="generator", trains=("generator",), optimizer=replace(lively, clip=5.0)),
            )
        else:
            self.phases = (Phase(name="fit", trains=("generator",), optimizer=calm),)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; the patch follows the size of the image, so that the finest level stays small."""
        side = min(spec.height, spec.width)
        return Settings(
            width={"nano": 24, "micro": 32, "small": 48, "base": 96}[scale],
            depth={"nano": 2, "micro": 3, "small": 4, "base": 6}[scale],
            patch=2 if side <= 96 else 4,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 8_000, "small": 40_000, "base": 500_000}[scale]

    def made(self, options: Any) -> DataSpec:
        """The size that is asked for; where pairs were made of plain images, an image has to be given."""
        step = max(8, self.generator.step)
        for name, side in (("width", options.width), ("height", options.height)):
            if side % step:
                nearest = max(1, round(side / step)) * step
                raise UsageError(
                    f"a {name} of {side} pixels is not possible", do=f"choose a multiple of {step}, such as {nearest}"
                )
        more = () if self.given is None else (self.given,)
        return replace(
            self.spec, height=options.height or self.spec.height, width=options.width or self.spec.width,
            conditions=(*self.spec.conditions, *more),
        )  # fmt: skip

    def derive(self, images: Tensor) -> Conditions:
        """The image that is given, made of the one that is wanted."""
        task, config = self.config.task, self.config
        if self.given is None:
            return {}
        if task == "upscale":
            return {INPUT: enlarged(shrunk(images, config.times).clamp(-1, 1), list(images.shape[2:]))}
        if task == "deblur":
            return {INPUT: blurred(images, config.blur)}
        grey = greyed(images)
        return {INPUT: grey if task == "colour" else edges(grey)}

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The distance to the right answer, and what the critic says of both images together."""
        if "pairs" not in batch.memo:
            batch.memo["pairs"] = self._pairs(batch)
            planes, images = batch.memo["pairs"]
            batch.memo["made"] = self._answer(planes, self._noise(batch, planes))
        (planes, images), made = batch.memo["pairs"], batch.memo["made"]
        if phase == "critic":
            real, score = self.critic(planes, images), self.critic(planes, made.detach())
            return Loss(
                F.softplus(-real).mean() + F.softplus(score).mean(), {"real": real.mean(), "made": score.mean()}
            )
        distance = ((made - images).abs() * self.counted).mean() / self.counted.mean()
        if not self.weight:
            return Loss(distance, {"distance": distance})
        fooled = F.softplus(-self.critic(planes, made)).mean()
        return Loss(self.config.distance * distance + self.weight * fooled, {"distance": distance})

    def _pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is given, as planes N C H W, and what is wanted; mirrored by chance."""
        images = batch.images
        planes = self._planes({**batch.condition, **self.derive(images.float())})
        if self.config.mirror:
            # What is lost in a small or soft image is lost alike in all directions; a picture of a map is not.
            square = self.config.task in RESTORING and images.shape[2] == images.shape[3]
            for change in (_across, *((_down, _turned) if square else ())):
                dice = torch.rand(len(images), 1, 1, 1, generator=batch.generator, device=images.device) < 0.5
                planes, images = (torch.where(dice, change(some), some) for some in (planes, images))
        return planes, images

    def _planes(self, condition: Conditions) -> Tensor:
        planes = [self.planes(condition)] if self.planes.channels else []
        if self.given is not None:
            if INPUT not in condition:
                raise ConditionError(f"this model needs the image {INPUT!r}", do="give --image FILE")
            planes.append(condition[INPUT].float())
        return torch.cat(planes, dim=1)

    def _noise(self, batch: Batch, planes: Tensor) -> Tensor | None:
        if not self.noise:
            return None
        grid = [side // self.generator.step for side in planes.shape[2:]]
        return torch.randn(len(planes), self.noise, *grid, generator=batch.generator, device=planes.device)

    def _answer(self, planes: Tensor, noise: Tensor | None) -> Tensor:
        """The image; where the given one is near to it, what has to be added to that."""
        found = torch.as_tensor(self.generator(planes, noise))
        if self.config.task in RESTORING:
            return planes[:, -self.spec.channels :] + found
        if self.config.task == "colour":
            return planes[:, -1:] + found
        return torch.tanh(found)

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """One pass of the network."""
        form = self.made(options)
        planes = self._planes(condition)
        shift = None
        if self.noise:
            grid = (form.height // self.generator.step, form.width // self.generator.step)
            shift = options.variety * latent(noise, "variety", self.noise, *grid, like=self.generator.leave.weight)
        yield self._whole(planes, shift)

    def predict(self, images: Tensor) -> Tensor:
        """The answer to images N C H W of any size; `upscale` makes them larger."""
        height, width = (
            side * (self.config.times if self.config.task == "upscale" else 1) for side in images.shape[2:]
        )
        given = self._fitted(images)
        planes = enlarged(given, [height, width]) if self.config.task == "upscale" else given
        step = self.generator.step
        more = (0, -width % step, 0, -height % step)
        answer = self._whole(F.pad(planes, more, mode="replicate"), None)
        return answer[:, :, :height, :width]

    def _fitted(self, images: Tensor) -> Tensor:
        """The image in the mode of what the model is given."""
        large = [c for c in (*self.spec.conditions, *([self.given] if self.given else [])) if c.kind not in FLAT]
        if len(large) != 1 or large[0].kind != "image":
            named = ", ".join(f"{c.kind} {c.name!r}" for c in large)
            raise UsageError(
                f"this model needs more than one image to work on ({named})", do="use maquette sample --image"
            )
        channels = CHANNELS[large[0].mode]
        if channels == images.shape[1]:
            return images.float()
        if channels == 1:
            return greyed(images)
        if channels == 3:
            return images[:, :3].float() if images.shape[1] == 4 else images[:, :1].expand(-1, 3, -1, -1).float()
        colour = images[:, :3] if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
        return torch.cat([colour.float(), torch.ones_like(images[:, :1])], dim=1)

    def _whole(self, planes: Tensor, noise: Tensor | None) -> Tensor:
        """The answer to planes of any size, piece by piece where they are large."""
        height, width = planes.shape[2:]
        if max(height, width) <= 2 * WINDOW:
            return self._answer(planes, noise).clamp(-1, 1)
        margin, step, tile = self.generator.reach, self.generator.step, self.spec.tile
        planes, noise = around(planes, margin, tile), None if noise is None else around(noise, margin // step, tile)
        answer = torch.empty(len(planes), self.spec.channels, height, width, device=planes.device)
        for top, left in itertools.product(range(0, height, WINDOW), range(0, width, WINDOW)):
            below, beside = min(top + WINDOW, height), min(left + WINDOW, width)
            piece = planes[:, :, top : below + 2 * margin, left : beside + 2 * margin]
            shift = noise
            if noise is not None:
                bottom, right = below // step + 2 * margin // step, beside // step + 2 * margin // step
                shift = noise[:, :, top // step : bottom, left // step : right]
            found = self._answer(piece, shift)[:, :, margin : margin + below - top, margin : margin + beside - left]
            answer[:, :, top:below, left:beside] = found.clamp(-1, 1)
        return answer


def _across(images: Tensor) -> Tensor:
    return images.flip(3)


def _down(images: Tensor) -> Tensor:
    return images.flip(2)


def _turned(images: Tensor) -> Tensor:
    return images.transpose(2, 3)


def _given(config: Settings, spec: DataSpec) -> ConditionSpec | None:
    """The image that is given, where pairs are made of plain images."""
    if config.task == "pairs":
        if not spec.conditions:
            others = ", ".join(TASKS[1:])
            raise DataError(
                "the data have no pairs to learn from",
                do=f"ingest pairs (--input FOLDER), or let it make them with --set task=NAME, one of {others}",
            )
        return None
    if config.task == "colour" and CHANNELS[spec.mode] < 3:
        raise DataError(
            "grey images have no colours to learn", do="ingest them with --mode rgb, or choose another task"
        )
    mode: Mode = spec.mode if config.task in RESTORING else "grey"
    return ConditionSpec(name=INPUT, kind="image", mode=mode)


def _levels(config: Settings, spec: DataSpec) -> int:
    """Levels that the image can be halved for. What is lost in a small or soft image is found close by."""
    if 8 % config.patch:
        raise UsageError(f"patches of {config.patch} pixels do not fill every image", do="choose 1, 2, 4 or 8")
    most = config.levels or (1 if config.task in RESTORING else 3)
    height, width, levels = spec.height // config.patch, spec.width // config.patch, 1
    while levels < most and height % 2 == width % 2 == 0 and min(height, width) > 2:
        height, width, levels = height // 2, width // 2, levels + 1
    return levels


def around(images: Tensor, margin: int, tile: Tile) -> Tensor:
    """N C H W with a margin: the other side along axes that tile, the edge's own values elsewhere."""
    for axis, places in (("x", (margin, margin, 0, 0)), ("y", (0, 0, margin, margin))):
        images = F.pad(images, places, mode="circular" if axis in tile else "replicate")
    return images
