"""Do made images of a rare label help to recognise it? Real images cut down, filled up, and tested on real ones.

    maquette ingest SCANS --to scans.mq --size 32
    python benchmarks/medical.py scans.mq --rare pneumonia [--keep 0.05] [--seeds 5] [--time 60] [--to OUT]
    python benchmarks/medical.py scans.mq --rare pneumonia --only 3          one seed, in a process of its own

For each seed: another choice of the images that are kept of the rare label, a model of its own (flow, rare labels as
often as frequent ones), made images that pass the copies gate for half of what the label lacks, and three classifiers
that see as many images: from the real ones, from rare ones repeated, and with the made ones. Tested on everything that
the dataset holds out. Promised: the 90 % interval of the difference in balanced accuracy (made beside real) is not
wholly below 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import maquette as mq
from maquette.core.image import save, sheet
from maquette.core.noise import uniform
from maquette.data.dataset import Dataset, Writer
from maquette.engine import trial
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.load import load
from maquette.engine.table import condition_table
from maquette.judge.release import Gate
from maquette.store.run import Run

SEEN = 6_000
"""Images that each classifier sees."""


def cut(data: Dataset, name: str, rare: int, keep: float, seed: int, to: Path) -> Dataset:
    """The dataset with a share of the rare label's training images, chosen by the seed."""
    rows, held = data.indices("train"), data.indices("held-out")
    known = data.conditions(rows, [name])[name].reshape(-1)
    own = rows[known == rare]
    order = own[np.argsort(uniform(seed, "kept", len(own)), kind="stable")]
    kept = np.sort(np.concatenate([rows[known != rare], order[: round(len(own) * keep)]]))
    everything = np.concatenate([kept, held])
    with Writer(to, data.spec, settings={"cut": seed, "keep": keep}) as writer:
        items: list[dict[str, Any]] = [{"path": str(row)} for row in everything]
        writer.append(data.images(everything), data.conditions(everything), items)
        parts = (np.arange(len(everything)) >= len(kept)).astype(np.uint8)
        return writer.finish(parts, np.arange(len(everything), dtype=np.int32))


def pool(data: Dataset, run: Run, name: str, real: trial.Labelled, share: float) -> trial.Labelled:
    """Made images of every label that lacks some, which pass the gate."""
    model, gate = load(run), Gate(data)
    classes = data.spec.condition(name).classes
    images: list[NDArray[Any]] = [data.images([])]
    labels = [np.zeros(0, np.int64)]
    for label, lack in enumerate(trial.missing(real, len(classes))):
        if lack:
            given = {name: classes[label]}
            for step in draw_many(model, condition_table(run, model.spec), round(lack * share), 0, None, given):
                if isinstance(step, Drawn):
                    kept = gate(step.pictures).kept
                    images.append(np.asarray(step.pictures[kept]))
                    labels.append(np.full(int(kept.sum()), label, np.int64))
                    print(
                        f"{int((~kept).sum())} of {len(kept)} made images of {classes[label]} stay behind", flush=True
                    )
    return trial.Labelled(np.concatenate(images), np.concatenate(labels))


def one(data: Dataset, rare: str, keep: float, seed: int, seconds: float, share: float, to: Path) -> list[trial.Score]:
    """The three classifiers of one seed."""
    condition = next(c for c in data.spec.conditions if c.kind == "label")
    name, label = condition.name, condition.classes.index(rare)
    mine = cut(data, name, label, keep, seed, to / f"cut-{seed}.mq")
    run = mq.train(mine, family="flow", to=to / f"flow-{seed}", time=seconds, balance=name, seed=seed, judge=False)
    real, test = (trial.labelled(mine, part, name) for part in ("train", "held-out"))
    made = pool(mine, run, name, real, share)
    images = [*real.images[real.of(label)[:16]], *made.images[made.of(label)[:32]]]
    save(sheet(images, columns=16, scale=2), to / f"seed-{seed}.png")
    scores = []
    learner = trial.learner_of(mine, name, "classify", SEEN, width=16, mirrored=False)
    for gone in trial.trial(real, made, test, learner, (seed,), share=share):
        if gone.score is not None:
            scores.append(gone.score)
            shares = ", ".join(f"{c} {r:.3f}" for c, r in zip(condition.classes, gone.score.recalls, strict=True))
            print(f"seed {seed} {gone.score.way:>8}: {gone.score.balanced:.4f} ({shares})", flush=True)
    return scores


def main() -> None:
    """Run the seeds that are not there yet, and say what all of them come to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rare", required=True)
    parser.add_argument("--keep", type=float, default=0.05)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time", type=float, default=60.0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--to", type=Path, default=Path("benchmark-medical"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open(given.data)
    classes = next(c for c in data.spec.conditions if c.kind == "label").classes
    given.to.mkdir(parents=True, exist_ok=True)
    for seed in [given.only] if given.only is not None else range(given.seeds):
        path = given.to / f"seed-{seed}.json"
        if not path.exists():
            scores = one(data, given.rare, given.keep, seed, given.time, given.share, given.to)
            path.write_text(json.dumps([[s.way, s.seed, list(s.recalls)] for s in scores]))
    known = [json.loads((given.to / f"seed-{s}.json").read_text()) for s in range(given.seeds)
             if (given.to / f"seed-{s}.json").exists()]  # fmt: skip
    if len(known) < 2:
        return
    scores = [trial.Score(way, seed, tuple(recalls)) for part in known for way, seed, recalls in part]
    verdict = trial.Verdict(tuple(scores), tuple(classes), len(data.indices("held-out")))
    print(verdict.sentence())
    for way in trial.WAYS:
        print(f"{way:>8}: {np.mean(verdict.of(way)):.4f} {[round(v, 4) for v in verdict.of(way)]}")
    print("promise kept:", verdict.gain().high >= 0)


if __name__ == "__main__":
    main()
