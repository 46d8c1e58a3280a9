"""Endless texture from one photograph or a few: convolutions all through, fed with a map of noise.

Nothing in the generator knows where it is, so what it makes has any size, and goes on over an edge as it goes on
elsewhere when the noise does. It learns from crops at random places; a critic looks at small pieces of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import ConditionSpec, Kind
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import MAX_SIDE, Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.colour import apart, together
from maquette.nn.conv import Convolution
from maquette.nn.settling import settling

WIDEST = 4
"""Channels grow towards the coarse grid up to this multiple of the width."""
WINDOW = 512
"""Side of the pieces in which large images are made."""
BLEND = "blend"
"""The name of the picture that says where which material lies."""
Span = tuple[int, int]
"""Places of a grid, from the first to before the last; outside the image where they are negative or too large."""


class Level(nn.Module):
    """One level of the generator: normalise, let the material and fresh noise speak, double the size."""

    def __init__(self, inputs: int, outputs: int, config: Settings, materials: int, *, last: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.steer = nn.Conv2d(materials, 2 * inputs, 1, bias=False) if materials else None
        if self.steer is not None:
            nn.init.normal_(self.steer.weight, std=0.5)  # Materials that begin alike are learned as one mixture.
        self.grain = nn.Parameter(torch.full((inputs, 1, 1), config.grain))
        # Doubled plainly and then smoothed by what is learned: a transposed convolution left a chequered pattern.
        self.grow = Convolution(inputs, outputs, bias=last)

    def forward(self, x: Tensor, materials: Tensor | None, noise: Tensor) -> Tensor:
        """N inputs h w, N materials h w (or 1 1) and N 1 2h 2w -> N outputs 2h 2w, whose edge is too dark."""
        x = self.norm(x)
        if self.steer is not None and materials is not None:
            scale, shift = self.steer(materials).chunk(2, dim=1)
            x = x * (1 + scale) + shift
        # Noise as fine as what comes out: four pixels from one number are alike, which is seen as a grid.
        x = F.relu(F.interpolate(x, scale_factor=2, mode="nearest") + self.grain * noise)
        return torch.as_tensor(self.grow(x))


class Reach(nn.Module):
    """A convolution beside the straight way through, at the coarsest grid: sees further."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.look = Convolution(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N channels h w -> the same."""
        return torch.as_tensor(x + self.look(F.relu(self.norm(x))))


class Generator(nn.Module):
    """Maps of noise -> image. It is given a little more than the pixels wanted depend on, and cuts that off again."""

    def __init__(self, config: Settings, spec: DataSpec, materials: int) -> None:
        super().__init__()
        levels = _levels(config, spec)
        channels = [config.width * min(WIDEST, 2**level) for level in reversed(range(levels))]
        self.start = Convolution(config.field, channels[0], bias=False)
        self.far = nn.ModuleList(Reach(channels[0]) for _ in range(config.depth))
        self.levels = nn.ModuleList(
            Level(before, after, config, materials, last=number == levels - 1)
            for number, (before, after) in enumerate(itertools.pairwise([*channels, spec.channels]))
        )
        self.step = 2**levels

    def spans(self, pixels: Span) -> list[Span]:
        """Of every grid the places that these pixels depend on: of the field, of each level, and the pixels."""
        found = [pixels]
        for _ in self.levels:
            start, stop = found[-1]
            found.append(((start - 1) // 2, stop // 2 + 1))  # doubled, then a 3x3 kernel
        start, stop = found[-1]
        margin = 1 + len(self.far)
        return [(start - margin, stop + margin), *reversed(found)]

    def noisy(self, spans: Sequence[Span]) -> list[Span]:
        """Of the field and of each level's noise, which is as fine as what comes out, the places that spans need."""
        return [spans[0], *((2 * start, 2 * stop) for start, stop in spans[1:-1])]

    def forward(
        self, noises: Sequence[Tensor], rows: Sequence[Span], columns: Sequence[Span], materials: Sequence[Tensor]
    ) -> Tensor:
        """Noise of the field (N field h w) and of each level (N 1 2h 2w) at these places -> N C H W in [-1, 1]."""
        x = self.start(noises[0])
        for block in self.far:
            x = block(x)
        margin = 1 + len(self.far)
        x = x[:, :, margin:-margin, margin:-margin]
        for number, level in enumerate(self.levels, 1):
            x = level(x, materials[number - 1] if materials else None, noises[number])
            (top, bottom), (left, right) = rows[number + 1], columns[number + 1]
            above, before = 2 * rows[number][0], 2 * columns[number][0]
            x = x[:, :, top - above : bottom - above, left - before : right - before]
        return torch.tanh(together(x))


class Critic(nn.Module):
    """Crop and materials -> how real it looks at every place, with short, middling and long sight."""

    def __init__(self, config: Settings, spec: DataSpec, materials: int) -> None:
        super().__init__()
        count = max(1, min(config.sight, int(math.log2(_side(config, spec)))))
        channels = [config.judge * min(WIDEST, 2**level) for level in range(count)]
        self.shrink = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not number)
            for number, (before, after) in enumerate(itertools.pairwise([spec.channels + materials, *channels]))
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(count) if number else nn.Identity() for number, count in enumerate(channels)
        )
        # Short sight alone sees stones but no rows of bricks; long sight alone takes far longer to see anything.
        seen = channels[-3:]
        self.heads = nn.ModuleList(nn.Conv2d(count, 1, 1) for count in seen)
        self.fits = nn.ModuleList(nn.Conv2d(materials, count, 1, bias=False) for count in seen if materials)
        for layer in self.shrink:
            nn.init.normal_(layer.get_parameter("weight"), std=0.02)

    def forward(self, images: Tensor, materials: Tensor | None) -> list[Tensor]:
        """N C H W and N materials 1 1 -> scores N 1 h w of every sight, in float32."""
        x, scores = apart(images), []
        if materials is not None:
            x = torch.cat([x, materials.expand(-1, -1, *x.shape[2:]).to(x.dtype)], dim=1)
        first = len(self.shrink) - len(self.heads)
        for number, (shrink, norm) in enumerate(zip(self.shrink, self.norms, strict=True)):
            x = F.leaky_relu(norm(shrink(x)), 0.2)
            if number >= first:
                score = self.heads[number - first](x)
                if materials is not None:
                    wish = self.fits[number - first](materials)
                    score = score + (x * wish).sum(dim=1, keepdim=True) / x.shape[1] ** 0.5
                scores.append(score.float())
        return scores


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the pair."""

    batch: int = setting(1, "photographs a step", ge=1, le=65536)
    crops: int = setting(4, "crops of each photograph a step", ge=1, le=256)
    crop: int = setting(96, "side of a crop, in pixels", ge=8, le=1024)
    average: int = setting(100, "half-life of the running average of the weights, in images", ge=1)
    width: int = setting(32, "channels of the generator's finest level; coarser levels have more", ge=4, le=512)
    judge: int = setting(32, "channels of the critic's finest level; coarser levels have more", ge=4, le=512)
    levels: int = setting(4, "how often the size is doubled on the way from noise to image", ge=1, le=6)
    depth: int = setting(1, "further convolutions at the coarsest grid: larger forms hang together", ge=0, le=8)
    sight: int = setting(4, "how often the critic halves the size: the more, the larger the pieces it sees", ge=1, le=7)
    field: int = setting(32, "random numbers at every place of the coarsest grid", ge=1, le=256)
    grain: float = setting(0.2, "how strongly each level starts to use noise of its own", ge=0, le=2)
    rate: float = setting(1e-3, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    width: int = setting(0, "width in pixels, a multiple of 8; as the photographs when 0", ge=0, le=MAX_SIDE)
    height: int = setting(0, "height in pixels, a multiple of 8; as the photographs when 0", ge=0, le=MAX_SIDE)
    tile: str = setting(
        "as-trained", "along which axes images repeat without a seam", choices=("as-trained", "none", "x", "y", "xy")
    )


class Texture(Family):
    """Generator and critic of materials."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Endless texture of any size, with or without seams, from one photograph of a material or a few."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label"})
    averaged = ("generator",)
    least = 1
    together = 1

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.labels = [condition for condition in spec.conditions if condition.kind == "label"]
        materials = sum(len(label.classes) for label in self.labels)
        self.generator, self.critic = Generator(config, spec, materials), Critic(config, spec, materials)
        optimizer = Optimizer(rate=config.rate, betas=(0.5, 0.99), schedule="linear", final=0.2)
        self.phases = (
            Phase(name="critic", trains=("critic",), optimizer=optimizer),
            Phase(name="generator", trains=("generator",), optimizer=optimizer),
        )

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width is the one dial; of large photographs several crops are taken at a time."""
        usual = Settings()
        room = (spec.height // usual.crop) * (spec.width // usual.crop)
        crops = 4 if room >= 4 else 1
        # Four crops a step, and twice as many steps, beat eight; of several materials a step has to see several.
        several = any(condition.kind == "label" and len(condition.classes) > 1 for condition in spec.conditions)
        return replace(
            usual, width={"nano": 16, "micro": 24, "small": 32, "base": 64}[scale],
            judge={"nano": 16, "micro": 24, "small": 32, "base": 64}[scale], crops=crops,
            batch=(8 if several else 4) // crops, average=400 // crops,
        )  # fmt: skip

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough crops can be seen."""
        return {"nano": 0, "micro": 1_600, "small": 4_000, "base": 80_000}[scale] // cls.variant(scale, spec).crops

    def made(self, options: Any) -> DataSpec:
        """Any size, seamless as asked; where there are several materials, a picture may say which lies where."""
        tiles: dict[str, Tile] = {"as-trained": self.spec.tile, "none": "", "x": "x", "y": "y", "xy": "xy"}
        tile = tiles[options.tile]
        height, width = options.height or self.spec.height, options.width or self.spec.width
        for axis, name, side in (("x", "width", width), ("y", "height", height)):
            if axis in tile and side % self.generator.step:
                nearest = max(1, round(side / self.generator.step)) * self.generator.step
                raise UsageError(
                    f"a {name} of {side} pixels cannot be made without a seam",
                    do=f"choose a multiple of {self.generator.step}, such as {nearest}",
                )
        map_ = (ConditionSpec(name=BLEND, kind="image", mode="grey"),) if self._blends else ()
        conditions = (*self.spec.conditions, *map_)
        return replace(self.spec, height=height, width=width, tile=tile, conditions=conditions)

    @property
    def _blends(self) -> bool:
        return bool(self.labels) and len(self.labels[0].classes) > 1 and all(x.name != BLEND for x in self.labels)

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The critic tells crops from what is made; the generator makes the critic err."""
        materials = self._each(batch.condition)
        made = self._fakes(batch, materials)
        if phase == "critic":
            real, scores = self.critic(self._crops(batch), materials), self.critic(made.detach(), materials)
            told = [F.softplus(-r).mean() + F.softplus(m).mean() for r, m in zip(real, scores, strict=True)]
            return Loss(torch.stack(told).mean(), {"real": real[-1].mean(), "made": scores[-1].mean()})
        return Loss(torch.stack([F.softplus(-score).mean() for score in self.critic(made, materials)]).mean())

    def _each(self, condition: Conditions) -> Tensor | None:
        """The materials of every crop."""
        materials = self._materials(condition)
        return None if materials is None else materials.repeat_interleave(self.config.crops, dim=0)

    def _materials(self, condition: Conditions) -> Tensor | None:
        """Which materials each image shows, N materials 1 1; all 0 where that is not known."""
        if not self.labels:
            return None
        shares = [F.one_hot(condition[c.name], len(c.classes) + 1)[:, :-1].float() for c in self.labels]
        return torch.cat(shares, dim=1)[:, :, None, None]

    def _crops(self, batch: Batch) -> Tensor:
        """Crops at random places of all photographs, in their order."""
        if "crops" not in batch.memo:
            images, side, each = batch.images, _side(self.config, self.spec), self.config.crops
            free = torch.tensor([images.shape[2] - side + 1, images.shape[3] - side + 1], device=images.device)
            places = torch.rand(len(images) * each, 2, generator=batch.generator, device=images.device) * free
            batch.memo["crops"] = torch.stack([
                images[number // each, :, top : top + side, left : left + side]
                for number, (top, left) in enumerate(places.long().tolist())
            ])  # fmt: skip
        return torch.as_tensor(batch.memo["crops"])

    def _fakes(self, batch: Batch, materials: Tensor | None) -> Tensor:
        if "fakes" not in batch.memo:  # One forward pass serves both phases of a step.
            count, device = len(batch.images) * self.config.crops, batch.images.device
            # From a place of the coarsest grid on, whose cells the critic's strides then share: photographs lie
            # anywhere in them, so that it sees what is not the same everywhere in a cell. When what is made lay
            # anywhere as well, a grid was left in it (docs/log.md).
            spans = self.generator.spans((0, _side(self.config, self.spec)))
            sizes = [stop - start for start, stop in self.generator.noisy(spans)]
            noises = [
                torch.randn(count, channels, size, size, generator=batch.generator, device=device)
                for channels, size in zip(self._channels, sizes, strict=True)
            ]
            batch.memo["fakes"] = self.generator(noises, spans, spans, self._everywhere(materials))
        return torch.as_tensor(batch.memo["fakes"])

    @property
    def _channels(self) -> list[int]:
        """Random numbers at a place of the field and of every level."""
        return [self.config.field, *(1 for _ in self.generator.levels)]

    def _everywhere(self, materials: Tensor | None) -> list[Tensor]:
        return [] if materials is None else [materials] * len(self.generator.levels)

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the batch statistics of the averaged generator anew; they are then part of the model."""
        with settling(self.generator):
            for batch in batches:
                self._fakes(batch, self._each(batch.condition))

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """One pass of the generator for every piece of the image, so that what lies between needs little memory."""
        form = self.made(options)
        high, wide = (self.generator.noisy(self.generator.spans((0, side))) for side in (form.height, form.width))
        maps = [
            self._noise(noise, number, channels, high[number], wide[number], form)
            for number, channels in enumerate(self._channels)
        ]
        shares = self._shares(condition)
        image = torch.empty(maps[0].shape[0], *form.shape, device=maps[0].device)
        for top, left in itertools.product(range(0, form.height, WINDOW), range(0, form.width, WINDOW)):
            below, beside = min(top + WINDOW, form.height), min(left + WINDOW, form.width)
            down, across = self.generator.spans((top, below)), self.generator.spans((left, beside))
            places = zip(self.generator.noisy(down), self.generator.noisy(across), strict=True)
            noises = [
                cut(map_, *spans, form.tile, first=(high[number][0], wide[number][0]))
                for number, (map_, spans) in enumerate(zip(maps, places, strict=True))
            ]
            materials = shares
            if BLEND in condition:
                materials = [cut(share, down[n], across[n], form.tile) for n, share in enumerate(shares, 1)]
            image[:, :, top:below, left:beside] = self.generator(noises, down, across, materials)
        yield image

    def _noise(self, noise: Noise, number: int, channels: int, rows: Span, columns: Span, form: DataSpec) -> Tensor:
        """One map of noise for the whole image: one period along an axis that tiles, with a margin along others."""
        scale = self.generator.step >> number
        height = form.height // scale if "y" in form.tile else rows[1] - rows[0]
        width = form.width // scale if "x" in form.tile else columns[1] - columns[0]
        return latent(noise, f"noise {number}", channels, height, width, like=self.generator.start.weight)

    def _shares(self, condition: Conditions) -> list[Tensor]:
        """The share of every material at every place, N materials h w for each level (1 1 where it is the same)."""
        materials = self._materials(condition)
        if materials is None or BLEND not in condition:
            return self._everywhere(materials)
        count = len(self.labels[0].classes)
        tone = (condition[BLEND].float() + 1) / 2 * (count - 1)  # N 1 H W: 0 is the first material, 1 the second
        found = []
        for number in range(len(self.generator.levels)):
            scale = self.generator.step >> number
            mixed = [F.avg_pool2d((1 - (tone - k).abs()).clamp_min(0), scale, ceil_mode=True) for k in range(count)]
            rest = materials[:, count:].expand(-1, -1, *mixed[0].shape[2:])
            found.append(torch.cat([*mixed, rest], dim=1))
        return found


def cut(map_: Tensor, rows: Span, columns: Span, tile: Tile, first: tuple[int, int] = (0, 0)) -> Tensor:
    """A piece of a map whose first place is `first`: over the edge it goes on at the other side where the axis tiles,
    and as at the edge elsewhere."""
    for axis, span, start, dim in (("y", rows, first[0], 2), ("x", columns, first[1], 3)):
        places = torch.arange(*span, device=map_.device)
        size = map_.shape[dim]
        places = places % size if axis in tile else (places - start).clamp(0, size - 1)
        map_ = map_.index_select(dim, places)
    return map_


def _levels(config: Settings, spec: DataSpec) -> int:
    """How often the size is doubled; sides without a seam are made of whole places of the coarsest grid."""
    sides = [side for axis, side in (("x", spec.width), ("y", spec.height)) if axis in spec.tile]
    return min([config.levels, *((side & -side).bit_length() - 1 for side in sides)])


def _side(config: Settings, spec: DataSpec) -> int:
    return min(config.crop, spec.height, spec.width)
