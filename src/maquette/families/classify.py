"""Which label an image has: a small convolutional network, for judging and for sorting images.

Between the convolutions everything is normalised by channel groups, so that an image's answer does not depend on the
images beside it. What stands before the last layer describes the image in the light of the labels: a space of likeness
that was made for this dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.errors import ConditionError
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Family, FamilyConfig
from maquette.nn.descent import body
from maquette.nn.joint import joint_mean
from maquette.nn.views import jittered


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the classifier."""

    batch: int = setting(64, "images a step", ge=2, le=65536)
    width: int = setting(48, "channels of the finest level; coarser levels have more", ge=8, le=1024)
    smoothing: float = setting(0.05, "share of each answer that is spread over all labels", ge=0, lt=1)
    moved: float = setting(0.125, "how far training images are moved, as a share of their side", ge=0, le=0.5)
    mirrored: bool = setting(True, "whether mirrored images mean the same")
    rate: float = setting(2e-3, "learning rate", gt=0, le=1)


class Classify(Family):
    """Convolutions from the image to one number for each label."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    summary = "Which label an image has: sorts images, and judges whether made ones show what was asked for."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label"})

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        labels = [condition for condition in spec.conditions if condition.kind == "label"]
        if not labels:
            raise ConditionError("a classifier learns labels, and there are none", do="give images in folders by label")
        self.label = labels[0]
        self.body = body(spec, config.width)
        self.answer = nn.Linear(4 * config.width, len(self.label.classes))
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.05, schedule="cosine", weight_decay=0.02)
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
        """Cross entropy of the known labels, of images that are moved and mirrored at random."""
        config = self.config
        images = jittered(batch.images, batch.generator, moved=config.moved, mirrored=config.mirrored)
        known = batch.condition[self.label.name].reshape(-1).long()
        logits = self.predict(images).float()
        last = len(self.label.classes) - 1
        counted = ((known >= 0) & (known <= last)).float()  # where the label is not known, nothing is learned
        losses = F.cross_entropy(logits, known.clamp(0, last), reduction="none", label_smoothing=config.smoothing)
        share = joint_mean(counted).clamp_min(1e-6)
        right = ((logits.argmax(1) == known).float() * counted).mean() / share
        return Loss((losses * counted).mean() / share, {"right": right})

    def describe(self, images: Tensor) -> Tensor:
        """What the image is like: N 4 * width."""
        return torch.as_tensor(self.body(images))

    def predict(self, images: Tensor) -> Tensor:
        """One number for each label, the largest for the most probable: N labels."""
        return torch.as_tensor(self.answer(self.describe(images)))
