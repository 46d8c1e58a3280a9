"""Time to quality: every family and fixed peers learn for the same minutes on the same cores from the same images.

    python benchmarks/board.py DATASET [DATASET...] --minutes 10 --peer PYTHON     a Python with the peers' packages
    python benchmarks/board.py DATASET --only gan,flow,dcgan --minutes 2
    python benchmarks/board.py DATASET --show                                     the table of what is known so far

Each contender is a process of its own, one after the other. Ours are given the labels or captions that there are, since
they take them; the peers take none. What it made is held against held-out images in two spaces
that nothing here is trained by: the features of a classifier that learned CIFAR-10's labels (--classifier RUN, made by
`maquette train cifar.mq --family classify`), and a dictionary of patches fitted on the dataset. Distances are Frechet's
with their bias extrapolated and an interval from leaving out groups of images; beside them stand those of real images.
Results go to a file, line by line; what stands there already is not run again (--again NAME does).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.image import save, sheet
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.load import load
from maquette.engine.table import condition_table
from maquette.features import REGISTRY, extract
from maquette.features.extractor import stack
from maquette.features.space import Space
from maquette.judge.evidence import pick
from maquette.judge.interval import jackknife
from maquette.judge.metrics.fidelity import distances
from maquette.store.run import Run

OURS = ("gan", "flow", "autoencoder")
PEERS = {
    "dcgan": ("dcgan", "textbook DCGAN, float32"),
    "diffusers": ("diffusers_unet", "diffusers UNet2DModel, DDIM in 20 steps"),
    "ddpm": ("ddpm", "denoising-diffusion-pytorch, 20 steps"),
    "lightweight": ("lightweight", "lightweight-gan"),
}
FOLDER = Path(__file__).parent


def ours(name: str, dataset: Dataset, given: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Any]:
    """Train and sample one of our families by its command line, as a user would."""
    run = folder / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads), "MAQUETTE_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "maquette", "train", str(dataset.path), "--family", name, "--to", str(run)]
    command += ["--time", f"{given.minutes}m", "--seed", str(given.seed), "--quiet"]
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    wall = time.perf_counter() - began
    opened = Run.open(run)
    model = load(opened)
    began = time.perf_counter()
    for step in draw_many(model, condition_table(opened, model.spec), given.count, 1_000_000):
        if isinstance(step, Drawn):
            made = step.pictures
    facts = {
        "images_seen": opened.facts["images_seen"], "seconds": opened.facts["seconds"], "wall": wall,
        "seconds_an_image": (time.perf_counter() - began) / given.count, "scale": opened.facts["scale"],
        "parameters": sum(value.numel() for value in model.parameters()),
    }  # fmt: skip
    return facts, made


def peer(name: str, dataset: Dataset, given: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Any]:
    """Train and sample a peer in its own interpreter."""
    if given.peer is None:
        raise SystemExit(f"{name} needs --peer PYTHON, an interpreter with torch and its package")
    rows = dataset.indices("train")
    np.save(folder / "images.npy", dataset.images(rows), allow_pickle=False)
    script, made = FOLDER / "peers" / f"{PEERS[name][0]}.py", folder / "made.npy"
    command = [given.peer, str(script), str(folder / "images.npy"), str(60 * given.minutes), str(given.threads)]
    began = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    done = subprocess.run(
        [*command, str(given.count), str(given.seed), str(made)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{name} ended with an error:\n{done.stderr[-2000:]}")
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    return {**facts, "wall": time.perf_counter() - began, "scale": ""}, np.load(made, allow_pickle=False)


class Spaces:
    """The two spaces in which images are held against held-out ones."""

    def __init__(self, dataset: Dataset, classifier: str | None, count: int) -> None:
        train, held = pick(dataset.indices("train"), 10_000), pick(dataset.indices("held-out"), 5_000)
        makers = {"patches": REGISTRY.get("patches")(dataset.images(pick(train, 4_000, seed=1)))}
        if classifier:
            makers["classifier"] = Classifier(classifier)
        self.parts: dict[str, tuple[Any, Space, Any]] = {}
        self.floor: dict[str, list[float]] = {}
        for name, extractor in makers.items():
            rows = stack(list(extract(extractor, dataset.images(train))))
            space = Space.fit(rows)
            real = space(stack(list(extract(extractor, dataset.images(held)))))
            self.parts[name] = extractor, space, real
            self.floor[name] = self._distance(real, space(rows[: max(count, len(rows) // 2)]))

    @staticmethod
    def _distance(real: Any, made: Any) -> list[float]:
        whole, without = distances(real, made)
        found = jackknife(whole, without, bias=True)
        return [round(found.value, 4), round(found.low, 4), round(found.high, 4)]

    def of(self, made: Any) -> dict[str, list[float]]:
        """Distance with its interval in each space."""
        return {
            name: self._distance(real, space(stack(list(extract(extractor, made)))))
            for name, (extractor, space, real) in self.parts.items()
        }


class Classifier:
    """What stands before the last layer of a classifier of 32 px colour images; others are brought to that form."""

    name, resize = "classifier", "area"

    def __init__(self, run: str) -> None:
        self.model = load(Run.open(Path(run)))
        self.digest = str(Run.open(Path(run)).facts["model"])

    def __call__(self, images: Any) -> Any:
        """N height width channels -> N features."""
        import cv2
        import torch

        x = images.astype(np.float32) / 255
        if x.shape[3] == 4:  # on white
            x = x[..., :3] * x[..., 3:] + 1 - x[..., 3:]
        x = np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x
        side = self.model.spec.width
        if x.shape[1:3] != (side, side):
            x = np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in x])
        with torch.inference_mode():
            return self.model.describe(torch.from_numpy(x * 2 - 1).permute(0, 3, 1, 2).contiguous()).float().numpy()


def show(records: list[dict[str, Any]]) -> None:
    """A table for each dataset and time: distances as ratios to the best peer's, the best first."""
    for key in sorted({(r["dataset"], r["minutes"], r["threads"]) for r in records}):
        rows = [r for r in records if (r["dataset"], r["minutes"], r["threads"]) == key]
        spaces = sorted(set.intersection(*(set(r["distances"]) for r in rows)))
        best = {s: min((r["distances"][s][0] for r in rows if r["name"] in PEERS), default=math.nan) for s in spaces}
        mean = lambda r: math.exp(  # noqa: E731
            sum(math.log(max(r["distances"][s][0], 1e-3)) for s in spaces) / len(spaces)  # noqa: B023
        )
        print(f"\n{key[0]}, {key[1]:g} minutes, {key[2]} threads, {rows[0]['count']:,} images made")
        print(
            f"{'':12} {'images seen':>12} {'a second':>9}  "
            + "  ".join(f"{s + ' [90 %]':>30} {'ratio':>6}" for s in spaces)
        )
        for r in sorted(rows, key=mean):
            cells = []
            for s in spaces:
                value, low, high = r["distances"][s]
                cells.append(f"{f'{value:.3f} [{low:.3f}, {high:.3f}]':>30} {value / best[s]:6.2f}")
            rate = r["images_seen"] / r["seconds"]
            print(f"{r['name']:12} {r['images_seen']:12,} {rate:9.0f}  " + "  ".join(cells))
        print("real images: " + ", ".join(f"{s} {rows[-1]['floor'][s][0]:.3f}" for s in spaces))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", help="names, such as gan,dcgan", default=",".join([*OURS, *PEERS]))
    parser.add_argument("--again", help="names to run again", default="")
    parser.add_argument("--peer", help="the peers' Python")
    parser.add_argument("--classifier", help="a run of the family classify")
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--to", type=Path, default=Path("board"), help="a folder for results.jsonl and sheets")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    file = given.to / "results.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if given.show:
        show(records)
        return
    for path in given.dataset:
        dataset = Dataset.open(path)
        same = {"dataset": dataset.name, "minutes": given.minutes, "threads": given.threads, "seed": given.seed}
        wanted = [name for name in given.only.split(",") if name]
        known = [r["name"] for r in records if all(r[key] == value for key, value in same.items())]
        wanted = [name for name in wanted if name not in known or name in given.again.split(",")]
        if not wanted:
            continue
        spaces = Spaces(dataset, given.classifier, given.count)
        for name in wanted:
            with tempfile.TemporaryDirectory() as folder:
                run = ours if name not in PEERS else peer
                facts, made = run(name, dataset, given, Path(folder))
            record = {
                **same,
                "name": name,
                "count": len(made),
                **facts,
                "distances": spaces.of(made),
                "floor": spaces.floor,
            }
            records = [r for r in records if r["name"] != name or any(r[key] != same[key] for key in same)] + [record]
            save(
                sheet(list(np.asarray(made[:64])), columns=16, scale=2 if dataset.spec.width <= 48 else 1),
                given.to / f"{dataset.name}-{name}-{given.minutes:g}m.png",
            )
            partial = file.with_suffix(".partial")
            partial.write_text("".join(json.dumps(r) + "\n" for r in records))
            os.replace(partial, file)
            print(
                f"{dataset.name} {name}: {json.dumps({k: record[k] for k in ('images_seen', 'distances')})}", flush=True
            )
    show(records)


if __name__ == "__main__":
    main()
