"""What comes next: several possible futures of a film, or several images that numbers, a label or an image allow for.

A recurrent network reads the frames that are given, a clip of a few at a time, into a memory that is a small picture
itself. A second network draws the next clip out of the memory and some noise; the memory reads that too, and so on for
as long as anybody asks. Every draw of the noise is one possible future.

It learns by the energy score of two futures (`nn.energy`), which is least when futures are as varied as what really
comes: neither one blurred mean nor two that agree by chance. So one pass makes a clip, and training runs through whole
forecasts, as they are made later. What this was chosen over: docs/log.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import ConditionSpec, Kind
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.cell import Hourglass, Memory
from maquette.nn.conv import PLACES, Convolution, interior, places
from maquette.nn.embed import ConditionPlanes, ConditionVector, withhold
from maquette.nn.energy import WHOLE, energy_score

GRAIN = 4
"""Planes of noise beside the vector of noise: what differs from place to place."""
CLIP = 5
"""Frames that are read and written at once, where there are as many."""
FILMS = 4e-4
"""The learning rate of films: at that of single images their loss stood still after a few thousand (docs/log.md)."""
SQUARES = (4, 16)
"""Sides of the squares of pixels that are compared, beside the whole picture."""


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the forecast."""

    batch: int = setting(8, "films a step", ge=1, le=65536)
    average: int = setting(2_000, "half-life of the running average of the weights, in films", ge=1)
    given: int = setting(0, "frames that are known; half of those of the data when 0", ge=0, le=64)
    ahead: int = setting(0, "frames that are to come; the rest of the data's when 0", ge=0, le=64)
    clip: int = setting(0, "frames that are read and written at once; 5 or fewer when 0", ge=0, le=64)
    width: int = setting(64, "channels of the memory", ge=16, le=1024)
    depth: int = setting(2, "blocks at the coarse size, in each of the two networks", ge=1, le=32)
    patch: int = setting(4, "side of the squares of pixels that are looked at as one (1, 2, 4 or 8)", ge=1, le=8)
    chance: int = setting(16, "numbers of noise that a future is drawn from, for the whole picture", ge=1, le=1024)
    embedding: int = setting(64, "size of the vector that noise and conditions become", ge=8, le=2048)
    withheld: float = setting(0.1, "share of training images that are learned without their condition", ge=0, lt=1)
    rate: float = setting(1.5e-3, "learning rate; of films .0004 when left out", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    ahead: int = setting(0, "how many frames; as many as were learned when 0", ge=0, le=1000)
    temperature: float = setting(1.0, "below 1 likelier futures, above 1 stranger ones", ge=0, le=2)


class Forecast(Family):
    """A memory, and a network that draws what comes next out of it."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = (
        "What comes next: several possible futures of a film, or images of what numbers say, each as likely as it is."
    )
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "text", "number", "image", "map", "frames"})
    live: ClassVar[frozenset[str]] = frozenset({"temperature"})
    counted: Tensor

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        config, spec, self.film = _settled(config, spec)
        super().__init__(config, spec)
        if 8 % config.patch:
            raise UsageError(f"patches of {config.patch} pixels do not fill every image", do="choose 1, 2, 4 or 8")
        others = [condition for condition in spec.conditions if condition.name != self.film]
        width, pixels = config.width, config.patch**2
        size = (spec.height // config.patch, spec.width // config.patch)
        self.planes = ConditionPlanes(others)
        self.wish = ConditionVector(others, config.embedding)
        self.start = Convolution((PLACES + self.planes.channels) * pixels, width, tile=spec.tile)
        values = config.clip * spec.channels * pixels
        steer = config.embedding if self.wish else 0
        if self.film:
            self.memory = Memory(values, width, size, depth=max(1, config.depth - 1), steer=steer, tile=spec.tile)
        self.chance = nn.Sequential(
            nn.Linear(config.chance, config.embedding), nn.SiLU(), nn.Linear(config.embedding, config.embedding)
        )
        self.writer = Hourglass(
            width + GRAIN, width, size, depth=config.depth, steer=config.embedding, tile=spec.tile
        )  # fmt: skip
        self.leave = Convolution(width, values, tile=spec.tile)
        self.register_buffer("counted", interior(spec), persistent=False)
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.03, schedule="cosine", clip=1.0)
        self.phases = (Phase(name="fit", optimizer=optimizer),)
        self.squares = (*(size for size in SQUARES if size < min(spec.height, spec.width)), WHOLE)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; the patch follows the size of the image, so that the memory stays small."""
        side = min(spec.height, spec.width)
        return Settings(
            width={"nano": 32, "micro": 48, "small": 64, "base": 128}[scale],
            depth={"nano": 1, "micro": 2, "small": 2, "base": 3}[scale],
            patch=2 if side <= 32 else 4 if side <= 64 else 8,
            rate=FILMS if _films(spec) else Settings.rate,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough films can be seen."""
        return {"nano": 0, "micro": 3_000, "small": 8_000, "base": 100_000}[scale]

    def frames(self, options: Dials) -> int:
        """How many frames `sample` yields with these dials."""
        count = options.ahead or self.config.ahead
        if count > 1 and not self.film:
            raise UsageError("this model makes one image of what it is given, not a film", do="leave out --ahead")
        return int(count)

    def until(self, options: Dials, count: int) -> Dials:
        """The dials for a film of `count` frames."""
        return dataclasses.replace(options, ahead=count)

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The energy score of two futures, clip by clip; of what is given, each clip but the first is forecast too."""
        config, generator = self.config, batch.generator
        condition = withhold(batch.condition, self.spec.conditions, config.withheld, generator)
        past, future = self._split(batch, condition)
        memory, state = self._begin(batch.images, condition)
        total, count = torch.zeros((), device=batch.images.device), 0
        for place, clip in enumerate(past):
            memory = self._read(memory, clip, state)
            if place + 1 < len(past):
                total, count = total + self._score(memory, state, past[place + 1], generator)[0], count + 1
        memory, state = torch.cat([memory, memory]), None if state is None else torch.cat([state, state])
        for place, clip in enumerate(future):
            score, written = self._score(memory, state, clip, generator, drawn=True)
            total, count = total + score, count + 1
            if place + 1 < len(future):
                memory = self._read(memory, written, state)
        return Loss(total / count)

    def _score(
        self, memory: Tensor, state: Tensor | None, came: Tensor, generator: torch.Generator, drawn: bool = False
    ) -> tuple[Tensor, Tensor]:
        """How good two clips are that are drawn of a memory (or one of each of two halves), and the clips."""
        if not drawn:
            memory, state = torch.cat([memory, memory]), None if state is None else torch.cat([state, state])
        shapes = (self.config.chance,), (GRAIN, *memory.shape[2:])
        # Two for each image, which lie in the two halves.
        noises = [
            torch.randn(len(memory) // 2, 2, *shape, generator=generator, device=memory.device) for shape in shapes
        ]
        written = self._write(memory, state, *(noise.transpose(0, 1).flatten(0, 1) for noise in noises))
        one, other = written[:, : came.shape[1]].flatten(1, 2).chunk(2)
        return energy_score(one, other, came.flatten(1, 2), self.counted, self.squares), written

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Frame by frame what comes, N C H W each."""
        count, clip = self.frames(options), self.config.clip
        like = self.leave.weight
        vector = latent(noise, "chance 0", self.config.chance, like=like) * options.temperature
        blank = torch.zeros(vector.shape[0], *self.spec.shape, device=like.device)
        memory, state = self._begin(blank, condition)
        for known in self._given(condition):
            memory = self._read(memory, known, state)
        for first in range(0, count, clip):
            number = first // clip
            if number:
                vector = latent(noise, f"chance {number}", self.config.chance, like=like) * options.temperature
            grain = latent(noise, f"grain {number}", GRAIN, *memory.shape[2:], like=like) * options.temperature
            written = self._write(memory, state, vector, grain)
            for frame in written[:, : count - first].unbind(dim=1):
                yield frame.clamp(-1, 1)
            if first + clip < count:
                memory = self._read(memory, written, state)

    def _begin(self, images: Tensor, condition: Conditions) -> tuple[Tensor, Tensor | None]:
        """The memory before anything is read, N width h w, and the vector of what is asked for."""
        known = places(images, self.spec.tile)
        if self.planes.channels:
            known = torch.cat([known, self.planes(condition)], dim=1)
        memory = torch.tanh(self.start(F.pixel_unshuffle(known, self.config.patch)).float())
        return memory, F.silu(self.wish(condition)) if self.wish else None

    def _read(self, memory: Tensor, clip: Tensor, state: Tensor | None) -> Tensor:
        """The memory after a clip N T C H W."""
        return torch.as_tensor(self.memory(memory, F.pixel_unshuffle(clip.flatten(1, 2), self.config.patch), state))

    def _write(self, memory: Tensor, state: Tensor | None, vector: Tensor, grain: Tensor) -> Tensor:
        """A clip N T C H W that is drawn of the memory, in float32."""
        steer = self.chance(vector) if state is None else self.chance(vector) + state
        drawn = self.writer(torch.cat([memory, grain.to(memory.dtype)], dim=1), F.silu(steer))
        pixels = F.pixel_shuffle(self.leave(F.silu(drawn)), self.config.patch).float()
        return torch.as_tensor(pixels.unflatten(1, (self.config.clip, self.spec.channels)))

    def _given(self, condition: Conditions) -> list[Tensor]:
        """The frames that are known in clips, each N T C H W; the first frame is repeated where the first clip lacks
        some."""
        if not self.film:
            return []
        frames = _alike(condition[self.film][:, : self.config.given], self.spec)
        lacking = -self.config.given % self.config.clip
        frames = torch.cat([frames[:, :1].expand(-1, lacking, -1, -1, -1), frames], dim=1)
        return list(frames.split(self.config.clip, dim=1))

    def _split(self, batch: Batch, condition: Conditions) -> tuple[list[Tensor], list[Tensor]]:
        """What is given and what comes, both in clips; the last clip may be shorter."""
        came = batch.images[:, None]
        if self.film:
            later = _alike(condition[self.film][:, self.config.given :], self.spec)
            came = torch.cat([later, came], dim=1)[:, : self.config.ahead]
        if came.shape[1] < self.config.ahead:
            raise UsageError(
                f"a film of the dataset goes on for {came.shape[1]} frames after the {self.config.given} that are "
                f"given, and {self.config.ahead} are asked for",
                do="ingest with a larger --past, or set a smaller ahead",
            )
        return self._given(condition), list(came.split(self.config.clip, dim=1))


def _films(spec: DataSpec) -> list[ConditionSpec]:
    return [condition for condition in spec.conditions if condition.kind == "frames"]


def _settled(config: Settings, spec: DataSpec) -> tuple[Settings, DataSpec, str]:
    """The settings with all their numbers, the form as it is when the model is used, and the name of its frames.

    A dataset's films are as long as what is given and what comes together, but for the last frame, which is the image;
    a model is given the first of them alone.
    """
    films = _films(spec)
    if not films:
        return dataclasses.replace(config, given=0, ahead=1, clip=1), spec, ""
    if len(films) > 1:
        names = ", ".join(film.name for film in films)
        raise UsageError(f"a forecast goes on with one film, not {len(films)}", do=f"name one with --given: {names}")
    (film,) = films
    given = config.given or (film.length + 1) // 2
    if given > film.length:
        raise UsageError(
            f"{given} frames cannot be given: the films have {film.length} before the last",
            do="ingest with a larger --past, or set a smaller given",
        )
    ahead = config.ahead or film.length + 1 - given
    clip = config.clip or min(CLIP, given, ahead)
    asked = tuple(dataclasses.replace(c, length=given) if c is film else c for c in spec.conditions)
    settled = dataclasses.replace(config, given=given, ahead=ahead, clip=clip)
    return settled, dataclasses.replace(spec, conditions=asked), film.name


def _alike(frames: Tensor, spec: DataSpec) -> Tensor:
    """Frames N T C H W of any mode in the channels of the images."""
    have, want = frames.shape[2], spec.channels
    if have == want:
        return frames
    if have == 4:  # premultiplied: laid on white
        frames = frames[:, :, :3] + 1 - frames[:, :, 3:]
    if want == 1:
        weights = torch.tensor([0.2126, 0.7152, 0.0722], device=frames.device)
        return (frames * weights[:, None, None]).sum(dim=2, keepdim=True)
    colour = frames.expand(-1, -1, 3, -1, -1)
    return torch.cat([colour, torch.ones_like(colour[:, :, :1])], dim=2) if want == 4 else colour
