"""What comes next: several possible futures of a film, or several images that numbers, a label or an image allow for.

A recurrent network reads the frames that are given into a memory that is a small picture itself. A second network
draws the next frame out of the memory, the last frames and some noise; the memory reads that too, and so on for as long
as anybody asks. Every draw of the noise is one possible future. A frame is for the most part the one before, carried:
the network says from where each of its squares comes, in a few ways, and which pixel is taken from which (`nn.carry`).

It learns the likeliest next frame first, by the squared error; then whole futures, as they are made later, by the
energy score of two of them (`nn.energy`), which is least when futures are as varied as what really comes: neither one
blurred mean nor two that agree by chance. What this was chosen over: docs/log.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import ConditionSpec, Kind
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, latent
from maquette.nn.carry import carried, matched
from maquette.nn.cell import Hourglass, Memory
from maquette.nn.conv import PLACES, Convolution, interior, places
from maquette.nn.embed import ConditionPlanes, ConditionVector, withhold
from maquette.nn.energy import WHOLE, energy_score

GRAIN = 4
"""Planes of noise beside the vector of noise: what differs from place to place."""
LAST = 3
"""Frames that are seen as they are, beside the memory: enough to tell a turn from a straight way."""
WAYS = 4
"""From so many places each square of a frame may come, beside what is new."""
FURTHEST = 16
"""Pixels that anything is followed from one frame to the next, at most."""
STARTS = 2
"""Frames of every film of a batch that are learned as the next one."""
TOGETHER = 5
"""Frames of a future that are scored as one."""
SQUARES = (4, 16)
"""Sides of the squares of pixels that are compared, beside the whole picture."""


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the forecast."""

    batch: int = setting(8, "films a step", ge=1, le=65536)
    average: int = setting(2_000, "half-life of the running average of the weights, in films", ge=1)
    given: int = setting(0, "frames that are known; half of those of the data when 0", ge=0, le=64)
    ahead: int = setting(0, "frames that are to come; the rest of the data's when 0", ge=0, le=64)
    width: int = setting(64, "channels of the memory", ge=16, le=1024)
    depth: int = setting(2, "blocks at the coarse size, in each of the two networks", ge=1, le=32)
    patch: int = setting(4, "side of the squares of pixels that are looked at as one (1, 2, 4 or 8)", ge=1, le=8)
    chance: int = setting(16, "numbers of noise that a future is drawn from, for the whole picture", ge=1, le=1024)
    embedding: int = setting(64, "size of the vector that noise and conditions become", ge=8, le=2048)
    withheld: float = setting(0.1, "share of training images that are learned without their condition", ge=0, lt=1)
    reach: int = setting(0, "pixels that things move from frame to frame; an eighth of a side when 0", ge=0, le=32)
    first: float = setting(0.5, "share of the run that learns the next frame alone, before futures", ge=0, le=0.9)
    rate: float = setting(1.5e-3, "learning rate; of films .001 when left out", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    ahead: int = setting(0, "how many frames; as many as were learned when 0", ge=0, le=1000)
    temperature: float = setting(1.0, "below 1 likelier futures, above 1 stranger ones", ge=0, le=2)


class View(NamedTuple):
    """What is seen of a film at one moment: the last frames N LAST C H W, and what the networks are given of them."""

    frames: Tensor
    given: Tensor


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
        self.grid = size
        self.planes = ConditionPlanes(others)
        self.wish = ConditionVector(others, config.embedding)
        self.start = Convolution((PLACES + self.planes.channels) * pixels, width, tile=spec.tile)
        values, places_around = spec.channels * pixels, 2 * config.reach + 1
        steer, sight = config.embedding if self.wish else 0, 0
        if self.film:
            sight = LAST * values + width
            self.moves = Convolution(2 * places_around**2, width, 1)
            self.memory = Memory(sight, width, size, depth=max(1, config.depth - 1), steer=steer, tile=spec.tile)
            self.carry = Convolution(width, WAYS * 2 * places_around, 1)
            self.choose = Convolution(width, (WAYS + 1) * pixels, tile=spec.tile)
        self.chance = nn.Sequential(
            nn.Linear(config.chance, config.embedding), nn.SiLU(), nn.Linear(config.embedding, config.embedding)
        )
        self.writer = Hourglass(
            width + GRAIN + sight, width, size, depth=config.depth, steer=config.embedding, tile=spec.tile
        )
        self.leave = Convolution(width, values, tile=spec.tile)
        self.register_buffer("counted", interior(spec), persistent=False)
        optimizer = Optimizer(rate=config.rate, betas=(0.9, 0.99), warmup=0.03, schedule="cosine", clip=1.0)
        self.phases = (Phase(name="fit", optimizer=optimizer),)
        if self.film and config.first:
            heard = tuple(name for name, _ in self.named_parameters() if name != "chance.0.weight")  # there is no noise
            following = Phase(name="next", trains=heard, span=(0.0, config.first), optimizer=optimizer)
            slower = dataclasses.replace(optimizer, rate=config.rate / 2)
            self.phases = (following, Phase(name="fit", span=(config.first, 1.0), optimizer=slower))
        self.squares = (*(size for size in SQUARES if size < min(spec.height, spec.width)), WHOLE)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width follows the scale; the patch follows the size of the image, so that the memory stays small."""
        side = min(spec.height, spec.width)
        films = bool(_films(spec))
        most = 16 if films else 32  # what is carried needs fewer places than what is painted
        return Settings(
            width={"nano": 32, "micro": 48, "small": 64, "base": 128}[scale],
            depth={"nano": 1, "micro": 2, "small": 2, "base": 3}[scale],
            patch=2 if side <= most else 4 if side <= 2 * most else 8,
            rate=1e-3 if films else Settings.rate,
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough films can be seen."""
        return {"nano": 0, "micro": 3_000, "small": 8_000, "base": 400_000 if _films(spec) else 100_000}[scale]

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
        """The squared error of the likeliest next frame, or the energy score of two futures."""
        condition = withhold(batch.condition, self.spec.conditions, self.config.withheld, batch.generator)
        past, future = self._split(batch, condition)
        memory, state = self._begin(batch.images, condition)
        if past is not None and phase == "next":
            return self._next(torch.cat([past, future], dim=1), memory, state, batch.generator)
        memory, view = self._know(memory, past, state)
        memory, state = torch.cat([memory, memory]), None if state is None else torch.cat([state, state])
        view = None if view is None else View(*(torch.cat([half, half]) for half in view))
        chances = (self._chances(memory, batch.generator) for _ in range(future.shape[1]))
        frames = torch.stack([frame for frame, _ in self._futures(memory, view, state, chances)], dim=1)
        total = torch.zeros((), device=frames.device)
        for made, came in zip(frames.split(TOGETHER, dim=1), future.split(TOGETHER, dim=1), strict=True):
            one, other = made.flatten(1, 2).chunk(2)
            total = total + came.shape[1] * energy_score(one, other, came.flatten(1, 2), self.counted, self.squares)
        return Loss(total / future.shape[1])

    def _next(self, film: Tensor, memory: Tensor, state: Tensor | None, generator: torch.Generator) -> Loss:
        """How far frames of a film N T C H W are from what follows without chance from those before."""
        total, count = torch.zeros((), device=film.device), film.shape[1]
        moments, first = list(_lasts(film)), min(LAST, count - 1)
        still = torch.zeros(len(film), self.config.chance, device=film.device)
        grain = torch.zeros(len(film), GRAIN, *memory.shape[2:], device=film.device)
        for place in torch.randint(first, count, (STARTS,), generator=generator, device=film.device).tolist():
            before = self._read(memory, self._view(moments[max(0, place - 2)]), state)
            view = self._view(moments[place - 1])
            before = self._read(before, view, state)
            frame = self._write(before, view, state, still, grain)
            total = total + ((frame - film[:, place]).square() * self.counted).mean() / self.counted.mean()
        return Loss(total / STARTS)

    def _chances(self, memory: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The noise of a frame of two futures of each film, which lie in the two halves of the memory."""
        shapes = (self.config.chance,), (GRAIN, *memory.shape[2:])
        drawn = (
            torch.randn(len(memory) // 2, 2, *shape, generator=generator, device=memory.device) for shape in shapes
        )
        return tuple(noise.transpose(0, 1).flatten(0, 1) for noise in drawn)

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Frame by frame what comes, N C H W each."""
        count, like = self.frames(options), self.leave.weight
        shapes = ("chance", (self.config.chance,)), ("grain", (GRAIN, *self.grid))
        vector = latent(noise, "chance 0", self.config.chance, like=like)
        memory, state = self._begin(torch.zeros(vector.shape[0], *self.spec.shape, device=like.device), condition)
        past = _alike(condition[self.film], self.spec)[:, : self.config.given] if self.film else None
        memory, view = self._know(memory, past, state)
        chances = (
            tuple(latent(noise, f"{name} {moment}", *shape, like=like) * options.temperature for name, shape in shapes)
            for moment in range(count)
        )
        for _, shown in self._futures(memory, view, state, chances):
            yield shown

    def _futures(
        self, memory: Tensor, view: View | None, state: Tensor | None, chances: Iterable[tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each noise the frame that comes next, as it is drawn and as it is shown and read back."""
        shown = None
        for chance in chances:
            if view is not None and shown is not None:
                view = self._view(torch.cat([view.frames[:, 1:], shown[:, None]], dim=1))
                memory = self._read(memory, view, state)
            frame = self._write(memory, view, state, *chance)
            shown = frame.clamp(-1, 1)
            yield frame, shown

    def _begin(self, images: Tensor, condition: Conditions) -> tuple[Tensor, Tensor | None]:
        """The memory before anything is read, N width h w, and the vector of what is asked for."""
        known = places(images, self.spec.tile)
        if self.planes.channels:
            known = torch.cat([known, self.planes(condition)], dim=1)
        memory = torch.tanh(self.start(F.pixel_unshuffle(known, self.config.patch)).float())
        return memory, F.silu(self.wish(condition)) if self.wish else None

    def _view(self, frames: Tensor) -> View:
        """What the networks are given of the last frames: these as they are, and how they moved."""
        side = self.config.patch
        moved = matched(frames[:, -1], frames[:, -2], side, 2 * self.config.reach + 1, self.spec.tile)
        return View(frames, torch.cat([F.pixel_unshuffle(frames.flatten(1, 2), side), self.moves(moved)], dim=1))

    def _know(self, memory: Tensor, past: Tensor | None, state: Tensor | None) -> tuple[Tensor, View | None]:
        """The memory after all that is given, and the last view of it, where there is a film."""
        view = None
        for frames in () if past is None else _lasts(past):
            view = self._view(frames)
            memory = self._read(memory, view, state)
        return memory, view

    def _read(self, memory: Tensor, view: View, state: Tensor | None) -> Tensor:
        """The memory after the last of these frames."""
        return torch.as_tensor(self.memory(memory, view.given, state))

    def _write(self, memory: Tensor, view: View | None, state: Tensor | None, vector: Tensor, grain: Tensor) -> Tensor:
        """The frame N C H W that is drawn after these, in float32."""
        steer = self.chance(vector) if state is None else self.chance(vector) + state
        given = [memory, grain.to(memory.dtype)]
        if view is not None:
            given.append(view.given.to(memory.dtype))
        drawn, side = F.silu(self.writer(torch.cat(given, dim=1), F.silu(steer))), self.config.patch
        new = F.pixel_shuffle(self.leave(drawn), side).float()
        if view is None:
            return new
        down, across = self.carry(drawn).float().unflatten(1, (2, WAYS, -1)).softmax(dim=3).unbind(dim=1)
        ways = torch.cat([carried(view.frames[:, -1], down, across, self.spec.tile), new[:, None]], dim=1)
        chosen = F.pixel_shuffle(self.choose(drawn), side).float().softmax(dim=1)
        return (ways * chosen[:, :, None]).sum(dim=1)

    def _split(self, batch: Batch, condition: Conditions) -> tuple[Tensor | None, Tensor]:
        """What is given, where there is a film, and what comes; N T C H W."""
        if not self.film:
            return None, batch.images[:, None]
        film = torch.cat([_alike(condition[self.film], self.spec), batch.images[:, None]], dim=1)
        given, ahead = self.config.given, self.config.ahead
        past, future = film[:, :given], film[:, given : given + ahead]
        if future.shape[1] < ahead:
            raise UsageError(
                f"a film of the dataset goes on for {future.shape[1]} frames after the {given} that are given, and "
                f"{ahead} are asked for",
                do="ingest with a larger --past, or set a smaller ahead",
            )
        return past, future


def _lasts(film: Tensor) -> Iterator[Tensor]:
    """For each frame of a film N T C H W the last frames up to it, N LAST C H W; before the first is the first."""
    first = film[:, :1].expand(-1, LAST - 1, -1, -1, -1)
    padded = torch.cat([first, film], dim=1)
    return (padded[:, moment : moment + LAST] for moment in range(film.shape[1]))


def _films(spec: DataSpec) -> list[ConditionSpec]:
    return [condition for condition in spec.conditions if condition.kind == "frames"]


def _settled(config: Settings, spec: DataSpec) -> tuple[Settings, DataSpec, str]:
    """The settings with all their numbers, the form as it is when the model is used, and the name of its frames.

    A dataset's films are as long as what is given and what comes together, but for the last frame, which is the image;
    a model is given the first of them alone.
    """
    films = _films(spec)
    if not films:
        return dataclasses.replace(config, given=0, ahead=1), spec, ""
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
    reach = config.reach or min(FURTHEST, max(1, min(spec.height, spec.width) // 8))
    asked = tuple(dataclasses.replace(c, length=given) if c is film else c for c in spec.conditions)
    settled = dataclasses.replace(config, given=given, ahead=ahead, reach=reach)
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
