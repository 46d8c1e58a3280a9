"""Can a training be left alone? The same training from many seeds, and trainings that are broken on the way.

    python benchmarks/steady.py seeds DATASET... --classifier RUN     how far results of one gan lie apart over 20 seeds
    python benchmarks/steady.py collapses DATASET                     20 gans that come to make a few images only

`seeds`: every run is a command of its own (two minutes); its images are held against held-out ones in the two spaces of
benchmarks/board.py, by which nothing here is trained. A collapse is a run that went back because its judge saw its
variety lost, or whose images have less than a quarter of the variety of real ones (of 500 images of CIFAR-10, 100
different ones repeated have that, 256 half of it, and 16, which is the mildest of the injected collapses, .06).

`collapses`: at two fifths of its way the generator is made to know only 1, 2, 4, 8 or 16 beginnings of an image, as
one that has collapsed does. The run must notice at its next look and go back; what it does not notice stays so.
Results of seeds go to a file, line by line; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from board import Spaces
from torch import Tensor

from maquette.core.event import Note, Progress, Warning
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.load import load
from maquette.engine.table import condition_table
from maquette.engine.watch import read_points
from maquette.families.gan import Generator
from maquette.operations import operation as table
from maquette.store.run import Run
from maquette.store.workspace import Workspace

IMAGES = 2_000
KINDS = (1, 2, 4, 8, 16)
COLLAPSED = 0.25
BREAK = 0.4
"""Where a training is broken, as a share of its way."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("seeds", "collapses"))
    parser.add_argument("dataset", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--time", default="", help="of each run; 2m for seeds and 1m for collapses when left out")
    parser.add_argument("--classifier", help="a run of the family classify")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--to", type=Path, default=Path("steady"), help="a folder for results")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(given.threads)
    seeds = range(given.first, given.first + given.count)
    return max((by_seeds if given.what == "seeds" else collapses)(path, seeds, given) for path in given.dataset)


def by_seeds(path: Path, seeds: Sequence[int], given: argparse.Namespace) -> int:
    """Mean and spread over seeds; 1 where a run collapsed."""
    dataset, time = Dataset.open(path), given.time or "2m"
    file = given.to / f"seeds-{dataset.name}-{time}.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    missing = [seed for seed in seeds if all(record["seed"] != seed for record in records)]
    spaces = Spaces(dataset, given.classifier, IMAGES) if missing else None
    for seed in missing:
        assert spaces is not None
        with tempfile.TemporaryDirectory(prefix="maquette-") as folder:
            to = Path(folder) / "run"
            command = [
                sys.executable,
                "-m",
                "maquette",
                "train",
                str(path),
                "--family",
                "gan",
                "--time",
                time,
                "--quiet",
            ]
            home = {"MAQUETTE_HOME": str(given.to / "home"), "OMP_NUM_THREADS": str(given.threads)}
            subprocess.run([*command, "--seed", str(seed), "--to", str(to)], check=True, env={**os.environ, **home})
            record = {"seed": seed, **outcome(Run.open(to), spaces)}
        records.append(record)
        with file.open("a") as lines:
            lines.write(json.dumps(record) + "\n")
        print(f"{dataset.name} {json.dumps(record)}", flush=True)
    records = [record for record in records if record["seed"] in seeds]
    bad = [r["seed"] for r in records if r["went back"] or (r["variety"] or 1.0) < COLLAPSED]
    for name in records[0]["distances"]:
        values = np.array([record["distances"][name] for record in records])
        mean, spread = values.mean(), values.std(ddof=1)
        print(
            f"{dataset.name}, {len(values)} seeds, {time}: {name} {mean:.3f}, standard deviation {spread:.3f} "
            f"({spread / mean:.0%}), {values.min():.3f} to {values.max():.3f}"
        )
    print(f"{dataset.name}: {len(bad)} of {len(records)} collapsed {bad or ''}")
    return 1 if bad else 0


def outcome(run: Run, spaces: Spaces) -> dict[str, Any]:
    """What a run came to."""
    model = load(run)
    *_, last = (step for step in draw_many(model, condition_table(run, model.spec), IMAGES, 1_000_000))
    assert isinstance(last, Drawn)
    points = read_points(run.path)
    return {
        "images": run.facts["images_seen"],
        "distances": {name: value[0] for name, value in spaces.of(last.pictures).items()},
        "variety": min((point["variety"] for point in points[len(points) // 2 :]), default=None),
        "went back": sum(decision["kind"] == "rollback" for decision in run.decisions()),
    }


class Broken:
    """A generator that knows only so many beginnings of an image, once `kinds` is not 0; in place of the real one."""

    kinds = 0
    whole = Generator.forward

    @staticmethod
    def forward(self: Generator, z: Tensor, field: Tensor, noises: Sequence[Tensor], wish: Tensor | None) -> Tensor:
        """The same as the whole one, from one of a few beginnings."""
        if Broken.kinds:
            which = (z[:, : Broken.kinds]).argmax(dim=1) if Broken.kinds > 1 else torch.zeros_like(z[:, 0]).long()

            def few(like: Tensor, number: int) -> Tensor:
                shape, made = like.shape[1:], torch.Generator().manual_seed(number)
                return torch.randn(Broken.kinds, *shape, generator=made).to(like)[which]

            z, field, noises = few(z, 1), few(field, 2), [few(noise, 3) for noise in noises]
        return Broken.whole(self, z, field, noises, wish)


def collapses(path: Path, seeds: Sequence[int], given: argparse.Namespace) -> int:
    """How many are noticed at the next look; 1 where one is not."""
    Generator.forward = Broken.forward  # type: ignore[method-assign, assignment]
    noticed = 0
    for seed in seeds:
        Broken.kinds, kinds = 0, KINDS[seed % len(KINDS)]
        with tempfile.TemporaryDirectory(prefix="maquette-") as folder:
            request = {
                "dataset": str(path),
                "to": f"{folder}/run",
                "family": "gan",
                "given": "none",
                "time": given.time or "1m",
            }
            began, looks, said = 0, 0, ""
            for event in table.run("train", Workspace(given.to / "home"), {**request, "seed": seed}):
                if isinstance(event, Progress) and event.done >= BREAK * (event.total or 0) and not began:
                    Broken.kinds, began = kinds, event.done
                if isinstance(event, Note) and "seen: distance to" in event.text and Broken.kinds:
                    looks += 1
                if isinstance(event, Warning) and "lost their variety" in event.text and "went back" in event.text:
                    Broken.kinds, said = 0, event.text
            noticed += bool(said) and looks == 1
            print(f"seed {seed}, {kinds} kinds from {began:,} on, {looks} looks: {said or 'NOT noticed'}", flush=True)
    print(f"{noticed} of {len(seeds)} noticed")
    return 0 if noticed == len(seeds) else 1


if __name__ == "__main__":
    sys.exit(main())
