"""The best of many images: each is drawn once, judged by a critic, and those that together are like real ones stay.

Two things make a set of images good: each looks real, and together they are as varied as real ones. The critic is a
small network that learns to tell this model's images from real ones (once for a model; it is kept with the run). The
likeliest are put on a short list, and from this one image after the other is taken that brings the chosen set nearest
to real images of what was asked for (the energy distance in the judge's features). Compared with others in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.errors import DataError, MaquetteError
from maquette.core.image import Mode
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.families.family import Family
from maquette.features import REGISTRY
from maquette.features.extractor import Pictures, extract, stack
from maquette.features.neighbours import squared_distances
from maquette.features.space import FEWEST, Rows
from maquette.judge.evidence import Looking, pick, steady
from maquette.nn.pixels import to_tensor
from maquette.store import weights
from maquette.store.run import Run

REAL, VIEWED = 3_000, 1_000
"""Real images that the chosen ones are to be like, at most, and how many of them say which features are steady."""
FILE, FORMAT = "critic.safetensors", 1
LEARNED, DRAWN, STEPS, HALF = 16_384, 1_024, 200, 64
"""Real images and made ones that the critic learns from, its steps, and how many of each kind are in one."""
WIDTH, SIDE = 32, 32
"""Channels of its first layer; larger images are brought to about this side, where it sees shapes and not grain."""
RATE = 1e-3
SEED = 3_000_000


class Critic(nn.Module):
    """How surely each image (N C H W, -1 to 1) is a real one: N log odds."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def layer(inner: int, outer: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(inner, outer, 3, stride, 1), nn.GroupNorm(8, outer), nn.SiLU()]

        w = WIDTH
        self.layers = nn.Sequential(
            *layer(channels, w, 1), *layer(w, 2 * w, 2), *layer(2 * w, 2 * w, 1), *layer(2 * w, 4 * w, 2),
            *layer(4 * w, 4 * w, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * w, 1),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """N C H W -> N."""
        step = max(1, min(images.shape[2:]) // SIDE)
        small = nn.functional.avg_pool2d(images, step) if step > 1 else images
        found: Tensor = self.layers(small)[:, 0]
        return found

    def judge(self, images: NDArray[Any], mode: Mode) -> NDArray[np.float64]:
        """Of images N H W C, and as they look in a mirror."""
        self.eval()
        with torch.inference_mode():
            rows = []
            for start in range(0, len(images), 128):
                x = to_tensor(images[start : start + 128], mode)
                rows.append((self(x) + self(x.flip(3))) / 2)
        return torch.cat(rows).double().numpy()


def critic_of(
    run: Run, model: Family, table: Mapping[str, NDArray[Any]], dataset: Dataset
) -> Iterator[Looking | Critic]:
    """The critic of the run's model, learned when it is first asked for; yields how far it is, and it last."""
    digest = str(run.facts.get("model"))
    critic = _read(run, digest, dataset.spec.channels)
    if critic is None:
        made: NDArray[Any] | None = None
        for step in draw_many(model, table, DRAWN, SEED):
            if isinstance(step, Drawn):
                made = np.asarray(step.pictures)
            else:
                yield Looking("images for the critic", step, DRAWN)
        assert made is not None
        critic = Critic(dataset.spec.channels)
        yield from _learn(critic, dataset, made)
        tensors = {name: value.numpy() for name, value in critic.state_dict().items()}
        with run.lock():
            weights.write(run.path / FILE, tensors, {"format": FORMAT, "model": digest})
    yield critic


def _learn(critic: Critic, dataset: Dataset, made: NDArray[Any]) -> Iterator[Looking]:
    index, mode = pick(dataset.indices("train"), LEARNED, seed=10), dataset.spec.mode
    rng = np.random.default_rng(11)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        for part in critic.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.reset_parameters()
        critic.train()
        optimizer = torch.optim.AdamW(critic.parameters(), RATE, weight_decay=1e-2)
        answers = torch.cat([torch.ones(HALF), torch.zeros(HALF)])
        for step in range(STEPS):
            real = dataset.images(np.sort(rng.choice(index, HALF)))
            x = to_tensor(np.concatenate([real, made[rng.choice(len(made), HALF)]]), mode)
            down, right = (int(n) for n in rng.integers(-2, 3, 2))
            x = torch.roll(x.flip(3) if rng.random() < 0.5 else x, (down, right), (2, 3))
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 16) * (1 - step / STEPS)
            with torch.autocast("cpu", torch.bfloat16):
                found = critic(x.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.binary_cross_entropy_with_logits(found.float(), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Looking("steps of the critic", step + 1, STEPS)


def _read(run: Run, digest: str, channels: int) -> Critic | None:
    """The critic that is kept with the run, if it is of this model."""
    try:
        tensors, facts = weights.read(run.path / FILE, max_bytes=64 << 20)
        if facts.get("format") != FORMAT or facts.get("model") != digest:
            return None
        critic = Critic(channels)
        critic.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    except (MaquetteError, RuntimeError):
        return None
    return critic


class Likeness:
    """Real images of what is asked for, as rows of the judge's features, and which images together are like them."""

    def __init__(self, dataset: Dataset, given: Mapping[str, Any]) -> None:
        """Of the training images those with the label that is asked for, if one is; else all."""
        index = dataset.indices("train")
        for condition in dataset.spec.conditions:
            if condition.kind == "label" and condition.name in given:
                index = index[
                    dataset.conditions(index, [condition.name])[condition.name]
                    == condition.encode(given[condition.name])
                ]
        if len(index) < FEWEST:
            raise DataError(
                f"{len(index)} training images of what is asked for are too few to choose by", where=dataset.path,
                do=f"leave out --best ({FEWEST} are needed)",
            )  # fmt: skip
        index = pick(index, REAL, seed=9)
        self.extractor = REGISTRY.get("scattering")(dataset.images(index[:1]))
        self.space, rows = steady(self.extractor, dataset, index, VIEWED)
        self.rows = self.space(rows)

    def __call__(self, pictures: Pictures) -> Rows:
        """Where images lie among real ones: N x width."""
        return self.space(stack(list(extract(self.extractor, pictures))))


def chosen(rows: Rows, real: Rows, odds: NDArray[np.float64], best: int) -> list[int]:
    """Positions of the best so many, the one that would be taken alone first."""
    short = np.argsort(-odds, kind="stable")[: max(best, math.ceil(math.sqrt(best * len(rows))))]
    return [int(short[k]) for k in _gathered(rows[short], real, best)]


def _gathered(rows: Rows, real: Rows, count: int) -> list[int]:
    """One after the other the row that makes the energy distance of those taken to the real ones least."""
    to_real = np.concatenate([_apart(rows[at : at + 512], real).mean(axis=1) for at in range(0, len(rows), 512)])
    among, taken = np.zeros(len(rows)), np.zeros(len(rows), bool)
    order: list[int] = []
    for number in range(1, count + 1):
        cost = to_real - among / number
        cost[taken] = np.inf
        at = int(cost.argmin())
        order.append(at)
        taken[at] = True
        among += _apart(rows, rows[at : at + 1])[:, 0]
    return order


def _apart(one: Rows, other: Rows) -> Rows:
    return np.asarray(np.sqrt(squared_distances(one, other)))
