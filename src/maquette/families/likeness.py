"""What images are like, learned without labels: two views of one image are to lie nearer than two images.

Chen and others, "A simple framework for contrastive learning of visual representations", 2020, made small: it is
trained for a minute on the dataset that it will judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Family, FamilyConfig
from maquette.nn.descent import body
from maquette.nn.joint import joint_rows, own_rows
from maquette.nn.views import jittered


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the network of likeness."""

    batch: int = setting(128, "images a step; more make the task harder and the features better", ge=2, le=65536)
    width: int = setting(48, "channels of the finest level; coarser levels have more", ge=8, le=1024)
    space: int = setting(64, "numbers in which views are compared", ge=2, le=4096)
    sharpness: float = setting(5.0, "how much nearer two views of one image are to lie", gt=0, le=100)
    moved: float = setting(0.2, "how far the two views lie apart, as a share of the side", ge=0, le=0.5)
    light: float = setting(0.4, "how much the two views differ in light and colour", ge=0, lt=1)
    mirrored: bool = setting(True, "whether mirrored images count as the same")
    rate: float = setting(2e-3, "learning rate", gt=0, le=1)


class Likeness(Family):
    """Convolutions to a row of numbers, and a small network on top in whose space views are compared."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    summary = "What images are like, learned without labels: features for judging, trained in a minute."

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        width = 4 * config.width
        self.body = body(spec, config.width)
        self.head = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.space))
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.05, schedule="cosine", weight_decay=0.01)
        self.phases = (Phase(name="fit", optimizer=optimizer),)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale."""
        return Settings(width={"nano": 24, "micro": 32, "small": 48, "base": 96}[scale])

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 30_000, "small": 150_000, "base": 1_000_000}[scale]

    def loss(self, batch: Batch, phase: str) -> Loss:
        """Cross entropy of finding the other view of the same image among all views of the batch."""
        config = self.config
        views = [
            jittered(batch.images, batch.generator, moved=config.moved, mirrored=config.mirrored, light=config.light)
            for _ in range(2)
        ]
        rows = F.normalize(self.head(self.describe(torch.cat(views))).float(), dim=1)
        everyone = torch.cat([joint_rows(view) for view in rows.chunk(2)])
        count = len(everyone) // 2
        place = own_rows(torch.arange(count, device=rows.device))
        itself, other = torch.cat([place, place + count]), torch.cat([place + count, place])
        likeness = config.sharpness * rows @ everyone.T
        likeness = likeness.masked_fill(F.one_hot(itself, 2 * count).bool(), -1e9)
        found = (likeness.argmax(1) == other).float().mean()
        return Loss(F.cross_entropy(likeness, other), {"found": found})

    def describe(self, images: Tensor) -> Tensor:
        """What the image is like: N 4 * width."""
        return torch.as_tensor(self.body(images))
