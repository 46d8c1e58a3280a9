"""Where the subject is, or what every pixel shows: learned from images and the masks that belong to them.

The mask is a condition of the dataset: a `map` (numbers of classes; where there are more than 32 they are read as
opacity, from 0 to the largest) or an `image` (its grey is the opacity). A U-shaped network sees the whole picture at
its coarsest level. Few pairs go far because each step shows them changed: mirrored, moved, enlarged, in other light,
and with one subject laid over the picture of another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import ConditionSpec, Kind
from maquette.core.errors import DataError, UsageError
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale, Tile
from maquette.families.family import Family, FamilyConfig
from maquette.nn.conv import PLACES, Convolution, Enlargement, places
from maquette.nn.joint import joint_rows, rows_before
from maquette.nn.solve import solved

PATCH = 2
"""Side of the squares of pixels that are looked at as one."""
GROUP = 8
"""Channels that are normalised together."""
REACH, SMOOTH = 1 / 9, 1e-4
"""How far around a place its edges are looked at, as a share of the shorter side; and the squared contrast below which
there is none."""
MOST_CLASSES = 32
"""A map with more numbers than this holds opacity, not classes."""


class Block(nn.Module):
    """Two dense convolutions beside the straight way through."""

    def __init__(self, channels: int, tile: Tile) -> None:
        super().__init__()
        groups = channels // GROUP
        self.first_norm, self.second_norm = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.first = Convolution(channels, channels, tile=tile)
        self.second = Convolution(channels, channels, tile=tile)
        nn.init.zeros_(self.second.weight)  # At first every block lets its input pass.
        nn.init.zeros_(self.second.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> the same."""
        hidden = self.first(F.silu(self.first_norm(x)))
        return torch.as_tensor(x + self.second(F.silu(self.second_norm(hidden))))


class Surroundings(nn.Module):
    """Adds to every place what the whole picture is like."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> the same: the mean and the largest of every channel say what there is elsewhere."""
        seen = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return torch.as_tensor(x + self.mix(F.silu(seen))[:, :, None, None])


class Network(nn.Module):
    """Image N C H W -> scores N K H W."""

    def __init__(self, config: Settings, spec: DataSpec, outputs: int) -> None:
        super().__init__()
        tile = spec.tile
        channels = _channels(config, spec)
        pairs = list(itertools.pairwise(channels))
        self.enter = Convolution((spec.channels + PLACES) * PATCH**2, channels[0], tile=tile)
        self.before = nn.ModuleList(Block(fine, tile) for fine, _ in pairs)
        self.shrink = nn.ModuleList(Convolution(fine, coarse, 4, stride=2, tile=tile) for fine, coarse in pairs)
        self.middle = nn.ModuleList(Block(channels[-1], tile) for _ in range(config.depth))
        self.whole = nn.ModuleList(Surroundings(channels[-1]) for _ in range(config.depth))
        self.grow = nn.ModuleList(Enlargement(coarse, fine, tile=tile) for fine, coarse in pairs)
        self.after = nn.ModuleList(Block(fine, tile) for fine, _ in pairs)
        self.leave = Convolution(channels[0], outputs * PATCH**2, tile=tile)
        self.tile = tile

    def forward(self, images: Tensor) -> Tensor:
        """N C H W in [-1, 1] -> N K H W, in float32; height and width can be halved at every level."""
        x = self.enter(F.pixel_unshuffle(torch.cat([images, places(images, self.tile)], dim=1), PATCH))
        kept = []
        for block, shrink in zip(self.before, self.shrink, strict=True):
            x = block(x)
            kept.append(x)
            x = shrink(x)
        for block, whole in zip(self.middle, self.whole, strict=True):
            x = block(whole(x))
        for block, grow in zip(reversed(self.after), reversed(self.grow), strict=True):
            x = block(grow(x) + kept.pop())
        return torch.as_tensor(F.pixel_shuffle(self.leave(F.silu(x)), PATCH)).float()


def _channels(config: Settings, spec: DataSpec) -> list[int]:
    """Channels at every level, the finest first; there are fewer levels where the image cannot be halved as often."""
    height, width = spec.height // PATCH, spec.width // PATCH
    channels = [_whole(config.width)]
    while len(channels) < config.levels and height % 2 == width % 2 == 0 and min(height, width) > 2:
        height, width = height // 2, width // 2
        channels.append(_whole(config.width * (len(channels) + 2) / 2))
    return channels


def _whole(channels: float) -> int:
    """The nearest number of channels that is made of whole groups."""
    return max(GROUP, round(channels / GROUP) * GROUP)


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the segmenter."""

    batch: int = setting(16, "images a step", ge=1, le=65536)
    average: int = setting(2_000, "half-life of the running average of the weights, in images", ge=1)
    width: int = setting(24, "channels of the finest level; coarser levels have more", ge=8, le=1024)
    levels: int = setting(5, "levels of the network, each half as fine as the one before", ge=1, le=8)
    depth: int = setting(2, "blocks at the coarsest level", ge=1, le=32)
    mask: str = setting("", "the condition that is to be predicted; the first map, else the first image, when left out")
    mirror: bool = setting(True, "whether mirrored pictures are as good as those that are given")
    move: float = setting(0.15, "how far pictures are moved, as a share of their sides", ge=0, le=1)
    enlarge: float = setting(1.3, "by how much pictures are enlarged or reduced at most", ge=1, le=4)
    light: float = setting(0.3, "how much brightness, contrast and the balance of colours change", ge=0, le=1)
    lay: float = setting(0.2, "share of pictures over which the subject of another one is laid", ge=0, le=1)
    rate: float = setting(4e-3, "learning rate", gt=0, le=1)


class Segment(Family):
    """The network, and what is done with pairs before it sees them."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    summary = "Learns from images and masks what the subject is, or what every pixel shows; for maquette refine."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"map", "image"})

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        self.target, self.tile = _target(config, spec), spec.tile
        self.classes = len(self.target.classes) if self.target.kind == "map" else 0
        if not 3 <= self.classes <= MOST_CLASSES:
            self.classes = 0  # one subject, more or less opaque
        self.network = Network(config, spec, self.classes or 1)
        optimizer = Optimizer(
            rate=config.rate, betas=(0.9, 0.99), weight_decay=1e-3, warmup=0.03, schedule="cosine", clip=1.0
        )
        self.phases = (Phase(name="fit", optimizer=optimizer),)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; larger images have more levels, so that the coarsest sees all of them."""
        levels = max(3, min(6, round(math.log2(max(min(spec.height, spec.width), 8) / PATCH)) - 1))
        return Settings(
            width={"nano": 16, "micro": 24, "small": 32, "base": 64}[scale],
            depth={"nano": 1, "micro": 2, "small": 2, "base": 3}[scale],
            levels=levels,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 4_000, "small": 30_000, "base": 300_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """Cross-entropy, and the overlap that is missing (soft Dice), on changed pairs."""
        images, truth = self._changed(batch.images, self._truth(batch.condition), batch.generator)
        scores = self.network(images)
        if self.classes:
            entropy = -(truth * F.log_softmax(scores, dim=1)).sum(dim=1).mean()
            guess = scores.softmax(dim=1)[:, 1:]
            aim = truth[:, 1:]
        else:
            entropy = F.binary_cross_entropy_with_logits(scores, truth)
            guess, aim = scores.sigmoid(), truth
        common, both = (guess * aim).sum(dim=(2, 3)), (guess + aim).sum(dim=(2, 3))
        missing = 1 - ((2 * common + 1) / (both + 1)).mean()
        with torch.no_grad():
            one, other = guess > 0.5, aim > 0.5
            overlap = ((one & other).sum() + 1) / ((one | other).sum() + 1)
        return Loss(entropy + missing, {"entropy": entropy, "overlap": overlap.float()})

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Masks of images N C H W of any size, in [-1, 1]: of the subject N 1 H W, or of each class of a map N K H W.

        Images are looked at in about the size that was trained with; outlines then follow the edges of the whole
        image. Where mirroring is harmless, the mirror image is asked as well.
        """
        images = images.float()
        small = F.interpolate(images, self._size(*images.shape[2:]), mode="bilinear", antialias=True)
        found = self._probabilities(small)
        if self.config.mirror:
            found = (found + self._probabilities(small.flip(3)).flip(3)) / 2
        return torch.as_tensor(2 * self._along_edges(found, small, images).clamp(0, 1) - 1)

    def _along_edges(self, found: Tensor, small: Tensor, images: Tensor) -> Tensor:
        """The masks N K h w of small images N C h w in the size of the images N C H W, led by their edges.

        A guided filter (He, Sun and Tang, 2013): near every place the mask is taken for a slope times the colours, plus
        a base. Both are smooth, so that they are found on the small images and used on the large ones.
        """
        radius = max(1, round(min(small.shape[2:]) * REACH))

        def mean(values: Tensor) -> Tensor:
            for axis, sides in (("x", (radius, radius, 0, 0)), ("y", (0, 0, radius, radius))):
                values = F.pad(values, sides, mode="circular" if axis in self.tile else "reflect")
            return F.avg_pool2d(values, 2 * radius + 1, stride=1)

        guide, colour, share = small / 2, mean(small / 2), mean(found)
        planes = guide.split(1, dim=1)
        spread = torch.stack([mean(one * guide) for one in planes], 1) - colour[:, :, None] * colour[:, None]
        joint = torch.stack([mean(one * found) for one in planes], 1) - colour[:, :, None] * share[:, None]
        matrix = spread.permute(0, 3, 4, 1, 2) + SMOOTH * torch.eye(len(planes), device=small.device)
        slope = solved(matrix, joint.permute(0, 3, 4, 1, 2)).permute(0, 3, 4, 1, 2)  # N C K h w
        base = share - (slope * colour[:, :, None]).sum(dim=1)
        large = []
        for one in range(found.shape[1]):  # one mask at a time: images may be large, and classes many
            both = mean(torch.cat([slope[:, :, one], base[:, one : one + 1]], dim=1))
            both = F.interpolate(both, images.shape[2:], mode="bilinear")
            large.append((both[:, :-1] * images / 2).sum(dim=1) + both[:, -1])
        return torch.stack(large, dim=1)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """The size to look at: the shorter side is as in training, the longer one at most four times that."""
        shorter = min(self.spec.height, self.spec.width)
        scale = shorter / min(height, width)
        multiple = PATCH * 2 ** len(self.network.shrink)
        sides = (min(max(shorter, side * scale), 4 * shorter) for side in (height, width))
        rows, columns = (max(multiple, round(side / multiple) * multiple) for side in sides)
        return rows, columns

    def _probabilities(self, images: Tensor) -> Tensor:
        scores = self.network(images)
        return torch.as_tensor(scores.softmax(dim=1) if self.classes else scores.sigmoid())

    def _truth(self, condition: Mapping[str, Tensor]) -> Tensor:
        """The masks as N 1 H W in [0, 1], or as one plane a class."""
        given = condition[self.target.name]
        if self.target.kind == "image":
            unit = (given.float() + 1) / 2
            return unit[:, 3:] if unit.shape[1] == 4 else unit.mean(dim=1, keepdim=True)
        if self.classes:
            return F.one_hot(given, self.classes).permute(0, 3, 1, 2).float()
        return given[:, None].float() / max(1, len(self.target.classes) - 1)

    def _changed(self, images: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The pairs as this step sees them: N C H W and N K H W."""
        count, channels = images.shape[:2]

        def dice(*shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=generator, device=images.device)

        both = torch.cat([images, truth], dim=1)
        if self.config.mirror:
            both = torch.where(dice(1, 1, 1) < 0.5, both.flip(3), both)
        both = self._moved(both, dice)
        images, truth = both[:, :channels], both[:, channels:]
        images, truth = self._laid(images, truth, dice)
        if self.config.light:
            images = self._lit(images, dice)
        return images, truth

    def _moved(self, both: Tensor, dice: Any) -> Tensor:
        """Moved and enlarged; what comes in at the edges is the picture mirrored, or its other side where it tiles."""
        if self.spec.tile:
            down, across = (
                int(joint_rows(dice())[0] * side) if axis in self.spec.tile else 0
                for axis, side in zip("yx", both.shape[2:], strict=True)
            )
            return both.roll((down, across), dims=(2, 3))
        if self.config.enlarge == 1 and self.config.move == 0:
            return both
        scale = self.config.enlarge ** (1 - 2 * dice())  # above 1 the picture is reduced
        shift = (2 * dice(2) - 1) * 2 * self.config.move
        moved = torch.zeros(len(both), 2, 3, device=both.device)
        moved[:, 0, 0] = moved[:, 1, 1] = scale
        moved[:, :, 2] = shift
        grid = F.affine_grid(moved, list(both.shape), align_corners=False)
        return torch.as_tensor(F.grid_sample(both.float(), grid, padding_mode="reflection", align_corners=False))

    def _laid(self, images: Tensor, truth: Tensor, dice: Any) -> tuple[Tensor, Tensor]:
        """On some pictures lies the subject of the next one: another ground, and more than one subject."""
        if not self.config.lay:
            return images, truth
        other, upon = rows_before(images), rows_before(truth)
        over = (1 - upon[:, :1]) if self.classes else upon
        over = over * (dice(1, 1, 1) < self.config.lay)
        return images + (other - images) * over, truth + (upon - truth) * over

    def _lit(self, images: Tensor, dice: Any) -> Tensor:
        """In another light: brighter or darker, with more or less contrast, and of another tint."""
        strength = self.config.light
        colours = 3 if self.spec.mode in ("rgb", "rgba") else 1
        gain = 1 + strength * (2 * dice(1, 1, 1) - 1) + strength / 2 * (2 * dice(colours, 1, 1) - 1)
        lift = strength * (2 * dice(1, 1, 1) - 1)
        lit = torch.as_tensor((images[:, :colours] * gain + lift).clamp(-1, 1))
        if self.spec.mode != "rgba":
            return lit
        alpha = images[:, 3:]
        # colours are premultiplied: they cannot be brighter than the alpha lets through
        return torch.cat([torch.minimum(lit, alpha), alpha], dim=1)


def _target(config: Settings, spec: DataSpec) -> ConditionSpec:
    """The condition that is predicted."""
    masks = [c for c in spec.conditions if c.kind == "map"] + [c for c in spec.conditions if c.kind == "image"]
    if config.mask:
        named = [c for c in masks if c.name == config.mask]
        if not named:
            raise UsageError(
                f"the data have no map or image {config.mask!r}", do=f"there are: {', '.join(c.name for c in masks)}"
            )
        return named[0]
    if not masks:
        raise DataError(
            "the data have no masks to learn from",
            do="add a metadata.csv with the columns file_name and mask beside the images, and ingest them again",
        )
    return masks[0]
