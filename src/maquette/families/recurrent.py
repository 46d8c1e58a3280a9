"""Images written token by token, row by row, each token drawn by chance from what fits the ones before it.

An autoencoder turns images into a grid of tokens; a gated linear recurrence (`nn.recurrent`) learns how probable each
token is after those to its left and above. It says exactly how probable an image is, goes on where an image ends, and
writes every token at the same cost. The autoencoder is trained first, in the first part of the run, or comes from a
finished run (`--on RUN`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.condition import Kind
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.settings import setting
from maquette.core.spec import Batch, DataSpec, Loss, Need, Optimizer, Phase, Scale
from maquette.families.family import Conditions, Family, FamilyConfig, Tokens
from maquette.nn.choice import pick, shaped
from maquette.nn.embed import ConditionVector, nothing, withhold
from maquette.nn.loops import looped
from maquette.nn.recurrent import Block

NEIGHBOURS = ((0, -1), (-1, 0), (-1, 1), (0, 1), (1, 0))
"""Rows and columns from a token to those it is told: left, above, above and right; and, where they are known already
(a part of the image was given, or the image closes round its edge), right and below."""
AHEAD = 2
"""How many of these, the last ones, are mostly not known."""
PART = "codec."


@dataclass(frozen=True, kw_only=True)
class Settings(FamilyConfig):
    """Settings of the recurrent network."""

    batch: int = setting(32, "images a step", ge=1, le=65536)
    average: int = setting(4_000, "half-life of the running average of the weights, in images", ge=1)
    width: int = setting(256, "numbers that the network keeps at each place", ge=16, le=4096)
    blocks: int = setting(6, "layers that look back along the tokens", ge=1, le=48)
    first: float = setting(
        0.35, "share of the run in which the autoencoder is trained, before the rest; 0 with --on RUN", ge=0, lt=1
    )
    dropout: float = setting(0.1, "share of each layer's outputs that are left out in training", ge=0, lt=1)
    withheld: float = setting(0.1, "share of training images that are learned without their condition", ge=0, lt=1)
    hints: float = setting(
        0.2, "share of training images of which some tokens ahead are told, for completing", ge=0, le=1
    )
    rate: float = setting(2e-3, "learning rate", gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Dials of sampling."""

    temperature: float = setting(
        1.0, "below 1 plainer and safer images, above 1 wilder ones; 0 always takes the likeliest piece", ge=0, le=4
    )
    top_k: int = setting(0, "choose each piece among so many likeliest ones; fewer are safer; 0 for all", ge=0)
    top_p: float = setting(1.0, "choose among the likeliest pieces that make up this share of the chances", gt=0, le=1)
    guidance: float = setting(1.0, "above 1 follows what was asked for more closely, with less variety", ge=0, le=20)


def _digits(levels: Sequence[int]) -> Tensor:
    """codes S: for every token, which step each of its numbers is on, as ones among zeros, one number after another."""
    every, columns = torch.arange(math.prod(levels)), []
    for count in levels:
        columns.append(F.one_hot(every % count, count).float())
        every = every // count
    return torch.cat(columns, dim=1)


class Prior(nn.Module):
    """How probable each token is, given those before it and what the image is asked to be."""

    digits: Tensor

    def __init__(self, config: Settings, spec: DataSpec, levels: Sequence[int], grid: tuple[int, int]) -> None:
        super().__init__()
        width, codes = config.width, math.prod(levels)
        self.codes, self.tile = codes, spec.tile
        self.tokens = nn.Embedding(codes + 1, width // 2)  # the last row: not there, or not known
        # What each step of each number of a token means, whatever the others are: it is learned from all tokens that
        # have it, and tokens differ from the sum of their steps only as far as it pays (docs/log.md).
        self.register_buffer("digits", _digits(levels), persistent=False)  # codes S, of ones and zeros
        self.read = nn.Linear(self.digits.shape[1], width // 2, bias=False)
        self.write = nn.Linear(self.digits.shape[1], width, bias=False)
        self.enter = nn.Linear(len(NEIGHBOURS) * (width // 2), width)
        # Where the image closes round its edge, no place is special.
        self.row = nn.Parameter(torch.zeros(grid[0], 1, width)) if "y" not in spec.tile else None
        self.column = nn.Parameter(torch.zeros(grid[1], width)) if "x" not in spec.tile else None
        self.wish = ConditionVector(spec.conditions, width)
        self.blocks = nn.ModuleList(Block(width, config.dropout) for _ in range(config.blocks))
        steered = config.blocks if self.wish else 0
        self.steer = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(steered))
        for layer in self.steer:
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        self.norm = nn.RMSNorm(width)
        self.leave = nn.Linear(width, codes)
        nn.init.normal_(self.tokens.weight, std=0.1)
        nn.init.normal_(self.read.weight, std=0.25)
        nn.init.normal_(self.write.weight, std=0.02)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, tokens: Tensor, condition: Conditions, generator: torch.Generator | None = None, hints: float = 0.0
    ) -> Tensor:
        """N h w -> T N codes: the logits of every token, in rows from the top. With a generator, as in training."""
        _, height, width = tokens.shape
        padded = F.pad(tokens, (1, 1, 1, 1), value=self.codes)
        around = [padded[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in NEIGHBOURS]
        for at in range(len(NEIGHBOURS) - AHEAD, len(NEIGHBOURS)):
            around[at] = self._told(around[at], generator, hints)
        tables = self.tables()
        x = self.entered(torch.stack(around, dim=-1), tables)  # N h w D
        if self.row is not None:
            x = x + self.row[:height]
        if self.column is not None:
            x = x + self.column[:width]
        x = x.flatten(1, 2).transpose(0, 1)  # T N D
        wish, steers = self.wishes(condition)
        x = x if wish is None else x + wish
        for block, steer in zip(self.blocks, steers, strict=True):
            x = block(x, steer, generator)
        return self.left(x, tables)

    @property
    def layers(self) -> list[Block]:
        """The blocks, by their type."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def _told(self, ahead: Tensor, generator: torch.Generator | None, hints: float) -> Tensor:
        """Tokens ahead, of which some are told for a share of the images."""
        if generator is None or hints <= 0:
            return torch.full_like(ahead, self.codes)
        device = ahead.device
        some = torch.rand(len(ahead), 1, 1, generator=generator, device=device) < hints
        told = some & (torch.rand(ahead.shape, generator=generator, device=device) < 0.4)
        return torch.where(told, ahead, self.codes)

    def tables(self) -> tuple[Tensor, Tensor]:
        """A row for each token as it comes in, codes + 1 D/2, and as it goes out, codes D."""
        enters = self.tokens.weight + F.pad(self.read(self.digits), (0, 0, 0, 1))
        return enters, self.leave.weight + F.linear(self.digits, self.write.weight)

    def entered(self, around: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """Tokens ... 5 -> ... D."""
        return torch.as_tensor(self.enter(F.embedding(around, tables[0]).flatten(-2)))

    def left(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """What the last block says, ... D -> the logits, ... codes."""
        return F.linear(self.norm(x), tables[1], self.leave.bias)

    def wishes(self, condition: Conditions) -> tuple[Tensor | None, list[Tensor | None]]:
        """What the image is to be, N D, and what each block is told of it."""
        if not self.wish:
            return None, [None] * len(self.blocks)
        wish = self.wish(condition)
        return wish, [steer(F.silu(wish)) for steer in self.steer]


class Writer:
    """Writes images token by token, each at the same cost: what is kept of all before it never grows."""

    def __init__(self, prior: Prior, condition: Conditions, grid: tuple[int, int], known: Tensor) -> None:
        self.prior, self.height, self.width = prior, *grid
        count = len(known)
        self.tokens = torch.full((count, grid[0] + 2, grid[1] + 2), prior.codes, device=known.device)
        """All tokens, with a border; the last number is: not known."""
        self.tokens[:, 1:-1, 1:-1] = torch.where(known < 0, prior.codes, known)
        self.known = known >= 0
        self.wish, self.steers = prior.wishes(condition)
        self.tables = prior.tables()
        self.states = [block.start(count) for block in prior.layers]

    def logits(self, row: int, column: int) -> Tensor:
        """How probable each token is at the place that comes next, N codes."""
        prior = self.prior
        around = torch.stack([self.tokens[:, 1 + row + y, 1 + column + x] for y, x in NEIGHBOURS], dim=-1)
        x = prior.entered(around, self.tables)
        if prior.row is not None:
            x = x + prior.row[row, 0]
        if prior.column is not None:
            x = x + prior.column[column]
        if self.wish is not None:
            x = x + self.wish
        for at, (block, steer) in enumerate(zip(prior.layers, self.steers, strict=True)):
            x, self.states[at] = block.step(x, self.states[at], steer)
        return prior.left(x, self.tables).float()

    def put(self, row: int, column: int, tokens: Tensor) -> None:
        """Write the tokens of this place, N; where the image closes round an edge, its other side sees them."""
        self.tokens[:, 1 + row, 1 + column] = tokens
        if "x" in self.prior.tile and column == 0:
            self.tokens[:, 1 + row, self.width + 1] = tokens
        if "y" in self.prior.tile and row == 0:
            self.tokens[:, self.height + 1, 1 + column] = tokens

    @property
    def inner(self) -> Tensor:
        """The tokens without their border, N h w."""
        return self.tokens[:, 1:-1, 1:-1]


class Recurrent(Family):
    """The autoencoder that makes tokens, and the network that writes them."""

    Config: ClassVar[type[FamilyConfig]] = Settings
    Options: ClassVar[type] = Dials
    summary = "Writes images piece by piece by chance: words and labels, completing, and how probable an image is."
    accepts: ClassVar[frozenset[Kind]] = frozenset({"label", "text", "number"})
    needs: ClassVar[Mapping[str, Need]] = {
        "codec": Need(provides="tokenises", default="autoencoder", given={"first": 0.0})
    }
    averaged = ("prior",)

    def __init__(self, config: Settings, spec: DataSpec, parts: Mapping[str, Family] | None = None) -> None:
        super().__init__(config, spec)
        codec = (parts or {})["codec"]
        if not isinstance(codec, Tokens) or not codec.levels:
            raise UsageError(
                "the autoencoder under it keeps numbers, and tokens are needed", do="train one with --set codes=1000"
            )
        self.codec = codec
        self.grid: tuple[int, int] = codec.grid
        self.levels: tuple[int, ...] = codec.levels
        self.prior = Prior(config, spec, codec.levels, codec.grid)
        optimizer = Optimizer(
            rate=config.rate, betas=(0.9, 0.98), warmup=0.03, schedule="cosine", clip=1.0, weight_decay=0.02
        )
        own = Phase(name="fit", trains=("prior",), span=(config.first, 1.0), optimizer=optimizer)
        self.phases = (*_brought_forward(codec, config.first), own)
        if not config.first:
            codec.requires_grad_(False)

    @classmethod
    def variant(cls, scale: Scale, spec: DataSpec) -> Settings:
        """Width and layers follow the scale."""
        return Settings(
            width={"nano": 128, "micro": 192, "small": 256, "base": 384}[scale],
            blocks={"nano": 3, "micro": 4, "small": 6, "base": 8}[scale],
        )

    @classmethod
    def appetite(cls, scale: Scale, spec: DataSpec) -> int:
        """Wider pays only when enough images can be seen."""
        return {"nano": 0, "micro": 30_000, "small": 120_000, "base": 1_500_000}[scale]

    # Training

    def loss(self, batch: Batch, phase: str) -> Loss:
        """The autoencoder's own losses first; then how surprising the tokens are."""
        if phase.startswith(PART):
            early = dataclasses.replace(batch, progress=min(1.0, batch.progress / self.config.first))
            return self.codec.loss(early, phase.removeprefix(PART))
        with torch.no_grad():
            tokens = self._inside(self.codec.to_tokens(batch.images))
        condition = withhold(batch.condition, self.spec.conditions, self.config.withheld, batch.generator)
        logits = self.prior(tokens, condition, batch.generator, self.config.hints).float()
        surprise = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(1).T.flatten())
        return Loss(surprise, {"bits a token": surprise.detach() / math.log(2)})

    def _inside(self, tokens: Tensor) -> Tensor:
        """Without the tokens near edges that are wrapped: there images do not go on, and that is not to be learned."""
        height, width = (
            -(-side // 8) if axis in self.spec.tile else 0 for axis, side in zip("yx", self.grid, strict=True)
        )
        return tokens[:, height : self.grid[0] - height, width : self.grid[1] - width]

    # What it can do

    def to_tokens(self, images: Tensor) -> Tensor:
        """Whole numbers N h w of images N C H W."""
        return torch.as_tensor(self.codec.to_tokens(images))

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Images N C H W of whole numbers N h w."""
        return torch.as_tensor(self.codec.from_tokens(tokens))

    def log_prob(self, images: Tensor, condition: Conditions) -> Tensor:
        """The logarithm of how probable the tokens of each image are: exact, N."""
        return self.log_prob_of_tokens(self.to_tokens(images), condition)

    def log_prob_of_tokens(self, tokens: Tensor, condition: Conditions) -> Tensor:
        """The same for tokens N h w."""
        logs = self.prior(tokens, condition).float().log_softmax(dim=2)
        return torch.as_tensor(logs.gather(2, tokens.flatten(1).T[:, :, None]).sum(dim=(0, 2)))

    def sample(self, noise: Noise, condition: Conditions, options: Any) -> Iterator[Tensor]:
        """Write the tokens from the top left; yields the image after every few rows, grey where nothing is yet."""
        known = torch.full((len(noise), *self.grid), -1, device=self.prior.leave.weight.device)
        yield from self._written(noise, condition, options, known)

    def complete(
        self, images: Tensor, given: Tensor, noise: Noise, condition: Conditions, options: Any
    ) -> Iterator[Tensor]:
        """Images of which only a part is given (N 1 H W of 1 and 0): what is given stays, the rest is written.

        Tokens that are given at all their pixels are kept; those before them know of them.
        """
        known = self.to_tokens(images * given)  # 0 where nothing is given, as the autoencoder knows holes
        size = (images.shape[2] // self.grid[0], images.shape[3] // self.grid[1])
        whole = -F.max_pool2d(-given, size)[:, 0] > 0.5
        for made in self._written(noise, condition, options, torch.where(whole, known, -1)):
            yield given * images + (1 - given) * made

    def _written(self, noise: Noise, condition: Conditions, options: Any, known: Tensor) -> Iterator[Tensor]:
        if options.guidance != 1.0 and not self.prior.wish:
            raise UsageError(
                "guidance follows a condition, and this model was trained without one", do="leave guidance at 1"
            )
        height, width = self.grid
        places = torch.as_tensor(noise.uniform("tokens", height, width)).to(known.device)
        if torch.compiler.is_exporting():
            yield self._in_one_graph(places, condition, options)
            return
        writers = [Writer(self.prior, condition, self.grid, known)]
        if options.guidance != 1.0:
            writers.append(Writer(self.prior, nothing(condition, self.spec.conditions), self.grid, known))
        for row in range(height):
            for column in range(width):
                logits = writers[0].logits(row, column)
                if len(writers) > 1:
                    plain = writers[1].logits(row, column)
                    logits = plain + options.guidance * (logits - plain)
                chances = shaped(logits, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
                drawn = pick(chances, places[:, row, column])
                drawn = torch.where(writers[0].known[:, row, column], writers[0].inner[:, row, column], drawn)
                for writer in writers:
                    writer.put(row, column, drawn)
            if (row + 1) % max(1, height // 4) == 0 or row + 1 == height:
                yield self._shown(writers[0].inner, row + 1)

    def _in_one_graph(self, places: Tensor, condition: Conditions, options: Any) -> Tensor:
        """The images of places N h w in [0, 1), as a loop in which the network stands once, for an exported graph."""
        prior, (height, width), count = self.prior, self.grid, places.shape[0]
        plain = () if options.guidance == 1.0 else (nothing(condition, self.spec.conditions),)
        told, tables = [prior.wishes(wish) for wish in (condition, *plain)], prior.tables()
        kept = [state for _ in told for block in prior.layers for state in block.start(count)]
        blank = torch.full((count, (height + 2) * (width + 2)), prior.codes)  # all tokens, with a border

        def write(state: tuple[Tensor, ...], row: Tensor, column: Tensor, place: Tensor) -> tuple[Tensor, ...]:
            tokens, kept, scores = state[0], list(state[1:]), []
            here = (1 + row) * (width + 2) + 1 + column
            around = torch.stack([here + y * (width + 2) + x for y, x in NEIGHBOURS])
            for turn, (wish, steers) in enumerate(told):
                x = prior.entered(tokens.index_select(1, around), tables)
                x = x if prior.row is None else x + prior.row.index_select(0, row[None])[0]
                x = x if prior.column is None else x + prior.column.index_select(0, column[None])
                x = x if wish is None else x + wish
                for at, (block, steer) in enumerate(zip(prior.layers, steers, strict=True)):
                    first = 2 * (turn * len(prior.layers) + at)
                    x, (kept[first], kept[first + 1]) = block.step(x, (kept[first], kept[first + 1]), steer)
                scores.append(prior.left(x, tables).float())
            logits = scores[-1] + options.guidance * (scores[0] - scores[-1]) if plain else scores[0]
            chances = shaped(logits, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
            drawn = pick(chances, place)[:, None]
            written = [here]
            if "x" in prior.tile:  # where the image closes round an edge, its other side sees the token
                written.append(torch.where(column == 0, here + width, here))
            if "y" in prior.tile:
                written.append(torch.where(row == 0, here + height * (width + 2), here))
            for index in written:
                tokens = tokens.scatter(1, index.expand(count, 1), drawn)
            return (tokens, *kept)

        rows, columns = (grid.flatten() for grid in torch.meshgrid(*map(torch.arange, self.grid), indexing="ij"))
        tokens, *_ = looped(write, (blank, *kept), rows, columns, places.flatten(1).T)
        return self.from_tokens(tokens.unflatten(1, (height + 2, width + 2))[:, 1:-1, 1:-1])

    def _shown(self, tokens: Tensor, rows: int) -> Tensor:
        """The image as far as it is written, and grey below."""
        images = self.from_tokens(torch.where(tokens == self.prior.codes, 0, tokens))
        if rows < self.grid[0]:
            images[:, :, images.shape[2] * rows // self.grid[0] :] = 0
        return images


def _brought_forward(codec: Family, first: float) -> tuple[Phase, ...]:
    """The phases of the autoencoder, in the first part of the run."""
    if not first:
        return ()
    return tuple(
        dataclasses.replace(
            phase, name=PART + phase.name, trains=tuple(PART + part if part else PART[:-1] for part in phase.trains),
            span=(first * phase.span[0], first * phase.span[1]),
        )
        for phase in codec.phases
    )  # fmt: skip
