"""Is what a forecast says near what comes, sharp, and as unsure as it should be? Beside a textbook ConvLSTM.

    python benchmarks/forecast.py films [--minutes 20] [--only ours|convlstm]     bouncing digits, 10 frames in, 10 out
    python benchmarks/forecast.py fields [--minutes 4]                            three numbers to a map of warmth

Promised of films, after 20 minutes on two cores: the mean squared error of the mean of 8 futures below 0.4 of what
repeating the last frame has, and below that of the ConvLSTM after the same minutes. Promised of fields: the interval
that should hold 90 % of what comes holds 85 to 95 %. Each part can be run by itself; data and models go to --to.

The ConvLSTM is that of Shi and others (2015) as most libraries have it: squares of 4 x 4 pixels, three layers of 64
channels and 3 x 3 kernels, the frames it forecasts fed back, the mean squared error, Adam; in bfloat16 as ours.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import maquette as mq
from maquette.core.image import save, sheet
from maquette.data.dataset import Dataset
from maquette.data.drawn.chances import field
from maquette.data.loader import Loader
from maquette.engine.load import load
from maquette.engine.sample import draw_steps
from maquette.families.family import Family
from maquette.judge.interval import mean_of
from maquette.judge.metrics import forecasts
from maquette.store.run import Run

KNOWN, COMING, SIDE = 10, 10, 64
FUTURES = 8
TESTED = 128
MEMBERS = 39
"""Of so many, what comes lies between the second lowest and the second highest in nine cases of ten."""


class ConvLSTM(nn.Module):
    """Three convolutional layers with a cell each, over squares of 4 x 4 pixels."""

    def __init__(self, width: int = 64, layers: int = 3, patch: int = 4) -> None:
        super().__init__()
        self.width, self.patch = width, patch
        self.layers = nn.ModuleList(
            nn.Conv2d((patch**2 if layer == 0 else width) + width, 4 * width, 3, padding=1) for layer in range(layers)
        )
        self.leave = nn.Conv2d(layers * width, patch**2, 1)

    def forward(self, known: Tensor, coming: int) -> Tensor:
        """Known frames N T H W in [0, 1] -> N coming H W."""
        count, side = len(known), known.shape[-1] // self.patch
        states = [(known.new_zeros(count, self.width, side, side),) * 2 for _ in self.layers]
        found: list[Tensor] = []
        for moment in range(known.shape[1] + coming - 1):
            frame = known[:, moment, None] if moment < known.shape[1] else found[-1]
            x = F.pixel_unshuffle(frame, self.patch)
            for place, layer in enumerate(self.layers):
                hidden, cell = states[place]
                enter, forget, leave, new = layer(torch.cat([x, hidden], dim=1)).float().chunk(4, dim=1)
                cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(enter) * torch.tanh(new)
                x = torch.sigmoid(leave) * torch.tanh(cell)
                states[place] = (x, cell)
            if moment >= known.shape[1] - 1:
                made = self.leave(torch.cat([hidden for hidden, _ in states], dim=1))
                found.append(torch.sigmoid(F.pixel_shuffle(made, self.patch).float()))
        return torch.cat(found, dim=1)


def films_of(data: Dataset, indices: NDArray[Any]) -> NDArray[np.uint8]:
    """N T H W C: all frames of these items."""
    before = data.conditions(indices, ["frames"])["frames"]
    return np.concatenate([before, data.images(indices)[:, None]], axis=1)


def train_convlstm(data: Dataset, seconds: float, rate: float = 1e-3, batch: int = 8) -> tuple[ConvLSTM, int]:
    """As long as that; how many films it saw comes with it."""
    torch.manual_seed(0)
    net, loader = ConvLSTM(), Loader(data, "train", ["frames"], 0)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    began, seen, told = time.perf_counter(), 0, 0.0
    while (spent := time.perf_counter() - began) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * spent / seconds))
        last, rows = loader.batch(seen, batch)
        film = torch.from_numpy(np.concatenate([rows["frames"], last[:, None]], axis=1)[..., 0]).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            loss = (net(film[:, :KNOWN], COMING) - film[:, KNOWN:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        seen += batch
        if spent - told > 30:
            told = spent
            print(f"  ConvLSTM {spent:4.0f} s, {seen:,} films, squared error {loss.item():.4f}", flush=True)
    return net.eval(), seen


def futures(model: Family, films: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """K N T H W C: what the model says may come after the known frames."""
    found = []
    for future in range(count):
        seeds = [1000 * future + place for place in range(len(films))]
        passes: dict[int, list[NDArray[Any]]] = {}
        for start, frame in draw_steps(model, seeds, {"frames": films[:, :KNOWN]}):
            passes.setdefault(start, []).append(frame)
        found.append(np.concatenate([np.stack(frames, axis=1) for frames in passes.values()]))
    return np.stack(found)


def films(args: argparse.Namespace) -> dict[str, Any]:
    """Bouncing digits."""
    to: Path = args.to
    data = mq.ingest("drawn:digits", to=to / "digits.mq", size=SIDE, past=KNOWN + COMING - 1, count=args.count)
    real = films_of(data, data.indices("held-out")[:TESTED])
    came, last = real[:, KNOWN:], real[:, KNOWN - 1 : KNOWN]
    copied = np.repeat(last, COMING, axis=1)
    facts: dict[str, Any] = {"minutes": args.minutes, "threads": torch.get_num_threads(), "tested": len(real)}
    rows: list[tuple[str, NDArray[Any], NDArray[Any] | None]] = [("the last frame again", copied, None)]
    if args.only != "ours":
        net, seen = train_convlstm(data, 60 * args.minutes)
        with torch.inference_mode():
            known = torch.from_numpy(real[:, :KNOWN, ..., 0]).float() / 255
            made = torch.cat([net(part, COMING) for part in known.split(16)])
        rows.append((f"ConvLSTM, {seen:,} films seen", np.rint(made.numpy() * 255).astype(np.uint8)[..., None], None))
    if args.only != "convlstm":
        run = mq.train(
            data, family="forecast", to=to / f"films-{args.minutes:g}", time=f"{60 * args.minutes:g}s", set=args.set
        )
        run = Run.open(run.path)
        possible = futures(load(run), real, FUTURES)
        seen = run.facts["images_seen"]
        mean = np.rint(possible.mean(0)).astype(np.uint8)
        rows += [
            (f"ours, mean of {FUTURES}, {seen:,} films seen", mean, possible),
            ("ours, one future", possible[0], None),
        ]
        tiles = list(picture_rows(real, possible))
        save(sheet(tiles, columns=KNOWN + COMING), to / "films.png")
        facts["sheet"] = str(to / "films.png")
    for name, made, several in rows:
        ratio = 1 - forecasts.skill(made, copied, came).value
        told = {
            "squared error": float(forecasts.squared_error(made, came).mean()), "of the last frame's": ratio,
            "sharpness": mean_of(forecasts.sharpness(made, came)).value,
            "by frame": [round(float(((made[:, t] / 255 - came[:, t] / 255) ** 2).mean()), 4) for t in range(COMING)],
        }  # fmt: skip
        if several is not None:
            told["spread for error"] = forecasts.spread_for_error(several, came).value
            told["crps"] = float(forecasts.crps(several, came).mean())
        facts[name] = told
        print(f"{name:42} " + "  ".join(f"{k} {v:.4f}" for k, v in told.items() if isinstance(v, float)), flush=True)
    return facts


def picture_rows(real: NDArray[Any], possible: NDArray[Any], count: int = 4) -> Iterator[NDArray[Any]]:
    """Of a few films: what came; and two futures after the known frames, which are darkened."""
    for place in range(count):
        yield from real[place]
        for future in possible[:2, place]:
            yield from (real[place, :KNOWN] // 3)
            yield from future


def fields(args: argparse.Namespace) -> dict[str, Any]:
    """Numbers to a map whose mean and spread are known."""
    data = mq.ingest("drawn:fields", to=args.to / "fields.mq", size=SIDE, count=args.count)
    run = mq.train(
        data, family="forecast", to=args.to / f"fields-{args.minutes:g}", time=f"{60 * args.minutes:g}s", set=args.set
    )
    model = load(Run.open(run.path))
    indices = data.indices("held-out")[:TESTED]
    came, asked = data.images(indices), data.conditions(indices)
    found = []
    for member in range(MEMBERS):
        seeds = [1000 * member + place for place in range(len(came))]
        found.append(np.concatenate([images for _, images in draw_steps(model, seeds, asked, only_last=True)]))
    possible = np.stack(found)
    truth = [
        field(*(float(asked[name][k]) for name in ("east", "north", "unrest")), SIDE, SIDE) for k in range(len(came))
    ]
    mean, spread = (np.stack([both[part] for both in truth])[..., None] for part in (0, 1))
    inside = forecasts.ranks(possible, came)[:, 2:-2].sum(1)
    coverage = mean_of(inside)
    unit = possible / 255
    plain = data.images(data.indices("train")[:2000]).mean(0)[None] / 255
    facts = {
        "minutes": args.minutes, "images seen": Run.open(run.path).facts["images_seen"],
        "error of the mean against the true mean field": float(np.sqrt(((unit.mean(0) - mean) ** 2).mean())),
        "the same of the mean of all training images": float(np.sqrt(((plain - mean) ** 2).mean())),
        "true spread (root mean square)": float(np.sqrt((spread**2).mean())),
        "spread for the true spread": float(np.sqrt(unit.var(0, ddof=1).mean() / (spread**2).mean())),
        "spread for error": forecasts.spread_for_error(possible, came).value,
        "coverage of the 90 % interval": [coverage.value, coverage.low, coverage.high],
        "crps": float(forecasts.crps(possible, came).mean()),
    }  # fmt: skip
    order = np.argsort(asked["unrest"])
    facts["coverage by unrest, calm to rough"] = [
        round(float(part.mean()), 3) for part in np.array_split(inside[order], 3)
    ]
    for name, value in facts.items():
        print(f"{name:50} {value}")
    tiles = [tile for k in range(4) for tile in (came[k], np.rint(mean[k] * 255).astype(np.uint8), *possible[:6, k])]
    save(sheet(tiles, columns=8, scale=2), args.to / "fields.png")
    return facts


def main() -> None:
    """Run one part and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("films", "fields"))
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--only", choices=("ours", "convlstm"))
    parser.add_argument("--count", type=int, default=4000, help="films or fields that are drawn, a tenth held out")
    parser.add_argument("--to", type=Path, default=Path("forecast-benchmark"))
    parser.add_argument("--set", action="append", default=[], help="a setting of the family")
    args = parser.parse_args()
    args.minutes = args.minutes or {"films": 20.0, "fields": 4.0}[args.part]
    args.to.mkdir(parents=True, exist_ok=True)
    facts = {"films": films, "fields": fields}[args.part](args)
    name = f"{args.part}{'-' + args.only if args.only else ''}-{args.minutes:g}.json"
    (args.to / name).write_text(json.dumps(facts, indent=2) + "\n")
    print(f"written: {args.to / name}")


if __name__ == "__main__":
    main()
